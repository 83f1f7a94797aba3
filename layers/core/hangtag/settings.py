"""The environment; nothing else reads it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeVar

from hangtag.selection import Selection, read_values
from hangtag.tagger_api import (
    DEFAULT_LANGUAGE,
    Detection,
    Language,
    read_detection,
    read_language,
)
from hangtag.text import shortened

PREFIX = "HANGTAG_"
"""The name of a variable of Hangtag is this and the setting's name in capitals."""

DEFAULT_TAGGER_API_URL = "https://api.omnious.com/tagger/v2.12/tags"

_TAGGER_API_URL = re.compile(
    r"(https://[A-Za-z0-9._:\[\]-]+"
    r"|http://(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?)"
    r"([/?][!-~]*)?"
)


class SettingsError(ValueError):
    """A variable is missing or wrong; the message names it and the expected value."""


def read_tagger_api_url(value: str) -> str:
    """
    *value*, if the API key may be sent there.

    Raises:
        ValueError: It is no https:// URL in ASCII, or has a user name or a password; http:// is
            taken for loopback addresses only.
    """
    if not _TAGGER_API_URL.fullmatch(value):
        raise ValueError(
            f"{_shown(value)} must be an https:// URL in ASCII, without user name and "
            "password; http:// only for localhost, 127.0.0.0/8 or [::1]"
        )
    return value


def _shown(text: str) -> str:
    return shortened(ascii(text))


# ---- the functions' settings

_Reader = Callable[[str], Any]
"""Returns the value in a variable's text. Raises `ValueError`; the message says what is wrong."""


def _by(read: _Reader) -> Mapping[str, _Reader]:
    """The metadata of a field that *read* reads."""
    return {"read": read}


