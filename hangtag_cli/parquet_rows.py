"""Results as rows of a Parquet file: one for each result, see docs/export.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

from hangtag.results import Document
from hangtag.text import to_json

from .answer_parts import ATTRIBUTES, garments_in
from .exits import NotDone

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 500  # as Python objects, which take ten times the memory of Arrow's columns
_CHARACTERS = (
    16_000_000  # of JSON in a row group, which is in memory until it is written
)

_NAMED: Final = {"id": str, "name": str}
_ATTRIBUTE: Final = {**_NAMED, "confidence": float}
_LISTS: Final = ("colors", "prints", "textures", "looks", "details")

SHAPE: Final[Mapping[str, Any]] = {
    "uri": str,
    "bucket": str,
    "key": str,
    "versionId": str,
    "etag": str,
    "size": int,
    "sequencer": str,
    "language": str,
    "taggedAt": datetime,
    "productId": str,
    "gender": _NAMED,
    "imageInfo": [_NAMED],
    "garments": [
        {
            "type": str,
            "position": {"x": float, "y": float},
            "category": _NAMED,
            **{
                name: [_ATTRIBUTE] if name in _LISTS else _ATTRIBUTE
                for name in ATTRIBUTES
            },
            "colorDetails": [{"code": str, "name": str, "pixelFraction": float}],
            "pairIndex": int,
        }
    ],
    "result": str,
}
"""The columns: a type, a dict for a struct, a list with one shape for a list."""


class ParquetRows:
    """Writes results to a file, in groups of rows."""

    def __init__(self, file: BinaryIO) -> None:
        """Raise `NotDone` if the package pyarrow is not installed."""
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ModuleNotFoundError as error:
            raise NotDone(
                "Parquet needs the package pyarrow: in the checkout, "
                "`pip install '.[parquet]'`"
            ) from error
        self._pa = pa
        self._schema = pa.schema(
            [(name, _arrow_type(shape)) for name, shape in SHAPE.items()]
        )
        self._file = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[Mapping[str, Any]] = []
        self._batches: list[pa.RecordBatch] = []
        self._characters = 0

    def write(self, result: Document) -> None:
        """Add a TAGGED result."""
        row = row_of(result)
        self._rows.append(row)
        self._characters += len(row["result"])
        if len(self._rows) >= _ROWS:
            self._pack()
        if self._characters >= _CHARACTERS:
            self._write_group()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Write what is left, unless there was an error, and the end of the file."""
        if self._characters and kind is None:
            self._write_group()
        self._file.close()

    def _pack(self) -> None:
        self._batches.append(self._pa.RecordBatch.from_pylist(self._rows, self._schema))
        self._rows = []

    def _write_group(self) -> None:
        self._pack()
        self._file.write_table(self._pa.Table.from_batches(self._batches))
        self._batches, self._characters = [], 0


def row_of(result: Document) -> Mapping[str, Any]:
    """A result as a row of `SHAPE`; a value of another type is None. `result` has all of it."""
    found = {
        **result["image"],
        "language": result["language"],
        "taggedAt": result["taggedAt"],
        "productId": result["context"].get("id"),
        "gender": result.get("genderInfo"),
        "imageInfo": result.get("imageInfo"),
        "garments": [
            {**garment.tag, "type": garment.kind}
            for garment in garments_in(result.get("objects"))
        ],
        "result": to_json(result),
    }
    return {name: _fitted(found.get(name), shape) for name, shape in SHAPE.items()}


def _fitted(value: Any, shape: Any) -> Any:  # noqa: ANN401 - an answer may have any value
    """*value* as the type of a column takes it, or None."""
    if isinstance(shape, dict):
        if not isinstance(value, Mapping):
            return None
        return {name: _fitted(value.get(name), part) for name, part in shape.items()}
    if isinstance(shape, list):
        if not isinstance(value, list):
            return None
        return [_fitted(part, shape[0]) for part in value if part is not None]
    if shape is str:
        return _text(value)
    if shape is datetime:
        return _moment(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return _double(value) if shape is float else _whole(value)


def _text(value: object) -> str | None:
    # The half of a surrogate pair is valid JSON, and no UTF-8
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None


def _double(value: int | Decimal) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _whole(value: int | Decimal) -> int | None:
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else None


def _arrow_type(shape: Any) -> pa.DataType:  # noqa: ANN401 - see `SHAPE`
    import pyarrow as pa

    if isinstance(shape, dict):
        return pa.struct([(name, _arrow_type(part)) for name, part in shape.items()])
    if isinstance(shape, list):
        return pa.list_(_arrow_type(shape[0]))
    return {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        datetime: pa.timestamp("ms", tz="UTC"),
    }[shape]
