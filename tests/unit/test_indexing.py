"""What follows from changes of the results: the index, announcements, deletions."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hangtag import lifecycle
from hangtag.announcements import FAILED
from hangtag.errors import AnnouncementFailed, ResultsUnavailable
from hangtag.index import Term, entries_of, known_values, position_of
from hangtag.indexing import (
    NO_RESULT,
    Change,
    Indexed,
    Indexer,
    RecordFailed,
    ResultChanged,
    ResultItem,
)
from hangtag.lifecycle import Record
from hangtag.ports import IndexEntry
from hangtag.results import Document, own_part
from hangtag.uploads import Upload
from tests.builders import (
    BUCKET,
    NOON,
    URI,
    a_failed_record,
    a_result,
    an_answer,
    an_upload,
    jacket,
)
from tests.fakes import FakeAnnouncer, FakeClock, FakeIndex, FakeLargeResults, Killed

LATER = "2026-11-22T13:00:00.000Z"
ALL, JACKET, BEIGE, KHAKI = (
    Term("all", ""),
    Term("category", "T0360"),
    Term("color", "T0326"),
    Term("color", "EXAMPLE-1"),
)


@dataclass
class Stage:
    """An indexer on fakes."""

    index: FakeIndex = field(default_factory=FakeIndex)
    large: FakeLargeResults = field(default_factory=FakeLargeResults)
    announcer: FakeAnnouncer = field(default_factory=FakeAnnouncer)
    clock: FakeClock = field(default_factory=FakeClock)

    def indexer(self, min_confidence: str = "0", partition: str = "aws") -> Indexer:
        """A new process of the function."""
        return Indexer(
            self.index,
            self.large,
            self.announcer,
            self.clock,
            min_confidence=Decimal(min_confidence),
            partition=partition,
        )

    def apply(self, *changes: Change, **settings: str) -> Indexed:
        """Apply changes in a new process."""
        return self.indexer(**settings).apply(changes)

    def terms(self, uri: str = URI) -> set[Term]:
        """The terms by which a key is found."""
        return {one.term for one in self.index.entries.values() if one.uri == uri}


def item(document: Document | None, large_key: str | None = None) -> ResultItem:
    """The item of a result."""
    return ResultItem(document, large_key)


def stored(document: Document, old: Document | None = None) -> ResultChanged:
    """A result was stored."""
    return ResultChanged(document["image"]["uri"], item(old), item(document))


def removed(document: Document) -> ResultChanged:
    """A result was deleted, or a tombstone took its place."""
    return ResultChanged(document["image"]["uri"], item(document), NO_RESULT)


def in_colors(
    *colors: str, upload: Upload | None = None, tagged_at: str = NOON
) -> Document:
    """The result of a garment in these colours."""
    tags: dict[str, Any] = {
        "category": {"name": "dresses"},
        "colors": [{"name": name, "confidence": Decimal("0.5")} for name in colors],
    }
    return a_result(upload, answer=an_answer(tags), tagged_at=tagged_at)


def rebuilt(*documents: Document) -> dict[tuple[Term, str], IndexEntry]:
    """The index of these results, built anew."""
    return {
        (term, position_of(one)): IndexEntry(
            term, position_of(one), one["image"]["uri"], confidence
        )
        for one in documents
        for term, confidence in entries_of(one).items()
    }


# ---- the index


def test_a_result_is_found_by_all_its_terms() -> None:
    """With the confidence of each."""
    stage = Stage()

    done = stage.apply(stored(a_result()))

    assert stage.index.entries == rebuilt(a_result())
    assert {ALL, JACKET, BEIGE, KHAKI} <= stage.terms()
    assert done == Indexed(
        results=1, put=len(stage.index.entries), removed=0, announced=0
    )


def test_a_new_result_of_a_key_replaces_the_entries_of_the_old_one() -> None:
    """At another time, so that all of them move."""
    stage = Stage()
    old, new = in_colors("red"), in_colors("blue", tagged_at=LATER)

    stage.apply(stored(old))
    stage.apply(stored(new, old))

    assert stage.index.entries == rebuilt(new)


def test_entries_that_stay_as_they_are_are_not_written_again() -> None:
    """A higher place in the sequence changes nothing in the index."""
    stage = Stage()
    old = a_result()
    moved_up = deepcopy(old)
    moved_up["image"]["sequencer"] = "0065A3F1C2D4E5B6FF"
    stage.apply(stored(old))

    done = stage.apply(stored(moved_up, old))

    assert (done.put, done.removed) == (0, 0)


def test_another_confidence_is_written() -> None:
    """People filter by it."""
    stage = Stage()
    old, new = in_colors("red"), in_colors("red")
    new["objects"][0]["tags"][0]["colors"][0]["confidence"] = Decimal("0.7")
    stage.apply(stored(old))

    done = stage.apply(stored(new, old))

    assert (done.put, done.removed) == (1, 0)
    assert stage.index.entries == rebuilt(new)


def test_a_removed_result_has_no_entries() -> None:
    """Its item is a tombstone, or DynamoDB deleted it when it expired."""
    stage = Stage()
    stage.apply(stored(a_result()), stored(in_colors("red", upload=an_upload("b"))))

    stage.apply(removed(a_result()))

    assert stage.index.entries == rebuilt(in_colors("red", upload=an_upload("b")))


def test_changes_of_a_key_in_one_batch_are_written_once() -> None:
    """Entries of a result that was replaced at once would only be removed again."""
    stage = Stage()
    first, second = in_colors("red"), in_colors("blue", tagged_at=LATER)

    done = stage.apply(stored(first), stored(second, first))

    assert stage.index.entries == rebuilt(second)
    assert (done.results, done.put) == (1, len(rebuilt(second)))


def test_a_new_result_is_found_before_its_old_entries_are_removed() -> None:
    """If the function is stopped in between, the result is still found."""
    stage = Stage()
    old, new = in_colors("red"), in_colors("red", tagged_at=LATER)
    stage.apply(stored(old))
    stage.index.fails_with(ResultsUnavailable("away"), at="remove")

    with pytest.raises(ResultsUnavailable):
        stage.apply(stored(new, old))

    assert rebuilt(new).items() <= stage.index.entries.items()


def test_tags_below_the_least_confidence_are_not_indexed() -> None:
    """The stored answer has them."""
    stage = Stage()

    stage.apply(stored(a_result()), min_confidence="0.5")

    assert BEIGE in stage.terms()
    assert KHAKI not in stage.terms()


def test_entries_of_a_former_least_confidence_are_removed_with_their_result() -> None:
    """The setting may have been lower when they were written."""
    stage = Stage()
    stage.apply(stored(a_result()))

    stage.apply(removed(a_result()), min_confidence="0.5")

    assert stage.index.entries == {}


def test_results_that_are_not_tagged_have_no_entries() -> None:
    """An item of a later version may have another status."""
    stage = Stage()
    other = {**a_result(), "status": "LATER"}

    stage.apply(stored(other))

    assert stage.index.entries == {}


# ---- known values


def test_values_are_known_by_their_names_before_they_are_indexed() -> None:
    """A value that is indexed can be looked up."""
    stage = Stage()
    stage.index.fails_with(ResultsUnavailable("away"), at="put")

    with pytest.raises(ResultsUnavailable):
        stage.apply(stored(a_result()))

    assert stage.index.values[BEIGE] == {"beige"}
    assert stage.index.values[Term("gender", "T0418")] == {"male"}


def test_a_process_writes_a_value_once() -> None:
    """Most images have the same values."""
    stage = Stage()
    indexer = stage.indexer()
    indexer.apply([stored(a_result())])
    stage.index.values.clear()

    indexer.apply([stored(a_result(an_upload("other.png")))])

    assert stage.index.values == {}


def test_a_value_that_could_not_be_written_is_written_with_the_next_try() -> None:
    """The process must not believe that it is known."""
    stage = Stage()
    indexer = stage.indexer()
    stage.index.fails_with(ResultsUnavailable("away"), at="learn", times=1)

    with pytest.raises(ResultsUnavailable):
        indexer.apply([stored(a_result())])
    indexer.apply([stored(a_result())])

    assert stage.index.values[BEIGE] == {"beige"}


def test_a_process_writes_a_value_again_after_an_hour() -> None:
    """An operator may have emptied the index: the value could not be found by its name."""
    stage = Stage()
    indexer = stage.indexer()
    indexer.apply([stored(a_result())])
    stage.index.values.clear()

    stage.clock.advance(3_601)
    indexer.apply([stored(a_result())])

    assert stage.index.values[BEIGE] == {"beige"}


def test_a_process_forgets_values_before_they_fill_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An uploader chooses the metadata, and the API any number of values."""
    monkeypatch.setattr("hangtag.indexing._MOST_VALUES_SEEN", 10)
    indexer = Stage().indexer()

    for number in range(20):
        indexer.apply([stored(in_colors(f"color {number}"))])

    assert len(indexer._values_seen) <= 10


