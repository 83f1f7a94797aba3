"""Records and results: compare-and-swap, and newest wins, in DynamoDB and in the fakes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

import pytest
from moto import mock_aws

from hangtag.adapters.dynamodb_breaker import DynamoDBBreaker
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.dynamodb_records import DynamoDBRecords
from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.breaker import BreakerStore
from hangtag.lifecycle import CallReason, FailedUpload, Record, Status, UploadKey
from hangtag.operators.show import History
from hangtag.ports import (
    BreakerState,
    RecordStore,
    ResultStore,
    SnapshotReader,
    StoredResult,
)
from hangtag.text import to_timestamp
from hangtag.uploads import SkipReason, Upload
from tests.builders import (
    NOON,
    NOON_SECONDS,
    URI,
    a_failure,
    a_result,
    an_answer,
    an_upload,
)
from tests.contract.aws_parts import (
    create_large_results,
    create_table,
    no_large_result,
    refuse_deep_items,
    session,
)
from tests.fakes import (
    FakeBreakerStore,
    FakeClock,
    FakeRecords,
    FakeResults,
    FakeSnapshots,
)
from tests.fakes.results import history

KEY = (URI, "version:version-1")
TTL_DAYS = 30
LATER = NOON_SECONDS + 60 * 24 * 3_600 + 0.4


class Reader(SnapshotReader, Protocol):
    """What operators read about a key."""

    def history(self, uri: str) -> History:
        """All that is stored of a key."""
        ...


class FakeReader(FakeSnapshots):
    """`DynamoDBReader` on the fakes."""

    def __init__(
        self,
        breaker: BreakerStore,
        records: FakeRecords,
        results: FakeResults,
        clock: FakeClock,
    ) -> None:
        super().__init__(breaker, records, results)
        self._clock = clock

    def history(self, uri: str) -> History:
        """All that is stored of a key."""
        return history(self._records, self._results, uri, now=self._clock.now())


@dataclass(frozen=True)
class Table:
    """The stores of one table."""

    records: RecordStore
    results: ResultStore
    breaker: BreakerStore
    reader: Reader
    clock: FakeClock

    def record(self, key: UploadKey = KEY) -> Record | None:
        """A record as a batch reads it."""
        return self.reader.snapshot([key]).records.get(key)

    def put(self, record: Record, key: UploadKey = KEY) -> Record:
        """Writes a record over any other."""
        found = self.records.swap(key, None, record)
        if found is not None:
            assert self.records.swap(key, found.rev, record) is None
        return record

    def store(
        self,
        upload: Upload,
        fence: float = 100.0,
        *,
        replacing: StoredResult | None = None,
    ) -> bool:
        """Stores a result of an upload."""
        found = self.results.store(
            upload, a_result(upload), retag=None, fence=fence, replacing=replacing
        )
        return found is None

    def stored(self) -> StoredResult:
        """The stored result."""
        found = self.results.read(URI)
        assert found is not None
        return found


@pytest.fixture(params=["fake", "dynamodb"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """The fakes, then the adapters on moto."""
    clock = FakeClock()
    if request.param == "fake":
        records, breaker = FakeRecords(), FakeBreakerStore()
        results = FakeResults(ttl_days=TTL_DAYS)
        reader = FakeReader(breaker, records, results, clock)
        yield Table(records, results, breaker, reader, clock)
        return
    with mock_aws():
        name = create_table()
        client = refuse_deep_items(session().client("dynamodb"))
        large = create_large_results()
        yield Table(
            DynamoDBRecords(client, name, clock),
            DynamoDBResults(client, name, large, ttl_days=TTL_DAYS),
            DynamoDBBreaker(client, name),
            DynamoDBReader(client, name, clock, large.read),
            clock,
        )


def a_record(**changes: object) -> Record:
    """A record with a value in every field that a batch reads."""
    record = Record(
        status=Status.SKIPPED,
        rev="rev-1",
        sequencer="0A",
        lease_until=NOON_SECONDS + 0.25,
        attempts=2,
        cut_off=1,
        calls={CallReason.FIRST: 1, CallReason.RETRY: 2},
        next_call=CallReason.UNSTORED,
        replays=3,
        retag="token",
        ended_at="2026-11-22T12:00:00.000Z",
        reason=SkipReason.OBJECT_GONE,
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # names of its fields


def a_failed_record(upload: Upload, *, failed_at: float = NOON_SECONDS) -> Record:
    """The record of a failed upload."""
    at = to_timestamp(failed_at)
    failed = FailedUpload(
        replace(a_failure(), failed_at=at), upload.notification(), "letter-1", "request"
    )
    return Record(Status.FAILED, "rev-1", upload.sequencer, ended_at=at, failed=failed)


# ---- records


def test_the_first_write_requires_that_no_record_exists(table: Table) -> None:
    """Of two workers the first one wins; the other gets the existing record."""
    first, second = Record(rev="first"), Record(rev="second")

    assert table.records.swap(KEY, None, first) is None
    assert table.records.swap(KEY, None, second) == first
    assert table.record() == first


def test_a_record_changes_only_if_its_rev_is_the_expected_one(table: Table) -> None:
    """A refused write has no effect."""
    table.put(Record(rev="1"))

    assert table.records.swap(KEY, "1", Record(rev="2", attempts=1)) is None
    found = table.records.swap(KEY, "1", Record(rev="3", attempts=9))

    assert found == Record(rev="2", attempts=1)
    assert table.record() == found


def test_a_repeated_write_is_recognised_by_its_rev(table: Table) -> None:
    """The response to the first write was lost."""
    new = Record(rev="2")
    table.put(Record(rev="1"))
    table.records.swap(KEY, "1", new)

    assert table.records.swap(KEY, "1", new) == new


def test_a_missing_record_cannot_be_changed(table: Table) -> None:
    """The refusal returns no record."""
    found = table.records.swap(KEY, "1", Record(rev="2"))

    assert found is not None
    assert found.rev == ""
    assert table.record() is None


def test_a_record_is_stored_completely(table: Table) -> None:
    """It has every field."""
    assert table.record() is None

    record = table.put(a_record())

    assert table.record() == record
    assert table.records.swap(KEY, None, Record(rev="other")) == record


def test_a_field_without_a_value_is_removed(table: Table) -> None:
    """A write replaces the whole record."""
    table.put(a_record())

    table.put(Record(rev="2"))

    assert table.record() == Record(rev="2")


def test_a_failed_record_keeps_the_data_of_a_replay(table: Table) -> None:
    """A refused write returns it. A batch does not read it, because it may be large."""
    record = table.put(a_failed_record(an_upload()))

    seen = table.record()

    assert table.records.swap(KEY, None, Record(rev="other")) == record
    assert seen == replace(record, failed=None)


def test_a_failed_record_keeps_the_format_that_was_found(table: Table) -> None:
    """Records of older versions, and of other errors, have no format."""
    record = a_failed_record(an_upload())
    assert record.failed is not None
    failure = replace(record.failed.failure, image_format="HEIC")
    table.put(replace(record, failed=replace(record.failed, failure=failure)))

    refused = table.records.swap(KEY, None, Record(rev="other"))
    shown = table.reader.history(URI).newest()

    assert refused is not None
    assert refused.failed is not None
    assert refused.failed.failure == failure
    assert shown is not None
    assert shown["failure"]["format"] == "HEIC"


def test_each_key_and_version_has_its_own_record(table: Table) -> None:
    """Versions of one key are separate, too."""
    keys = [KEY, (URI, "version:version-2"), (URI + "2", "version:version-1")]

    for number, key in enumerate(keys):
        table.put(Record(rev=str(number)), key)

    assert [table.record(key) for key in keys] == [
        Record(rev=str(number)) for number in range(3)
    ]


@pytest.mark.parametrize(
    "uri", ["s3://b/a b+c%20?#", "s3://b/é/日本.jpg", "s3://b/" + "k" * 1_024]
)
def test_any_key_and_version_is_stored(table: Table, uri: str) -> None:
    """They are raw, and may be as long as S3 allows."""
    key = (uri, "version:" + "v" * 900)

    table.put(Record(rev="1"), key)

    assert table.record(key) == Record(rev="1")


def test_the_oldest_failure_is_the_oldest_that_is_still_failed(table: Table) -> None:
    """Uploads that were tagged since do not count, nor do failures before the given time."""
    assert table.records.oldest_failure(since=0.0) is None
    for number in range(12):
        key = (f"{URI}{number}", "version:1")
        failed_at = NOON_SECONDS + 60 * (number + 1)
        table.put(a_failed_record(an_upload(), failed_at=failed_at), key)
    tagged = Record(Status.TAGGED, "2", ended_at=to_timestamp(NOON_SECONDS))
    table.put(tagged, (f"{URI}0", "version:1"))

    assert table.records.oldest_failure(since=0.0) == NOON_SECONDS + 120
    later = NOON_SECONDS + 130
    assert table.records.oldest_failure(since=later) == NOON_SECONDS + 180
    assert table.records.oldest_failure(since=NOON_SECONDS + 9_999) is None


# ---- results


def test_a_result_is_stored_completely(table: Table) -> None:
    """It has the fields that identify its upload."""
    upload, document = an_upload(), a_result()
    assert table.results.read(URI) is None

    assert table.results.store(upload, document, retag="token", fence=1.0) is None

    stored = table.results.read(URI)
    assert stored is not None
    assert stored.document == document
    assert (stored.version, stored.order) == (upload.version, upload.order)
    assert stored.retag == "token"


def test_numbers_of_a_result_are_numerically_equal(table: Table) -> None:
    """This holds for up to 38 digits."""
    digits = Decimal("0.12345678901234567890123456789012345678")
    document = a_result(answer=an_answer({"confidence": digits, "pairIndex": 2}))

    table.results.store(an_upload(), document, retag=None, fence=1.0)

    stored = table.results.read(URI)
    assert stored is not None
    assert stored.document == document


@pytest.mark.parametrize("sequencer", ["09", "0A", "0B", None])
def test_a_result_of_another_version_is_replaced_only_by_request(
    table: Table, sequencer: str | None
) -> None:
    """A sequencer may be forged: the caller asks S3 which version is newer."""
    first = an_upload(version_id="1", sequencer="0A")
    other = an_upload(version_id="2", sequencer=sequencer)
    assert table.store(first)

    refusal = table.results.store(other, a_result(other), retag=None, fence=900.0)

    assert refusal == table.stored()
    assert table.stored().document == a_result(first)
    assert table.store(other, fence=1.0, replacing=refusal)
    assert table.store(other, fence=1.0, replacing=refusal)  # its response was lost
    assert table.stored().version == other.version
    assert table.stored().document == a_result(other)


def test_a_result_that_has_changed_since_it_was_judged_stays(table: Table) -> None:
    """Another version has taken its place, or it has moved up in the sequence."""
    judged, moved, rival, mine = (
        an_upload(version_id=version, sequencer=sequencer)
        for version, sequencer in (("1", "0A"), ("1", "0B"), ("2", "0A"), ("3", "FF"))
    )
    assert table.store(judged)
    before = table.stored()
    table.results.move_up(moved)

    assert not table.store(mine, replacing=before)
    assert table.store(rival, replacing=table.stored())
    assert not table.store(mine, replacing=before)

    assert table.stored().document == a_result(rival)


def test_a_request_to_replace_does_not_weaken_the_order_of_one_version(
    table: Table,
) -> None:
    """A worker that outlived its lease may have judged the result of its own version."""
    upload = an_upload()
    assert table.store(upload, fence=200.0)

    assert not table.store(upload, fence=100.0, replacing=table.stored())


@pytest.mark.parametrize(
    ("smaller", "larger"), [("FF", "100"), ("0A", "0b"), ("a", "00B"), (None, "0")]
)
def test_sequencers_are_compared_as_numbers(
    table: Table, smaller: str | None, larger: str
) -> None:
    """They are left-padded in either case; none is lower than any."""
    lower, higher = an_upload(sequencer=smaller), an_upload(sequencer=larger)

    assert table.store(higher)
    assert not table.store(lower)
    assert table.store(higher)


def test_a_later_call_about_the_same_version_wins(table: Table) -> None:
    """The earlier call answers after its lease expired."""
    upload = an_upload()

    assert table.store(upload, fence=100.0)
    assert table.store(upload, fence=200.0)
    assert not table.store(upload, fence=100.0)
    assert table.store(upload, fence=200.0)  # its response was lost


def test_each_key_has_its_own_result(table: Table) -> None:
    """Sequencers order the versions of one key only."""
    assert table.store(an_upload("a.png", sequencer="0B"))
    assert table.store(an_upload("b.png", sequencer="0A"))


def nested(depth: int) -> object:
    """A value that is nested so deeply."""
    value: object = Decimal("0.10")
    for _ in range(depth):
        value = [value]
    return value


LARGE = pytest.mark.parametrize(
    "more",
    [{"note": "x" * 350_000}, {"note": "x" * 450_000}, {"note": nested(80)}],
    ids=["fits", "too large for an item", "too deep for an item"],
)


@LARGE
def test_a_result_of_any_size_is_stored_and_shown(
    table: Table, more: dict[str, object]
) -> None:
    """An item of DynamoDB has 400 KB and 32 levels; an answer may have more."""
    upload, document = an_upload(), a_result(answer=an_answer(more))

    assert table.results.store(upload, document, retag="token", fence=1.0) is None
    assert table.results.store(upload, document, retag="token", fence=1.0) is None

    stored = table.stored()
    assert stored.document == document
    assert (stored.version, stored.order) == (upload.version, upload.order)
    assert stored.retag == "token"
    assert table.reader.history(URI).newest() == document


@LARGE
def test_a_result_of_any_size_takes_a_place_and_gives_it_up(
    table: Table, more: dict[str, object]
) -> None:
    """The rules are the same; a refused one leaves the result that is there unchanged."""
    first, other = an_upload(sequencer="0A"), an_upload(version_id="2", sequencer="0B")
    table.store(first)
    document = a_result(other, answer=an_answer(more))

    refusal = table.results.store(other, document, retag=None, fence=1.0)
    after_refusal = table.stored()
    table.results.store(other, document, retag=None, fence=1.0, replacing=refusal)

    assert refusal == after_refusal
    assert after_refusal.document == a_result(first)
    assert table.stored().document == document
    assert table.store(first, replacing=table.stored())
    assert table.stored().document == a_result(first)


@LARGE
def test_a_result_of_any_size_moves_up(table: Table, more: dict[str, object]) -> None:
    """Its sequencer is the higher one everywhere."""
    lower, higher = an_upload(sequencer="0A"), an_upload(sequencer="0B")
    document = a_result(lower, answer=an_answer(more))
    table.results.store(lower, document, retag=None, fence=1.0)

    moved = table.results.move_up(higher)

    assert moved is not None
    assert moved.document == {**document, "image": higher.image()}
    assert table.stored() == moved
    assert table.reader.history(URI).newest() == moved.document


def test_a_result_is_shown_until_it_expires(table: Table) -> None:
    """DynamoDB deletes it up to days later."""
    table.store(an_upload())

    table.clock.advance(TTL_DAYS * 86_400 - 1)
    assert table.reader.history(URI).newest() == a_result()
    table.clock.advance(1)
    assert table.reader.history(URI).newest() is None


def test_a_result_gets_the_sequencer_of_its_version(table: Table) -> None:
    """Its first event had none."""
    found, complete = an_upload(sequencer=None), an_upload(sequencer="0B")
    table.store(found)

    moved = table.results.move_up(complete)

    stored = table.results.read(URI)
    assert stored is not None
    assert stored.document is not None
    assert moved == stored
    assert stored.order == complete.order
    assert stored.document == a_result(complete)


def test_the_sequencer_of_a_result_never_decreases(table: Table) -> None:
    """The refusal returns the stored result."""
    mine = an_upload(sequencer="0B")
    table.store(mine)
    before = table.results.read(URI)
    assert before is not None

    for upload in (
        an_upload(version_id="other", sequencer="0C"),
        an_upload(sequencer="0A"),
        mine,
    ):
        assert table.results.move_up(upload) == before

    assert table.results.read(URI) == before
    assert table.results.move_up(an_upload("nothing.png")) is None


# ---- reads of a batch and of operators


# ---- tombstones


def a_removal(sequencer: str = "0B") -> Upload:
    """The removal of a key."""
    return an_upload(
        version_id=f"marker {sequencer}",
        sequencer=sequencer,
        event_name="ObjectRemoved:DeleteMarkerCreated",
    )


def remove(
    table: Table,
    removal: Upload,
    replacing: StoredResult | None,
    *,
    order: str | None = None,
    removed_at: str = NOON,
) -> StoredResult | None:
    """Stores a tombstone, by default in the removal's own place."""
    return table.results.remove(
        removal,
        order=order or removal.order,
        removed_at=removed_at,
        expires_at=LATER,
        replacing=replacing,
    )


