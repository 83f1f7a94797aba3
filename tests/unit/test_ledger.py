"""The ledger of the matrix and the soak reports every broken promise."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from hangtag.uploads import order_of
from local.ledger import Ending, Ledger, Sent

KEY, VERSION, ETAG, SHA = "a.png", "v1", "e1", "0" * 64
PAID = {"status": 201, "code": None}
SENT = Sent(KEY, VERSION, SHA, ETAG)

TAGGED = {"status": "TAGGED", "sequencer": "01", "calls": {"FIRST": 1}}
FAILED = {"status": "FAILED", "sequencer": "01", "failure": {"code": "806"}}
RESULT = {
    "objectVersion": f"version:{VERSION}",
    "order": order_of("01"),
    "result": {"image": {"versionId": VERSION, "etag": ETAG}},
}
NEWER = {"objectVersion": "version:v2", "order": order_of("02")}
ANOTHER = {**RESULT, "result": {"image": {"versionId": "v0", "etag": "e0"}}}


def skipped_record(reason: str) -> dict[str, Any]:
    """The record of an upload that was skipped."""
    return {"status": "SKIPPED", "sequencer": "01", "reason": reason}


def announcement(*, id_: str = "1", etag: str = ETAG) -> dict[str, Any]:
    """An announcement as a subscriber receives it."""
    return {"id": id_, "data": {"image": {"etag": etag}}}


def ending(
    item: dict[str, Any] | None,
    *,
    letters: tuple[str, ...] = (),
    announced: tuple[dict[str, Any], ...] = (),
    paid: int = 0,
    result: dict[str, Any] | None = RESULT,
    is_there: bool = True,
) -> Ending:
    """The ending that the ledger concludes for one upload."""
    place = (KEY, VERSION)
    ledger = Ledger({}, defaultdict(list), defaultdict(list), defaultdict(list))
    if item is not None:
        ledger.items[place] = item
    if result is not None:
        ledger.results[KEY] = result
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
        ending(TAGGED, announced=(announcement(),), result=NEWER, paid=1),
        ending({**TAGGED, "cutOff": 1}, announced=(announcement(),), paid=2),
        ending(
            {**TAGGED, "calls": {"FIRST": 1, "UNSTORED": 1}},
            announced=(announcement(),),
            paid=2,
        ),
        ending(
            {**TAGGED, "calls": {"FIRST": 1, "OVERTAKEN": 1}},
            announced=(announcement(),),
            paid=2,
        ),
        ending(
            {**TAGGED, "calls": {"FIRST": 1, "UNFINISHED": 1}, "cutOff": 1},
            announced=(announcement(),),
            paid=3,
        ),
        ending(FAILED, letters=("806",)),
        ending(skipped_record("OBJECT_GONE"), is_there=False),
        ending(skipped_record("SUPERSEDED"), result=NEWER),
    ],
    ids=lambda it: f"{it.status} {it.detail}".strip(),
)
def test_kept_promises_cause_no_trouble(fine: Ending) -> None:
    """A false report would discredit the others."""
    assert fine.troubles == []


@pytest.mark.parametrize(
    ("broken", "trouble"),
    [
        (ending(None), "lost: no item"),
        (ending({"status": "OPEN", "sequencer": "01"}), "lost: OPEN"),
        (ending(TAGGED, result=None, paid=1), "TAGGED without a result"),
        (ending(TAGGED, result=ANOTHER, paid=1), "the result is another version's"),
        (ending(TAGGED, paid=1), "not announced"),
        (ending(TAGGED, announced=(announcement(),), paid=2), "paid 2 times"),
        (
            ending(
                {**TAGGED, "calls": {"UNFINISHED": 1}, "cutOff": 1},
                announced=(announcement(),),
                paid=3,
            ),
            "3 calls, 2 counted",
        ),
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
        (ending(skipped_record("OBJECT_GONE")), "skipped as OBJECT_GONE, and is not"),
        (ending(skipped_record("SUPERSEDED")), "skipped as SUPERSEDED, and is not"),
        (
            ending(skipped_record("FOLDER_MARKER")),
            "skipped as FOLDER_MARKER, and is not",
        ),
        (ending(skipped_record("DISCARDED")), "skipped as DISCARDED, and is not"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_a_promise_that_was_broken_is_a_trouble(broken: Ending, trouble: str) -> None:
    """The soak must then fail."""
    assert any(trouble in one for one in broken.troubles)


# ---- removals

MARKER = "marker-1"
REMOVED = {"status": "REMOVED", "sequencer": "02"}
TOMBSTONE = {
    "objectVersion": f"removed:{order_of('02')}",
    "order": order_of("02"),
    "removedAt": "2026-11-22T12:00:00.000Z",
}


def ending_of_removal(
    item: dict[str, Any] | None,
    *,
    letters: tuple[str, ...] = (),
    announced: tuple[dict[str, Any], ...] = (),
    result: dict[str, Any] | None = TOMBSTONE,
) -> Ending:
    """The ending that the ledger concludes for the removal of a tagged upload."""
    ledger = Ledger({}, defaultdict(list), defaultdict(list), defaultdict(list))
    ledger.items[KEY, VERSION] = TAGGED
    if item is not None:
        ledger.items[KEY, f"removed:{order_of('02')}"] = item
    if result is not None:
        ledger.results[KEY] = result
    ledger.announced[KEY, VERSION] += [announcement()]
    ledger.letters[KEY, MARKER] += letters
    ledger.removed[KEY, MARKER] += announced
    ledger.calls[SHA] += [PAID]
    return ledger.ending_of(SENT, MARKER)


def test_a_removal_that_is_announced_in_one_form_has_no_troubles() -> None:
    """However often it is announced."""
    removed = ending_of_removal(REMOVED, announced=(announcement(), announcement()))

    assert removed.status == "REMOVED"
    assert removed.troubles == []
    assert (removed.calls, removed.announcements) == (1, 2)


def test_a_removal_that_failed_with_its_letter_has_no_troubles() -> None:
    """The result stays until it is replayed."""
    failed = {**FAILED, "sequencer": "02"}

    assert ending_of_removal(failed, letters=("806",), result=RESULT).troubles == []


@pytest.mark.parametrize(
    ("item", "changes", "trouble"),
    [
        (None, {}, "lost: no item"),
        ({"status": "OPEN"}, {}, "lost: OPEN"),
        (FAILED, {}, "FAILED as 806 without its letter ()"),
        (REMOVED, {}, "the removal is not announced"),
        (
            REMOVED,
            {"announced": (announcement(), announcement(id_="2"))},
            "the removal is announced in several forms",
        ),
        (
            REMOVED,
            {"announced": (announcement(),), "result": RESULT},
            "REMOVED without a tombstone",
        ),
        (
            skipped_record("SUPERSEDED"),
            {},
            "the removal is skipped, although the object is gone",
        ),
    ],
)
def test_a_broken_promise_about_a_removal_is_reported(
    item: dict[str, Any] | None, changes: dict[str, Any], trouble: str
) -> None:
    """In words."""
    assert trouble in ending_of_removal(item, **changes).troubles


@pytest.mark.parametrize(
    ("type_", "tagged", "removed"),
    [("tagged", 1, 0), ("removed", 0, 1), ("failed", 0, 0)],
)
def test_announcements_are_kept_by_their_type(
    type_: str, tagged: int, removed: int
) -> None:
    """A version that is deleted for good may have announcements of all types."""
    ledger = Ledger({}, defaultdict(list), defaultdict(list), defaultdict(list))

    ledger.add_announcement(
        {
            "type": f"hangtag.image.{type_}.v1",
            "data": {"image": {"key": KEY, "versionId": VERSION}},
        }
    )

    assert len(ledger.announced[KEY, VERSION]) == tagged
    assert len(ledger.removed[KEY, VERSION]) == removed
