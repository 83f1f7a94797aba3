"""`IndexReader`, `IndexAudit` and the search: the fakes and DynamoDB behave alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest

from hangtag.adapters.dynamodb_index import DynamoDBIndex
from hangtag.adapters.dynamodb_index_audit import DynamoDBIndexAudit
from hangtag.adapters.dynamodb_index_reader import DynamoDBIndexReader
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.errors import ResultsUnavailable
from hangtag.index import KnownValue, Term, known_values, position_of, shard_of
from hangtag.operators.find import Finder, IndexReader, Query, Span
from hangtag.operators.reindex import (
    AllResults,
    IndexAudit,
    Reindex,
    ReindexReport,
    StoredEntry,
    Tables,
)
from hangtag.ports import IndexEntry, ResultIndex
from hangtag.results import Document
from tests.builders import an_upload
from tests.contract.aws_parts import create_large_results, create_table, session
from tests.fakes import FakeClock
from tests.fakes.find import FakeIndexTable, FakeResultsByUri, entries_in
from tests.unit.test_find import RED, WINE, at, tagged

RED_TERM = Term("color", "example-red")
EVERYTHING = Span(" ", "~", oldest_first=False)
INDEX_TABLE = "IndexTable"


@dataclass(frozen=True)
class Ports:
    """An index and its results."""

    reader: IndexReader
    audit: IndexAudit
    writer: ResultIndex
    results: AllResults
    store: Callable[[Document], None]


def create_index_table() -> str:
    """Creates the table of the index."""
    session().client("dynamodb").create_table(
        TableName=INDEX_TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "tag", "AttributeType": "S"},
            {"AttributeName": "at", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "tag", "KeyType": "HASH"},
            {"AttributeName": "at", "KeyType": "RANGE"},
        ],
    )
    return INDEX_TABLE


@pytest.fixture(params=["fake", "moto"])
def ports(request: pytest.FixtureRequest) -> Ports:
    """The fakes, then the adapters."""
    if request.param == "fake":
        index, results = FakeIndexTable(), FakeResultsByUri()
        return Ports(index, index, index, results, results.store)
    request.getfixturevalue("aws")
    client, clock = session().client("dynamodb"), FakeClock()
    name, table = create_index_table(), create_table()
    stored = DynamoDBResults(client, table, create_large_results())

    def store(result: Document) -> None:
        upload = an_upload(result["image"]["key"])
        assert stored.store(upload, result, retag=None, fence=1.0) is None

    return Ports(
        DynamoDBIndexReader(client, name, clock),
        DynamoDBIndexAudit(client, name, clock),
        DynamoDBIndex(client, name, clock),
        DynamoDBReader(client, table, clock, lambda _: None),
        store,
    )


def entry(number: int, *, confidence: str | None = "0.9") -> IndexEntry:
    """An entry of red in shard 0."""
    uri = next(
        uri for salt in range(100) if shard_of(uri := f"s3://b/{number}-{salt}") == 0
    )
    share = None if confidence is None else Decimal(confidence)
    return IndexEntry(RED_TERM, f"{at(number)}#{number:032x}", uri, share)


def page_of(ports: Ports, span: Span, limit: int = 10, least: str | None = None) -> Any:  # noqa: ANN401 - two values
    """The positions of a page, and its end."""
    page = ports.reader.page(
        RED_TERM,
        0,
        span,
        limit=limit,
        min_confidence=None if least is None else Decimal(least),
        with_uris=False,
    )
    return [one.position for one in page.entries], page.end


def test_a_list_is_read_page_by_page_in_both_directions(ports: Ports) -> None:
    """A page says how far it goes."""
    entries = [entry(number) for number in range(5)]
    ports.writer.put(entries)
    at_ = [one.position for one in entries]

    forwards = replace(EVERYTHING, oldest_first=True)

    assert page_of(ports, EVERYTHING, 3) == (at_[:1:-1], at_[2])
    assert page_of(ports, EVERYTHING.from_(at_[2]), 9) == (at_[2::-1], None)
    assert page_of(ports, forwards, 3) == (at_[:3], at_[2])
    assert page_of(ports, forwards.from_(at_[3]), 9) == (at_[3:], None)
    assert page_of(ports, Span(at_[1], at_[3], oldest_first=True)) == (at_[1:4], None)
    assert page_of(ports, Span(at(9), at(10), oldest_first=True)) == ([], None)


def test_a_page_has_the_uris_of_its_results(ports: Ports) -> None:
    """If they are asked for: the results are read by them."""
    ports.writer.put([entry(1)])

    [one] = ports.reader.page(
        RED_TERM, 0, EVERYTHING, limit=9, min_confidence=None, with_uris=True
    ).entries

    assert one.uri == entry(1).uri


def test_entries_below_the_minimum_are_left_out_but_read(ports: Ports) -> None:
    """So a page can be empty and not the last one."""
    entries = [entry(1, confidence="0.2"), entry(2, confidence=None), entry(3)]
    ports.writer.put(entries)
    low, none, high = (one.position for one in entries)

    assert page_of(ports, EVERYTHING, 9, "0.9") == ([high, none], None)
    assert page_of(ports, EVERYTHING, 1, "0.95") == ([], high)
    found = ports.reader.look_up(
        [RED_TERM], 0, [low, none, high, at(9)], min_confidence=Decimal("0.9")
    )
    assert found == {none, high}


def test_single_entries_are_looked_up_in_several_lists(ports: Ports) -> None:
    """More than DynamoDB takes in one request."""
    entries = [entry(number) for number in range(130)]
    ports.writer.put(entries[::2])
    positions = [one.position for one in entries]

    found = ports.reader.look_up(
        [Term("color", "no"), RED_TERM], 0, positions, min_confidence=None
    )

    assert found == set(positions[::2])


def test_values_are_known_by_all_their_names(ports: Ports) -> None:
    """Those of a field, sorted by id."""
    for value in (
        KnownValue(RED_TERM, "red"),
        KnownValue(RED_TERM, "레드"),
        KnownValue(Term("color", "a"), "azure"),
        KnownValue(Term("item", "red"), "red"),
    ):
        ports.writer.learn([value])  # moto loses one of two updates at once

    assert [(one.term, one.names) for one in ports.reader.known("color")] == [
        (Term("color", "a"), ("azure",)),
        (RED_TERM, ("red", "레드")),
    ]
    assert ports.reader.known("look") == []


def test_entries_are_counted_by_shard(ports: Ports) -> None:
    """Exactly."""
    ports.writer.put([entry(number) for number in range(3)])

    assert ports.reader.count(RED_TERM, 0) == 3
    assert ports.reader.count(RED_TERM, 1) == 0


def test_missing_entries_are_those_that_are_not_there_as_they_should_be(
    ports: Ports,
) -> None:
    """Numbers are compared, not their digits."""
    there = [entry(1, confidence="0.50"), entry(2, confidence=None), entry(3)]
    ports.writer.put(there)
    other = [replace(there[1], confidence=Decimal("0.1")), entry(4)]

    assert ports.audit.missing([there[0], there[2], *other]) == other
    assert ports.audit.missing([replace(there[0], confidence=Decimal("0.5"))]) == []


def test_all_entries_are_read_without_the_known_values(ports: Ports) -> None:
    """A value may contain any sign, and a row may be of another version."""
    odd = IndexEntry(Term("product", "a#b#c"), at(1), "s3://b/x", None)
    ports.writer.put([entry(1), odd])
    ports.writer.learn([KnownValue(Term("color", "a#b"), "a#b")])

    found = [one for page in ports.audit.entries() for one in page]

    assert sorted(found, key=lambda one: one.term) == [
        StoredEntry(RED_TERM, "0", entry(1).position, entry(1).uri),
        StoredEntry(odd.term, str(shard_of(odd.uri)), odd.position, odd.uri),
    ]
    ports.audit.remove(found)
    ports.audit.remove(found)
    assert [one for page in ports.audit.entries() for one in page] == []


def test_the_results_of_many_keys_are_read(ports: Ports) -> None:
    """Keys without a result are left out."""
    stored = [tagged(f"{number}.png", RED, tagged_at=at(number)) for number in range(3)]
    for result in stored:
        ports.store(result)
    uris = [result["image"]["uri"] for result in stored]

    found = list(ports.results.results([*uris[:2], "s3://bucket/none"]))

    assert sorted(map(position_of, found)) == list(map(position_of, stored[:2]))
    assert sorted(map(position_of, ports.results.all_results())) == list(
        map(position_of, stored)
    )


@pytest.fixture
def catalogue(ports: Ports) -> Ports:
    """120 results: every third is red, the others are wine; every fifth has the product."""
    for number in range(120):
        result = tagged(
            f"{number}.png",
            RED if number % 3 == 0 else WINE,
            product="p-1" if number % 5 == 0 else None,
            tagged_at=at(number),
        )
        ports.store(result)
        ports.writer.learn(known_values(result))
        ports.writer.put(entries_in(result))
    return ports


def test_a_search_finds_the_same_in_both(catalogue: Ports) -> None:
    """Page by page, and while results are tagged."""
    finder = Finder(catalogue.reader, catalogue.results)
    query = Query((("color", "red"), ("product", "P-1")))

    first = list(islice(finder.results(query), 5))
    catalogue.store(new := tagged("new.png", RED, product="p-1", tagged_at=at(500)))
    catalogue.writer.put(entries_in(new))
    rest = list(finder.results(query, after=first[-1].position))

    keys = [one.result["image"]["key"] for one in [*first, *rest]]
    assert keys == [f"{number}.png" for number in range(105, -1, -15)]
    oldest = next(finder.results(Query(since=at(1.5)), oldest_first=True))
    assert oldest.result["image"]["key"] == "2.png"


def test_a_rebuilt_index_is_that_of_the_results(catalogue: Ports) -> None:
    """What is right is left alone."""
    wrong = IndexEntry(RED_TERM, f"{at(1)}#1", "s3://b/gone.png", None)
    lost = entries_in(tagged("0.png", RED, product="p-1", tagged_at=at(0)))
    catalogue.writer.put([wrong])
    catalogue.writer.remove(lost)
    report = ReindexReport(dry_run=False)
    tables = Tables(
        catalogue.results, catalogue.reader, catalogue.audit, catalogue.writer
    )

    Reindex(tables, Decimal(0), report, lambda _: None).run()

    assert report.document() == {
        "results": 120,
        "added": len(lost),
        "removed": 1,
        "dryRun": False,
    }
    assert catalogue.audit.missing(lost) == []


def calls_of(ports: Ports) -> Iterator[Callable[[], object]]:
    """A call of each method."""
    reader, audit = ports.reader, ports.audit
    yield lambda: reader.page(
        RED_TERM, 0, EVERYTHING, limit=1, min_confidence=None, with_uris=True
    )
    yield lambda: reader.look_up([RED_TERM], 0, [at(1)], min_confidence=None)
    yield lambda: reader.known("color")
    yield lambda: reader.count(RED_TERM, 0)
    yield lambda: audit.missing([entry(1)])
    yield lambda: list(audit.entries())
    yield lambda: audit.remove([StoredEntry(RED_TERM, "0", at(1), "s3://b/x")])


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("number", range(7))
def test_errors_of_dynamodb_are_translated(number: int) -> None:
    """There is no such table."""
    client, clock = session().client("dynamodb"), FakeClock()
    ports = Ports(
        DynamoDBIndexReader(client, "none", clock),
        DynamoDBIndexAudit(client, "none", clock),
        DynamoDBIndex(client, "none", clock),
        DynamoDBReader(client, "none", clock, lambda _: None),
        lambda _: None,
    )

    with pytest.raises(ResultsUnavailable):
        list(calls_of(ports))[number]()
