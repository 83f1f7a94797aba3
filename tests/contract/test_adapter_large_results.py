"""Results that no item takes: what is in S3 and in the table, and what fails in between."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.adapters import dynamodb_results
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.dynamodb_table import to_attribute
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.errors import ResultsUnavailable
from hangtag.results import Document, own_part
from tests.builders import (
    NOON_SECONDS,
    URI,
    a_result,
    an_answer,
    an_upload,
    jacket,
)
from tests.contract.aws_parts import (
    create_large_results,
    create_table,
    refuse_deep_items,
    session,
)
from tests.fakes import FakeClock

LATER = "2026-11-22T13:00:00.000Z"


def a_large_result(**changes: Any) -> Document:  # noqa: ANN401 - see `a_result`
    """A result that no item takes."""
    digits = Decimal("0." + "1" * 40)
    answer = an_answer({"note": "재킷" * 80_000, "fine": digits})
    return a_result(answer=answer, **changes)


class Failing(S3LargeResults):
    """S3, whose next writes or deletions may fail."""

    fails_to = ""

    def write(
        self, upload_uri: str, version: str, tagged_at: str, document: Document
    ) -> str:
        """Write, or fail."""
        if self.fails_to == "write":
            raise ResultsUnavailable("slow down")
        return super().write(upload_uri, version, tagged_at, document)

    def delete(self, key: str) -> None:
        """Delete, or fail."""
        if self.fails_to == "delete":
            raise ResultsUnavailable("slow down")
        super().delete(key)


class Stores:
    """The table and the bucket."""

    def __init__(self, *, ttl_days: int = 0) -> None:
        self.dynamodb = refuse_deep_items(session().client("dynamodb"))
        self.large = Failing(session().client("s3"), "large-results")
        self.clock = FakeClock()
        self.results = DynamoDBResults(
            self.dynamodb, "ResultsTable", self.large, ttl_days=ttl_days
        )
        self.reader = DynamoDBReader(
            self.dynamodb, "ResultsTable", self.clock, self.large.read
        )

    def store(self, document: Document, *, fence: float = 1.0, **changes: Any) -> bool:  # noqa: ANN401 - any field
        """Store a result of an upload."""
        upload = an_upload(**changes)
        return self.results.store(upload, document, retag=None, fence=fence) is None

    def item(self) -> dict[str, Any]:
        """The item of the result."""
        key = {"uri": {"S": URI}, "version": {"S": "result"}}
        found = self.dynamodb.get_item(TableName="ResultsTable", Key=key)
        return dict(found["Item"])

    def keys(self) -> list[str]:
        """The keys in the bucket."""
        found = session().client("s3").list_objects_v2(Bucket="large-results")
        return [one["Key"] for one in found.get("Contents", [])]


@pytest.fixture
def stores(aws: None) -> Stores:  # noqa: ARG001 - they are in it
    """The empty table and bucket."""
    create_table()
    create_large_results()
    return Stores()


def test_the_item_of_a_large_result_has_our_part_and_the_key(stores: Stores) -> None:
    """Numbers in S3 keep all digits, more than DynamoDB has."""
    document = a_large_result()

    assert stores.store(document)

    item = stores.item()
    [key] = stores.keys()
    assert item["largeResult"] == {"S": key}
    assert set(item["result"]["M"]) == set(own_part(document))
    assert stores.large.read(key) == document
    assert "expiresAt" not in item


@pytest.mark.parametrize("depth", [40, 90])
def test_a_result_that_is_nested_too_deeply_for_an_item_is_large(
    stores: Stores, depth: int
) -> None:
    """DynamoDB takes 32 levels, an answer may have 100."""
    deep: object = 1
    for _ in range(depth):
        deep = [deep]
    document = a_result(answer=an_answer({"note": deep}))

    assert stores.store(document)

    assert len(stores.keys()) == 1
    assert stores.reader.history(URI).newest() == document


def test_a_result_with_an_empty_name_is_large(stores: Stores) -> None:
    """DynamoDB takes none, and JSON does. As text, a garment would be found by nobody."""
    document = a_result(answer=an_answer({**jacket(), "": 1}))

    assert stores.store(document)

    assert len(stores.keys()) == 1
    assert stores.reader.history(URI).newest() == document


def test_a_result_that_python_cannot_convert_is_large(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack of calls may be deep already."""

    def convert(value: Document) -> object:
        if "objects" in value:
            raise RecursionError
        return to_attribute(value)

    monkeypatch.setattr(dynamodb_results, "to_attribute", convert)

    assert stores.store(a_result())

    assert len(stores.keys()) == 1
    assert stores.reader.history(URI).newest() == a_result()


