"""
The errors of Hangtag, each with the action to take.

Each leaf of this tree has one code. The code is on the dead letter, in the result and in the log.
docs/error-codes.md is generated from this module.

    HangtagError
    ├── PermanentError: this image can never be tagged
    │   ├── UnreadableEvent       UNREADABLE_EVENT
    │   ├── UnsupportedFormat     UNSUPPORTED_FORMAT
    │   ├── EmptyImage            EMPTY_IMAGE
    │   ├── ImageTooLarge         IMAGE_TOO_LARGE
    │   ├── InvalidContext        INVALID_CONTEXT
    │   ├── ObjectArchived        OBJECT_ARCHIVED
    │   ├── Abandoned             ABANDONED
    │   ├── PrefixRefused         801
    │   ├── Base64Refused         802
    │   ├── UrlNotFetched         803
    │   ├── FormatRefused         805
    │   ├── RatioRefused          806
    │   ├── SidesTooSmall         807
    │   ├── SidesTooLarge         808
    │   └── TooManyBytes          809
    ├── TransientError: a retry may succeed
    │   ├── ApiInternalError      500
    │   ├── ApiTimeout            API_TIMEOUT
    │   ├── ApiUnreachable        API_UNREACHABLE
    │   ├── BadAnswer             BAD_ANSWER
    │   ├── ObjectForbidden       OBJECT_FORBIDDEN
    │   ├── ObjectKmsKeyUnusable  OBJECT_KMS_KEY_UNUSABLE
    │   ├── ObjectUnavailable     OBJECT_UNAVAILABLE
    │   ├── ApiKeyUnavailable     API_KEY_UNAVAILABLE
    │   ├── ResultsUnavailable    RESULTS_UNAVAILABLE
    │   ├── AnnouncementFailed    ANNOUNCEMENT_FAILED
    │   ├── QueueUnavailable      QUEUE_UNAVAILABLE
    │   ├── MappingUnavailable    MAPPING_UNAVAILABLE
    │   ├── OutOfTime             OUT_OF_TIME
    │   ├── DiskFull              DISK_FULL
    │   └── InternalError         INTERNAL_ERROR
    ├── AuthError: the API key
    │   ├── KeyRefused            609
    │   ├── KeyNotSent            612
    │   └── ApiKeyMissing         API_KEY_MISSING
    ├── QuotaError: the account's quota
    │   └── QuotaExceeded         823
    ├── ConfigError: the stack's requests are wrong
    │   ├── ApiRedirected         API_REDIRECTED
    │   ├── ResourceUnknown       623
    │   ├── ImageTypeRefused      804
    │   ├── JsonRefused           824
    │   ├── DetectionRefused      825
    │   └── LanguageRefused       826
    └── UnlistedError: codes that cannot be listed; the HTTP status decides the kind
        ├── UnlistedApiCode       the number as the API sent it
        └── HttpStatus            HTTP_<status>

The leaves whose codes are the API's are in `tagger_api.errors`, all others here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from hangtag.redaction import without_secrets

Kind = Literal["permanent", "transient", "auth", "quota", "config", "uncoded"]
"""The action that a failure calls for; see `KINDS`."""

Source = Literal["api", "image", "aws", "event", "internal"]
"""Where a failure comes from."""

_SYSTEMIC = (
    "systemic: dead-lettered at once; after five consecutive failures tagging stops, "
    "and all other uploads wait on the queue"
)

KINDS: dict[Kind, str] = {
    "permanent": "this image can never be tagged: dead-lettered at once",
    "transient": "a retry may succeed: dead-lettered when all attempts have failed",
    "auth": f"the API key; {_SYSTEMIC}",
    "quota": f"the account's quota; {_SYSTEMIC}",
    "config": f"the stack's requests are wrong; {_SYSTEMIC}",
    "uncoded": "the dead letter has no code: SQS's redrive moved it, or a person sent it",
}

UNCODED = "UNCODED"
"""The code of a dead letter without one."""

MESSAGE_LIMIT = 1_000
"""The longest message of a failure, in characters."""


class HangtagError(Exception):
    """
    The root of the tree.

    A leaf has a `code`, a `kind` and a `source`, and says who can `cause` it, `who` acts and with
    which `advice`; a branch may have defaults. The message is cut to `MESSAGE_LIMIT`. Images and
    the secrets of presigned URLs are removed from it, because the API may echo them.
    """

    code: str
    kind: Kind
    source: Source
    cause: ClassVar[str]
    who: ClassVar[str]
    advice: ClassVar[str]

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(without_secrets(message)[:MESSAGE_LIMIT])
        self.retry_after_seconds = retry_after_seconds
        """The wait that the other side asked for, if any."""
        self.image_format = ""
        """The name of the format that was found, if this is an `UnsupportedFormat`."""


class PermanentError(HangtagError):
    """This image can never be tagged as it is."""

    kind = "permanent"
    cause = "uploader"
    who = "uploader"


class TransientError(HangtagError):
    """A retry may succeed."""

    kind = "transient"
    cause = "AWS"
    who = "no one at first: it is retried"


class AuthError(HangtagError):
    """The API key is missing, wrong or not allowed."""

    kind = "auth"
    source: Source = "api"
    cause = "operator, vendor"
    who = "key owner"


class QuotaError(HangtagError):
    """The account has used up its quota."""

    kind = "quota"
    source = "api"
    cause = "uploaders, by many images"
    who = "account owner"


class ConfigError(HangtagError):
    """The API refuses the stack's requests."""

    kind: Kind = "config"
    source = "api"
    cause = "operator"
    who = "operator"
    metadata_prefix: ClassVar[str | None] = None
    """The beginning of metadata keys by which an upload can cause the error."""

    def blame_upload(self, metadata: Mapping[str, str]) -> None:
        """
        Become permanent if the upload's own *metadata* can have caused the error.

        Otherwise an uploader could open the breaker, and so stop tagging for everybody. Blank
        values are not sent to the API.
        """
        prefix = self.metadata_prefix
        if prefix and any(
            key.lower().startswith(prefix) and value.strip()
            for key, value in metadata.items()
        ):
            self.kind = "permanent"


