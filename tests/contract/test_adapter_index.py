"""`ResultIndex`: the fake and DynamoDB behave alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from hangtag.adapters.dynamodb_index import (
    MOST_NAMES,
    DynamoDBIndex,
    tag_of,
    values_tag,
)
from hangtag.adapters.dynamodb_table import from_attribute
from hangtag.index import SHARDS, KnownValue, Term, shard_of
from hangtag.ports import IndexEntry, ResultIndex
from tests.builders import URI
from tests.contract.aws_parts import create_table, session
from tests.fakes import FakeClock, FakeIndex

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RED, BLUE = Term("color", "T0326"), Term("color", "blue")
AT = "2026-11-22T12:00:00.000Z#0123456789abcdef"


def entry(
    term: Term = RED,
    *,
    at: str = AT,
    uri: str = URI,
    confidence: Decimal | None = Decimal("0.8287289023"),
) -> IndexEntry:
    """An entry."""
    return IndexEntry(term, at, uri, confidence)


@dataclass(frozen=True)
class Index:
    """The port, and what it has written."""

    port: ResultIndex
    entries: Callable[[], set[IndexEntry]]
    names: Callable[[Term], set[str]]


def items() -> list[dict[str, Any]]:
    """The items of the table."""
    found = (
        session()
        .client("dynamodb")
        .get_paginator("scan")
        .paginate(TableName="IndexTable")
    )
    return [item for page in found for item in page["Items"]]


def entries_in_the_table() -> set[IndexEntry]:
    """The entries; an item without a uri is a known value."""
    found = set()
    for item in items():
        if "uri" in item:
            field, value, shard = item["tag"]["S"].split("#")
            uri = item["uri"]["S"]
            assert int(shard) == shard_of(uri)
            confidence = item.get("confidence")
            found.add(
                IndexEntry(
                    Term(field, value),
                    item["at"]["S"],
                    uri,
                    None if confidence is None else Decimal(from_attribute(confidence)),
                )
            )
    return found


def names_in_the_table(term: Term) -> set[str]:
    """The names of a value."""
    key = (values_tag(term.field), term.value)
    return {
        name
        for item in items()
        if (item["tag"]["S"], item["at"]["S"]) == key
        for name in item["names"]["SS"]
    }


@pytest.fixture(params=["fake", "moto"])
def index(request: pytest.FixtureRequest) -> Index:
    """The fake, then the adapter."""
    if request.param == "fake":
        fake = FakeIndex()
        return Index(
            fake,
            lambda: set(fake.entries.values()),
            lambda term: fake.values.get(term, set()),
        )
    request.getfixturevalue("aws")
    table = create_table("IndexTable")
    adapter = DynamoDBIndex(session().client("dynamodb"), table, FakeClock())
    return Index(adapter, entries_in_the_table, names_in_the_table)


def test_entries_are_written_with_and_without_a_confidence(index: Index) -> None:
    """The type of a garment has none."""
    written = {entry(), entry(Term("type", "clothing"), confidence=None)}

    index.port.put(written)

    assert index.entries() == written


def test_a_written_entry_replaces_the_one_in_its_place(index: Index) -> None:
    """Its confidence has changed."""
    index.port.put([entry()])
    index.port.put([entry(confidence=Decimal(1))])

    assert index.entries() == {entry(confidence=Decimal(1))}


def test_entries_are_removed_whatever_their_confidence_is(index: Index) -> None:
    """By term and position; others stay, and missing ones are no error."""
    later = entry(at=AT.replace("12:", "13:"))
    index.port.put([entry(), entry(BLUE), later])

    index.port.remove([entry(confidence=None), entry(Term("look", "casual"))])
    index.port.remove([entry(confidence=None)])

    assert index.entries() == {entry(BLUE), later}


def test_many_entries_are_written_and_removed(index: Index) -> None:
    """They need several requests."""
    many = [entry(Term("color", f"c{number}")) for number in range(120)]

    index.port.put(many)
    written = index.entries()
    index.port.remove(many[:60])

    assert written == set(many)
    assert index.entries() == set(many[60:])


def test_nothing_to_write_is_no_error(index: Index) -> None:
    """Most changes leave a part of the index as it is."""
    index.port.put([])
    index.port.remove([])
    index.port.learn([])

    assert index.entries() == set()


def test_a_known_value_has_the_names_of_all_languages(index: Index) -> None:
    """A value with an id has another name in each."""
    index.port.learn([KnownValue(RED, "red"), KnownValue(BLUE, "blue")])
    index.port.learn([KnownValue(RED, "빨강"), KnownValue(RED, "red")])

    assert index.names(RED) == {"red", "빨강"}
    assert index.names(BLUE) == {"blue"}
    assert index.names(Term("look", "T0326")) == set()


def test_a_value_has_a_bounded_number_of_names(index: Index) -> None:
    """Further ones are no error."""
    for number in range(MOST_NAMES + 5):
        index.port.learn([KnownValue(RED, f"red {number}")])

    assert len(index.names(RED)) == MOST_NAMES


# ---- DynamoDB alone


@pytest.fixture
def client() -> DynamoDBClient:
    """A client that never connects: a stub answers."""
    return session().client("dynamodb")


def test_the_partition_of_a_term_has_its_shard() -> None:
    """A partition takes 1,000 writes a second."""
    assert {tag_of(Term("all", ""), shard) for shard in range(SHARDS)} == {
        f"all##{shard}" for shard in range(SHARDS)
    }
    assert tag_of(RED, 2) == "color#T0326#2"
    assert values_tag("color") == "values#color"


def test_what_dynamodb_leaves_out_is_written_again(client: DynamoDBClient) -> None:
    """It answers so above its capacity."""
    clock = FakeClock()
    with Stubber(client) as stub:
        left = {"IndexTable": [{"DeleteRequest": {"Key": {"tag": {"S": "x"}}}}]}
        stub.add_response("batch_write_item", {"UnprocessedItems": left})
        stub.add_response("batch_write_item", {}, {"RequestItems": left})

        began = clock.now()
        DynamoDBIndex(client, "IndexTable", clock).put([entry()])

        stub.assert_no_pending_responses()
    assert clock.now() > began


@pytest.mark.usefixtures("aws")
def test_a_long_name_is_cut() -> None:
    """An item has at most 400 KB, and the API's texts have no limit of their own."""
    table = create_table("IndexTable")
    adapter = DynamoDBIndex(session().client("dynamodb"), table, FakeClock())

    adapter.learn([KnownValue(RED, "r" * 100_000)])

    assert names_in_the_table(RED) == {"r" * 256}


@pytest.mark.usefixtures("aws")
def test_a_confidence_beyond_dynamodbs_numbers_is_left_out() -> None:
    """A large result in S3 may have any number."""
    table = create_table("IndexTable")
    adapter = DynamoDBIndex(session().client("dynamodb"), table, FakeClock())

    adapter.put([entry(confidence=Decimal("1e400"))])

    assert entries_in_the_table() == {replace(entry(), confidence=None)}
