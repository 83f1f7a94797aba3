from __future__ import annotations

from dataclasses import MISSING, asdict, fields
from decimal import Decimal

import pytest

from hangtag.selection import ALL_KEYS, Selection
from hangtag.settings import (
    DEFAULT_TAGGER_API_URL,
    AskSettings,
    ReplaySettings,
    SettingsError,
    TaggingSettings,
    read_ask_settings,
    read_index_settings,
    read_tagger_api_url,
    read_tagging_settings,
    variable_of,
)

COMPLETE = {
    "HANGTAG_TAGGER_API_URL": "https://api.example/tagger/v2.12/tags",
    "HANGTAG_LANGUAGE": "ko",
    "HANGTAG_DETECTION": "TOP, SHOES",
    "HANGTAG_IMAGE_TRANSPORT": "url",
    "HANGTAG_MIN_CONFIDENCE": "0.60",
    "HANGTAG_UPLOAD_PREFIX": "summer/",
    "HANGTAG_UPLOAD_SUFFIXES": ".jpg,.png",
    "HANGTAG_BATCH_SIZE": "10",
    "HANGTAG_MAX_ATTEMPTS": "5",
    "HANGTAG_RETRY_BASE_SECONDS": "10",
    "HANGTAG_MAX_IMAGE_BYTES": "20971520",
    "HANGTAG_FUNCTION_TIMEOUT": "60",
    "HANGTAG_API_KEY_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:1:secret:key",
    "HANGTAG_RESULTS_TABLE": "results",
    "HANGTAG_MAX_REQUESTS_PER_SECOND": "0",
    "HANGTAG_RESULTS_TOPIC_ARN": "arn:aws:sns:eu-central-1:1:results",
    "HANGTAG_UPLOAD_QUEUE_URL": "https://sqs.example/1/uploads",
    "HANGTAG_DEAD_LETTER_QUEUE_URL": "https://sqs.example/1/dead-letters",
    "HANGTAG_LARGE_RESULTS_BUCKET": "large-results",
    "HANGTAG_RESULTS_TTL_DAYS": "30",
}

COMPLETE_INDEX = {
    "HANGTAG_INDEX_TABLE": "index",
    "HANGTAG_LARGE_RESULTS_BUCKET": "large-results",
    "HANGTAG_MIN_CONFIDENCE": "0.5",
    "HANGTAG_RESULTS_TOPIC_ARN": "arn:aws:sns:eu-central-1:1:results",
}

REQUIRED = (
    "HANGTAG_TAGGER_API_URL",
    "HANGTAG_LANGUAGE",
    "HANGTAG_DETECTION",
    "HANGTAG_IMAGE_TRANSPORT",
    "HANGTAG_BATCH_SIZE",
    "HANGTAG_MAX_ATTEMPTS",
    "HANGTAG_RETRY_BASE_SECONDS",
    "HANGTAG_MAX_IMAGE_BYTES",
    "HANGTAG_FUNCTION_TIMEOUT",
    "HANGTAG_API_KEY_SECRET_ARN",
    "HANGTAG_RESULTS_TABLE",
    "HANGTAG_MAX_REQUESTS_PER_SECOND",
    "HANGTAG_RESULTS_TOPIC_ARN",
    "HANGTAG_UPLOAD_QUEUE_URL",
    "HANGTAG_DEAD_LETTER_QUEUE_URL",
)
"""The variables without a default: no later version adds one."""

GOOD_URLS = [
    DEFAULT_TAGGER_API_URL,
    "https://api.example",
    "https://api.example:8443/tags?version=2",
    "http://localhost",
    "http://localhost:8080/tagger/v2.12/tags",
    "http://127.0.0.1:8080/tags",
    "http://127.255.0.9/tags",
    "http://[::1]:8080/tags",
]

HOSTILE_URLS = [
    "",
    "api.example",
    "ftp://api.example",
    "file:///etc/passwd",
    "http://api.example",
    "http://127.0.0.1.evil.example/tags",
    "http://127.0.0.1@evil.example/tags",
    "http://127.0.0.1:80@evil.example/tags",
    "http://localhost.evil.example",
    "http://localhost@evil.example",
    "http://localhost:80@evil.example",
    "http://evil.example#@localhost",
    "http://evil.example/?@127.0.0.1",
    "http://localhost\\@evil.example",
    "http://127.0.0.1\t.evil.example",
    "http://1270.0.0.1",
    "http://127.1",
    "http://2130706433",
    "http://0x7f000001",
    "http://[::1].evil.example",
    "http://[::2]",
    "http://0.0.0.0",
    "http://",
    "https://",
    "https:///tags",
    "https://?x",
    "https://api.example/a b",
    "https://api.example/tags\n",
    " https://api.example",
    "HTTP://LOCALHOST.evil.example",
]


