"""The statements of docs/export.md read an item of the table as DynamoDB exports it."""

from __future__ import annotations

import json
import re
from typing import Any

import boto3

from tests.builders import REPOSITORY, URI, a_result, an_answer, jacket
from tests.contract.cli_stack import InMemory

PAGE = (REPOSITORY / "docs/export.md").read_text("utf-8")
PATHS = re.compile(r"json_extract(?:_scalar)?\((\w+), '\$\.([^']+)'\) ?(?:AS|=|\)|as)")


def at(value: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    """The value at a JSON path of Athena; raises `KeyError` or `IndexError` without one."""
    for name, index in re.findall(r"(\w+)(?:\[(\d+)\])?", path):
        value = value[name]
        if index:
            value = value[int(index)]
    return value


def test_the_statements_find_the_values_of_a_stored_item(stack: InMemory) -> None:
    """A wrong path would give empty columns, and no error."""
    result = a_result(answer=an_answer(jacket()))
    result["context"] = {"id": "A-1"}
    stack.store(result)
    items = boto3.client("dynamodb").scan(TableName=stack.outputs["ResultsTableName"])
    [item] = [one for one in items["Items"] if one["version"]["S"] == "result"]
    line = json.loads(json.dumps({"Item": {**item, "largeResult": {"S": "a/b.json"}}}))
    found_object = at(line, "Item.result.M.objects.L[0]")
    sources = {
        "line": line,
        "object": found_object,
        "tag": at(found_object, "M.tags.L[0]"),
    }

    paths = PATHS.findall(PAGE)

    assert len(paths) == PAGE.count("'$.") == 19
    values = {f"{source}: {path}": at(sources[source], path) for source, path in paths}
    assert values["line: Item.uri.S"] == URI
    assert values["line: Item.version.S"] == "result"
    assert values["tag: M.colors.L[0].M.name.S"] == "beige"
    assert values["tag: M.item.M.confidence.N"] == "0.7787289023"