# ---- the event and the image


class UnreadableEvent(PermanentError):
    """A message on the upload queue is not an upload event."""

    code = "UNREADABLE_EVENT"
    source = "event"
    cause = "sender to the upload queue"
    who = "sender of the message"
    advice = "Look at the letter's body and correct its sender; the letter expires after 14 days."


class UnsupportedFormat(PermanentError):
    """The first bytes belong to none of the six formats."""

    code = "UNSUPPORTED_FORMAT"
    source = "image"
    advice = "Upload it as BMP, GIF, JPEG, PNG, TIFF or WEBP."

    def __init__(self, message: str, *, image_format: str = "") -> None:
        super().__init__(message)
        self.image_format = image_format


class EmptyImage(PermanentError):
    """The object has no bytes."""

    code = "EMPTY_IMAGE"
    source = "image"
    advice = "Upload it again."


class ImageTooLarge(PermanentError):
    """The object has more bytes than MaxImageBytes."""

    code = "IMAGE_TOO_LARGE"
    source = "image"
    who = "uploader or operator"
    advice = "Upload a smaller picture, or raise MaxImageBytes and replay."


class InvalidContext(PermanentError):
    """The object's metadata has a field or a value that the API does not know."""

    code = "INVALID_CONTEXT"
    source = "image"
    advice = "Upload it again with the metadata that the message names."


class ObjectArchived(PermanentError):
    """The object is in an archive class or tier: S3 must restore it before it can be read."""

    code = "OBJECT_ARCHIVED"
    source = "aws"
    cause = "bucket owner, uploader"
    who = "operator"
    advice = "Restore the object, wait until S3 has restored it, then replay."


class Abandoned(PermanentError):
    """The last attempt was cut off, by a crash or a timeout of the function."""

    code = "ABANDONED"
    source = "internal"
    cause = "uploader, by a large image; operator"
    who = "operator"
    advice = (
        "Look at the function's log, raise MemorySize or FunctionTimeout, then replay."
    )


# ---- the services in between


