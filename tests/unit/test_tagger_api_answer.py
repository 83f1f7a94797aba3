from __future__ import annotations

import json
import re
import tracemalloc
from base64 import b64decode, b64encode, encodebytes
from collections.abc import Callable
from decimal import Decimal
from itertools import islice, product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from hangtag.announcements import announcement_of
from hangtag.errors import MESSAGE_LIMIT, BadAnswer, HangtagError
from hangtag.parsing import parse_json
from hangtag.tagger_api import (
    MAX_ANSWER_BYTES,
    Answer,
    Context,
    UrlBody,
    read_answer,
)
from hangtag.tagger_api.errors import (
    HttpStatus,
    SidesTooSmall,
    UnlistedApiCode,
    UrlNotFetched,
)
from hangtag.tagger_api.models import AnswerData
from hangtag.tagger_api.reading import MAX_SPELLINGS, MAX_VALUES
from hangtag.text import to_json
from tests.builders import (
    PNG,
    a_body,
    a_result,
    an_answer,
    answer_document,
    failed_answer_document,
    jacket,
    to_body,
)
from tests.cpu_time import no_hang

KEY = "key-0f9e8d7c6b5a"


def read(document: object, *, http_status: int = 201) -> Answer:
    """The answer in a JSON body."""
    return read_answer(to_body(document), http_status=http_status)


def answer_or_error(body: bytes) -> Answer | HangtagError:
    """The answer, or the error, in a body with HTTP 201."""
    try:
        return read_answer(body, http_status=201)
    except HangtagError as error:
        return error


