"""
What can go wrong, and what is to be done about it.

Every error Hangtag knows is a leaf of this tree and has one code. The code travels on the dead
letter, stands in the result and in the log; the table in docs/error-codes.md is made from here.

    HangtagError
    ├── PermanentError: this image, never
    │   ├── UnreadableEvent       UNREADABLE_EVENT
    │   ├── UnsupportedFormat     UNSUPPORTED_FORMAT
    │   ├── EmptyImage            EMPTY_IMAGE
    │   ├── ImageTooLarge         IMAGE_TOO_LARGE
    │   ├── InvalidContext        INVALID_CONTEXT
    │   ├── ResultTooLarge        RESULT_TOO_LARGE
    │   ├── Abandoned             ABANDONED
    │   ├── PrefixRefused         801
    │   ├── Base64Refused         802
    │   ├── UrlNotFetched         803
    │   ├── FormatRefused         805
    │   ├── RatioRefused          806
    │   ├── SidesTooSmall         807
    │   ├── SidesTooLarge         808
    │   └── TooManyBytes          809
    ├── TransientError: later
    │   ├── ApiInternalError      500
    │   ├── ApiTimeout            API_TIMEOUT
    │   ├── ApiUnreachable        API_UNREACHABLE
    │   ├── BadAnswer             BAD_ANSWER
    │   ├── ObjectForbidden       OBJECT_FORBIDDEN
    │   ├── ObjectUnavailable     OBJECT_UNAVAILABLE
    │   ├── ApiKeyUnavailable     API_KEY_UNAVAILABLE
    │   ├── ResultsUnavailable    RESULTS_UNAVAILABLE
    │   ├── AnnouncementFailed    ANNOUNCEMENT_FAILED
    │   ├── QueueUnavailable      QUEUE_UNAVAILABLE
    │   ├── IntakeUnavailable     INTAKE_UNAVAILABLE
    │   └── InternalError         INTERNAL_ERROR
    ├── AuthError: the key
    │   ├── KeyRefused            609
    │   ├── KeyNotSent            612
    │   └── ApiKeyMissing         API_KEY_MISSING
    ├── QuotaError: the account
    │   └── QuotaExceeded         823
    ├── ConfigError: the stack asks wrongly
    │   ├── ApiRedirected         API_REDIRECTED
    │   ├── ResourceUnknown       623
    │   ├── ImageTypeRefused      804
    │   ├── JsonRefused           824
    │   ├── DetectionRefused      825
    │   └── LanguageRefused       826
    └── UnlistedError: codes that cannot be listed, judged by the answer's HTTP status
        ├── UnlistedApiCode       the number as the API sent it
        └── HttpStatus            HTTP_<status>

The meanings of the numbers are those of the Tagger API's documentation, version 2.12.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from hangtag.text import printable, without_secrets

Kind = Literal["permanent", "transient", "auth", "quota", "config", "uncoded"]
"""What to do about a failure; see `KINDS`."""

Source = Literal["api", "image", "aws", "event", "internal"]
"""Where a failure comes from."""

_EVERYBODYS = (
    "everybody's: buried at once, and after five in a row all others wait on the queue"
)

KINDS: dict[Kind, str] = {
    "permanent": "this image never: buried at once",
    "transient": "later: retried, buried when all attempts have failed",
    "auth": f"the API key, {_EVERYBODYS}",
    "quota": f"the account's quota, {_EVERYBODYS}",
    "config": f"the stack asks wrongly, {_EVERYBODYS}",
    "uncoded": "no code on the letter: SQS itself moved it, or somebody put it there",
}

UNCODED = "UNCODED"
"""The code of a dead letter that carries none."""

MESSAGE_LIMIT = 1_000
"""Characters of a failure's message that are kept."""

_MESSAGE_TAKEN = 4 * MESSAGE_LIMIT  # looked at: a presigned URL alone may have 2,000


