"""`hangtag results find`, `values` and `reindex` against a stack in memory."""

from __future__ import annotations

import json
import shlex
from typing import Any

import boto3
import pytest

from hangtag.results import Document
from tests.builders import NOON, a_result, an_answer, an_upload
from tests.contract.cli_stack import TEMPLATE, InMemory, hangtag
from tests.unit.test_find import COATS, RED, WINE, at, tagged

SAME = 5
"""Tagged images that are red."""


def put(stack: InMemory, result: Document) -> Document:
    """Stores and indexes a result."""
    stack.store(result, key=result["image"]["key"])
    stack.index(result)
    return result


@pytest.fixture
def shop(stack: InMemory) -> InMemory:
    """Five red dresses, the newest with a product, and a coat that is wine."""
    for number in range(SAME):
        product = "SKU-4" if number == 4 else None
        put(stack, tagged(f"{number}.png", RED, product=product, tagged_at=at(number)))
    put(stack, tagged("coat.png", WINE, category=COATS, tagged_at=at(-9)))
    return stack


def keys_in(stdout: str) -> list[str]:
    """The keys of the results that were printed as JSON."""
    return [json.loads(line)["image"]["key"] for line in stdout.splitlines()]


@pytest.mark.usefixtures("shop")
def test_results_are_found_by_their_tags() -> None:
    """A line each, newest first; what is printed is the result."""
    shown = hangtag(
        *("--json", "results", "find", "--color", "Red", "--category", "dresses"),
        *("--min-confidence", "0.6", "--since", at(1), "--limit", "2"),
    )

    assert shown.exit_code == 0
    assert keys_in(shown.stdout) == ["4.png", "3.png"]
    wanted = tagged("4.png", RED, product="SKU-4", tagged_at=at(4))
    first = json.loads(shown.stdout.splitlines()[0])
    assert first == json.loads(json.dumps(wanted, default=float))


@pytest.mark.usefixtures("shop")
def test_the_command_for_the_next_page_is_printed() -> None:
    """It can be copied, and shows the rest."""
    first = hangtag("--json", "results", "find", "--color", "red", "--limit", "3")
    command = first.stderr.partition("More: ")[2]
    second = hangtag(*shlex.split(command)[1:])

    assert keys_in(first.stdout) == ["4.png", "3.png", "2.png"]
    assert keys_in(second.stdout) == ["1.png", "0.png"]
    assert second.stderr == ""


def test_a_very_long_value_without_an_id_is_found_by_its_name(shop: InMemory) -> None:
    """The index keeps the beginning of a name only, and its hash."""
    value = "Long Colour " * 30
    put(shop, tagged("long.png", {"name": value}))

    shown = hangtag("--json", "results", "find", "--color", value)

    assert keys_in(shown.stdout) == ["long.png"]


@pytest.mark.usefixtures("shop")
def test_the_command_for_the_next_page_asks_the_same_stack_in_the_same_time() -> None:
    """Also if the region was given as an option."""
    times = ("--since", "2020-01-31", "--until", "2999-01-31T12:00Z")
    first = hangtag(
        *("--region", "eu-central-1", "--json", "results", "find", *times),
        *("--color", "red", "--limit", "3"),
    )
    command = first.stderr.partition("More: ")[2]
    second = hangtag(*shlex.split(command)[1:])

    assert "--region eu-central-1" in command
    assert "--since 2020-01-31T00:00:00.000Z" in command
    assert "--until 2999-01-31T12:00:00.000Z" in command
    assert keys_in(second.stdout) == ["1.png", "0.png"]


@pytest.mark.usefixtures("shop")
def test_a_table_shows_image_time_and_tags_with_confidence() -> None:
    """The fields that were searched have a column, too."""
    shown = hangtag("results", "find", "--product", "sku-4", "--gender", "male")

    assert shown.exit_code == 0
    assert "4.png" in shown.stdout
    assert "red 0.90" in shown.stdout
    assert "gender" in shown.stdout
    assert at(4).partition(".")[0].replace("T", " ") in shown.stdout


@pytest.mark.usefixtures("shop")
def test_an_image_has_a_line_in_a_terminal_of_80_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bucket, whose name is long, is printed once."""
    monkeypatch.setenv("COLUMNS", "80")

    bucket, _, _, *images = hangtag(
        "results", "find", "--color", "red"
    ).stdout.splitlines()

    assert bucket == f"s3://{an_upload().bucket}/"
    assert [line.split()[0] for line in images] == [
        f"{number}.png" for number in reversed(range(SAME))
    ]


@pytest.mark.usefixtures("shop")
def test_a_narrow_terminal_still_shows_the_image_and_the_date(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is less of the tags."""
    monkeypatch.setenv("COLUMNS", "30")

    shown = hangtag("results", "find", "--color", "red").stdout

    assert "4.png" in shown
    assert NOON[:10] in shown


