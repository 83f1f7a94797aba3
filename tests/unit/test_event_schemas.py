"""The schemas of the announcements: fresh, strict about promises, compatible with the published."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from events.compatibility import incompatibilities
from events.generate_examples import EXAMPLES, example_text
from events.generate_schemas import schema_text
from events.models import EVENTS
from events.validation import InvalidAnnouncement, require_valid
from hangtag.announcements import TAGGED, announcement_of
from release.check import PRINTED
from tests.builders import REPOSITORY, a_failed_result, a_result

FOLDER = REPOSITORY / "events"
PUBLISHED = sorted((FOLDER / "schemas" / "published").glob("*.json"))


def read(path: Path) -> Any:  # noqa: ANN401 - JSON
    """The document in a file."""
    return json.loads(path.read_text("utf-8"))


def schema(event: str = TAGGED) -> Any:  # noqa: ANN401 - JSON
    """The committed schema of a type of event."""
    return read(FOLDER / "schemas" / f"{event}.json")


# ---- schemas and examples are those of the code


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_the_committed_schema_is_that_of_the_models(event: str) -> None:
    """The docstring of events/generate_schemas.py says how to write it."""
    committed = (FOLDER / "schemas" / f"{event}.json").read_text("utf-8")

    assert committed == schema_text(event)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_committed_example_is_that_of_the_function(name: str) -> None:
    """The docstring of events/generate_examples.py says how to write it."""
    committed = (FOLDER / "examples" / f"{name}.json").read_text("utf-8")

    assert committed == example_text(name)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_is_valid(name: str) -> None:
    """Consumers test with it."""
    require_valid(example_text(name))


def test_there_is_an_example_of_each_type_of_event() -> None:
    """And one of a truncated announcement."""
    examples = [read(FOLDER / "examples" / f"{name}.json") for name in EXAMPLES]

    assert {example["type"] for example in examples} == set(EVENTS)
    assert any(example["data"].get("truncated") for example in examples)


def test_the_folders_have_no_other_files() -> None:
    """A renamed schema or example would stay behind."""
    names = {
        str(path.relative_to(FOLDER))
        for folder in ("schemas", "examples")
        for path in (FOLDER / folder).glob("*.json")
    }

    assert names == {
        *(f"schemas/{event}.json" for event in EVENTS),
        *(f"examples/{name}.json" for name in EXAMPLES),
    }
    assert {f"events/{name}" for name in names} <= set(PRINTED)


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_a_schema_is_json_schema_2020_12(event: str) -> None:
    """It names its dialect, has an id, and its references resolve."""
    found = schema(event)

    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["$id"] == f"urn:hangtag:event:{event}"
    assert found["title"] == event
    jsonschema_rs.meta.validate(found)


def fields_of(node: Any, where: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    """Every property in a schema."""
    if isinstance(node, list):
        for part in node:
            yield from fields_of(part, where)
    if isinstance(node, dict):
        for name, part in node.get("properties", {}).items():
            yield f"{where}.{name}", part
        for name, part in node.items():
            yield from fields_of(part, f"{where}.{name}")


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_every_field_is_described(event: str) -> None:
    """Consumers read the schema instead of the code."""
    definitions = schema(event)["$defs"]

    undescribed = [
        where
        for where, field in fields_of(schema(event), event)
        if not field.get("description")
        and not definitions.get(field.get("$ref", "")[8:], {}).get("description")
    ]

    assert undescribed == []


# ---- what a schema refuses


def announcement(name: str = "tagged") -> Any:  # noqa: ANN401 - JSON
    """An example to change."""
    return json.loads(example_text(name))


def without(*path: str) -> Callable[[Any], None]:
    """Removes a field."""

    def change(document: Any) -> None:  # noqa: ANN401 - JSON
        *parents, last = path
        for name in parents:
            document = document[name]
        del document[last]

    return change


def setting(value: object, *path: str) -> Callable[[Any], None]:
    """Changes a field."""

    def change(document: Any) -> None:  # noqa: ANN401 - JSON
        *parents, last = path
        for name in parents:
            document = document[name]
        document[last] = value

    return change


BROKEN = [
    ("tagged", without("id")),
    ("tagged", without("data")),
    ("tagged", without("data", "image", "uri")),
    ("tagged", without("data", "image", "sequencer")),
    ("tagged", without("data", "context")),
    ("tagged", without("data", "taggedAt")),
    ("tagged", without("data", "objects")),
    ("tagged", without("data", "genderInfo")),
    ("tagged", setting("FAILED", "data", "status")),
    ("tagged", setting("hangtag.image.removed.v1", "type")),
    ("tagged", setting("hangtag.image.tagged.v2", "type")),
    ("tagged", setting("0.3", "specversion")),
    ("tagged", setting("not-a-hash", "id")),
    ("tagged", setting("2026-11-30T10:15:30+01:00", "time")),
    ("tagged", setting("yesterday", "data", "taggedAt")),
    ("tagged", setting("https://bucket/key", "data", "image", "uri")),
    ("tagged", setting("12", "data", "image", "size")),
    ("tagged", setting("xyz", "data", "image", "sequencer")),
    ("tagged", setting({}, "data", "objects")),
    ("tagged", setting([{"type": "SHOES"}], "data", "objects")),
    ("tagged", setting([{"tags": ["red"]}], "data", "objects")),
    ("tagged", setting(7, "data", "context", "id")),
    ("tagged-truncated", without("data", "fullResult")),
    ("tagged-truncated", without("data", "truncated")),
    ("tagged-truncated", setting("yes", "data", "truncated")),
    ("tagged-truncated", without("data", "fullResult", "key", "uri")),
    ("removed", without("data", "removedAt")),
    ("removed", without("data", "image")),
    ("failed", without("data", "failure", "code")),
    ("failed", setting(807, "data", "failure", "code")),
    ("failed", setting("", "data", "failure", "kind")),
    ("failed", setting(-1, "data", "failure", "attempts")),
]


@pytest.mark.parametrize(("name", "change"), BROKEN)
def test_a_broken_promise_is_refused(name: str, change: Callable[[Any], None]) -> None:
    """Hangtag's own fields have exactly the stated form."""
    document = announcement(name)
    change(document)

    with pytest.raises(InvalidAnnouncement):
        require_valid(json.dumps(document))