def _text(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    return text


def _whole(at_least: int) -> _Reader:
    def read(text: str) -> int:
        # CloudFormation passes a Number as it was written: 10 or 10.0
        found = _WHOLE_NUMBER.fullmatch(text)
        if not found or int(found[1]) < at_least:
            raise ValueError(
                f"{_shown(text)} is not a whole number of {at_least} or more"
            )
        return int(found[1])

    return read


_WHOLE_NUMBER = re.compile(r"\s*\+?([0-9]{1,18})(?:\.0*)?\s*")


def _number(at_least: float) -> _Reader:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not at_least <= value < math.inf:
            raise ValueError(f"{_shown(text)} is not a number of {at_least:g} or more")
        return value

    return read


def _confidence(text: str) -> Decimal:
    try:
        value = Decimal(text)
        is_valid = 0 <= value <= 1  # of NaN, it is an `InvalidOperation`
    except InvalidOperation:
        is_valid = False
    if not is_valid:
        raise ValueError(f"{_shown(text)} is not a number from 0 to 1")
    return value


def _transport(text: str) -> str:
    if text not in ("base64", "url"):
        raise ValueError(f"{_shown(text)} is neither base64 nor url")
    return text


@dataclass(frozen=True, slots=True)
class TaggingSettings:
    """The settings of TagUploads; see the parameters in template.yaml."""

    tagger_api_url: str = field(metadata=_by(read_tagger_api_url))
    language: Language = field(metadata=_by(read_language))
    detection: tuple[Detection, ...] = field(metadata=_by(read_detection))
    image_transport: Literal["base64", "url"] = field(metadata=_by(_transport))
    batch_size: int = field(metadata=_by(_whole(at_least=1)))
    max_attempts: int = field(metadata=_by(_whole(at_least=1)))
    retry_base_seconds: float = field(metadata=_by(_number(at_least=0)))
    max_image_bytes: int = field(metadata=_by(_whole(at_least=1)))
    function_timeout: float = field(metadata=_by(_number(at_least=1)))
    max_requests_per_second: float = field(metadata=_by(_number(at_least=0)))
    api_key_secret_arn: str = field(metadata=_by(_text))
    results_table: str = field(metadata=_by(_text))
    results_topic_arn: str = field(metadata=_by(_text))
    upload_queue_url: str = field(metadata=_by(_text))
    dead_letter_queue_url: str = field(metadata=_by(_text))
    min_confidence: Decimal = field(default=Decimal(0), metadata=_by(_confidence))
    upload_prefix: tuple[str, ...] = field(default=(), metadata=_by(read_values))
    upload_suffixes: tuple[str, ...] = field(default=(), metadata=_by(read_values))
    large_results_bucket: str = field(default="", metadata=_by(str))
    """Without it, storing a large result fails as `ResultsUnavailable`, and is retried."""
    results_ttl_days: int = field(default=0, metadata=_by(_whole(at_least=0)))
    """0 keeps results."""

    @property
    def selection(self) -> Selection:
        """The keys that are tagged."""
        return Selection(self.upload_prefix, self.upload_suffixes)


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """The settings of ReplayFailures."""

    results_table: str = field(metadata=_by(_text))
    upload_queue_url: str = field(metadata=_by(_text))
    dead_letter_queue_url: str = field(metadata=_by(_text))


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """The settings of IndexResults."""

    min_confidence: Decimal = field(metadata=_by(_confidence))
    index_table: str = field(metadata=_by(_text))
    large_results_bucket: str = field(metadata=_by(_text))
    results_topic_arn: str = field(metadata=_by(_text))


def read_tagging_settings(environment: Mapping[str, str]) -> TaggingSettings:
    """
    The settings of TagUploads.

    Raises:
        SettingsError: Names every variable that is missing or wrong.
    """
    return _read(TaggingSettings, environment)


def read_replay_settings(environment: Mapping[str, str]) -> ReplaySettings:
    """
    The settings of ReplayFailures.

    Raises:
        SettingsError: Names every variable that is missing or wrong.
    """
    return _read(ReplaySettings, environment)


def read_index_settings(environment: Mapping[str, str]) -> IndexSettings:
    """
    The settings of IndexResults.

    Raises:
        SettingsError: Names every variable that is missing or wrong.
    """
    return _read(IndexSettings, environment)


_Settings = TypeVar("_Settings", TaggingSettings, ReplaySettings, IndexSettings)


def _read(kind: type[_Settings], environment: Mapping[str, str]) -> _Settings:
    values, troubles = {}, []
    for setting in fields(kind):
        variable = variable_of(setting.name)
        if variable in environment:
            try:
                values[setting.name] = setting.metadata["read"](environment[variable])
            except ValueError as error:
                troubles.append(f"{variable}: {error}")
        elif setting.default is MISSING:
            troubles.append(f"{variable} is missing")
    if troubles:
        raise SettingsError(
            f"the function's environment does not match its code: {'; '.join(troubles)}; "
            "build and deploy the stack again"
        )
    return kind(**values)


# ---- the settings of `hangtag tag`


@dataclass(frozen=True, slots=True)
class AskSettings:
    """The settings of `hangtag tag`: the API, and no AWS."""

    tagger_api_url: str
    language: Language
    api_key: str | None
    ca_bundle: str | None
    """See `read_ca_bundle`."""


def read_ask_settings(environment: Mapping[str, str]) -> AskSettings:
    """
    The settings of `hangtag tag`.

    Raises:
        SettingsError: A variable is wrong.
    """
    try:
        return AskSettings(
            tagger_api_url=read_tagger_api_url(
                environment.get(variable_of("tagger_api_url"), DEFAULT_TAGGER_API_URL)
            ),
            language=read_language(
                environment.get(variable_of("language"), DEFAULT_LANGUAGE)
            ),
            api_key=environment.get(variable_of("api_key")) or None,
            ca_bundle=read_ca_bundle(environment),
        )
    except ValueError as error:
        raise SettingsError(str(error)) from error


def read_ca_bundle(environment: Mapping[str, str]) -> str | None:
    """The file or folder of certificate authorities that other HTTP clients use as well."""
    return (
        environment.get("REQUESTS_CA_BUNDLE")
        or environment.get("CURL_CA_BUNDLE")
        or None
    )


def variable_of(setting: str) -> str:
    """The name of a setting's environment variable."""
    return PREFIX + setting.upper()