def test_the_settings_are_read_from_the_environment() -> None:
    """Numbers and lists are parsed."""
    settings = read_tagging_settings(COMPLETE)

    assert asdict(settings) == {
        "tagger_api_url": "https://api.example/tagger/v2.12/tags",
        "language": "ko",
        "detection": ("TOP", "SHOES"),
        "image_transport": "url",
        "upload_prefix": ("summer/",),
        "upload_suffixes": (".jpg", ".png"),
        "batch_size": 10,
        "max_attempts": 5,
        "retry_base_seconds": 10.0,
        "max_image_bytes": 20_971_520,
        "max_requests_per_second": 0.0,
        "min_confidence": Decimal("0.6"),
        "function_timeout": 60.0,
        "api_key_secret_arn": "arn:aws:secretsmanager:eu-central-1:1:secret:key",
        "results_table": "results",
        "results_topic_arn": "arn:aws:sns:eu-central-1:1:results",
        "upload_queue_url": "https://sqs.example/1/uploads",
        "dead_letter_queue_url": "https://sqs.example/1/dead-letters",
        "large_results_bucket": "large-results",
        "results_ttl_days": 30,
    }


def test_without_a_least_confidence_all_values_are_kept() -> None:
    """As before the setting existed."""
    environment = {
        name: value
        for name, value in COMPLETE.items()
        if name != "HANGTAG_MIN_CONFIDENCE"
    }

    assert read_tagging_settings(environment).min_confidence == 0


def test_the_complete_environment_has_every_setting() -> None:
    """A new setting needs a test of its absence, too."""
    assert set(COMPLETE) == {variable_of(one.name) for one in fields(TaggingSettings)}


def test_a_later_version_adds_no_setting_without_a_default() -> None:
    """With it, the code works as before in an environment that does not have it yet."""
    required = {
        variable_of(field.name)
        for settings in (TaggingSettings, ReplaySettings)
        for field in fields(settings)
        if field.default is MISSING
    }

    assert required <= set(REQUIRED)


@pytest.mark.parametrize("variable", REQUIRED)
def test_a_missing_variable_is_named(variable: str) -> None:
    """The function's log shows which one is missing."""
    environment = {name: value for name, value in COMPLETE.items() if name != variable}

    with pytest.raises(SettingsError, match=variable):
        read_tagging_settings(environment)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HANGTAG_TAGGER_API_URL", "http://api.example"),
        ("HANGTAG_LANGUAGE", "fr"),
        ("HANGTAG_DETECTION", "TOP,SOCKS"),
        ("HANGTAG_IMAGE_TRANSPORT", "ftp"),
        ("HANGTAG_BATCH_SIZE", "0"),
        ("HANGTAG_BATCH_SIZE", "ten"),
        ("HANGTAG_MAX_ATTEMPTS", "0"),
        ("HANGTAG_MAX_ATTEMPTS", "1.5"),
        ("HANGTAG_RETRY_BASE_SECONDS", "-1"),
        ("HANGTAG_RETRY_BASE_SECONDS", "nan"),
        ("HANGTAG_MAX_IMAGE_BYTES", "0"),
        ("HANGTAG_FUNCTION_TIMEOUT", "0"),
        ("HANGTAG_FUNCTION_TIMEOUT", "inf"),
        ("HANGTAG_API_KEY_SECRET_ARN", ""),
        ("HANGTAG_RESULTS_TABLE", ""),
        ("HANGTAG_RESULTS_TOPIC_ARN", ""),
        ("HANGTAG_MAX_REQUESTS_PER_SECOND", "-1"),
        ("HANGTAG_MAX_REQUESTS_PER_SECOND", "inf"),
        ("HANGTAG_MIN_CONFIDENCE", "-0.1"),
        ("HANGTAG_MIN_CONFIDENCE", "1.1"),
        ("HANGTAG_MIN_CONFIDENCE", "nan"),
        ("HANGTAG_MIN_CONFIDENCE", "high"),
        ("HANGTAG_UPLOAD_QUEUE_URL", ""),
        ("HANGTAG_DEAD_LETTER_QUEUE_URL", ""),
        ("HANGTAG_RESULTS_TTL_DAYS", "-1"),
        ("HANGTAG_RESULTS_TTL_DAYS", "1.5"),
    ],
)
def test_an_invalid_variable_is_named(variable: str, value: str) -> None:
    """Valid variables are not named."""
    with pytest.raises(SettingsError) as caught:
        read_tagging_settings(COMPLETE | {variable: value})

    named = [name for name in COMPLETE if name in str(caught.value)]
    assert [variable] == named


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("BATCH_SIZE", "0", "'0' is not a whole number of 1 or more"),
        ("BATCH_SIZE", "ten", "'ten' is not a whole number of 1 or more"),
        ("RESULTS_TTL_DAYS", "-1", "'-1' is not a whole number of 0 or more"),
        ("FUNCTION_TIMEOUT", "inf", "'inf' is not a number of 1 or more"),
        ("RETRY_BASE_SECONDS", "1 s", "'1 s' is not a number of 0 or more"),
        ("MIN_CONFIDENCE", "60", "'60' is not a number from 0 to 1"),
        ("MIN_CONFIDENCE", "x" * 999, f"'{'x' * 196}... is not a number from 0 to 1"),
        ("IMAGE_TRANSPORT", "\x1bftp", r"'\x1bftp' is neither base64 nor url"),
        ("RESULTS_TABLE", "", "it is empty"),
    ],
)
def test_the_message_has_the_value_and_what_is_expected(
    variable: str, value: str, message: str
) -> None:
    """An operator needs not look up either."""
    with pytest.raises(SettingsError) as caught:
        read_tagging_settings(COMPLETE | {f"HANGTAG_{variable}": value})

    assert f": HANGTAG_{variable}: {message}; build and" in str(caught.value)