@pytest.mark.parametrize(
    "odd", [None, "text", 7, True, [], {}, [None], [[]], {"id": 1}]
)
def test_odd_values_of_the_api_are_accepted(odd: object) -> None:
    """They are kept as they came, because the answer was paid for."""
    document = announcement()
    data = document["data"]
    data["genderInfo"], data["new"] = odd, odd
    data["imageInfo"], data["notMatchedObject"] = [odd], [odd]
    found = data["objects"][0]
    found["type"], found["new"] = odd, odd
    found["tags"] = [dict.fromkeys([*found["tags"][0], "pairIndex", "new"], odd)]

    require_valid(json.dumps(document))


def test_numbers_beyond_floats_are_numbers() -> None:
    """The API may send any digits."""
    message = example_text("tagged").replace("0.7787289023", "1E+400")

    require_valid(message)


def test_a_result_of_the_tests_is_valid() -> None:
    """The fakes compare every announcement with its schema."""
    for result in (a_result(), a_failed_result()):
        require_valid(announcement_of(result, bucket_arn="arn:aws:s3:::b").message)


# ---- the gate: published versions stay as they are


def test_every_published_event_still_has_a_schema() -> None:
    """A type that is no longer sent breaks its consumers."""
    assert {path.stem for path in PUBLISHED} == set(EVENTS)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_version_has_no_incompatible_change(path: Path) -> None:
    """Such a change needs a new type, such as hangtag.image.tagged.v2."""
    assert incompatibilities(read(path), schema(path.stem)) == []


def defs(name: str) -> Callable[[Any], Any]:
    """A definition in a schema."""
    return lambda document: document["$defs"][name]


def top(document: Any) -> Any:  # noqa: ANN401 - JSON
    """The schema itself."""
    return document


INCOMPATIBLE: dict[str, tuple[Callable[[Any], Any], Callable[[Any], object]]] = {
    "field removed": (defs("Image"), lambda s: s["properties"].pop("etag")),
    "field of the envelope removed": (top, lambda s: s["properties"].pop("subject")),
    "field of the API removed": (defs("Tag"), lambda s: s["properties"].pop("colors")),
    "field of a tag's value removed": (
        defs("Attribute"),
        lambda s: s["properties"].pop("confidence"),
    ),
    "field no longer required": (defs("Image"), lambda s: s["required"].remove("uri")),
    "result no longer required": (top, lambda s: s["required"].remove("data")),
    "nothing required": (defs("TaggedResult"), lambda s: s.pop("required")),
    "type changed": (
        defs("TaggedResult"),
        lambda s: s["properties"]["language"].update(type="array"),
    ),
    "type widened": (
        defs("Context"),
        lambda s: s["properties"]["id"].update(type=["string", "null"]),
    ),
    "type dropped": (defs("Context"), lambda s: s["properties"]["id"].pop("type")),
    "type widened by an alternative": (
        defs("Image"),
        lambda s: s["properties"]["size"]["anyOf"].append({"type": "string"}),
    ),
    "integer became a number": (
        defs("Image"),
        lambda s: s["properties"]["size"]["anyOf"][0].update(type="number"),
    ),
    "anything allowed": (
        defs("Image"),
        lambda s: s["properties"]["size"]["anyOf"].append({"description": "any"}),
    ),
    "value changed": (
        defs("TaggedResult"),
        lambda s: s["properties"]["status"].update(const="DONE"),
    ),
    "values widened": (
        defs("TaggedResult"),
        lambda s: (
            s["properties"]["status"].pop("const"),
            s["properties"]["status"].update(enum=["TAGGED", "PARTLY"]),
        ),
    ),
    "value no longer fixed": (top, lambda s: s["properties"]["type"].pop("const")),
    "pattern changed": (top, lambda s: s["properties"]["id"].update(pattern="^.*$")),
    "pattern dropped": (top, lambda s: s["properties"]["id"].pop("pattern")),
    "format dropped": (top, lambda s: s["properties"]["time"].pop("format")),
    "shorter texts": (
        defs("Image"),
        lambda s: s["properties"]["bucket"].update(minLength=0),
    ),
    "items of any kind": (
        defs("TaggedResult"),
        lambda s: s["properties"]["objects"].pop("items"),
    ),
    "items of another type": (
        defs("Context"),
        lambda s: s["properties"]["detection"].update(items={"type": "integer"}),
    ),
    "documented form lost": (
        defs("Tag"),
        lambda s: s["properties"]["item"].update(anyOf=[{"description": "any"}]),
    ),
    "documented form changed": (
        defs("Tag"),
        lambda s: s["properties"]["item"].update(
            anyOf=[{"type": "array", "items": {}}, {"description": "any"}]
        ),
    ),
    "truncated form lost": (top, lambda s: s["properties"]["data"]["anyOf"].pop()),
    "another form of result": (
        top,
        lambda s: s["properties"]["data"]["anyOf"].append({"type": "object"}),
    ),
    "another id": (top, lambda s: s.update({"$id": "urn:other"})),
    "a keyword that the gate does not know": (
        top,
        lambda s: s.update({"dependentRequired": {}}),
    ),
}

