"""
Subscribers and searches agree with the truth, for images whose answers are known.

`HANGTAG_TEST_IMAGES` is the number of images (default 60), `HANGTAG_TEST_SEED` another choice.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hangtag.announcements import FAILED, REMOVED, TAGGED
from hangtag.operators.find import Finder, Query
from hangtag.text import to_timestamp
from hangtag_cli.app import App
from hangtag_cli.main import cli
from local.indexed import indexed
from local.ledger import scan
from local.watch import Announcement, Subscriber, WatchedStack
from tests.stack.known_answers import FIELDS, Names, plain, rounded, selects
from tests.stack.known_uploads import PREFIX, Shop, Truth

IMAGES = int(os.environ.get("HANGTAG_TEST_IMAGES", "60"))
SEED = int(os.environ.get("HANGTAG_TEST_SEED", "15"))

FILTERS: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "arrays": {"color": ["color-0", "TC001", "옷 color 2"], "objectType": ["CLOTHING"]},
    "anything-but": {"objectType": [{"anything-but": ["NODETC", "SHOES"]}]},
    "prefix": {"item": [{"prefix": "옷 item"}], "productId": [{"prefix": "SKU-1"}]},
    "failed-or-removed": {"type": [FAILED, REMOVED]},
    "hostile": {"look": [{"prefix": "=SUM(1,2) "}, 'quote " and \\ slash']},
}
BODY_FILTER = {
    "data": {"status": ["TAGGED", "REMOVED"], "image": {"key": [{"prefix": PREFIX}]}}
}


@dataclass(slots=True)
class Observed:
    """The shop when everything has happened."""

    stack: WatchedStack
    truth: Truth
    since: str
    counts_before: Mapping[str, Mapping[str, int]]
    received: Mapping[str, Sequence[Announcement]]
    """By subscriber, each announcement once, in the sequence of arrival."""
    troubles: Sequence[str]
    """What had not followed from a step in time."""

    def key_of(self, result: Mapping[str, Any]) -> str:
        """The key of a result."""
        return str(result["image"]["key"])

    def final(self) -> dict[str, Announcement]:
        """The newest announcement of each key, by the rule of docs/events.md."""
        newest: dict[str, Announcement] = {}
        for one in self.received["all"]:
            key = one.document["subject"]
            if key not in newest or position(one) > position(newest[key]):
                newest[key] = one
        return newest

    def tagged_at(self) -> dict[str, str]:
        """When the result that is found was made, by key."""
        newest: dict[str, Announcement] = {}
        for one in self.received["all"]:
            key = one.document["subject"]
            if one.document["type"] == TAGGED and (
                key not in newest or position(one) > position(newest[key])
            ):
                newest[key] = one
        return {key: newest[key].document["time"] for key in self.truth.found}

    def expected(
        self,
        *filters: tuple[str, str],
        least: str | None = None,
        since: str = "",
        names: Names | None = None,
    ) -> list[str]:
        """The keys that a search finds, newest first."""
        names = self.truth.names() if names is None else names
        confidence = None if least is None else Decimal(least)
        at = self.tagged_at()
        keys = [
            key
            for key, version in self.truth.found.items()
            if version.known
            and at[key] >= since
            and all(
                version.known.has(name, value, confidence, names)
                for name, value in filters
            )
        ]
        return sorted(keys, key=lambda key: (at[key], key))

    def find(self, *options: str) -> list[str]:
        """The keys that the command finds."""
        found = hangtag(
            self.stack,
            *("results", "find", "--limit", "100000", "--since", self.since),
            *options,
        )
        assert [one["taggedAt"] for one in found] == sorted(
            (one["taggedAt"] for one in found), reverse=True
        )
        at = self.tagged_at()
        return sorted(map(self.key_of, found), key=lambda key: (at[key], key))


def position(one: Announcement) -> tuple[int, str, str]:
    """As on docs/events.md."""
    sequencer = one.document["data"]["image"]["sequencer"]
    return (
        int(sequencer, 16) if sequencer else -1,
        one.document["time"],
        one.document["id"],
    )


# ---- the command


def invoke(stack: WatchedStack, *arguments: str) -> tuple[int, str, str]:
    """Run `hangtag` in this process, which is faster; exit status, stdout, stderr."""
    runner = CliRunner(mix_stderr=False, env=stack.access.variables())
    done = runner.invoke(cli, arguments)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout_bytes.decode(), done.stderr


def hangtag(stack: WatchedStack, *arguments: str) -> list[dict[str, Any]]:
    """The lines of JSON that the command prints; none if it finds nothing."""
    code, out, err = invoke(stack, "--json", *arguments)
    assert code in (0, 1), err
    return lines(out)


def lines(text: str) -> list[dict[str, Any]]:
    """The documents in lines of JSON, their numbers digit for digit."""
    return [json.loads(one, parse_float=Decimal) for one in text.splitlines()]


def counts(stack: WatchedStack, name: str) -> dict[str, int]:
    """The values of a field, with the number of results that have each."""
    return {
        one["value"]: one["count"] for one in hangtag(stack, "results", "values", name)
    }


@pytest.fixture(scope="module")
def shop(stack: WatchedStack) -> Iterator[Observed]:
    """All plans, done."""
    hangtag(stack, "results", "reindex", "--yes")  # other tests leave the index wrong
    counts_before = {name: counts(stack, name) for name in FIELDS[1:]}
    since = to_timestamp(time.time())
    made = Shop(stack, SEED)
    subscribers = {
        name: Subscriber(
            stack,
            f"accept-{name}",
            {"FilterPolicy": json.dumps(policy)} if policy else {},
        )
        for name, policy in FILTERS.items()
    }
    subscribers["body"] = Subscriber(
        stack,
        "accept-body",
        {"FilterPolicy": json.dumps(BODY_FILTER), "FilterPolicyScope": "MessageBody"},
    )
    made.run(IMAGES)
    time.sleep(1)
    received = {
        name: [
            *{
                other.document["id"]: other
                for other in one.announcements()
                if other.document["subject"].startswith(PREFIX)
            }.values()
        ]
        for name, one in subscribers.items()
    }
    try:
        yield Observed(stack, made.truth, since, counts_before, received, made.troubles)
    finally:
        for one in subscribers.values():
            one.close()


# ---- announcements


def identity(one: Announcement) -> tuple[str, str, str]:
    """What it is about: key, type and version."""
    document = one.document
    return (
        document["subject"],
        document["type"],
        document["data"]["image"]["versionId"],
    )


def test_the_index_and_failures_follow_in_time(shop: Observed) -> None:
    """After each step."""
    assert shop.troubles == []


def test_each_event_is_announced_once(shop: Observed) -> None:
    """Nothing is lost, and nothing invented; repetitions have the same id."""
    calm = Counter(
        identity(one)
        for one in shop.received["all"]
        if one.document["subject"] not in shop.truth.hurried
    )
    expected = Counter(
        {
            one: number
            for one, number in shop.truth.announced.items()
            if one[0] not in shop.truth.hurried
        }
    )
    assert calm - expected == Counter()
    assert expected - calm == Counter()


def test_announcements_have_the_known_answers_and_attributes(shop: Observed) -> None:
    """Digit for digit, also of values that attack."""
    for one in shop.received["all"]:
        if one.document["type"] != TAGGED:
            continue
        data = one.document["data"]
        known = shop.truth.of_version[data["image"]["versionId"]]
        attributes = {
            name: set(value) if isinstance(value, list) else value
            for name, value in one.attributes.items()
        }
        assert attributes == known.attributes(data["image"]["bucket"])
        if not data.get("truncated"):
            assert data["objects"] == json.loads(known.body)["data"]["objects"]
        assert data["context"].get("id") == known.product


@pytest.mark.parametrize("name", [*FILTERS, "body"])
def test_a_subscriber_gets_what_its_policy_selects(shop: Observed, name: str) -> None:
    """No more, and no less."""
    if name == "body":
        expected = {
            one.document["id"]
            for one in shop.received["all"]
            if one.document["type"] != FAILED
        }
    else:
        expected = {
            one.document["id"]
            for one in shop.received["all"]
            if selects(FILTERS[name], one.attributes)
        }
    assert {one.document["id"] for one in shop.received[name]} == expected
    assert expected


def test_the_newest_announcement_is_the_truth(shop: Observed) -> None:
    """By sequencer, then time."""
    final = {
        key: (one.document["type"], one.document["data"]["image"]["versionId"])
        for key, one in shop.final().items()
    }
    expected = {
        key: (TAGGED if version.known else FAILED, version.id)
        for key, version in shop.truth.shown.items()
    }
    for key, versions in shop.truth.versions.items():
        if key not in expected:
            expected[key] = (REMOVED, versions[-1].id)
    assert final == expected


# ---- calls


def test_each_version_is_paid_once(shop: Observed) -> None:
    """And once more if it comes back after a removal."""
    calls = Counter(call["sha256"] for call in shop.stack.sandbox_calls())
    calm, hurried = {}, {}
    for key, versions in shop.truth.versions.items():
        for version in versions:
            digest = shop.truth.digests.get(version.id)
            if digest and key in shop.truth.hurried:
                hurried[digest] = (calls[digest], shop.truth.calls[digest])
            elif digest:
                calm[digest] = (calls[digest], shop.truth.calls[digest])
    assert {one for one in calm.items() if one[1][0] != one[1][1]} == set()
    assert {one for one in hurried.items() if one[1][0] > one[1][1]} == set()


# ---- show


def test_show_agrees(shop: Observed) -> None:
    """Tagged, failed and removed."""
    final = shop.final()
    for key in shop.truth.versions:
        shown = hangtag(shop.stack, "results", "show", shop.stack.uri(key))
        version = shop.truth.shown.get(key)
        if version is None:
            assert shown == []
            continue
        [result] = shown
        assert result["image"]["versionId"] == version.id
        assert result["status"] == ("TAGGED" if version.known else "FAILED")
        data = final[key].document["data"]
        if not data.get("truncated"):
            assert as_floats(result) == as_floats(data), key
        if version.known:
            assert rounded(result["objects"]) == rounded(
                version.known.answer()["objects"]
            ), key


def as_floats(value: Any) -> Any:  # noqa: ANN401 - JSON-like
    """With the digits that a float has: announcements are parsed so here."""
    return json.loads(json.dumps(rounded(value), default=float))


# ---- find


def values_to_find(shop: Observed) -> list[tuple[str, str]]:
    """Each id and each name that is in a result."""
    found: dict[tuple[str, str], None] = {}
    for version in shop.truth.found.values():
        for name, key, text, _ in version.known.values() if version.known else ():
            found[name, key] = found[name, text] = None
    return [*found]


@pytest.fixture(scope="module")
def finder(stack: WatchedStack) -> Iterator[Finder]:
    """The search of the command, without a new client for each value."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.access.variables().items():
            patch.setenv(name, value)
        app = App(stack_name="hangtag", region=None, endpoint_url=None, json=True)
        yield app.stack().finder()