class ApiTimeout(TransientError):
    """The API did not answer in time."""

    code = "API_TIMEOUT"
    source = "api"
    cause = "Tagger API; uploader, by a slow image"
    advice = "If it persists: look at the API's status, then replay."


class ApiUnreachable(TransientError):
    """No connection to the API could be made or kept."""

    code = "API_UNREACHABLE"
    source = "api"
    cause = "Tagger API, network"
    advice = (
        "If it persists: check TaggerApiUrl and the route to the internet, then replay."
    )


class BadAnswer(TransientError):
    """The body is not a Tagger answer, is longer than 1 MiB, or has a code of over six digits."""

    code = "BAD_ANSWER"
    source = "api"
    cause = "Tagger API"
    advice = "If it persists: check TaggerApiUrl; the message shows the body."


class ObjectForbidden(TransientError):
    """S3 does not let the function read the object."""

    code = "OBJECT_FORBIDDEN"
    source = "aws"
    cause = "operator, bucket owner"
    who = "operator"
    advice = "Give the role access to the bucket and its KMS key, then replay."


class ObjectKmsKeyUnusable(TransientError):
    """The function's role may not use the object's KMS key, or the key is disabled or deleted."""

    code = "OBJECT_KMS_KEY_UNUSABLE"
    source = "aws"
    cause = "key owner; uploader, by the choice of the key"
    who = "operator"
    advice = (
        "Allow the function's role kms:Decrypt on the key that the message names, or enable that "
        "key, then replay."
    )


class ObjectUnavailable(TransientError):
    """S3 failed, or reading the object took too long."""

    code = "OBJECT_UNAVAILABLE"
    source = "aws"
    advice = "If it persists: check S3's health, or raise FunctionTimeout, then replay."


class ApiKeyUnavailable(TransientError):
    """Secrets Manager failed, was too slow or refused."""

    code = "API_KEY_UNAVAILABLE"
    source = "aws"
    advice = "If it persists: check the role's access to the secret and its KMS key, then replay."


class ResultsUnavailable(TransientError):
    """DynamoDB, or S3 for a large result, failed, was too slow or refused."""

    code = "RESULTS_UNAVAILABLE"
    source = "aws"
    advice = (
        "If it persists: check the table, the bucket of large results and the role's access to "
        "them, then replay."
    )


class AnnouncementFailed(TransientError):
    """SNS failed, was too slow or refused; the result is stored."""

    code = "ANNOUNCEMENT_FAILED"
    source = "aws"
    advice = "If it persists: check the topic; a replay announces again without calling the API."


class QueueUnavailable(TransientError):
    """SQS failed, was too slow or refused."""

    code = "QUEUE_UNAVAILABLE"
    source = "aws"
    advice = "If it persists: check the queues and the role's access to them."
    is_denied = False
    """Whether a permission is missing, so that a retry does not help; set by `UploadFeed.send`."""


class MappingUnavailable(TransientError):
    """Lambda did not show or change the event source mapping."""

    code = "MAPPING_UNAVAILABLE"
    source = "aws"
    who = "operator"
    advice = (
        "Check the permission to list and update event source mappings, then try again."
    )


class OutOfTime(TransientError):
    """The attempt ran out of the function's time before the API was called, or called again."""

    code = "OUT_OF_TIME"
    source = "internal"
    cause = "operator; uploader, by a large image"
    who = "operator"
    advice = "Raise FunctionTimeout, or lower BatchSize, then replay."


class DiskFull(TransientError):
    """The image has no room in the function's ephemeral storage."""

    code = "DISK_FULL"
    source = "internal"
    cause = "operator; uploaders, by large images"
    who = "operator"
    advice = "Raise EphemeralStorage, or lower BatchSize, then replay."


class InternalError(TransientError):
    """A bug in Hangtag: an unforeseen exception."""

    code = "INTERNAL_ERROR"
    source = "internal"
    cause = "Hangtag"
    who = "Hangtag's developers"
    advice = "Report it with the log's traceback; replay after the update."


class ApiKeyMissing(AuthError):
    """The secret contains no key."""

    code = "API_KEY_MISSING"
    source = "aws"
    cause = "operator"
    advice = 'Run "hangtag key set", then replay.'