# ---- large results


def large(stage: Stage, document: Document, key: str) -> ResultItem:
    """The item of a large result, which has only our own part of it."""
    stage.large.documents[key] = document
    return item(own_part(document), key)


def test_a_large_result_is_indexed_from_the_whole_of_it() -> None:
    """The item in the table has no tags."""
    stage = Stage()

    stage.apply(ResultChanged(URI, NO_RESULT, large(stage, a_result(), "a")))

    assert stage.index.entries == rebuilt(a_result())


def test_a_large_result_is_deleted_when_nothing_points_to_it_any_more() -> None:
    """After its entries, which are known by nothing else."""
    stage = Stage()
    old = large(stage, a_result(), "a")
    new = large(stage, a_result(tagged_at=LATER), "b")
    stage.apply(ResultChanged(URI, NO_RESULT, old))
    stage.index.fails_with(ResultsUnavailable("away"), at="remove", times=1)

    with pytest.raises(ResultsUnavailable):
        stage.apply(ResultChanged(URI, old, new))
    assert set(stage.large.documents) == {"a", "b"}
    stage.apply(ResultChanged(URI, old, new))

    assert set(stage.large.documents) == {"b"}
    assert stage.index.entries == rebuilt(a_result(tagged_at=LATER))


def test_a_large_result_that_moves_up_keeps_its_object() -> None:
    """Both items point to it."""
    stage = Stage()
    old = large(stage, a_result(), "a")

    stage.apply(ResultChanged(URI, old, large(stage, a_result(), "a")))

    assert set(stage.large.documents) == {"a"}