def test_every_value_finds_its_results(shop: Observed, finder: Finder) -> None:
    """By id and by name, in any language."""
    names, at = shop.truth.names(), shop.tagged_at()
    wrong = {}
    for name, value in values_to_find(shop):
        expected = shop.expected((name, value), names=names)
        query = Query(((name, value),), since=shop.since)
        keys = [shop.key_of(one.result) for one in finder.results(query)]
        found = sorted(keys, key=lambda key: (at[key], key))
        if found != expected:
            wrong[name, value] = set(expected) ^ set(found)
    assert wrong == {}


@pytest.mark.parametrize("number", range(3))
def test_several_values_find_their_common_results(shop: Observed, number: int) -> None:
    """With and without a confidence, a time and a product."""
    chance = random.Random(f"{SEED} {number}")  # noqa: S311 - not for secrets
    names, all_values, at = (
        shop.truth.names(),
        values_to_find(shop),
        sorted(shop.tagged_at().values()),
    )
    keys = [*shop.truth.found]
    wrong = {}
    for _ in range(max(8, IMAGES // 10)):
        version = shop.truth.found[chance.choice(keys)]
        own = [
            (name, chance.choice((key, text)))
            for name, key, text, _ in version.known.values()  # type: ignore[union-attr]
        ]
        filters = chance.sample(own, min(len(own), chance.choice((1, 2, 2, 3))))
        if chance.random() < 0.2:
            filters.append(chance.choice(all_values))
        least = chance.choice((None, None, "0.6", "0.60001", "1", "0", "0.3"))
        since = chance.choice(("", "", chance.choice(at)))
        options = [f"--{name}={value}" for name, value in filters]
        options += [f"--min-confidence={least}"] if least else []
        options += [f"--since={since}"] if since else []
        expected = shop.expected(*filters, least=least, since=since, names=names)
        found = shop.find(*options)
        if found != expected:
            wrong[shlex.join(options)] = set(expected) ^ set(found)
    assert wrong == {}


@pytest.mark.parametrize(
    "options",
    [(), ("--type", "clothing"), ("--color", "COLOR-0", "--min-confidence", "0.2")],
    ids=["all", "type", "color"],
)
def test_pages_are_the_list(shop: Observed, options: tuple[str, ...]) -> None:
    """By the command that each page prints."""
    whole = hangtag(
        shop.stack, "results", "find", "--limit=9999", "--since", shop.since, *options
    )
    arguments = ["--json", "results", "find", "--limit", "7", "--since", shop.since]
    arguments += options
    paged: list[dict[str, Any]] = []
    while arguments:
        code, out, err = invoke(shop.stack, *arguments)
        assert code == 0, err
        page = lines(out)
        paged += page
        assert len(page) == 7 or "More: " not in err
        more = err.rpartition("More: ")[2] if "More: " in err else ""
        arguments = shlex.split(more)[1:]
    assert paged == whole
    assert len(whole) > 7


@pytest.mark.parametrize("name", FIELDS[1:])
def test_values_are_counted(shop: Observed, name: str) -> None:
    """Each value with the number of results that have it."""
    expected: Counter[str] = Counter()
    for version in shop.truth.found.values():
        expected.update(
            {hashed(key) for one, key, _, _ in version.known.values() if one == name}  # type: ignore[union-attr]
        )
    before = shop.counts_before[name]
    after = counts(shop.stack, name)
    added = {
        value: number - before.get(value, 0)
        for value, number in after.items()
        if number != before.get(value, 0)
    }
    assert added == dict(expected)


def hashed(value: str) -> str:
    """As docs/data-model.md says of values longer than 256 bytes."""
    same = value if len(value.encode()) <= 256 else plain(value)
    if len(same.encode()) <= 256:
        return same
    return f"sha256:{hashlib.sha256(same.encode()).hexdigest()}"


# ---- export


def exported(shop: Observed, kind: str, path: Path) -> Path:
    """The file that the command writes."""
    code, _, err = invoke(
        shop.stack,
        *("results", "export", "--format", kind, "--output", str(path)),
        *("--since", shop.since),
    )
    assert code == 0, err
    return path


def test_jsonl_has_all_results_oldest_first(shop: Observed, tmp_path: Path) -> None:
    """Each as `results show` has it."""
    found = lines(exported(shop, "jsonl", tmp_path / "all.jsonl").read_text("utf-8"))
    assert [one["taggedAt"] for one in found] == sorted(
        one["taggedAt"] for one in found
    )
    assert len(found) == len(shop.truth.found)
    for result in found:
        version = shop.truth.found[shop.key_of(result)]
        assert version.known
        assert result["image"]["versionId"] == version.id
        assert result["language"] == version.known.language
        assert rounded(result["objects"]) == rounded(version.known.answer()["objects"])
        assert result["genderInfo"] == version.known.document.get("genderInfo")


def test_csv_has_all_garments(shop: Observed, tmp_path: Path) -> None:
    """A row for each, and no cell begins a formula."""
    path = exported(shop, "csv", tmp_path / "all.csv")
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    for row in rows:
        for cell in row.values():
            assert not cell.lstrip().startswith(("=", "+", "-", "@")), cell
    expected: Counter[tuple[str, str, str, str]] = Counter()
    for version in shop.truth.found.values():
        assert version.known
        garments = [
            (one["type"], tag)
            for one in version.known.document["objects"]
            for tag in one["tags"]
        ]
        for number, (kind, tag) in enumerate(garments, start=1):
            colors = ", ".join(one["name"] for one in tag.get("colors", ()))
            expected[version.id, str(number), kind, safe(colors)] += 1
        if not garments:
            expected[version.id, "", "", ""] += 1
    found = Counter(
        (row["versionId"], row["garment"], row["type"], safe(row["colors"]))
        for row in rows
    )
    assert found - expected == Counter()
    assert expected - found == Counter()


def safe(text: str) -> str:
    """Letters and digits only: the others may be changed for spreadsheets."""
    return "".join(one for one in text if one.isascii() and one.isalnum())


def test_parquet_has_all_results(shop: Observed, tmp_path: Path) -> None:
    """Typed, and as JSON."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(exported(shop, "parquet", tmp_path / "p")).to_pylist()
    assert len(rows) == len(shop.truth.found)
    for row in rows:
        version = shop.truth.found[row["key"]]
        assert version.known
        assert row["versionId"] == version.id
        assert row["productId"] == version.known.product
        [result] = lines(row["result"])
        assert rounded(result["objects"]) == rounded(version.known.answer()["objects"])
        assert [garment["category"] for garment in row["garments"]] == [
            {"id": None, **tag["category"]}
            for one in version.known.document["objects"]
            for tag in one["tags"]
        ]
        assert [
            [almost(color["confidence"]) for color in garment["colors"] or ()]
            for garment in row["garments"]
        ] == [
            [almost(color.get("confidence")) for color in tag.get("colors", ())]
            for one in version.known.answer()["objects"]
            for tag in one["tags"]
        ]


def almost(value: float | Decimal | None) -> object:
    """A confidence as a double."""
    return None if value is None else pytest.approx(float(value))


# ---- the index is derived


def test_a_reindex_has_nothing_to_do(shop: Observed) -> None:
    """The index is what the results say."""
    [report] = hangtag(shop.stack, "results", "reindex")
    assert (report["added"], report["removed"]) == (0, 0)


def test_a_reindex_restores_an_index_that_is_gone(shop: Observed) -> None:
    """Entry by entry, and the values by their names."""
    before = indexed(shop.stack)
    counted = {name: counts(shop.stack, name) for name in FIELDS[1:]}
    table = shop.stack.outputs["IndexTableName"]
    database = shop.stack.client("dynamodb")
    for item in list(scan(shop.stack, "IndexTableName")):
        database.delete_item(
            TableName=table, Key={"tag": {"S": item["tag"]}, "at": {"S": item["at"]}}
        )
    assert indexed(shop.stack) == set()
    assert shop.find() == []

    [report] = hangtag(shop.stack, "results", "reindex", "--yes")

    assert report["added"] == len(before)
    assert indexed(shop.stack) == before
    assert {name: counts(shop.stack, name) for name in FIELDS[1:]} == counted
    names = shop.truth.names()
    every = values_to_find(shop)
    for name, value in every[:: max(1, len(every) // 12)]:
        assert shop.find(f"--{name}", value) == shop.expected(
            (name, value), names=names
        )