def test_a_whole_number_may_be_written_with_decimals() -> None:
    """CloudFormation passes a number as the operator wrote it."""
    settings = read_tagging_settings(COMPLETE | {"HANGTAG_BATCH_SIZE": "10.0"})

    assert settings.batch_size == 10


def test_all_invalid_variables_are_named_at_once() -> None:
    """One deployment shows all mistakes."""
    with pytest.raises(SettingsError) as caught:
        read_tagging_settings({})

    assert [] == [name for name in REQUIRED if name not in str(caught.value)]


def test_without_prefixes_and_suffixes_all_keys_are_selected() -> None:
    """As in an environment of a version that had no such settings."""
    optional = {"HANGTAG_UPLOAD_PREFIX", "HANGTAG_UPLOAD_SUFFIXES"}
    without = {name: COMPLETE[name] for name in COMPLETE if name not in optional}

    assert read_tagging_settings(without).selection == ALL_KEYS
    assert read_tagging_settings(COMPLETE | dict.fromkeys(optional, "")).selection == (
        ALL_KEYS
    )
    assert read_tagging_settings(COMPLETE).selection == Selection(
        ("summer/",), (".jpg", ".png")
    )


def test_unknown_variables_are_ignored() -> None:
    """Lambda's environment has many."""
    settings = read_tagging_settings(COMPLETE | {"AWS_REGION": "x", "HANGTAG_NEW": "y"})

    assert read_tagging_settings(COMPLETE) == settings


@pytest.mark.parametrize("url", GOOD_URLS)
def test_the_key_may_be_sent_over_tls_or_to_this_machine(url: str) -> None:
    """The sandbox needs no certificate."""
    assert url == read_tagger_api_url(url)


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_the_key_is_never_sent_unencrypted(url: str) -> None:
    """A URL may only look like this machine; the message repeats it."""
    with pytest.raises(ValueError, match="must be an https:// URL") as caught:
        read_tagger_api_url(url)

    assert repr(url) in str(caught.value)


def test_tagging_local_files_needs_no_settings() -> None:
    """The defaults are the vendor's address and English; the command asks for the key."""
    settings = read_ask_settings({})

    assert settings == AskSettings(DEFAULT_TAGGER_API_URL, "en", None, None)


def test_tagging_local_files_reads_its_settings() -> None:
    """They and the key come from the environment."""
    settings = read_ask_settings(
        {
            "HANGTAG_TAGGER_API_URL": "http://localhost:1",
            "HANGTAG_LANGUAGE": "ja",
            "HANGTAG_API_KEY": "secret",
            "REQUESTS_CA_BUNDLE": "/etc/company.pem",
        }
    )

    assert settings == AskSettings(
        "http://localhost:1", "ja", "secret", "/etc/company.pem"
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HANGTAG_TAGGER_API_URL", "http://api.example"), ("HANGTAG_LANGUAGE", "fr")],
)
def test_tagging_local_files_with_an_invalid_setting_is_an_error(
    variable: str, value: str
) -> None:
    """The message shows the value."""
    with pytest.raises(SettingsError, match=value):
        read_ask_settings({variable: value})


@pytest.mark.parametrize("value", ["0", "0.35", "1"])
def test_the_least_confidence_is_read_digit_for_digit(value: str) -> None:
    """It is compared with the API's own numbers."""
    settings = read_index_settings({**COMPLETE_INDEX, "HANGTAG_MIN_CONFIDENCE": value})

    assert settings.min_confidence == Decimal(value)


@pytest.mark.parametrize("value", ["-0.1", "1.1", "NaN", "Infinity", "", "half"])
def test_a_least_confidence_outside_of_0_to_1_is_refused(value: str) -> None:
    """The message names the variable."""
    with pytest.raises(SettingsError, match="HANGTAG_MIN_CONFIDENCE"):
        read_index_settings({**COMPLETE_INDEX, "HANGTAG_MIN_CONFIDENCE": value})


@pytest.mark.parametrize("variable", COMPLETE_INDEX)
def test_the_index_function_names_a_missing_variable(variable: str) -> None:
    """It needs all of them."""
    environment = dict(COMPLETE_INDEX)
    del environment[variable]

    with pytest.raises(SettingsError, match=variable):
        read_index_settings(environment)