def test_a_tombstone_replaces_the_result(table: Table) -> None:
    """Every reader sees that the key has no result, and since when."""
    table.store(an_upload(sequencer="0A"))
    removal = a_removal()

    assert remove(table, removal, table.stored()) is None

    tombstone = StoredResult(removal.version, removal.order, None, removed_at=NOON)
    assert table.stored() == tombstone
    snapshot = table.reader.snapshot([(URI, removal.version)])
    assert snapshot.results == {URI: tombstone}
    assert table.reader.history(URI).newest() is None


def test_a_tombstone_is_stored_in_the_place_of_what_has_expired(table: Table) -> None:
    """DynamoDB has deleted the result since it was seen."""
    expired = StoredResult(an_upload().version, an_upload().order, None)

    assert remove(table, a_removal(), expired) is None

    assert table.stored().removed_at == NOON


def test_a_tombstone_is_stored_where_nothing_was(table: Table) -> None:
    """An upload that arrives late finds it."""
    removal = a_removal()

    assert remove(table, removal, None) is None

    assert table.stored().version == removal.version


@pytest.mark.parametrize("sees_nothing", [True, False])
def test_a_tombstone_replaces_only_what_was_seen(
    table: Table,
    sees_nothing: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Another worker has stored a result in between."""
    seen = None
    if not sees_nothing:
        table.store(an_upload(sequencer="0A"))
        seen = table.stored()
    other = an_upload(version_id="other", sequencer="0A")
    assert table.store(other, replacing=seen)

    assert remove(table, a_removal(), seen) == table.stored()

    assert table.stored().document == a_result(other)


def test_a_result_that_has_moved_up_is_not_removed(table: Table) -> None:
    """The same version was uploaded again since it was seen."""
    table.store(an_upload(sequencer="0A"))
    seen = table.stored()
    table.results.move_up(an_upload(sequencer="0C"))

    assert remove(table, a_removal(), seen) == table.stored()

    assert table.stored().removed_at is None


def test_a_tombstone_that_is_stored_again_shows_itself(table: Table) -> None:
    """Its first response was lost. It keeps its time, which is the announcement's."""
    removal = a_removal()
    remove(table, removal, None)

    found = remove(table, removal, None, removed_at="2026-11-22T13:00:00.000Z")

    assert found is not None
    assert (found.version, found.removed_at) == (removal.version, NOON)


def test_a_later_tombstone_replaces_an_earlier_one(table: Table) -> None:
    """The object was uploaded and deleted again."""
    remove(table, a_removal("0A"), None)
    later = a_removal("0B")

    assert remove(table, later, table.stored()) is None

    assert table.stored().order == later.order


def test_a_result_replaces_a_tombstone_only_by_request(table: Table) -> None:
    """The caller asks S3 whether the object is there."""
    remove(table, a_removal(), None)
    upload = an_upload(sequencer="0C")

    assert not table.store(upload)
    assert table.store(upload, replacing=table.stored())

    assert table.stored() == StoredResult(
        upload.version, upload.order, None, a_result(upload)
    )


def test_a_tombstone_does_not_move_up(table: Table) -> None:
    """It is of no object version."""
    remove(table, a_removal(), None)

    assert table.results.move_up(an_upload(sequencer="0C")) == table.stored()

    assert table.stored().order == a_removal().order


@pytest.mark.parametrize(("sequencer", "status"), [("0A", None), ("0C", "FAILED")])
def test_a_failure_behind_a_tombstone_is_not_shown(
    table: Table, sequencer: str, status: str | None
) -> None:
    """But a failure of an upload after the removal is."""
    upload = an_upload(sequencer=sequencer)
    table.put(a_failed_record(upload), (URI, upload.version))
    remove(table, a_removal("0B"), None)

    shown = table.reader.history(URI).newest()

    assert (shown and shown["status"]) == status


def test_a_tombstone_may_have_a_higher_place_than_its_removal(table: Table) -> None:
    """That of the result that it replaces."""
    upload, removal = an_upload(sequencer="FF"), a_removal()
    table.store(upload)

    assert remove(table, removal, table.stored(), order=upload.order) is None

    stored = table.stored()
    assert stored is not None
    assert (stored.version, stored.order) == (removal.version, upload.order)


def test_dynamodb_deletes_a_tombstone_in_the_end() -> None:
    """By its TTL attribute, in epoch seconds; nothing is left of the result."""
    with mock_aws():
        name, client = create_table(), session().client("dynamodb")
        results = DynamoDBResults(client, name, create_large_results())
        upload, removal = an_upload(sequencer="0A"), a_removal()
        results.store(upload, a_result(upload), retag="token", fence=1.0)
        results.remove(
            removal,
            order=removal.order,
            removed_at=NOON,
            expires_at=LATER,
            replacing=results.read(URI),
        )

        [item] = client.scan(TableName=name)["Items"]

    assert item == {
        "uri": {"S": URI},
        "version": {"S": "result"},
        "objectVersion": {"S": removal.version},
        "order": {"S": removal.order},
        "removedAt": {"S": NOON},
        "expiresAt": {"N": str(round(LATER))},
    }


def test_an_empty_snapshot_is_empty(table: Table) -> None:
    """An empty batch gets one, too."""
    expected = (None, BreakerState())

    for keys in ([], [KEY]):
        found = table.reader.snapshot(keys)
        assert found.breaker in expected
        assert (found.records, found.results) == ({}, {})


def test_a_snapshot_has_the_breaker_the_records_and_the_results(table: Table) -> None:
    """One request reads all; results come without their large documents."""
    table.breaker.count_failure("609", "Wrong key.")
    record = table.put(a_record())
    upload = an_upload()
    table.store(upload)

    found = table.reader.snapshot([KEY, (URI, "version:version-2")])

    assert found.breaker == table.breaker.read()
    assert found.records == {KEY: record}
    stored = table.results.read(URI)
    assert stored is not None
    assert found.results == {URI: replace(stored, document=None)}


def test_a_snapshot_of_hundreds_of_uploads_is_complete(table: Table) -> None:
    """A request takes a hundred keys."""
    keys = [(f"{URI}{number}", "version:1") for number in range(230)]
    for number, key in enumerate(keys):
        table.put(Record(rev=str(number)), key)

    found = table.reader.snapshot(keys)

    assert {key: record.rev for key, record in found.records.items()} == {
        key: str(number) for number, key in enumerate(keys)
    }


def test_the_newest_version_that_has_ended_is_shown(table: Table) -> None:
    """A failure replaces a result that is not newer."""
    assert table.reader.history(URI).newest() is None
    versions = [
        an_upload(version_id=f"version-{number}", sequencer=f"0{number}")
        for number in (1, 2, 3)
    ]
    seen = []

    table.put(a_failed_record(versions[0]), (URI, versions[0].version))
    seen.append(table.reader.history(URI).newest())
    table.store(versions[1])
    seen.append(table.reader.history(URI).newest())
    table.put(a_failed_record(versions[2]), (URI, versions[2].version))
    seen.append(table.reader.history(URI).newest())

    shown_now = [(one["status"], one["image"]["versionId"]) for one in seen if one]
    assert shown_now == [
        ("FAILED", "version-1"),
        ("TAGGED", "version-2"),
        ("FAILED", "version-3"),
    ]


def test_a_failure_is_shown_with_its_image(table: Table) -> None:
    """It also has the time of a discard."""
    upload = an_upload()
    record = a_failed_record(upload)
    assert record.failed is not None
    discarded_at = "2026-11-23T00:00:00.000Z"

    table.put(record)
    failed = table.reader.history(URI).newest()
    table.put(
        replace(
            record,
            status=Status.DISCARDED,
            failed=replace(record.failed, discarded_at=discarded_at),
        )
    )
    discarded = table.reader.history(URI).newest()

    failure = record.failed.failure.document()
    assert failed == {"status": "FAILED", "image": upload.image(), "failure": failure}
    assert discarded == failed | {"failure": failure | {"discardedAt": discarded_at}}


@pytest.fixture
def reader() -> Iterator[tuple[DynamoDBReader, DynamoDBRecords]]:
    """The operators' reader on moto."""
    with mock_aws():
        name, client, clock = create_table(), session().client("dynamodb"), FakeClock()
        reader = DynamoDBReader(client, name, clock, no_large_result)
        yield reader, DynamoDBRecords(client, name, clock)


def test_ended_uploads_are_counted_by_status_and_time(
    reader: tuple[DynamoDBReader, DynamoDBRecords],
) -> None:
    """Skipped uploads are counted by their reason; open ones are not counted."""
    reads, records = reader
    for number in range(10):
        ended_at = to_timestamp(NOON_SECONDS + number)
        records.swap(
            (f"{URI}{number}", "v"),
            None,
            Record(Status.TAGGED, "1", ended_at=ended_at),
        )
    records.swap((URI, "skipped"), None, a_record())
    records.swap((URI, "open"), None, Record(rev="1", lease_until=NOON_SECONDS))

    assert reads.count_ended("TAGGED", since="2026") == 10
    since = to_timestamp(NOON_SECONDS + 4)
    assert reads.count_ended("TAGGED", since=since) == 6
    assert reads.count_ended("OBJECT_GONE", since="2026") == 1
    assert reads.count_ended("OPEN", since="2026") == 0


def test_a_backfill_reads_which_versions_are_tagged(
    reader: tuple[DynamoDBReader, DynamoDBRecords],
) -> None:
    """Versions that failed, were skipped or are open are not."""
    reads, records = reader
    uploads = [an_upload(f"{number}.png") for number in range(5)]
    statuses = [Status.TAGGED, Status.FAILED, Status.SKIPPED, Status.OPEN]
    for upload, status in zip(uploads, statuses, strict=False):
        records.swap((upload.uri, upload.version), None, Record(status, "1"))

    assert reads.tagged(uploads) == {(uploads[0].uri, uploads[0].version)}
