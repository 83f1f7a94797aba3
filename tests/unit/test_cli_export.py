"""`hangtag results export`, on results that a fake search finds."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from hangtag.errors import ResultsUnavailable
from hangtag.index import FIELDS
from hangtag.operators.find import Query
from hangtag.results import Document
from hangtag_cli import parquet_rows
from hangtag_cli.csv_rows import BYTE_ORDER_MARK, COLUMNS, header, rows_of
from hangtag_cli.export import expected_number
from hangtag_cli.main import cli
from hangtag_cli.parquet_rows import SHAPE, ParquetRows, row_of
from hangtag_cli.query_options import _FIELDS as OPTIONS
from hangtag_cli.stack import Stack
from tests import hostile
from tests.builders import (
    NOON,
    REPOSITORY,
    URI,
    a_result,
    an_answer,
    an_upload,
    jacket,
)
from tests.fakes.found import FakeFinder

FORMATS = ("jsonl", "csv", "parquet")
DOCS = (REPOSITORY / "docs/export.md").read_text("utf-8")


Run = Callable[..., Result]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command on a fake search."""

    def run(finder: FakeFinder, *arguments: object) -> Result:
        monkeypatch.setattr(Stack, "finder", lambda _: finder)
        words = ["--region", "eu-central-1", "results", "export", *map(str, arguments)]
        return CliRunner(mix_stderr=False).invoke(cli, words)

    return run


def csv_table(lines: bytes) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(lines.decode("utf-8-sig"), newline="")))


def two_garments() -> Document:
    """A result with a jacket and trousers, of a product."""
    trousers = {"category": {"id": "T2", "name": "pants"}, "item": {"id": "T3"}}
    result = a_result(answer=an_answer(jacket(), trousers))
    result["context"] = {"id": "A-1", "brand": "Example"}
    return result


def test_each_line_of_jsonl_is_a_result(exported: Run) -> None:
    """Digit for digit, as `results show --json` prints it."""
    other = a_result(an_upload("other.jpg"))

    shown = exported(FakeFinder(two_garments(), other))

    assert (shown.exit_code, shown.stderr) == (0, "Exported 2 results.\n")
    first, second = shown.stdout.splitlines()
    assert json.loads(first, parse_float=Decimal) == two_garments()
    assert json.loads(second)["image"]["key"] == "other.jpg"


def test_each_row_of_csv_is_a_garment(exported: Run) -> None:
    """People filter and count garments; all names of a list are in one cell."""
    shown = exported(FakeFinder(two_garments()), "--format", "csv")

    assert shown.stdout.startswith('"uri",'), "no mark before it on stdout"
    first, second = csv_table(shown.stdout_bytes)
    assert list(first) == list(COLUMNS)
    assert {name: value for name, value in first.items() if value} == {
        "uri": URI,
        "versionId": "version-1",
        "taggedAt": NOON,
        "language": "en",
        "productId": "A-1",
        "brand": "Example",
        "gender": "male",
        "garment": "1",
        "type": "CLOTHING",
        "x": "0.5033992828",
        "y": "0.5039257706",
        "category": "jacket",
        "item": "balmacaan-jacket",
        "itemConfidence": "0.7787289023",
        "colors": "beige, khaki",
        "colorsConfidence": "0.8287289023",
        "looks": "casual",
        "looksConfidence": "0.8063992262",
    }
    assert (second["garment"], second["category"], second["item"]) == (
        *("2", "pants"),
        "T3",
    )


def test_a_result_without_garments_has_one_row(exported: Run) -> None:
    """Otherwise its image would look as if it were not tagged."""
    empty = a_result()
    empty["objects"] = [{"type": "NODETC", "tags": []}]

    shown = exported(FakeFinder(empty), "--format", "csv")

    [row] = csv_table(shown.stdout_bytes)
    assert (row["uri"], row["garment"], row["type"]) == (URI, "", "")


def test_lines_of_csv_end_as_rfc_4180_says() -> None:
    """Excel and strict readers expect CR LF."""
    assert header().count(b"\r\n") == header().count(b"\n") == 1
    assert rows_of(two_garments()).count(b"\r\n") == 2


def test_a_csv_file_begins_with_the_mark_that_excel_needs(
    exported: Run, tmp_path: Path
) -> None:
    """Without it, Excel shows Korean names as rubbish."""
    path = tmp_path / "tags.csv"
    result = a_result(an_upload("드레스.jpg"))

    exported(FakeFinder(result), "--format", "csv", "--output", path)

    assert path.read_bytes().startswith(BYTE_ORDER_MARK + b'"uri"')
    assert csv_table(path.read_bytes())[0]["uri"].endswith("드레스.jpg")