def with_data(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any value
    """A successful answer with changed data; fields set to ... are left out."""
    document = answer_document()
    document["data"].update(changes)
    document["data"] = {
        name: value for name, value in document["data"].items() if value is not ...
    }
    return document


# ---- success


def test_an_answer_is_kept_whole() -> None:
    """Names, ids and numbers are unchanged."""
    answer = read(answer_document())

    assert answer == Answer(
        objects=[{"type": "CLOTHING", "tags": [jacket()]}],
        not_matched_object=[],
        gender_info={"id": "T0418", "name": "male"},
        image_info=[{"id": "T0449", "name": "nonFashion"}],
    )


def test_every_digit_is_kept() -> None:
    """A confidence is not rounded, and its zeros are kept."""
    digits = "0.50339928280000000000000000000000000000000001"
    body = to_body(answer_document({"position": {"x": Decimal(digits)}}))

    answer = read_answer(body, http_status=201)

    assert digits in to_json(answer.document())


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_every_2xx_may_have_an_answer(status: int) -> None:
    """The API uses 201; only the body decides."""
    assert read(answer_document(), http_status=status).objects


# ---- spellings


@pytest.mark.parametrize("spelling", ["colorDetail", "colorDetails", "ColorDetails"])
def test_color_details_have_one_name(spelling: str) -> None:
    """Both names occur on the same path."""
    details = [
        {"code": "#e5ccaf", "name": "gray-sand", "pixelFraction": Decimal("1.0")}
    ]

    answer = read(answer_document({spelling: details}))

    assert [{"colorDetails": details}] == answer.objects[0]["tags"]


@pytest.mark.parametrize("spelling", ["no detected product", "NODETC", "nodetc"])
def test_nothing_detected_has_one_type(spelling: str) -> None:
    """Both occur on the same path; such answers have no genderInfo."""
    document = with_data(objects=[{"type": spelling, "tags": []}], genderInfo=...)

    answer = read(document)

    assert answer.objects == [{"type": "NODETC", "tags": []}]
    assert answer.gender_info is None


@pytest.mark.parametrize("place", ["data", "root"])
@pytest.mark.parametrize(
    "spelling", ["notMatchedObject", "notMatchedObjects", "notmatchedobjects"]
)
def test_not_matched_objects_have_one_name_and_place(spelling: str, place: str) -> None:
    """There are three spellings and two places; their tags have one shape, too."""
    found = [{"type": "SHOES", "tags": [{"colorDetail": []}]}]
    document = answer_document()
    (document["data"] if place == "data" else document)[spelling] = found

    answer = read(document)

    assert answer.not_matched_object == [
        {"type": "SHOES", "tags": [{"colorDetails": []}]}
    ]


@pytest.mark.parametrize("spelling", ["imageinfo", "imageInfo"])
def test_image_info_has_one_name(spelling: str) -> None:
    """The documentation has one in its table and the other in its example."""
    info = [{"id": "T0449", "name": "nonFashion"}]

    answer = read(with_data(**({"imageInfo": ...} | {spelling: info})))

    assert info == answer.image_info


def test_an_empty_value_does_not_hide_another_spelling() -> None:
    """Each paid value is kept."""
    document = with_data(notMatchedObject=[])
    document["notMatchedObjects"] = [{"type": "HATS", "tags": []}]

    answer = read(document)

    assert answer.not_matched_object == [{"type": "HATS", "tags": []}]


def test_the_values_of_two_spellings_are_joined() -> None:
    """Each value is kept once."""
    hat: dict[str, Any] = {"type": "HATS", "tags": []}
    bag: dict[str, Any] = {"type": "BAGS", "tags": []}
    sand, stone = {"code": "#e5ccaf"}, {"code": "#8a8a8a"}
    document = answer_document({"colorDetail": [sand], "colorDetails": [sand, stone]})
    document["data"]["notMatchedObject"] = [hat]
    document["notMatchedObject"] = [hat, bag]
    document["notMatchedObjects"] = [bag]

    answer = read(document)

    assert answer.not_matched_object == [hat, bag]
    assert answer.objects[0]["tags"] == [{"colorDetails": [sand, stone]}]


def spellings_of(name: str) -> list[str]:
    """The first hundred of a name's variants in upper and lower case."""
    letters = product(*((letter.upper(), letter.lower()) for letter in name))
    return list(islice(map("".join, letters), 100))


@pytest.mark.parametrize("name", ["notMatchedObject", "imageInfo", "genderInfo"])
def test_a_field_has_a_handful_of_spellings(name: str) -> None:
    """Each joins the values of the others; a hostile answer could have thousands."""
    values = {spelled: [spelled] for spelled in spellings_of(name)}
    few = dict(islice(values.items(), MAX_SPELLINGS))
    fields = dict.fromkeys(("notMatchedObject", "imageInfo", "genderInfo"), ...)

    answer = read(with_data(**{**fields, **few}))
    with pytest.raises(BadAnswer, match=f"more than {MAX_SPELLINGS} values of {name}"):
        read(with_data(**{**fields, **values}))

    assert answer.document()[name] == [*few]


def test_color_details_have_a_handful_of_spellings() -> None:
    """Those of each garment."""
    tag = {spelled: [spelled] for spelled in spellings_of("colorDetails")}

    with pytest.raises(BadAnswer, match=f"more than {MAX_SPELLINGS} values of color"):
        read(answer_document(tag))


# ---- missing and unexpected values


@pytest.mark.parametrize(
    "objects", [[], None, [{"type": "CLOTHING", "tags": []}], [{"type": "CLOTHING"}]]
)
def test_an_answer_may_have_no_garments(objects: object) -> None:
    """Empty lists occur."""
    answer = read(with_data(objects=objects))

    assert all(found["tags"] == [] for found in answer.objects)


@pytest.mark.parametrize("value", [None, [], {}, "text", 7, True, [None], [[1]]])
@pytest.mark.parametrize("attribute", ["item", "colors", "shape", "position", "new"])
def test_an_attribute_of_another_type_is_kept(attribute: str, value: object) -> None:
    """One unexpected value must not discard a paid answer."""
    answer = read(answer_document({attribute: value}))

    assert [{attribute: value}] == answer.objects[0]["tags"]


def test_unknown_types_and_fields_are_kept() -> None:
    """The API may add some."""
    found = {"type": "SOCKS", "tags": [{"holes": 2}], "mood": {"name": "good"}}

    answer = read(with_data(objects=[found]))

    assert [found] == answer.objects


def test_a_success_may_lack_its_status() -> None:
    """Its data is enough."""
    document = answer_document()
    del document["status"]

    assert read(document).objects


# ---- refusals

ODD_CODES = [
    (803, "803"),
    ("803", "803"),
    (" 803 ", "803"),
    (Decimal("803.0"), "803"),
    (830, "830"),
    (999_999, "999999"),
]


@pytest.mark.parametrize("status", [200, 201, 400, 403, 429, 500])
def test_the_code_in_the_body_decides_whatever_the_status(status: int) -> None:
    """The statuses of failures are not documented."""
    with pytest.raises(SidesTooSmall, match="Too small"):
        read(failed_answer_document(807, "Too small."), http_status=status)


@pytest.mark.parametrize(("code", "expected"), ODD_CODES)
def test_a_code_is_text_whatever_its_type(code: object, expected: str) -> None:
    """A number, a number as text, a number with a point: it is the same code."""
    with pytest.raises(HangtagError) as caught:
        read(failed_answer_document(code))

    assert expected == caught.value.code


@pytest.mark.parametrize(
    ("status", "kind"), [(200, "permanent"), (404, "permanent"), (503, "transient")]
)
def test_an_unlisted_code_is_kept_and_classified_by_its_status(
    status: int, kind: str
) -> None:
    """Undocumented codes from 830 on exist."""
    with pytest.raises(UnlistedApiCode) as caught:
        read(failed_answer_document(841, "new"), http_status=status)

    assert (caught.value.code, caught.value.kind) == ("841", kind)


@pytest.mark.parametrize("status", [200, 201, 400, 500])
@pytest.mark.parametrize(
    "code", [1_000_000, "12345678901234567890", Decimal("1234567.0"), 10**4_000]
)
def test_a_code_of_more_than_six_digits_is_a_bad_answer(
    code: object, status: int
) -> None:
    """Codes are in logs, metrics and commands; the API chooses them."""
    with pytest.raises(BadAnswer, match="more than 6 digits"):
        read(failed_answer_document(code), http_status=status)


def test_a_refusal_without_a_message_shows_its_code() -> None:
    """A message is never empty."""
    with pytest.raises(UrlNotFetched, match="803"):
        read({"error": {"code": 803}})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "permanent"),
        (401, "permanent"),
        (404, "permanent"),
        (408, "transient"),
        (413, "permanent"),
        (429, "transient"),
        (500, "transient"),
        (502, "transient"),
        (503, "transient"),
        (599, "transient"),
    ],
)
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Bad Gateway</html>", b'{"status": "fail"}', b"[]", b"\xff\xfe"],
)
def test_an_error_without_a_code_is_named_by_its_status(
    status: int, kind: str, body: bytes
) -> None:
    """A gateway does not know the API's codes."""
    with pytest.raises(HttpStatus) as caught:
        read_answer(body, http_status=status)

    assert (caught.value.code, caught.value.kind) == (f"HTTP_{status}", kind)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>It works!</html>",
        b'{"status": "ok", "data": {"objects": [',
        b"null",
        b"[]",
        b'"ok"',
        b"{}",
        b'{"status": "ok"}',
        b'{"status": "ok", "data": null}',
        b'{"status": "ok", "data": []}',
        b'{"status": "ok", "data": {}}',
        b'{"status": "fail", "data": {"objects": []}}',
        b'{"status": "fail", "data": {}, "error": null}',
        b'{"status": "fail", "data": {}, "error": "no"}',
        b'{"status": "fail", "data": {}, "error": {"code": null}}',
        b'{"status": "fail", "data": {}, "error": {"code": true}}',
        b'{"status": "fail", "data": {}, "error": {"code": 8.5}}',
        b'{"status": "fail", "data": {}, "error": {"code": 1e999999999}}',
        b'{"status": "fail", "data": {}, "error": {"code": 1e-999999999}}',
        b'{"status": "fail", "data": {}, "error": {"code": "E1"}}',
        b'{"status": "ok", "data": {"objects": {}}}',
        b'{"status": "ok", "data": {"objects": "none"}}',
        b'{"status": "ok", "data": {"objects": [7]}}',
        b'{"status": "ok", "data": {"objects": [{"tags": {}}]}}',
        b'{"status": "ok", "data": {"objects": [{"tags": ["shirt"]}]}}',
        b'{"status": "ok", "data": {"objects": [], "x": NaN}}',
        b'{"status": "ok", "data": {"objects": [], "x": 1e9999999999999999999}}',
        b'{"status": "ok", "data": {"objects": [' + b"[" * 100_000,
        b'{"status": "ok", "data": {"objects": [], "x": %s}}'
        % (b"[" * 200 + b"]" * 200),
        b"9" * 10_000,
        b"\xff\xfe",
    ],
)
def test_a_2xx_without_a_tagger_answer_is_a_bad_answer(body: bytes) -> None:
    """Transient: a proxy may have answered, and may not tomorrow."""
    with pytest.raises(BadAnswer) as caught:
        read_answer(body, http_status=201)

    assert caught.value.kind == "transient"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"7", "it is JSON, but not an object"),
        (b'{"data": {"objects": {}}}', "objects is not a list"),
        (b'{"data": {"objects": [7]}}', "objects.0 is not an object"),
        (
            b'{"data": {"objects": [{"tags": [[]]}]}}',
            "objects.0.tags.0 is not an object",
        ),
    ],
)
def test_a_bad_answer_explains_its_error(body: bytes, problem: str) -> None:
    """The message uses JSON's terms."""
    with pytest.raises(BadAnswer, match=f"not a Tagger answer: {problem}: "):
        read_answer(body, http_status=201)