COMPATIBLE: dict[str, tuple[Callable[[Any], Any], Callable[[Any], object]]] = {
    "nothing": (top, lambda _: None),
    "field added": (
        defs("Image"),
        lambda s: s["properties"].update(new={"type": "string"}),
    ),
    "required field added": (
        defs("TaggedResult"),
        lambda s: (
            s["properties"].update(new={"type": "string"}),
            s["required"].append("new"),
        ),
    ),
    "field of the API added": (
        defs("Tag"),
        lambda s: s["properties"].update(new={"$ref": "#/$defs/Attribute"}),
    ),
    "field became required": (
        defs("TruncatedResult"),
        lambda s: s["required"].append("attributesTruncated"),
    ),
    "never null": (
        defs("Image"),
        lambda s: s["properties"]["etag"]["anyOf"].pop(),
    ),
    "longer texts": (
        defs("Image"),
        lambda s: s["properties"]["bucket"].update(minLength=3),
    ),
    "number became an integer": (
        defs("Context"),
        lambda s: s["properties"]["price"]["anyOf"][1].update(type="integer"),
    ),
    "fixed value": (
        defs("TaggedResult"),
        lambda s: s["properties"]["language"].update(enum=["en", "ko"]),
    ),
    "pattern added": (
        defs("Image"),
        lambda s: s["properties"]["bucket"].update(pattern="^[a-z0-9.-]+$"),
    ),
    "field deprecated": (
        defs("Tag"),
        lambda s: s["properties"]["shape"].update(
            {"deprecated": True, "$comment": "x"}
        ),
    ),
    "other words": (
        defs("Image"),
        lambda s: s["properties"]["key"].update(description="new", examples=["x"]),
    ),
}


def changed(part: Callable[[Any], Any], change: Callable[[Any], object]) -> Any:  # noqa: ANN401 - JSON
    """The schema of tagged images with a change."""
    found = copy.deepcopy(schema())
    change(part(found))
    return found


@pytest.mark.parametrize(
    ("part", "change"), INCOMPATIBLE.values(), ids=INCOMPATIBLE.keys()
)
def test_the_gate_refuses_what_breaks_consumers(
    part: Callable[[Any], Any], change: Callable[[Any], object]
) -> None:
    """Each of these changes could make a consumer fail."""
    assert incompatibilities(schema(), changed(part, change)) != []


@pytest.mark.parametrize(("part", "change"), COMPATIBLE.values(), ids=COMPATIBLE.keys())
def test_the_gate_accepts_what_consumers_do_not_notice(
    part: Callable[[Any], Any], change: Callable[[Any], object]
) -> None:
    """They ignore fields that they do not know."""
    assert incompatibilities(schema(), changed(part, change)) == []


def test_the_gate_names_the_field() -> None:
    """Once, with the path that consumers know."""
    without_etag = changed(defs("Image"), lambda s: s["properties"].pop("etag"))

    assert incompatibilities(schema(), without_etag)[0] == (
        "the event.data.image.etag is removed"
    )


def test_the_gate_compares_an_alternative_with_the_one_of_its_name() -> None:
    """A truncated result has fewer differences from a tagged one with a wrong colour."""
    wrong = changed(
        defs("Attribute"), lambda s: s["properties"].update(confidence={"type": "null"})
    )

    found = incompatibilities(schema(), wrong)

    assert found != []
    assert {sentence.rpartition(".")[2] for sentence in found} == {
        "confidence has lost an alternative: number"
    }


def test_a_closed_schema_allows_no_new_fields() -> None:
    """Its consumers refuse what they do not know."""
    closed = changed(defs("Image"), lambda s: s.update(additionalProperties=False))
    more = copy.deepcopy(closed)
    more["$defs"]["Image"]["properties"]["new"] = {"type": "string"}

    assert incompatibilities(closed, closed) == []
    assert incompatibilities(closed, more) != []