def test_a_small_result_is_in_no_bucket(stores: Stores) -> None:
    """Most have a few kilobytes."""
    assert stores.store(a_result())

    assert stores.keys() == []
    assert "largeResult" not in stores.item()


def test_the_same_result_has_the_same_key_and_every_other_one_another(
    stores: Stores,
) -> None:
    """A repetition writes no second object; another call about the version does."""

    def write(uri: str = URI, version: str = "v1", at: str = LATER) -> str:
        return stores.large.write(uri, version, at, {})

    key = write()

    assert write() == key
    others = {write(uri=URI + "2"), write(version="v2"), write(at="2027")}
    assert len(others | {key}) == 4
    assert all(len(one.encode()) == 70 for one in others)


def test_the_object_of_a_refused_result_is_deleted(stores: Stores) -> None:
    """Nothing points to it."""
    stores.store(a_result())
    other = an_upload(version_id="version-2")

    assert not stores.store(a_large_result(upload=other), version_id="version-2")

    assert stores.keys() == []


def test_a_refused_result_whose_object_cannot_be_deleted_is_refused_all_the_same(
    stores: Stores,
) -> None:
    """The object stays, which costs a fraction of a cent."""
    stores.store(a_result())
    stores.large.fails_to = "delete"

    assert not stores.store(a_large_result(), version_id="version-2")

    assert len(stores.keys()) == 1


def test_the_object_of_the_stored_result_survives_a_late_repetition(
    stores: Stores,
) -> None:
    """The response to the write was lost, and the result has moved up in the sequence since."""
    lower, higher = an_upload(sequencer="0A"), an_upload(sequencer="0B")
    document = a_large_result(upload=lower)
    stores.results.store(lower, document, retag=None, fence=1.0)
    stores.results.move_up(higher)

    refusal = stores.results.store(lower, document, retag=None, fence=1.0)

    assert refusal is not None
    assert refusal.document == own_part(document) | {"image": higher.image()}
    stored = stores.results.read(URI)
    assert stored is not None
    assert stored.document == {**document, "image": higher.image()}


def test_without_s3_no_item_is_written(stores: Stores) -> None:
    """The object comes first, so that no item points to nothing."""
    stores.large.fails_to = "write"
    with pytest.raises(ResultsUnavailable):
        stores.store(a_large_result())
    assert stores.results.read(URI) is None

    stores.large.fails_to = ""

    assert stores.store(a_large_result())
    assert stores.reader.history(URI).newest() == a_large_result()


def test_a_large_result_whose_object_is_gone_is_an_error(stores: Stores) -> None:
    """Nobody takes the rest of it for the result."""
    stores.store(a_large_result())
    [key] = stores.keys()
    stores.large.delete(key)
    stores.large.delete(key)  # may be repeated

    assert stores.large.read(key) is None
    with pytest.raises(ResultsUnavailable, match=key):
        stores.reader.history(URI).newest()


