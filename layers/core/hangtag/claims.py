"""
Claims: one worker at a time works on an upload, even if responses of the table are lost.

Every write is a compare-and-swap on the record's `rev`. A write whose response is lost is repeated:
the record that refuses it then has the `rev` that was just written.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from hangtag import lifecycle
from hangtag.backoff import persist
from hangtag.lifecycle import Busy, ClaimRequest, Done, Record, UploadKey
from hangtag.ports import Clock, RecordStore
from hangtag.uploads import SkipReason

_MOST_RIVALS = 8
"""Times that other workers may write a record before a claim gives up for now."""

_BUSY_SECONDS = 1.0


class ClaimLost(Exception):
    """Another worker has taken the upload over, because the lease expired."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on an upload until its lease expires."""

    key: UploadKey
    record: Record
    is_first: bool
    """Whether there was no record before: no attempt can have stored a result."""


def new_rev() -> str:
    """A `rev` that no record has."""
    return uuid.uuid4().hex


def swap(
    store: RecordStore,
    key: UploadKey,
    seen: Record | None,
    new: Record,
    *,
    clock: Clock,
    until: float,
) -> Record | None:
    """
    Write *new* in the place of *seen*, again while the table fails, *until* that moment.

    Returns None if it was written, else the record that is there. *new* has a `rev` of its own.

    Raises:
        ResultsUnavailable: It may or may not have been written.
    """
    rev = seen.rev if seen is not None and seen.rev else None
    found = persist(lambda: store.swap(key, rev, new), clock=clock, until=until)
    return None if found is None or found.rev == new.rev else found


class Claims:
    """Claims uploads, and writes their records."""

    def __init__(self, records: RecordStore, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def claim(
        self,
        key: UploadKey,
        seen: Record | None,
        request: ClaimRequest,
        *,
        until: float,
    ) -> Claim | Done | Busy:
        """
        Begin an attempt, unless the upload has ended or another worker holds it.

        *seen* is the record as far as it is known; if it is out of date, that only costs a write.

        Raises:
            ResultsUnavailable: The table failed until that moment (seconds since 1970).
        """
        old = seen
        for _ in range(_MOST_RIVALS):
            new = lifecycle.claim(old, request)
            if not isinstance(new, Record):
                return new
            new = replace(new, rev=new_rev())
            found = swap(self._records, key, old, new, clock=self._clock, until=until)
            if found is None:
                return Claim(key, new, is_first=old is None)
            old = found if found.rev else None
            # That was true of the record that was read; the new one may be claimed already
            request = replace(request, is_overtaken=False)
        return Busy(_BUSY_SECONDS)

    def skip(
        self, key: UploadKey, reason: SkipReason, *, at: str, until: float
    ) -> bool:
        """
        An upload ends without having been claimed; if it has a record already, that stays as it is.

        Raises:
            ResultsUnavailable: The table failed until that moment (seconds since 1970).
        """
        new = replace(lifecycle.skip(None, reason, at=at), rev=new_rev())
        found = swap(self._records, key, None, new, clock=self._clock, until=until)
        return found is None

    def write(
        self,
        claim: Claim,
        change: Callable[[Record], Record],
        *,
        until: float,
    ) -> None:
        """
        Write the record of a claimed upload, changed by *change*.

        Raises:
            ClaimLost: Another worker has it now; nothing is changed.
            ResultsUnavailable: The table failed until that moment (seconds since 1970).
        """
        new = replace(change(claim.record), rev=new_rev())
        found = swap(
            self._records, claim.key, claim.record, new, clock=self._clock, until=until
        )
        if found is not None:
            raise ClaimLost(claim.key[0])