@pytest.mark.usefixtures("shop")
def test_a_confidence_without_a_value_is_said_to_have_no_effect() -> None:
    """All results are shown, also those with less confidence."""
    shown = hangtag("--json", "results", "find", "--min-confidence", "0.99")

    assert keys_in(shown.stdout)
    assert "--min-confidence has no effect" in shown.stderr


def test_images_of_several_buckets_have_their_uris(shop: InMemory) -> None:
    """A stack may have had another bucket before."""
    other = a_result(an_upload("0.png", bucket="another"), tagged_at=at(9))
    shop.store(other, key="0.png", bucket="another")
    shop.index(other)

    shown = hangtag("results", "find").stdout

    assert "s3://another/0.png" in shown
    assert f"s3://{an_upload().bucket}/0.png" in shown


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("command", ["find", "export"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--color", "rad"], "did you mean --color red?"),
        (["--color", "dresses"], "did you mean --category dresses?"),
        (["--look", "!"], "hangtag results values look"),
        (["--product", "no"], "No results have all of that"),
        (["--color", "wine", "--category", "dresses"], "No results have all of that"),
    ],
)
def test_finding_nothing_says_what_was_perhaps_meant(
    command: str, arguments: list[str], words: str
) -> None:
    """It is exit status 1."""
    shown = hangtag("results", command, *arguments)

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert words in shown.stderr


@pytest.mark.usefixtures("shop")
def test_the_page_after_the_last_one_is_empty() -> None:
    """The last result was removed after its page, say."""
    shown = hangtag(
        "results", "find", "--color", "red", "--after", f"{at(0)}#{'0' * 32}"
    )

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "No more results" in shown.stderr


@pytest.mark.usefixtures("stack")
def test_an_empty_index_names_the_command_that_fills_it() -> None:
    """Results may be older than the index."""
    for arguments in (["find"], ["export"], ["values", "color"]):
        shown = hangtag("results", *arguments)

        assert shown.exit_code == 1
        assert "hangtag results reindex --yes" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["find", "--after", "x"], "cursor"),
        (["find", "--min-confidence", "1.1"], "from 0 to 1"),
        (["find", "--min-confidence", "nan"], "from 0 to 1"),
        (["find", "--min-confidence", "much"], "number"),
        (["find", "--color", ""], "empty"),
        (["values", "colr"], "did you mean color?"),
        (["values", "product"], "not listed"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], words: str) -> None:
    """It is exit status 2; AWS is not asked."""
    shown = hangtag("results", *arguments)

    assert shown.exit_code == 2
    assert words in shown.stderr


@pytest.mark.usefixtures("shop")
def test_values_are_listed_with_their_counts() -> None:
    """The most frequent first; British spelling is fine."""
    for_programs = hangtag("--json", "results", "values", "colour")
    for_people = hangtag("results", "values", "color")

    assert [json.loads(line) for line in for_programs.stdout.splitlines()] == [
        {"field": "color", "value": "EXAMPLE-RED", "names": ["red"], "count": 5},
        {"field": "color", "value": "EXAMPLE-WINE", "names": ["wine"], "count": 1},
    ]
    assert "EXAMPLE-WINE" in for_people.stdout


def test_the_index_is_rebuilt(stack: InMemory) -> None:
    """Without --yes, the command only counts."""
    result = a_result(an_upload("a.png"), answer=an_answer({"colors": [RED, WINE]}))
    stack.store(result, key="a.png")

    dry = hangtag("--json", "results", "reindex")
    nothing = hangtag("results", "find", "--color", "red")
    done = hangtag("--json", "results", "reindex", "--yes")
    found = hangtag("--json", "results", "find", "--color", "red")

    counts: dict[str, Any] = {"results": 1, "added": 5, "removed": 0}
    assert json.loads(dry.stdout) == {**counts, "dryRun": True}
    assert "would write 5 entries" in dry.stderr
    assert nothing.exit_code == 1
    assert json.loads(done.stdout) == {**counts, "dryRun": False}
    assert keys_in(found.stdout) == ["a.png"]


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    "arguments", [["find"], ["values", "color"], ["reindex"]], ids=" ".join
)
def test_a_stack_of_an_older_version_is_to_be_deployed(arguments: list[str]) -> None:
    """It has no index."""
    outputs = {
        name: value
        for name, value in TEMPLATE["Outputs"].items()
        if name != "IndexTableName"
    }
    boto3.client("cloudformation").create_stack(
        StackName="hangtag", TemplateBody=json.dumps({**TEMPLATE, "Outputs": outputs})
    )

    shown = hangtag("results", *arguments)

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "IndexTableName" in shown.stderr
    assert "hangtag results reindex --yes" in shown.stderr