def test_a_bad_answer_shows_the_body() -> None:
    """The first 200 characters, on one line, without control characters."""
    body = b"<html>\n\x1b[31m" + "봄".encode() * 500

    with pytest.raises(BadAnswer) as caught:
        read_answer(body, http_status=200)

    assert "<html>  [31m봄봄" in str(caught.value)
    assert str(caught.value).count("봄") <= 200


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 10_000,
        to_body({"status": "x" * 10_000, "data": {}}),
        to_body({"data": {}, "x": "x" * 10_000}),
    ],
)
def test_a_bad_answer_of_any_length_has_room_for_its_first_characters(
    body: bytes,
) -> None:
    """The message has both the explanation and the beginning of the body."""
    with pytest.raises(BadAnswer) as caught:
        read_answer(body, http_status=200)

    assert body[:200].decode() in str(caught.value)
    assert len(str(caught.value)) <= MESSAGE_LIMIT


@pytest.mark.parametrize("status", [201, 401, 500])
@pytest.mark.parametrize(
    "body",
    [
        b"key-1234",
        b" " * 195 + b"key-1234",
        to_body(failed_answer_document(609, "key-1234")),
    ],
)
def test_an_echoed_secret_is_in_no_error_message(status: int, body: bytes) -> None:
    """No part of it is, even where the text is cut."""
    with pytest.raises(HangtagError) as caught:
        read_answer(body, http_status=status, secrets=["key-1234"])

    assert "key" not in str(caught.value).lower()