class HangtagError(Exception):
    """
    The root of the tree.

    A leaf states its `code`, `kind` and `source`, `who` acts on it and the `advice` for them.
    Its message, cut to `MESSAGE_LIMIT`, is logged and buried: no image and no presigned URL gets
    into it, whatever the other side echoes.
    """

    code: str
    kind: Kind
    source: Source
    who: ClassVar[str]
    advice: ClassVar[str]

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(without_secrets(message[:_MESSAGE_TAKEN])[:MESSAGE_LIMIT])
        self.retry_after_seconds = retry_after_seconds
        """Seconds the other side asked us to wait before the next try, if it said so."""


class PermanentError(HangtagError):
    """This image will never be tagged as it is."""

    kind = "permanent"


class TransientError(HangtagError):
    """It may go better later."""

    kind = "transient"


class AuthError(HangtagError):
    """The API key is missing, wrong or not allowed."""

    kind = "auth"


class QuotaError(HangtagError):
    """The account has used up what it paid for."""

    kind = "quota"


class ConfigError(HangtagError):
    """The stack asks in a way the API does not take."""

    kind = "config"


# Ours, about the event and the image


class UnreadableEvent(PermanentError):
    """A message is no upload event."""

    code = "UNREADABLE_EVENT"
    source = "event"
    who = "whoever sends to the upload queue"
    advice = "Look at the letter's body and correct its sender; the letter expires after 14 days."


class UnsupportedFormat(PermanentError):
    """The first bytes are of none of the six formats."""

    code = "UNSUPPORTED_FORMAT"
    source = "image"
    who = "uploader"
    advice = "Upload it as BMP, GIF, JPEG, PNG, TIFF or WEBP."


class EmptyImage(PermanentError):
    """The object has no bytes."""

    code = "EMPTY_IMAGE"
    source = "image"
    who = "uploader"
    advice = "Upload it again; the transfer left nothing."


class ImageTooLarge(PermanentError):
    """The object has more bytes than the stack sends."""

    code = "IMAGE_TOO_LARGE"
    source = "image"
    who = "uploader, or the operator"
    advice = "Upload a smaller picture, or raise MaxImageBytes and replay."


class InvalidContext(PermanentError):
    """The object's metadata holds a value the API does not know."""

    code = "INVALID_CONTEXT"
    source = "image"
    who = "uploader"
    advice = "Upload it again with the metadata the message asks for."


class ResultTooLarge(PermanentError):
    """The answer does not fit into an item of the table, or not into an announcement."""

    code = "RESULT_TOO_LARGE"
    source = "aws"
    who = "operator"
    advice = "Report it with the image: an answer is a few kilobytes, an item takes 400, SNS 256."


class Abandoned(PermanentError):
    """The last attempt that it may have was begun and not finished."""

    code = "ABANDONED"
    source = "internal"
    who = "operator"
    advice = (
        "Look for crashes and timeouts in the function's log; raise MemorySize or "
        "FunctionTimeout, then replay."
    )


# Ours, about the services in between


class ApiTimeout(TransientError):
    """The API did not answer in time."""

    code = "API_TIMEOUT"
    source = "api"
    who = "nobody at first"
    advice = "If it stays: look at the API's status, then replay."


class ApiUnreachable(TransientError):
    """No connection to the API could be made or kept."""

    code = "API_UNREACHABLE"
    source = "api"
    who = "nobody at first"
    advice = "If it stays: check TaggerApiUrl and the function's way to the internet, then replay."


class BadAnswer(TransientError):
    """A successful HTTP status, but the body is no Tagger answer."""

    code = "BAD_ANSWER"
    source = "api"
    who = "nobody at first"
    advice = "If it stays: check TaggerApiUrl; the message shows what came instead."


class ObjectForbidden(TransientError):
    """S3 does not let the function read the object."""

    code = "OBJECT_FORBIDDEN"
    source = "aws"
    who = "operator"
    advice = (
        "Give the function's role access to the bucket and its KMS key, then replay."
    )


class ObjectUnavailable(TransientError):
    """S3 failed, or the object took too long to read."""

    code = "OBJECT_UNAVAILABLE"
    source = "aws"
    who = "nobody at first"
    advice = (
        "If it stays: look at the AWS health dashboard, or raise FunctionTimeout where it took "
        "too long to read, then replay."
    )