def test_parquet_has_typed_columns(exported: Run, tmp_path: Path) -> None:
    """A query engine needs no casts; the exact answer is in the column `result`."""
    path = tmp_path / "tags.parquet"

    shown = exported(
        FakeFinder(two_garments()), "--format", "parquet", "--output", path
    )

    assert (shown.exit_code, shown.stdout) == (0, "")
    [row] = pq.read_table(path).to_pylist()
    assert row["taggedAt"] == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert (row["uri"], row["productId"], row["size"]) == (URI, "A-1", 72)
    assert row["gender"] == {"id": "T0418", "name": "male"}
    first, second = row["garments"]
    assert first["colors"][0]["confidence"] == pytest.approx(0.8287289023)
    assert (second["category"]["name"], second["colors"]) == ("pants", None)
    assert json.loads(row["result"], parse_float=Decimal) == two_garments()


@pytest.mark.parametrize(
    "odd", [Decimal("1e9999"), 10**400, "0.5", True, [], {"a": 1}, None]
)
def test_an_odd_value_is_null_in_a_typed_column(odd: object) -> None:
    """The column `result` has it as it came."""
    tag = {"item": {"name": "a", "confidence": odd}, "pairIndex": odd and str(odd)}

    row = row_of(a_result(answer=an_answer(tag)))

    [garment] = row["garments"]
    assert (garment["item"]["name"], garment["item"]["confidence"]) == ("a", None)
    assert garment["pairIndex"] is None


def test_parquet_is_written_in_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group is in memory until it is written."""
    monkeypatch.setattr(parquet_rows, "_ROWS", 3)
    monkeypatch.setattr(
        parquet_rows, "_CHARACTERS", 4 * len(row_of(a_result())["result"])
    )
    path = tmp_path / "tags.parquet"

    with path.open("wb") as file, ParquetRows(file) as rows:
        for _ in range(9):
            rows.write(a_result())

    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [
        *(4, 4),
        1,
    ]


def test_parquet_without_its_package_says_how_to_install_it(
    exported: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes 170 MB, so it is an extra."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "tags.parquet"

    shown = exported(FakeFinder(a_result()), "--format", "parquet", "--output", path)

    assert shown.exit_code == 1
    assert "pip install '.[parquet]'" in shown.stderr
    assert list(tmp_path.iterdir()) == []


# ---- files


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (ResultsUnavailable("no"), 1)]
)
def test_an_export_that_ends_early_leaves_the_file_of_before(
    exported: Run,
    tmp_path: Path,
    file_format: str,
    error: BaseException,
    status: int,
) -> None:
    """Half a file would look whole."""
    path = tmp_path / "tags"
    path.write_text("of yesterday")

    shown = exported(
        FakeFinder(a_result(), error=error), "--format", file_format, "--output", path
    )

    assert (shown.exit_code, shown.stdout) == (status, "")
    assert path.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_has_its_name_when_it_is_whole(
    exported: Run, tmp_path: Path, file_format: str
) -> None:
    """It replaces the one of before; only its owner can read it."""
    path = tmp_path / "tags"
    path.write_text("of yesterday")

    shown = exported(FakeFinder(a_result()), "--format", file_format, "--output", path)

    assert (shown.exit_code, shown.stdout) == (0, "")
    assert f"to {path}" in shown.stderr
    assert b"of yesterday" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_a_sentence(
    exported: Run, tmp_path: Path
) -> None:
    """A missing folder, and a device that a rename would replace."""
    for path in (tmp_path / "missing/tags", Path("/dev/null")):
        shown = exported(FakeFinder(a_result()), "--output", path)

        assert shown.exit_code == 1
        assert "name another" in shown.stderr


def test_nothing_found_is_exit_status_1_and_no_file(
    exported: Run, tmp_path: Path
) -> None:
    """A misspelt value must not replace a good file."""
    path = tmp_path / "tags.jsonl"

    shown = exported(FakeFinder(), "--output", path)

    assert (shown.exit_code, shown.stdout, path.exists()) == (1, "", False)
    assert "No results" in shown.stderr


# ---- options


def test_the_options_are_the_query(exported: Run) -> None:
    """All of them must match; repeated ones, too."""
    finder = FakeFinder(a_result())
    words = "--color red --color navy --category dresses --min-confidence 0.6"
    times = "--since 2026-01-31 --until 2026-02-28T12:00Z"

    exported(finder, *words.split(), *times.split())

    assert finder.queries == [
        Query(
            filters=(("category", "dresses"), ("color", "red"), ("color", "navy")),
            min_confidence=Decimal("0.6"),
            since="2026-01-31T00:00:00.000Z",
            until="2026-02-28T12:00:00.000Z",
        )
    ]


def test_the_last_moment_of_the_calendar_is_a_time(exported: Run) -> None:
    """As people write it who mean no limit; rounded up, it would be in the year 10000."""
    finder = FakeFinder(a_result())

    exported(finder, "--until", "9999-12-31T23:59:59.999999")

    assert [one.until for one in finder.queries] == ["9999-12-31T23:59:59.999Z"]


def test_every_field_has_an_option() -> None:
    """A field that the index has and no option names could not be searched."""
    assert set(OPTIONS) == set(FIELDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "parquet"],
        ["--json", "--format", "csv"],
        ["--min-confidence", "1.1"],
        ["--min-confidence", "nan"],
        ["--since", "1d", "--until", "2d"],
        ["--format", "xlsx"],
    ],
)
def test_wrong_usage_is_exit_status_2(exported: Run, arguments: list[str]) -> None:
    """Nothing is searched."""
    finder = FakeFinder(a_result())

    shown = exported(finder, *arguments)

    assert (shown.exit_code, finder.queries) == (2, [])


def test_json_is_jsonl(exported: Run) -> None:
    """A result a line, as `results find --json`."""
    shown = exported(FakeFinder(a_result()), "--json")

    assert json.loads(shown.stdout)["status"] == "TAGGED"


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("2026-01-02T00:00:00.000Z", 1_000),
        ("2026-01-06T00:00:00.000Z", 200),
        ("2026-01-01T00:00:00.000Z", 0),
        ("2026-01-12T00:00:00.000Z", 0),
    ],
)
def test_the_bar_expects_results_as_often_as_so_far(last: str, expected: int) -> None:
    """A count of them would cost as much as a search."""
    first, until = "2026-01-01T00:00:00.000Z", datetime(2026, 1, 11, tzinfo=UTC)

    assert expected_number(100, first, last, until) == expected


def test_a_last_time_in_the_future_makes_no_more_results(
    exported: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar expects none after now."""
    untils: list[datetime] = []

    def expected(_number: int, _first: str, _last: str, until: datetime) -> int:
        untils.append(until)
        return 0

    monkeypatch.setattr("hangtag_cli.export.expected_number", expected)
    exported(FakeFinder(*[a_result()] * 100), "--until", "9999-12-31")

    assert [until <= datetime.now(UTC) for until in untils] == [True]