def test_a_large_result_whose_object_is_gone_can_be_replaced(stores: Stores) -> None:
    """The function finds its version, moves it up, and stores a new answer."""
    document, higher = a_large_result(), an_upload(sequencer="F" * 20)
    stores.store(document)
    [key] = stores.keys()
    stores.large.delete(key)

    lost = stores.results.read(URI)
    moved = stores.results.move_up(higher)

    assert lost is not None
    assert moved is not None
    assert (lost.version, lost.document) == (an_upload().version, None)
    assert (moved.order, moved.document) == (higher.order, None)
    assert stores.store(a_result(upload=higher), sequencer="F" * 20)
    assert stores.reader.history(URI).newest() == a_result(upload=higher)


def test_a_large_result_that_is_replaced_while_it_is_read_is_not_lost(
    stores: Stores,
) -> None:
    """Its object was deleted after the item was read; the caller reads again."""
    stores.store(a_large_result())
    read_before = stores.large.read

    def replaced_meanwhile(key: str) -> Document | None:
        stores.store(a_result(), fence=2.0)
        stores.large.delete(key)
        return read_before(key)

    stores.large.read = replaced_meanwhile  # type: ignore[method-assign]

    with pytest.raises(ResultsUnavailable, match="taken its place"):
        stores.results.read(URI)
    assert stores.keys() == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"a": NaN}', b"[]"])
def test_an_object_that_is_no_result_is_an_error(
    stores: Stores, content: bytes
) -> None:
    """Only a person can have written it."""
    session().client("s3").put_object(Bucket="large-results", Key="k", Body=content)

    with pytest.raises(ResultsUnavailable, match="large result k"):
        stores.large.read("k")


def test_a_batch_reads_no_large_results(stores: Stores) -> None:
    """It needs their versions only."""
    stores.store(a_large_result())
    [key] = stores.keys()
    stores.large.delete(key)

    found = stores.reader.snapshot([(URI, an_upload().version)])

    assert found.results[URI].document is None
    assert found.results[URI].version == an_upload().version


@pytest.mark.parametrize("make", [a_result, a_large_result])
def test_an_item_expires_days_after_its_image_was_tagged(
    stores: Stores,  # noqa: ARG001 - makes the table
    make: Any,  # noqa: ANN401 - a maker of results
) -> None:
    """DynamoDB's TTL takes epoch seconds."""
    expiring = Stores(ttl_days=7)

    expiring.store(make(tagged_at=LATER))

    expected = round(NOON_SECONDS) + 3_600 + 7 * 86_400
    assert expiring.item()["expiresAt"] == {"N": str(expected)}


def test_a_search_reads_the_whole_of_a_large_result(stores: Stores) -> None:
    """So does a rebuild of the index."""
    stores.store(a_large_result())

    assert list(stores.reader.results([URI])) == [a_large_result()]
    assert list(stores.reader.all_results()) == [a_large_result()]


def test_a_search_leaves_out_a_large_result_that_is_gone(stores: Stores) -> None:
    """It was replaced or removed after its item was read."""
    stores.store(a_large_result())
    [key] = stores.keys()
    stores.large.delete(key)

    assert list(stores.reader.results([URI])) == []
    assert list(stores.reader.all_results()) == []


@pytest.mark.parametrize("make", [a_result, a_large_result])
def test_a_search_leaves_out_an_expired_result(
    stores: Stores,
    make: Any,  # noqa: ANN401 - a maker of results
) -> None:
    """DynamoDB deletes it some days later."""
    Stores(ttl_days=7).store(make())
    assert len(list(stores.reader.results([URI]))) == 1

    stores.clock.advance(7 * 86_400)

    assert list(stores.reader.results([URI])) == []


@pytest.mark.fuzz("hangtag.adapters.s3_large_results.S3LargeResults.read")
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_object_crashes_the_reader(content: bytes) -> None:
    """It is a document, or an error with a code."""

    class Body:
        def read(self) -> bytes:
            return content

        def close(self) -> None:
            pass

    class Client:
        def get_object(self, **_: str) -> dict[str, Body]:
            return {"Body": Body()}

    client: Any = Client()
    try:
        document = S3LargeResults(client, "bucket").read("key")
    except ResultsUnavailable:
        return
    assert isinstance(document, dict)