class ApiKeyUnavailable(TransientError):
    """Secrets Manager failed, was too slow or refused."""

    code = "API_KEY_UNAVAILABLE"
    source = "aws"
    who = "nobody at first"
    advice = "If it stays: check the role's access to the secret and its KMS key, then replay."


class ResultsUnavailable(TransientError):
    """DynamoDB failed, was too slow or refused."""

    code = "RESULTS_UNAVAILABLE"
    source = "aws"
    who = "nobody at first"
    advice = "If it stays: check the table and the role's access to it, then replay."


class AnnouncementFailed(TransientError):
    """SNS failed, was too slow or refused; the result is stored."""

    code = "ANNOUNCEMENT_FAILED"
    source = "aws"
    who = "nobody at first"
    advice = "If it stays: check the topic; a replay announces again and asks the API nothing."


class QueueUnavailable(TransientError):
    """SQS failed, was too slow or refused."""

    code = "QUEUE_UNAVAILABLE"
    source = "aws"
    who = "nobody at first"
    advice = "If it stays: check the queues and the role's access to them."


class IntakeUnavailable(TransientError):
    """Lambda did not tell of, or not switch, the event source mapping."""

    code = "INTAKE_UNAVAILABLE"
    source = "aws"
    who = "operator"
    advice = "Check the permission to list and update event source mappings, then do it again."


class InternalError(TransientError):
    """A mistake of ours: an exception nobody foresaw."""

    code = "INTERNAL_ERROR"
    source = "internal"
    who = "Hangtag's developers"
    advice = "Report it with the log's traceback; replay after the update."


class ApiKeyMissing(AuthError):
    """The secret holds no key."""

    code = "API_KEY_MISSING"
    source = "aws"
    who = "key owner"
    advice = 'Run "hangtag key set", then replay.'


# The API's own, by its documentation


class ApiInternalError(TransientError):
    """Internal server error."""

    code = "500"
    source = "api"
    who = "nobody at first"
    advice = "If it stays: ask the vendor, then replay."


class KeyRefused(AuthError):
    """Wrong key or no permission."""

    code = "609"
    source = "api"
    who = "key owner"
    advice = 'Run "hangtag key set" with a key that is allowed, then replay.'


class KeyNotSent(AuthError):
    """x-api-key header missing."""

    code = "612"
    source = "api"
    who = "key owner"
    advice = 'Run "hangtag key set", then replay.'


class ApiRedirected(ConfigError):
    """The API's address answers with a redirect, which is never followed."""

    code = "API_REDIRECTED"
    source = "api"
    who = "operator"
    advice = "Set TaggerApiUrl to the address that answers itself, deploy, then replay."


class ResourceUnknown(ConfigError):
    """Unknown resource or method."""

    code = "623"
    source = "api"
    who = "operator"
    advice = "Correct TaggerApiUrl, deploy, then replay."


class PrefixRefused(PermanentError):
    """Base64 header (prefix) problem."""

    code = "801"
    source = "api"
    who = "Hangtag's developers"
    advice = "Report it with the image."


class Base64Refused(PermanentError):
    """Base64 image could not be read."""

    code = "802"
    source = "api"
    who = "uploader"
    advice = "Upload a picture that opens in an image viewer."


class UrlNotFetched(PermanentError):
    """Image could not be fetched from the URL."""

    code = "803"
    source = "api"
    who = "operator"
    advice = "Check that the API can reach what it is sent, then replay."


class ImageTypeRefused(ConfigError):
    """image.type is neither url nor base64."""

    code = "804"
    source = "api"
    who = "operator"
    advice = "A mistake of ours: report it; replay after the update."


class FormatRefused(PermanentError):
    """Format not supported."""

    code = "805"
    source = "api"
    who = "uploader"
    advice = "Upload it as BMP, GIF, JPEG, PNG, TIFF or WEBP."


class RatioRefused(PermanentError):
    """Aspect ratio not supported."""

    code = "806"
    source = "api"
    who = "uploader"
    advice = "Upload a picture that is less long and narrow."


class SidesTooSmall(PermanentError):
    """Width or height too small."""

    code = "807"
    source = "api"
    who = "uploader"
    advice = "Upload a larger picture."


