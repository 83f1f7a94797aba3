"""`Finder`: it finds what a filter of all results finds, with few requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.errors import ResultsUnavailable
from hangtag.index import FIELDS, Term, entries_of, position_of, values_of
from hangtag.operators.find import Finder, Found, Query
from hangtag.ports import IndexEntry
from hangtag.results import Document
from hangtag.tagger_api import Context
from hangtag.text import to_timestamp
from tests.builders import NOON, NOON_SECONDS, a_result, an_answer, an_upload
from tests.fakes.find import FakeIndexTable, FakeResultsByUri

RED = {"id": "EXAMPLE-RED", "name": "red", "confidence": Decimal("0.9")}
WINE = {"id": "EXAMPLE-WINE", "name": "wine", "confidence": Decimal("0.4")}
DRESSES = {"id": "EXAMPLE-DRESSES", "name": "dresses"}
COATS = {"id": "EXAMPLE-COATS", "name": "coats"}


def at(seconds: float) -> str:
    """A time so many seconds after noon."""
    return to_timestamp(NOON_SECONDS + seconds)


def tagged(
    key: str,
    *colors: dict[str, Any],
    category: dict[str, Any] | None = None,
    product: str | None = None,
    tagged_at: str = NOON,
) -> Document:
    """The result of a garment."""
    context = Context(id=product or None)
    return a_result(
        an_upload(key),
        answer=an_answer({"category": category or DRESSES, "colors": list(colors)}),
        context=context,
        tagged_at=tagged_at,
    )


class World:
    """Results and their index."""

    def __init__(
        self, *results: Document, page_size: int = 10_000, is_behind: bool = False
    ) -> None:
        """If it *is_behind*, the index has the entries of replaced results, too."""
        self._is_behind = is_behind
        self.index = FakeIndexTable(page_size=page_size)
        self.results = FakeResultsByUri()
        self.finder = Finder(self.index, self.results)
        for result in results:
            self.tag(result)

    def tag(self, result: Document) -> None:
        """Store and index a result; it replaces the one of its key."""
        old = self.results.documents.get(result["image"]["uri"])
        self.results.store(result)
        if old is not None and not self._is_behind:
            self.index.forget(old)
        self.index.index(result)

    def find(self, *filters: tuple[str, str], **options: Any) -> list[str]:  # noqa: ANN401 - of `Query`
        """The keys that are found."""
        found = self.finder.results(Query(filters, **options))
        return [one.result["image"]["key"] for one in found]


def test_a_result_is_found_by_name_and_by_id_newest_first() -> None:
    """Both are written in any case."""
    world = World(
        tagged("old.png", RED, tagged_at=at(0)),
        tagged("new.png", RED, tagged_at=at(1)),
        tagged("wine.png", WINE, tagged_at=at(2)),
    )

    assert world.find(("color", "RED")) == ["new.png", "old.png"]
    assert world.find(("color", "example-red")) == ["new.png", "old.png"]
    assert world.find() == ["wine.png", "new.png", "old.png"]


def test_a_name_in_any_language_finds_the_results_of_all_languages() -> None:
    """The id is the same."""
    world = World(
        tagged("en.png", RED),
        tagged("ko.png", {**RED, "name": "레드"}, tagged_at=at(1)),
    )

    assert world.find(("color", "레드")) == ["ko.png", "en.png"]
    assert world.find(("color", "red")) == ["ko.png", "en.png"]


def test_a_name_of_several_ids_finds_the_results_of_each() -> None:
    """The API may give two values the same name."""
    world = World(
        tagged("one.png", RED),
        tagged("other.png", {**RED, "id": "EXAMPLE-RED-2"}, tagged_at=at(1)),
        tagged("both.png", RED, {**RED, "id": "EXAMPLE-RED-2"}, tagged_at=at(2)),
    )

    assert world.find(("color", "red")) == ["both.png", "other.png", "one.png"]


def test_a_very_long_id_is_found_as_it_is_spelled() -> None:
    """And in any case, although no key has more of it than its hash."""
    value = "Long Colour " * 30
    world = World(tagged("1.png", {"id": value, "name": "short"}))

    for written in (value, value.upper(), value.lower(), "short"):
        assert world.find(("color", written)) == ["1.png"]


def test_all_filters_must_hold() -> None:
    """A field may be given twice."""
    world = World(
        tagged("red.png", RED),
        tagged("both.png", RED, WINE, product="p-1"),
        tagged("coat.png", RED, WINE, category=COATS),
    )

    assert set(world.find(("color", "red"), ("color", "wine"))) == {
        "both.png",
        "coat.png",
    }
    assert world.find(("color", "red"), ("color", "wine"), ("category", "dresses")) == [
        "both.png"
    ]
    assert world.find(("product", "P-1"), ("color", "red")) == ["both.png"]
    assert world.find(("product", "p-2")) == []


def test_a_confidence_below_the_minimum_does_not_count() -> None:
    """A value without a confidence does."""
    world = World(tagged("both.png", RED, WINE))

    assert world.find(("color", "wine"), min_confidence=Decimal("0.4")) == ["both.png"]
    assert world.find(("color", "wine"), min_confidence=Decimal("0.41")) == []
    assert world.find(("category", "dresses"), min_confidence=Decimal(1)) == [
        "both.png"
    ]


@pytest.mark.parametrize("is_first", [False, True])
def test_a_value_that_has_no_confidence_somewhere_counts(*, is_first: bool) -> None:
    """Whatever its confidence in another garment is, and whichever comes first."""
    anyhow = {"id": "EXAMPLE-WINE", "name": "wine"}
    world = World(tagged("both.png", *((anyhow, WINE) if is_first else (WINE, anyhow))))

    assert world.find(("color", "wine"), min_confidence=Decimal(1)) == ["both.png"]


def test_a_search_goes_on_after_pages_without_a_confident_value() -> None:
    """DynamoDB leaves them out, and says how far it has read."""
    unsure = {**WINE, "confidence": Decimal("0.1")}
    world = World(
        *(
            tagged(
                f"{number}.png",
                RED,
                WINE if number < 20 else unsure,
                tagged_at=at(number),
            )
            for number in range(40)
        ),
        page_size=2,
    )

    found = world.find(
        ("color", "red"), ("color", "wine"), min_confidence=Decimal("0.3")
    )

    assert found == [f"{number}.png" for number in range(19, -1, -1)]


def test_a_search_may_have_a_first_and_a_last_time() -> None:
    """Both are included."""
    world = World(
        *(tagged(f"{number}.png", tagged_at=at(number)) for number in range(5))
    )

    assert world.find(since=at(1), until=at(3)) == ["3.png", "2.png", "1.png"]
    assert world.find(since=at(3), until=at(1)) == []


def test_an_entry_whose_result_says_something_else_is_not_shown() -> None:
    """The index is behind the results by a moment."""
    world = World(tagged("a.png", RED), tagged("gone.png", RED))
    world.results.store(tagged("a.png", WINE, tagged_at=at(1)))
    del world.results.documents[tagged("gone.png")["image"]["uri"]]

    assert world.find(("color", "red")) == []
    assert world.find(("color", "wine")) == []  # not yet


def test_a_result_that_was_tagged_again_is_shown_once_at_its_new_time() -> None:
    """The entries of the old one are still there."""
    world = World(
        tagged("again.png", RED, tagged_at=at(0)),
        tagged("other.png", RED, tagged_at=at(1)),
        tagged("again.png", RED, tagged_at=at(2)),
        is_behind=True,
    )

    assert world.find(("color", "red")) == ["again.png", "other.png"]


def test_an_entry_that_its_result_has_no_more_is_not_shown() -> None:
    """An entry of the same time that was written by hand, say."""
    world = World(tagged("a.png", WINE))
    world.index.index(tagged("a.png", RED))

    assert world.find(("color", "red")) == []


def test_the_confidences_of_what_was_searched_for_are_returned() -> None:
    """The highest of each value."""
    world = World(tagged("both.png", RED, {**RED, "confidence": Decimal("0.95")}, WINE))

    [found] = world.finder.results(Query((("color", "red"), ("category", "dresses"))))

    assert found.confidences == {
        Term("color", "EXAMPLE-RED"): Decimal("0.95"),
        Term("category", "EXAMPLE-DRESSES"): None,
    }
    assert found.position == position_of(found.result)


# ---- any results, any filters

COLORS = [
    {"id": f"EXAMPLE-{number}", "name": name, "confidence": Decimal(number) / 10}
    for number, name in enumerate(["red", "wine", "navy", "red"])
]
COLORS.append({"id": "EXAMPLE-0", "name": "red"})
ANY_RESULT = st.builds(
    lambda key, colors, category, product, second: tagged(
        f"{key}.png",
        *colors,
        category=category,
        product=product,
        tagged_at=at(second / 4),
    ),
    key=st.integers(0, 12),  # so that results are replaced
    colors=st.lists(st.sampled_from(COLORS), max_size=3),
    category=st.sampled_from([DRESSES, COATS, {"name": "tops"}]),
    product=st.sampled_from([None, "p-1", "p-2"]),
    second=st.integers(0, 100),
)
ANY_RESULTS = st.lists(ANY_RESULT, max_size=80)
ANY_FILTER = st.one_of(
    st.tuples(
        st.just("color"), st.sampled_from(["red", "wine", "navy", "example-3", "no"])
    ),
    st.tuples(st.just("category"), st.sampled_from(["dresses", "coats", "Tops"])),
    st.tuples(st.just("product"), st.sampled_from(["p-1", "P-2"])),
)
ANY_QUERY = st.builds(
    Query,
    filters=st.lists(ANY_FILTER, max_size=3).map(tuple),
    min_confidence=st.none() | st.sampled_from([Decimal("0.1"), Decimal("0.2")]),
    since=st.none() | st.integers(0, 25).map(at),
    until=st.none() | st.integers(0, 25).map(at),
)


def matches(result: Document, query: Query) -> bool:
    """Whether a result matches, judged by the result alone."""
    entries = entries_of(result, min_confidence=query.min_confidence or Decimal(0))
    names = {
        (term.field, text.casefold())
        for term, name, _ in values_of(result)
        for text in (name, term.value)
        if term in entries
    }
    return (
        all((field, value.casefold()) in names for field, value in query.filters)
        and (query.since or "") <= result["taggedAt"]
        and (query.until is None or result["taggedAt"] <= query.until)
    )


def expected(world: World, query: Query, *, oldest_first: bool = False) -> list[str]:
    """The positions that are to be found, in their sequence."""
    return sorted(
        (
            position_of(one)
            for one in world.results.documents.values()
            if matches(one, query)
        ),
        reverse=not oldest_first,
    )


def searched_in_small_steps() -> Any:  # noqa: ANN401 - a context manager of `mock`
    """So few entries at a time that all kinds of steps occur with few results."""
    return patch.multiple(
        "hangtag.operators.find", FIRST_PAGE=3, _SLICE=3, _FIRST_GROUP=3, _LONGER=2
    )


@given(
    ANY_RESULTS,
    ANY_QUERY,
    st.booleans(),
    st.booleans(),
    st.sampled_from([2, 3, 10_000]),
)
def test_any_search_finds_what_a_filter_of_all_results_finds(
    results: list[Document],
    query: Query,
    oldest_first: bool,  # noqa: FBT001 - given by hypothesis
    is_behind: bool,  # noqa: FBT001 - given by hypothesis
    page_size: int,
) -> None:
    """In the sequence of their times."""
    world = World(*results, page_size=page_size, is_behind=is_behind)
    right = expected(world, query, oldest_first=oldest_first)

    with searched_in_small_steps() if page_size < 10 else nullcontext():
        found = list(world.finder.results(query, oldest_first=oldest_first))

    assert [one.position for one in found] == right


def pages_of(
    world: World,
    query: Query,
    size: int,
    changes: Sequence[Document],
    **options: Any,  # noqa: ANN401 - of `results`
) -> Iterator[Found]:
    """A search page by page; after each page, one of the changes is made."""
    left, after = iter(changes), None
    while True:
        search = world.finder.results(query, after=after, **options)
        page = list(islice(search, size))
        yield from page
        if len(page) < size:
            return
        after = page[-1].position
        for change in islice(left, 1):
            world.tag(change)


@given(
    ANY_RESULTS,
    ANY_QUERY,
    st.integers(1, 7),
    st.lists(ANY_RESULT, max_size=5),
    st.booleans(),
)
def test_pages_show_each_result_once_while_others_are_tagged(
    results: list[Document],
    query: Query,
    size: int,
    changes: list[Document],
    oldest_first: bool,  # noqa: FBT001 - given by hypothesis
) -> None:
    """Results that stay as they are neither shift nor disappear."""
    world = World(*results)
    before = set(expected(world, query))

    with searched_in_small_steps():
        pages = pages_of(world, query, size, changes, oldest_first=oldest_first)
        found = [one.position for one in pages]

    stayed = before & set(expected(world, query))
    assert found == sorted(set(found), reverse=not oldest_first)
    assert stayed <= set(found)


ANY_POSITION = st.one_of(
    st.text(min_size=1, max_size=8),
    st.sampled_from(["0001-01-01", "9999-12-31T23:59:59Z#f", f"{NOON}#0", "~", " "]),
)


@pytest.mark.fuzz("hangtag.operators.find.Finder")
@given(
    st.lists(ANY_POSITION, max_size=20),
    st.lists(ANY_POSITION, max_size=20),
    st.none() | ANY_POSITION,
    st.booleans(),
)
def test_any_positions_and_any_cursor_end_a_search(
    positions: list[str],
    others: list[str],
    after: str | None,
    oldest_first: bool,  # noqa: FBT001 - given by hypothesis
) -> None:
    """A cursor comes from a command line, an entry from whoever may write to the table."""
    world = World(tagged("a.png", RED), page_size=2)
    uri = tagged("a.png")["image"]["uri"]
    for field, some in (("color", positions), ("look", others)):
        world.index.put(
            [IndexEntry(Term(field, "x"), position, uri, None) for position in some]
        )
    query = Query((("color", "x"), ("look", "x")))

    with searched_in_small_steps():
        search = world.finder.results(query, after=after, oldest_first=oldest_first)

        assert list(search) == []


# ---- requests


@cache
def catalogue(size: int) -> World:
    """Every 20th is red, every tenth a dress, both independent of each other; one has a product."""
    world = World()
    for number in range(size):
        hashed = number * 7919 % 200
        world.tag(
            tagged(
                f"{number}.png",
                RED if hashed % 20 == 0 else WINE,
                category=DRESSES if (hashed // 20) == 0 else COATS,
                product="the-one" if number == size // 2 + 1 else None,
                tagged_at=at(number),
            )
        )
    return world


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ((("color", "wine"), ("category", "coats")), 50),
        ((("color", "red"), ("category", "dresses")), 50),
        ((("product", "the-one"), ("color", "wine")), 1),
        ((("product", "no"), ("color", "wine")), 0),
    ],
)
def test_the_first_50_of_10000_results_need_at_most_18_requests(
    filters: tuple[tuple[str, str], ...], count: int
) -> None:
    """Common, rare and contradictory tags alike."""
    world = catalogue(10_000)
    world.index.requests = world.results.reads = 0

    found = list(islice(world.finder.results(Query(filters)), 50))

    assert len(found) == count
    assert world.index.requests + world.results.reads <= 18


def test_a_few_entries_of_a_long_list_are_looked_up() -> None:
    """Reading the list up to them would be many pages."""
    world = World(
        *(tagged(f"{number}.png", RED, tagged_at=at(number)) for number in range(3_000))
    )
    world.tag(tagged("old.png", RED, product="p-1", tagged_at=at(-1)))
    world.index.requests = 0

    assert world.find(("color", "red"), ("product", "p-1")) == ["old.png"]
    assert world.index.requests == 1 + 8 + 1
    assert world.index.looked_up == 1


@patch.multiple("hangtag.operators.find", FIRST_PAGE=10, _SLICE=5, LARGEST_PAGE=40)
def test_a_season_in_which_nothing_can_match_is_skipped() -> None:
    """However many coats there are, none of them is as old as what is wine."""
    requests = []
    for coats in (200, 800):
        world = World(
            *(
                tagged(f"coat-{number}.png", category=COATS, tagged_at=at(2 * number))
                for number in range(coats)
            ),
            *(
                tagged(f"wine-{number}.png", WINE, tagged_at=at(number - 401))
                for number in range(400)
            ),
            tagged("both.png", WINE, category=COATS, tagged_at=at(-402)),
        )
        world.index.requests = 0

        assert world.find(("category", "coats"), ("color", "wine")) == ["both.png"]
        requests.append(world.index.requests)

    assert requests[0] == requests[1]


def test_an_error_of_the_index_is_raised() -> None:
    """No search passes for an empty one."""
    world = World(tagged("a.png", RED))
    world.index.fails_with(ResultsUnavailable("no"), at="page")

    with pytest.raises(ResultsUnavailable):
        world.find(("color", "red"))


# ---- values


def test_values_are_counted_most_frequent_first() -> None:
    """Values that no result has any more are left out."""
    world = World(
        tagged("a.png", RED), tagged("b.png", RED, WINE), tagged("c.png", COLORS[2])
    )
    world.tag(tagged("c.png", RED, tagged_at=at(1)))
    shown: list[tuple[int, int]] = []

    counts = world.finder.counts("color", lambda *numbers: shown.append(numbers))

    assert [(one.known.names, one.count) for one in counts] == [
        (("red",), 3),
        (("wine",), 1),
    ]
    assert shown == [(1, 3), (2, 3), (3, 3)]


def test_every_field_can_be_searched() -> None:
    """`FIELDS` is what the command offers."""
    world = World(tagged("a.png", RED))

    for field in FIELDS:
        assert world.find((field, "no such value")) == []