# ---- values from outside


@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_hostile_text_does_not_control_the_terminal(
    exported: Run, file_format: str
) -> None:
    """An uploader chooses the key and the context, the API the names."""
    tag = {"category": {"name": hostile.TEXT}, "colors": [{"id": hostile.TEXT}]}
    result = a_result(an_upload(f"{hostile.TEXT}.png"), answer=an_answer(tag))
    result["context"] = {"id": hostile.TEXT, "brand": f"={hostile.TEXT}"}

    shown = exported(FakeFinder(result), "--format", file_format)

    assert hostile.raw_in(shown.stdout.replace("\r\n", "\n")) == []
    assert "]52;c;" in shown.stdout
    assert len(shown.stdout.splitlines()) == (1 if file_format == "jsonl" else 2)


def test_no_name_becomes_a_formula(exported: Run) -> None:
    """A spreadsheet would calculate it, and could send what other cells have."""
    names = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", '"=1', " =1", "\uff1d1"]
    for name in names:
        result = a_result(answer=an_answer({"category": {"name": name}}))
        result["context"] = {"id": name}

        shown = exported(FakeFinder(result), "--format", "csv")

        [row] = csv_table(shown.stdout_bytes)
        assert row["category"][0] == row["productId"][0] == "'", name


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False)
    | st.sampled_from([Decimal("1e999999999"), 10**400])
    | st.text(st.characters(exclude_categories=())),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "tags",
                    "colors",
                    "name",
                    "confidence",
                    "position",
                    "x",
                    "item",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.fuzz("hangtag_cli.parquet_rows.row_of")
@given(
    parts=st.fixed_dictionaries(
        {"objects": _json, "genderInfo": _json, "imageInfo": _json}
    ),
    product=_json,
    tagged_at=st.text()
    | st.datetimes().map(str)
    | st.just("0001-01-01T00:00:00+14:00"),
)
def test_every_answer_can_be_exported(
    parts: dict[str, Any], product: object, tagged_at: str
) -> None:
    """Answers may have values of any type; one odd value must not end an export."""
    # Infinite numbers are no JSON, so no answer has them
    result = {**a_result(tagged_at=tagged_at), **_finite(parts)}
    result["context"] = {"id": _finite(product)}
    file = io.BytesIO()

    with ParquetRows(file) as rows:
        rows.write(result)

    assert pq.read_table(file).num_rows == 1
    assert {len(row) for row in csv.reader(io.StringIO(rows_of(result).decode()))} == {
        len(COLUMNS)
    }


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON-like
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, Decimal) and not value.is_finite() else value


# ---- documentation


@pytest.mark.parametrize("column", [*COLUMNS, *SHAPE])
def test_each_column_is_documented(column: str) -> None:
    """People read columns months later."""
    named = column.removesuffix("Confidence") if column != "Confidence" else column

    assert f"`{named}`" in DOCS