URL = (
    "https://b.s3.eu-west-1.amazonaws.com/a%20b.jpg?versionId=v1&X-Amz-Algorithm=A"
    "&X-Amz-Credential=AKIAEXAMPLE%2F20261129%2Feu-west-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20261129T120000Z&X-Amz-Expires=390&X-Amz-Security-Token=IQoJ%2Fb3%2BJpZ2"
    "&X-Amz-SignedHeaders=host&X-Amz-Signature=" + "0123456789abcdef" * 4
)
IN_URL = ("AKIAEXAMPLE", "IQoJ", "b3%2BJpZ2", "b3+JpZ2", "0123456789abcdef")
"""What must not be seen of it."""

ECHOES = {
    "plain": str,
    "in upper case": str.upper,
    "escaped": lambda text: "".join(f"\\u{ord(one):04x}" for one in text),
    "URL-encoded": lambda text: "".join(f"%{ord(one):02x}" for one in text),
    "base64": lambda text: b64encode(f"GET {text}".encode()).decode(),
    "base64 in lines": lambda text: encodebytes(f"GET {text}".encode()).decode(),
    "base64 in lines, escaped": lambda text: json.dumps(
        encodebytes(f"GET {text}".encode()).decode()
    ),
    "after two hundred characters": lambda text: "x " * 97 + text,
}


