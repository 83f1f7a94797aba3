"""
The API's part of the tree in `hangtag.errors`, and the list of all leaves.

The meanings of the numbers come from the Tagger API's documentation, version 2.12.
"""

from __future__ import annotations

from collections.abc import Iterator

from hangtag.errors import (
    AuthError,
    ConfigError,
    HangtagError,
    Kind,
    PermanentError,
    QuotaError,
    TransientError,
)


class ApiInternalError(TransientError):
    """Internal server error."""

    code = "500"
    source = "api"
    cause = "Tagger API; uploader, by an odd image"
    advice = "If it persists: ask the vendor, then replay."


class KeyRefused(AuthError):
    """Wrong key or no permission."""

    code = "609"
    advice = 'Run "hangtag key set" with a key that is allowed, then replay.'


class KeyNotSent(AuthError):
    """x-api-key header missing."""

    code = "612"
    advice = 'Run "hangtag key set", then replay.'


class ApiRedirected(ConfigError):
    """The API's address answers with a redirect, which is never followed."""

    code = "API_REDIRECTED"
    cause = "operator, Tagger API"
    advice = "Set TaggerApiUrl to the address of the API itself, deploy, then replay."


class ResourceUnknown(ConfigError):
    """Unknown resource or method."""

    code = "623"
    advice = "Correct TaggerApiUrl, deploy, then replay."


class PrefixRefused(PermanentError):
    """Base64 header (prefix) problem."""

    code = "801"
    source = "api"
    cause = "Hangtag"
    who = "Hangtag's developers"
    advice = "Report it with the image."


class Base64Refused(PermanentError):
    """Base64 image could not be read."""

    code = "802"
    source = "api"
    advice = "Upload a picture that opens in an image viewer."


class UrlNotFetched(PermanentError):
    """Image could not be fetched from the URL."""

    code = "803"
    source = "api"
    cause = "operator, network"
    who = "operator"
    advice = "Check that the API can reach the bucket, then replay."


class ImageTypeRefused(ConfigError):
    """image.type is neither url nor base64."""

    code = "804"
    cause = "Hangtag"
    advice = "A bug in Hangtag: report it; replay after the update."


class FormatRefused(PermanentError):
    """Format not supported."""

    code = "805"
    source = "api"
    advice = "Upload it as BMP, GIF, JPEG, PNG, TIFF or WEBP."


class RatioRefused(PermanentError):
    """Aspect ratio not supported."""

    code = "806"
    source = "api"
    advice = "Upload a picture that is less long and narrow."


class SidesTooSmall(PermanentError):
    """Width or height too small."""

    code = "807"
    source = "api"
    advice = "Upload a larger picture."


class SidesTooLarge(PermanentError):
    """Width or height too large."""

    code = "808"
    source = "api"
    advice = "Upload a smaller picture."


class TooManyBytes(PermanentError):
    """Too many bytes."""

    code = "809"
    source = "api"
    advice = "Upload a smaller or more compressed picture."


class QuotaExceeded(QuotaError):
    """Usage quota exceeded."""

    code = "823"
    advice = "Raise the quota with the vendor or wait for the next period, then replay."


class JsonRefused(ConfigError):
    """Invalid JSON."""

    code = "824"
    metadata_prefix = "tagger-"
    cause = "Hangtag; uploader, by metadata: then permanent"
    advice = "A bug in Hangtag: report it with the image; replay after the update."


class DetectionRefused(ConfigError):
    """Detection value not allowed."""

    code = "825"
    metadata_prefix = "tagger-detection"
    cause = "operator; uploader, by metadata: then permanent"
    who = "operator or uploader"
    advice = "Correct Detection, or upload with other tagger-detection metadata, then replay."


class LanguageRefused(ConfigError):
    """Language not supported."""

    code = "826"
    metadata_prefix = "tagger-language"
    cause = "operator; uploader, by metadata: then permanent"
    advice = (
        "Correct Language, or upload with other tagger-language metadata, then replay."
    )


# ---- codes that cannot be listed


class UnlistedError(HangtagError):
    """A code without a class of its own; its HTTP status decides its kind."""

    source = "api"
    cause = "Tagger API"
    who = "operator"

    def __init__(
        self,
        message: str,
        *,
        http_status: int,
        code: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.code = code or f"HTTP_{http_status}"
        self.kind = kind_of_http_status(http_status)


class UnlistedApiCode(UnlistedError):
    """A number from the API that its documentation does not list."""

    advice = "Ask the vendor what the number means; replay if that may help."


class HttpStatus(UnlistedError):
    """An HTTP status from 400 up, and a body without a code."""

    advice = (
        "HTTP_429: set or lower MaxRequestsPerSecond. Others: check TaggerApiUrl and the proxies "
        "in between. Replay if that may help."
    )


def kind_of_http_status(status: int) -> Kind:
    """Transient for 408, 429 and 5xx, else permanent."""
    return "transient" if status in (408, 429) or status >= 500 else "permanent"


def leaves(branch: type[HangtagError] = HangtagError) -> Iterator[type[HangtagError]]:
    """Every error below *branch* that has a code of its own."""
    for child in branch.__subclasses__():
        if "code" in vars(child):
            yield child
        yield from leaves(child)


_API_LEAVES = {leaf.code: leaf for leaf in leaves() if leaf.code.isdigit()}


def error_from_api(
    code: str,
    message: str,
    *,
    http_status: int,
    retry_after_seconds: float | None = None,
) -> HangtagError:
    """The error for a *code* in the API's answer, as text (`"803"`)."""
    leaf = _API_LEAVES.get(code)
    if leaf is None:
        return UnlistedApiCode(
            message,
            code=code,
            http_status=http_status,
            retry_after_seconds=retry_after_seconds,
        )
    return leaf(message, retry_after_seconds=retry_after_seconds)
