"""The request of a backfill, and the place where a run of it starts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, TypeGuard

from hangtag.events import is_retag_token
from hangtag.operators.backfill_ports import Checkpoint, UnusableCheckpoint

_MAX_KEY_BYTES = 1_024
_MAX_COUNT = 10**18  # bytes or objects


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """The objects to backfill. A checkpoint belongs to one request."""

    stack: str
    bucket: str
    prefix: str
    inventory: str | None
    """Uri of the manifest of an S3 Inventory, which is read instead of listing the bucket."""
    again: bool
    """Whether tagged objects are tagged again."""

    def document(self) -> dict[str, object]:
        """As it is saved in a checkpoint."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BackfillStart:
    """Where a run starts: at the beginning of the listing, or where the last run ended."""

    place: str | None
    """`ListedObject.place` of the last object that was handled; None at the beginning."""
    token: str
    """The re-tag token, the same in all runs: an upload that is sent twice is paid once."""
    counts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        """Whether no earlier run saved its progress."""
        return not self.counts


def start_of(
    request: BackfillRequest, checkpoint: Checkpoint, *, token: str
) -> BackfillStart:
    """
    Where a run starts; *token* is the re-tag token of a new backfill.

    Raises:
        UnusableCheckpoint: It cannot be read, or belongs to another backfill.
    """
    saved = checkpoint.load()
    if saved is None:
        return BackfillStart(None, token)
    if saved.get("request") != request.document():
        raise UnusableCheckpoint(
            f"it belongs to another backfill ({_in_words(saved.get('request'))}), not to this one "
            f"({_in_words(request.document())})"
        )
    place, saved_token, counts = (saved.get(n) for n in ("place", "token", "counts"))
    if (
        not (place is None or _is_short_text(place))
        or not is_retag_token(saved_token)
        or not _are_counts(counts)
    ):
        raise UnusableCheckpoint("it does not contain the progress of the backfill")
    return BackfillStart(place, saved_token, counts)


def _is_short_text(value: object) -> TypeGuard[str]:
    """Whether it can be sent to AWS as a key."""
    if not isinstance(value, str):
        return False
    with suppress(UnicodeEncodeError):  # JSON can hold half a surrogate pair
        return 0 < len(value.encode()) <= _MAX_KEY_BYTES
    return False


def _are_counts(saved: Any) -> TypeGuard[Mapping[str, Any]]:  # noqa: ANN401 - from a file
    if not isinstance(saved, dict) or not isinstance(saved.get("notSent"), dict):
        return False
    numbers = [saved.get(name) for name in ("listed", "enqueued", "bytes")]
    numbers += saved["notSent"].values()
    return all(
        isinstance(number, int) and 0 <= number < _MAX_COUNT for number in numbers
    )


def _in_words(request: object) -> str:
    if not isinstance(request, dict):
        return "unknown"
    words = [
        f"stack {request.get('stack')}, s3://{request.get('bucket')}/{request.get('prefix')}"
    ]
    words += [f"from {request['inventory']}"] if request.get("inventory") else []
    words += ["with --again"] if request.get("again") else []
    return ", ".join(words)