def secrets_in(shown: str) -> list[str]:
    """The secrets that can be seen, in any letter case."""
    return [secret for secret in (KEY, *IN_URL) if secret.lower() in shown.lower()]


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
@pytest.mark.parametrize("write", [to_json, json.dumps])
def test_an_echoed_secret_is_in_no_answer(
    echo: Callable[[str], str], write: Callable[[object], str]
) -> None:
    """A result is stored, announced and shown; it keeps everything else."""
    document = answer_document(
        {"item": {"id": "T1", "name": f"봄 {echo(KEY)}", "confidence": 0.5}}
    )
    document["data"]["genderInfo"] = {echo(URL): [echo(URL)]}
    document["debug"] = {"x-api-key": echo(KEY)}
    body = write(document).encode()
    secrets = (KEY, *UrlBody(URL, Context()).secrets())

    answer = read_answer(body, http_status=201, secrets=secrets)

    shown = to_json(answer.document())
    assert secrets_in(shown) == []
    assert secrets_in(b64_decoded(shown)) == []
    (tag,) = answer.objects[0]["tags"]
    assert tag["item"]["id"] == "T1"
    assert "..." in tag["item"]["name"]
    assert "..." in str(answer.gender_info)


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
@pytest.mark.parametrize("status", [201, 302, 401, 500])
def test_an_echoed_secret_is_hidden_before_an_error_is_cut(
    echo: Callable[[str], str], status: int
) -> None:
    """A half of it would not be recognised."""
    secrets = (KEY, *UrlBody(URL, Context()).secrets())
    said = f"{echo(KEY)} {echo(URL)} "

    for text in (said, said * 20, "x" * 150 + said, "x" * 950 + said):
        for body in (
            text.encode(),
            text.encode("utf-16"),
            to_body(failed_answer_document(609, text)),
            to_body({"status": text}),
        ):
            with pytest.raises(HangtagError) as caught:
                read_answer(body, http_status=status, secrets=secrets)

            assert secrets_in(str(caught.value)) == []
            assert "key-0f9e" not in str(caught.value)


@pytest.mark.parametrize(
    "echo",
    [
        lambda image: b64encode(image).decode(),
        lambda image: encodebytes(image).decode(),
        lambda image: encodebytes(image).replace(b"\n", b"\r\n").decode(),
        lambda image: image.hex(),
    ],
    ids=["base64", "base64 in lines", "base64 in lines of CR LF", "hexadecimal"],
)
def test_an_echoed_image_is_in_no_text(echo: Callable[[bytes], str]) -> None:
    """Neither in a good answer nor in an error."""
    image = PNG + bytes(range(256))
    secrets = a_body(image).secrets()
    echoed = echo(image)

    answer = read_answer(
        to_body({"data": {"objects": []}, "echo": echoed}),
        http_status=201,
        secrets=secrets,
    )
    assert answer.unknown == {"echo": "..."}

    for body in (to_body(failed_answer_document(609, echoed)), echoed.encode()):
        with pytest.raises(HangtagError) as caught:
            read_answer(body, http_status=500, secrets=secrets)
        assert str(caught.value).endswith("...")


def test_an_echoed_image_is_in_no_answer() -> None:
    """Not one byte of it is stored."""
    image = PNG + bytes(range(256))
    body = a_body(image)
    content = json.loads(b"".join(body))["image"]["content"]

    answer = read_answer(
        to_body({"data": {"objects": []}, "echo": content}),
        http_status=201,
        secrets=body.secrets(),
    )

    assert answer.unknown == {"echo": "data:image/png;base64,..."}