class SidesTooLarge(PermanentError):
    """Width or height too large."""

    code = "808"
    source = "api"
    who = "uploader"
    advice = "Upload a smaller picture."


class TooManyBytes(PermanentError):
    """Too many bytes."""

    code = "809"
    source = "api"
    who = "uploader"
    advice = "Upload a smaller or more compressed picture."


class QuotaExceeded(QuotaError):
    """Usage quota exceeded."""

    code = "823"
    source = "api"
    who = "account owner"
    advice = "Raise the quota with the vendor or wait for the next period, then replay."


class JsonRefused(ConfigError):
    """Invalid JSON."""

    code = "824"
    source = "api"
    who = "operator"
    advice = "A mistake of ours: report it with the image; replay after the update."


class DetectionRefused(ConfigError):
    """Detection value not allowed."""

    code = "825"
    source = "api"
    who = "operator, or the uploader"
    advice = "Correct Detection, or upload with other tagger-detection metadata, then replay."


class LanguageRefused(ConfigError):
    """Language not supported."""

    code = "826"
    source = "api"
    who = "operator"
    advice = "Correct Language, deploy, then replay."


# Codes that cannot be listed


class UnlistedError(HangtagError):
    """A code that has no class of its own; its HTTP status tells its kind."""

    source = "api"


class UnlistedApiCode(UnlistedError):
    """A number of the API's that its documentation does not list."""

    who = "operator"
    advice = "Ask the vendor what the number means; replay when it may go better."

    def __init__(
        self,
        message: str,
        *,
        code: str,
        http_status: int,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.code = code
        self.kind = kind_of_http_status(http_status)


class HttpStatus(UnlistedError):
    """An HTTP status from 400 up whose body carries no code."""

    who = "operator"
    advice = "Check TaggerApiUrl and what stands between; replay when it may go better."

    def __init__(
        self,
        message: str,
        *,
        http_status: int,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.code = f"HTTP_{http_status}"
        self.kind = kind_of_http_status(http_status)


def kind_of_http_status(status: int) -> Kind:
    """
    408, 429 and 5xx may go better later, all else not.
    """
    if status in (408, 429) or status >= 500:
        return "transient"
    return "permanent"


def leaves(branch: type[HangtagError] = HangtagError) -> Iterator[type[HangtagError]]:
    """Every error below *branch* that has a code of its own, in the order of this file."""
    for child in branch.__subclasses__():
        if "code" in vars(child):
            yield child
        yield from leaves(child)


def error_from_api(
    code: str,
    message: str,
    *,
    http_status: int,
    retry_after_seconds: float | None = None,
) -> HangtagError:
    """The error for a *code* that the API's answer carries, as text (`"803"`)."""
    leaf = _API_LEAVES.get(code)
    if leaf is None:
        return UnlistedApiCode(
            message,
            code=code,
            http_status=http_status,
            retry_after_seconds=retry_after_seconds,
        )
    return leaf(message, retry_after_seconds=retry_after_seconds)


_API_LEAVES = {leaf.code: leaf for leaf in leaves() if leaf.code.isdigit()}


@dataclass(frozen=True, slots=True)
class Failure:
    """What is written down about an error."""

    code: str
    kind: str
    message: str
    source: str
    attempts: int
    """Attempts that were begun when it failed, this one included."""
    failed_at: str
    """ISO 8601, UTC."""

    @classmethod
    def of(cls, error: HangtagError, *, attempts: int, failed_at: str) -> Failure:
        """The failure that *error* is written down as."""
        return cls(
            code=error.code,
            kind=error.kind,
            message=printable(str(error)).strip() or type(error).__name__,
            source=error.source,
            attempts=attempts,
            failed_at=failed_at,
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Failure:
        """The failure that stands in a FAILED result."""
        return cls(
            code=document["code"],
            kind=document["kind"],
            message=document["message"],
            source=document["source"],
            attempts=int(document["attempts"]),
            failed_at=document["failedAt"],
        )

    def document(self) -> dict[str, str | int]:
        """The failure as it stands in a FAILED result."""
        return {
            "code": self.code,
            "kind": self.kind,
            "message": self.message,
            "source": self.source,
            "attempts": self.attempts,
            "failedAt": self.failed_at,
        }