def test_a_large_result_that_is_gone_has_no_entries() -> None:
    """A newer change has deleted it, and follows in the stream."""
    stage = Stage()
    gone = large(stage, a_result(), "a")
    del stage.large.documents["a"]

    stage.apply(ResultChanged(URI, NO_RESULT, gone))

    assert stage.index.entries == {}


# ---- failures


def failed(record: Record, before: Record | None = None) -> RecordFailed:
    """A record was written as FAILED."""
    return RecordFailed(record, None if before is None else before.failed)


def test_a_failure_is_announced() -> None:
    """A shop then shows "no tags" instead of waiting."""
    stage = Stage()

    done = stage.apply(failed(a_failed_record()))

    [announced] = stage.announcer.announced
    assert announced.document["type"] == FAILED
    assert announced.document["source"] == f"arn:aws:s3:::{BUCKET}"
    assert announced.document["data"]["failure"]["code"] == "807"
    assert announced.texts["kind"] == "permanent"
    assert done.announced == 1


def test_a_failure_is_announced_with_the_same_id_each_time() -> None:
    """The stream may repeat a change."""
    stage = Stage()

    stage.apply(failed(a_failed_record()), failed(a_failed_record()))

    first, second = stage.announcer.announced
    assert first.document["id"] == second.document["id"]


def test_a_failure_of_another_partition_names_its_bucket() -> None:
    """China and GovCloud."""
    stage = Stage()

    stage.apply(failed(a_failed_record()), partition="aws-cn")

    [announced] = stage.announcer.announced
    assert announced.document["source"] == f"arn:aws-cn:s3:::{BUCKET}"


def test_a_failure_that_an_operator_reserves_or_restores_is_not_announced_again() -> (
    None
):
    """Both write a FAILED record with the failure of before."""
    stage = Stage()
    record = a_failed_record()
    reserved = lifecycle.reserve(record, until=1.0)
    discarded = lifecycle.discard(record, at=LATER)
    restored = lifecycle.restore(discarded, letter_id="letter-2")

    stage.apply(failed(reserved, record), failed(restored, discarded))

    assert stage.announcer.announced == []


def test_an_upload_that_fails_again_after_a_replay_is_announced_again() -> None:
    """With another id, because it is another failure."""
    stage = Stage()

    stage.apply(failed(a_failed_record()))
    stage.apply(failed(a_failed_record(failed_at=LATER)))

    ids = {one.document["id"] for one in stage.announcer.announced}
    assert len(ids) == 2


def test_a_failed_announcement_fails_the_batch() -> None:
    """Lambda repeats it."""
    stage = Stage()
    stage.announcer.fails_with(AnnouncementFailed("away"))

    with pytest.raises(AnnouncementFailed):
        stage.apply(failed(a_failed_record()))


def test_a_record_without_a_readable_upload_is_passed_over() -> None:
    """A record that this version did not write."""
    stage = Stage()
    record = a_failed_record()
    assert record.failed is not None
    unreadable = replace(record, failed=replace(record.failed, notification="{}"))

    assert stage.apply(failed(unreadable)).announced == 0