def b64_decoded(text: str) -> str:
    """The texts that are base64 in it, decoded."""
    return " ".join(
        b64decode(found[: len(found) // 4 * 4]).decode(errors="replace")
        for found in re.findall("[A-Za-z0-9+/]{8,}", re.sub(r"\\+n", "", text))
    )


def test_every_error_keeps_the_wait_that_the_api_asks_for() -> None:
    """The retry waits for that long."""
    for body in (to_body(failed_answer_document(500)), b"busy"):
        with pytest.raises(HangtagError) as caught:
            read_answer(body, http_status=503, retry_after_seconds=7)

        assert caught.value.retry_after_seconds == 7


# ---- names and ids


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ({"id": "T0326", "name": "beige"}, ["beige", "T0326"]),
        ({"id": "T0326"}, ["T0326"]),
        ({"id": None, "name": ""}, []),
        ({"id": 7, "name": ["x"]}, []),
        ("beige", []),
        (None, []),
    ],
)
def test_an_attribute_has_the_name_and_the_id_of_its_value(
    attribute: object, expected: list[str]
) -> None:
    """Subscribers filter by both."""
    result = a_result(answer=an_answer({"item": attribute}))
    announcement = announcement_of(result, bucket_arn="arn:aws:s3:::b")

    assert expected == list(announcement.lists.get("item", ()))


# ---- any body

numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
texts = st.text()
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=12,
)
named = st.fixed_dictionaries(
    {}, optional={"id": texts | json_values, "name": texts, "confidence": numbers}
)
tags = st.dictionaries(
    st.sampled_from(["category", "item", "colors", "looks", "colorDetail", "other"]),
    named | st.lists(named, max_size=3) | json_values,
    max_size=4,
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["CLOTHING", "NODETC"]) | json_values,
        "tags": st.lists(tags, max_size=3) | json_values,
    },
)
answers = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["ok", "fail"]) | json_values,
        "data": st.fixed_dictionaries(
            {},
            optional={
                "objects": st.lists(objects, max_size=3) | json_values,
                "notMatchedObjects": st.lists(objects, max_size=2) | json_values,
                "genderInfo": named | json_values,
                "imageinfo": st.lists(named, max_size=2) | json_values,
            },
        )
        | json_values,
        "error": st.fixed_dictionaries({}, optional={"code": json_values})
        | json_values,
    },
)


@pytest.mark.fuzz("hangtag.tagger_api.read_answer")
@given(answers | json_values)
@example({"status": "ok", "data": {"objects": [{"tags": [{"item": "\ud800"}]}]}})
def test_any_json_is_an_answer_or_one_of_our_errors(document: object) -> None:
    """There is no other exception, and every answer can be stored and announced."""
    body = json.dumps(document, default=float).encode()

    answer = answer_or_error(body)

    if isinstance(answer, HangtagError):
        has_an_error = isinstance(document, dict) and bool(document.get("error"))
        assert isinstance(answer, BadAnswer) or has_an_error
        return
    result = a_result(answer=answer)
    announcement = announcement_of(result, bucket_arn="arn:aws:s3:::b")

    assert parse_json(announcement.message.encode())["data"] == result


_EXPECTED = {"tuple_type": "not a list", "model_type": "not an object"}
"""The model's types of errors in the words of `read_answer`."""


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "objects": st.lists(objects | json_values, max_size=3) | json_values,
            "genderInfo": named | json_values,
            "imageInfo": json_values,
            "notMatchedObject": json_values,
        },
    )
)
@example({"objects": [{"tags": [7]}, 7]})
@example({"objects": [{"tags": [{}, None]}]})
@example({"objects": [{"tags": None, "type": 1}], "notMatchedObject": 7})
def test_an_answer_is_valid_if_the_model_accepts_it(data: dict[str, Any]) -> None:
    """The function reads answers without the model; both find the same first error."""
    body = to_body({"status": "ok", "data": data})
    try:
        AnswerData.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        expected = f"{where} is {_EXPECTED[first['type']]}: "
    else:
        expected = "" if "objects" in data else "its data has no objects: "

    if not expected:
        read_answer(body, http_status=201)
        return
    with pytest.raises(BadAnswer) as caught:
        read_answer(body, http_status=201)
    assert f"not a Tagger answer: {expected}" in str(caught.value)


