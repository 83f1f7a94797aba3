"""The environment; nothing else reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from hangtag.selection import Selection, read_values
from hangtag.tagger_api import (
    DEFAULT_LANGUAGE,
    Detection,
    Language,
    read_detection,
    read_language,
)
from hangtag.text import shortened

_Settings = TypeVar("_Settings", bound=BaseModel)

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


class TaggingSettings(BaseModel):
    """The settings of TagUploads; see the parameters in template.yaml."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    tagger_api_url: str
    language: Language
    detection: tuple[Detection, ...]
    image_transport: Literal["base64", "url"]
    upload_prefix: tuple[str, ...] = ()
    upload_suffixes: tuple[str, ...] = ()
    batch_size: int = Field(ge=1)
    max_attempts: int = Field(ge=1)
    retry_base_seconds: float = Field(ge=0)
    max_image_bytes: int = Field(ge=1)
    function_timeout: float = Field(ge=1)
    max_requests_per_second: float = Field(ge=0)
    min_confidence: Decimal = Field(Decimal(0), ge=0, le=1)
    api_key_secret_arn: str = Field(min_length=1)
    results_table: str = Field(min_length=1)
    results_topic_arn: str = Field(min_length=1)
    upload_queue_url: str = Field(min_length=1)
    dead_letter_queue_url: str = Field(min_length=1)
    large_results_bucket: str = ""
    """Without it, storing a large result fails as `ResultsUnavailable`, and is retried."""
    results_ttl_days: int = Field(0, ge=0)
    """0 keeps results."""

    @field_validator("tagger_api_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return read_tagger_api_url(value)

    @field_validator("language", mode="before")
    @classmethod
    def _read_language(cls, value: str) -> Language:
        return read_language(value)

    @field_validator("detection", mode="before")
    @classmethod
    def _read_detection(cls, value: str) -> tuple[Detection, ...]:
        return read_detection(value)

    @field_validator("upload_prefix", "upload_suffixes", mode="before")
    @classmethod
    def _read_values(cls, value: str) -> tuple[str, ...]:
        return read_values(value)

    @property
    def selection(self) -> Selection:
        """The keys that are tagged."""
        return Selection(self.upload_prefix, self.upload_suffixes)


class ReplaySettings(BaseModel):
    """The settings of ReplayFailures."""

    model_config = ConfigDict(frozen=True)

    results_table: str = Field(min_length=1)
    upload_queue_url: str = Field(min_length=1)
    dead_letter_queue_url: str = Field(min_length=1)


class IndexSettings(BaseModel):
    """The settings of IndexResults."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    min_confidence: Decimal = Field(ge=0, le=1)
    index_table: str = Field(min_length=1)
    large_results_bucket: str = Field(min_length=1)
    results_topic_arn: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class AskSettings:
    """The settings of `hangtag tag`: the API, and no AWS."""

    tagger_api_url: str
    language: Language
    api_key: str | None
    ca_bundle: str | None
    """See `read_ca_bundle`."""


def read_tagger_api_url(value: str) -> str:
    """
    *value*, if the API key may be sent there.

    Raises:
        ValueError: It is no https:// URL in ASCII, or has a user name or a password; http:// is
            taken for loopback addresses only.
    """
    if not _TAGGER_API_URL.fullmatch(value):
        raise ValueError(
            f"{shortened(ascii(value))} must be an https:// URL in ASCII, without user name and "
            "password; http:// only for localhost, 127.0.0.0/8 or [::1]"
        )
    return value


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


def _read(model: type[_Settings], environment: Mapping[str, str]) -> _Settings:
    values = {
        name: environment[variable_of(name)]
        for name in model.model_fields
        if variable_of(name) in environment
    }
    try:
        return model.model_validate(values)
    except ValidationError as error:
        troubles = "; ".join(
            f"{variable_of(str(trouble['loc'][0]))}: {trouble['msg']}"
            for trouble in error.errors(include_url=False)
        )
        raise SettingsError(
            f"the function's environment does not match its code: {troubles}; "
            "build and deploy the stack again"
        ) from error


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
