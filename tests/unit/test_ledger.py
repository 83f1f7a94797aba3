"""The reckoning of the matrix and the soak must see what it is there to see."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from local.ledger import Ending, Ledger, Sent

KEY, VERSION, ETAG, SHA = "a.png", "v1", "e1", "0" * 64
PAID = {"status": 201, "code": None}
SENT = Sent(KEY, VERSION, SHA, ETAG)

TAGGED = {
    "state": "DONE",
    "order": "01",
    "result": {"image": {"versionId": VERSION, "etag": ETAG}},
    "calls:FIRST": 1,
}
FAILED = {"state": "FAILED", "order": "01", "failed": {"failure": {"code": "806"}}}


def skipped(reason: str) -> dict[str, Any]:
    """An item that says so."""
    return {"state": "SKIPPED", "order": "01", "skipped": reason}


def announcement(*, id_: str = "1", etag: str = ETAG) -> dict[str, Any]:
    """As a subscriber gets it."""
    return {"id": id_, "data": {"image": {"etag": etag}}}


def ending(
    item: dict[str, Any] | None,
    *,
    letters: tuple[str, ...] = (),
    announced: tuple[dict[str, Any], ...] = (),
    paid: int = 0,
    newer: bool = False,
    is_there: bool = True,
) -> Ending:
    """What the ledger makes of one upload."""
    place = (KEY, VERSION)
    ledger = Ledger({}, defaultdict(list), defaultdict(list), defaultdict(list))
    if item is not None:
        ledger.items[place] = item
    if newer:
        ledger.items[KEY, "v2"] = {"state": "DONE", "order": "02"}
    if is_there:
        ledger.objects.add(place)
    ledger.letters[place] += letters
    ledger.announced[place] += announced
    ledger.calls[SHA] += [PAID] * paid
    return ledger.ending_of(SENT)


@pytest.mark.parametrize(
    "fine",
    [
        ending(TAGGED, announced=(announcement(),), paid=1),
        ending(TAGGED, announced=(announcement(), announcement()), paid=1),
        ending(TAGGED, newer=True, paid=1),
        ending({**TAGGED, "cutOff": 1}, announced=(announcement(),), paid=2),
        ending({**TAGGED, "calls:UNSTORED": 1}, announced=(announcement(),), paid=2),
        ending(FAILED, letters=("806",)),
        ending(skipped("OBJECT_GONE"), is_there=False),
        ending(skipped("SUPERSEDED"), newer=True),
    ],
    ids=lambda it: f"{it.status} {it.detail}".strip(),
)
def test_promises_that_were_kept_are_no_trouble(fine: Ending) -> None:
    """Else nobody would believe the others."""
    assert fine.troubles == []


@pytest.mark.parametrize(
    ("broken", "trouble"),
    [
        (ending(None), "lost: no item"),
        (ending({"state": "CLAIMED", "order": "01"}), "lost: CLAIMED"),
        (ending(TAGGED, paid=1), "not announced"),
        (ending(TAGGED, announced=(announcement(),), paid=2), "paid 2 times"),
        (
            ending(TAGGED, announced=(announcement(), announcement(id_="2")), paid=1),
            "several ids",
        ),
        (
            ending(TAGGED, announced=(announcement(etag="e2"),), paid=1),
            "announced as another version",
        ),
        (ending(FAILED), "without its letter"),
        (ending(FAILED, letters=("807",)), "without its letter"),
        (ending(skipped("OBJECT_GONE")), "skipped as OBJECT_GONE, and is not"),
        (ending(skipped("SUPERSEDED")), "skipped as SUPERSEDED, and is not"),
        (ending(skipped("FOLDER_MARKER")), "skipped as FOLDER_MARKER, and is not"),
        (ending(skipped("DISCARDED")), "skipped as DISCARDED, and is not"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_a_promise_that_was_broken_is_a_trouble(broken: Ending, trouble: str) -> None:
    """The soak must not end well then."""
    assert any(trouble in one for one in broken.troubles)