@pytest.mark.fuzz("hangtag.tagger_api.read_answer")
@given(st.binary())
def test_any_bytes_are_an_answer_or_one_of_our_errors(body: bytes) -> None:
    """A gateway may send any body."""
    with pytest.raises((BadAnswer, HttpStatus)):
        read_answer(body, http_status=200)


# A valid answer in any mix of spellings and positions
spelled_tags = st.dictionaries(
    st.sampled_from(
        [
            "category",
            "item",
            "pairIndex",
            "colors",
            "colorDetail",
            "colorDetails",
            "new",
        ]
    ),
    named | st.lists(named, max_size=3) | json_values,
    max_size=5,
)
spelled_objects = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["CLOTHING", "SHOES", "SOCKS"])},
        optional={"tags": st.lists(spelled_tags, max_size=3), "new": json_values},
    ),
    max_size=3,
)
spelled_parts = {
    "notMatchedObject": spelled_objects | json_values,
    "notMatchedObjects": spelled_objects,
    "notmatchedobjects": spelled_objects,
    "new": json_values,
}
spelled_data = st.fixed_dictionaries(
    {"objects": spelled_objects},
    optional={
        **spelled_parts,
        "imageInfo": st.lists(named, max_size=2),
        "imageinfo": st.lists(named, max_size=2) | json_values,
        "genderInfo": named | json_values,
    },
)


def leaves_of(value: object) -> set[str]:
    """Each string, number and boolean in it, as JSON writes it."""
    if isinstance(value, dict):
        return set().union(*map(leaves_of, value.values()))
    if isinstance(value, list):
        return set().union(*map(leaves_of, value))
    # An empty value has no leaves; JSON's -0 is an integer, which has no sign
    return set() if value is None else {to_json(value).replace("-0", "0", 1)}


@given(spelled_data, st.fixed_dictionaries({}, optional=spelled_parts))
@example({"objects": [], "imageInfo": [1], "imageinfo": [True, Decimal("1.0")]}, {})
def test_an_answer_written_again_has_every_value_and_digit(
    data: dict[str, Any], beside: dict[str, Any]
) -> None:
    """No paid value is lost, in any spelling and position."""
    document = {**beside, "status": "ok", "data": data, "error": None}

    answer = read(document)

    again = parse_json(to_json(answer.document()))
    assert leaves_of(data) | leaves_of(beside) == leaves_of(again)
    assert read({"status": "ok", "data": again}) == answer


def test_a_typical_answer_reads_the_same_when_written_again() -> None:
    """Reading returns one shape; reading that shape changes no value."""
    once = an_answer()

    again = read({"status": "ok", "data": once.document()})

    assert once == again


# ---- limits


def test_a_body_that_is_too_long_is_not_read() -> None:
    """The status decides, as for other bodies that are no answers."""
    body = to_body(answer_document()).ljust(MAX_ANSWER_BYTES)
    assert read_answer(body, http_status=201) == an_answer()

    with pytest.raises(BadAnswer, match="longer than 1,048,576 bytes"):
        read_answer(body + b" ", http_status=201)
    with pytest.raises(HttpStatus) as caught:
        read_answer(body + b" ", http_status=503, retry_after_seconds=7)
    assert caught.value.retry_after_seconds == 7