# ---- crashes

COLORS = st.sampled_from([("red",), ("blue",), ("red", "blue"), ()])
"""Few, so that results have entries in common."""


@dataclass
class History:
    """Changes of two keys in the sequence of the stream."""

    changes: list[ResultChanged] = field(default_factory=list)
    results: dict[str, Document] = field(default_factory=dict)
    """The results at the end, by key."""
    items: dict[str, ResultItem] = field(default_factory=dict)
    """Their items."""
    large: dict[str, Document] = field(default_factory=dict)
    """All large results."""

    def large_keys(self) -> set[str]:
        """Those that an item at the end points to."""
        return {one.large_key for one in self.items.values() if one.large_key}


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Changes of results, some of them large."""
    versions = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["a.png", "b.png"]), st.none() | COLORS, st.booleans()
            ),
            min_size=2,
            max_size=6,
        )
    )
    made = History()
    for number, (key, colors, is_large) in enumerate(versions):
        upload = an_upload(key)
        old, new = made.items.pop(key, NO_RESULT), NO_RESULT
        made.results.pop(key, None)
        if colors is not None:
            # At two times, so that some results are at the place of the one before
            at = draw(st.sampled_from([NOON, LATER]))
            result = made.results[key] = in_colors(*colors, upload=upload, tagged_at=at)
            new = made.items[key] = item(result)
            if is_large:
                large_key = f"large {number}"
                made.large[large_key] = result
                new = made.items[key] = item(own_part(result), large_key)
        made.changes.append(ResultChanged(upload.uri, old, new))
    return made


@settings(max_examples=500)
@given(
    history=histories(),
    tries=st.lists(
        st.tuples(
            st.integers(1, 3),
            st.sampled_from(["put", "remove", "delete", "end", "not"]),
            st.integers(0, 3),
        ),
        max_size=8,
    ),
)
def test_whatever_is_cut_off_and_repeated_the_index_is_that_of_a_rebuild(
    history: History,
    tries: list[tuple[int, str, int]],
) -> None:
    """
    A try may end between any two writes; the next one has more or fewer changes.

    Lambda repeats a batch, or halves of it; the local cloud adds the changes since.
    """
    changes = history.changes
    stage = Stage()
    stage.large.documents = dict(history.large)
    done = 0
    for size, method, writes in tries:
        if method == "delete":
            stage.large.fails_with(ResultsUnavailable("away"), at=method, times=1)
        else:
            stage.index.kills_after(writes, at=method)
        try:
            stage.apply(*changes[done : done + size])
        except (Killed, ResultsUnavailable):
            continue
        if method != "end":  # else the response is lost
            done += size
    stage.index.recovers()
    stage.large.recovers()

    stage.apply(*changes[done:])

    assert stage.index.entries == rebuilt(*history.results.values())
    assert set(stage.large.documents) == history.large_keys()


@given(history=histories(), size=st.integers(1, 4))
def test_a_batch_may_be_processed_twice(history: History, size: int) -> None:
    """Lambda invokes the function at least once for each."""
    changes = history.changes
    stage = Stage()
    stage.large.documents = dict(history.large)

    for at in range(0, len(changes), size):
        stage.apply(*changes[at : at + size])
        stage.apply(*changes[at : at + size])

    assert stage.index.entries == rebuilt(*history.results.values())
    assert set(stage.large.documents) == history.large_keys()


def test_the_entries_of_a_change_that_was_lost_are_removed_with_the_next() -> None:
    """A batch that fails for good is skipped; the item before the next change is its result."""
    stage = Stage()
    lost, last = in_colors("red"), in_colors("blue", tagged_at=LATER)
    stage.apply(stored(lost))

    stage.apply(
        stored(in_colors("wine"), NO_RESULT.document),
        stored(last, lost),
    )

    assert stage.index.entries == rebuilt(last)


def test_the_answer_s_garments_have_ids_so_that_other_languages_find_them() -> None:
    """The builders' jacket has some; without one, the name is the value."""
    assert Term("item", "T0345") in entries_of(a_result(answer=an_answer(jacket())))


def test_what_is_no_garment_has_no_entries() -> None:
    """A garment with an empty name was stored as text by versions before the index."""
    result = a_result(answer=an_answer(jacket()))
    [found] = result["objects"]
    odd = {**result, "objects": ["{}", {**found, "tags": ["{}", *found["tags"]]}]}

    assert entries_of(odd) == entries_of(result)
    assert known_values(odd) == known_values(result)