def test_an_answer_has_a_limit_of_values() -> None:
    """The largest announcement has fewer; a million bytes of `[],` would fill the memory."""
    most = with_data(new=[[]] * (MAX_VALUES // 2 - 100))
    assert read(most).unknown["new"]

    with pytest.raises(BadAnswer, match="more than 20,000 values"):
        read(with_data(new=[[]] * MAX_VALUES))


def filled(unit: str) -> Callable[[int], bytes]:
    """Answers of any size with as many objects of this form."""
    return lambda size: to_body_of(",".join([unit] * (size // (len(unit) + 1))))


def to_body_of(objects: str) -> bytes:
    """An answer with *objects* in JSON."""
    return f'{{"data": {{"objects": [{objects}]}}}}'.encode()


def of_variants(size: int) -> bytes:
    """An answer with variants of one field's name."""
    letters = product(*((one.upper(), one) for one in "notmatchedobject"))
    names = islice(map("".join, letters), size // 24)
    parts = ",".join(f'"{name}":[{number}]' for number, name in enumerate(names))
    return f'{{"data":{{"objects":[],{parts}}}}}'.encode()


SHAPES: dict[str, Callable[[int], bytes]] = {
    "variants of a name": of_variants,
    "one name": lambda size: to_body_of(
        '],"imageInfo":[1' + '],"imageInfo":[1' * (size // 16)
    ),
    "empty lists": filled("[]"),
    "objects": filled('{"":0}'),
    "garments": filled('{"tags":[{"item":{"name":"a","confidence":0.5}}]}'),
    "garments of other types": filled('{"tags":[{"item":0,"colors":[0]}]}'),
    "huge exponents": filled(
        '{"tags":[{"pairIndex":1e9999,"position":{"x":1e999999999}}]}'
    ),
    "numbers": filled("9" * 4_000),
    "one number": lambda size: to_body_of("9" * size),
    "decimals": lambda size: to_body_of('{"a":0.' + "9" * size + "}"),
    "an exponent": lambda size: to_body_of("1e" + "9" * size),
    "depth": lambda size: to_body_of("[" * size),
    "a text": lambda size: to_body_of('{"type":"' + "a" * size + '"}'),
    "escapes": lambda size: to_body_of('{"type":"' + r"\u0041" * (size // 6) + '"}'),
    "a code": lambda size: b'{"error":{"code":"' + b"9" * size + b'"}}',
    "blanks": lambda size: b'{"error":{"code":"' + b" " * size + b'x"}}',
    "the key": lambda size: to_body([KEY] * (size // len(KEY))),
}


def report(body: bytes) -> object:
    """The answer or the error, with all that is made of an answer."""
    try:
        answer = read_answer(body, http_status=201, secrets=[KEY])
    except HangtagError as error:
        return error
    result = a_result(answer=answer)
    return announcement_of(result, bucket_arn="arn:aws:s3:::b").message


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_reading_takes_linear_time(shape: Callable[[int], bytes]) -> None:
    """A hostile answer does not use up the function's time."""
    body = shape(MAX_ANSWER_BYTES - 100)

    with no_hang():
        report(body)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("size", [100_000, MAX_ANSWER_BYTES])
def test_reading_takes_little_memory(shape: Callable[[int], bytes], size: int) -> None:
    """Ten uploads at a time read their answers in a function of 512 MB."""
    body = shape(size)
    tracemalloc.start()
    try:
        report(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 32 * 1024 * 1024


def answer_with_number(number: str) -> bytes:
    """Known and unknown fields are this number."""
    garment = {"item": {"name": "a", "confidence": 0}, "pairIndex": 0, "new": 0}
    return to_json(answer_document(garment)).replace(": 0", f": {number}").encode()


@pytest.mark.parametrize("number", ["1e999999", "-1e999999", "1e-999999"])
def test_a_number_with_a_huge_exponent_is_not_expanded(number: str) -> None:
    """Written out, 1e999999999 has a thousand million digits."""
    body = answer_with_number(number)
    tracemalloc.start()
    try:
        message = report(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert isinstance(message, str)
    assert message.count(str(Decimal(number))) == 3
    assert peak < len(number.lstrip("-1e")) * 100_000
