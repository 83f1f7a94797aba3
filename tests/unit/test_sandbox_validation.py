"""What the sandbox refuses, in which order, and that nothing brings it down."""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hangtag_sandbox.fetching import NotFetched
from hangtag_sandbox.limits import MOST_IMAGE_BYTES, MOST_SCANS
from hangtag_sandbox.validation import (
    Refused,
    decode_image,
    open_image,
    read_document,
    read_image,
    read_request,
    validate_key,
    validate_language,
)


def encoded(kind: str, size: tuple[int, int] = (40, 50)) -> bytes:
    """A red image."""
    buffer = BytesIO()
    Image.new("RGB", size, (200, 30, 40)).save(buffer, kind)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims these sides and holds no pixels."""
    fields = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checked = fields + struct.pack(">I", zlib.crc32(fields))
    end = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + checked + end


def refused_with(judge: Callable[[], object]) -> int | None:
    """The code that *judge* refuses with, None where it takes what it is given."""
    try:
        judge()
    except Refused as refused:
        return refused.code
    return None


def no_fetch(url: str) -> bytes:
    """Stands for a URL from which nothing comes."""
    raise NotFetched(f"nothing comes from {url}")


def request(
    content: object, kind: object = "base64", **context: object
) -> dict[str, Any]:
    """The body of a request, right or wrong."""
    return {"image": {"type": kind, "content": content}, "context": context}


def data_uri(image: bytes, media_type: str = "image/png") -> str:
    """The image as `image.content`."""
    return f"data:{media_type};base64,{b64encode(image).decode()}"


@pytest.mark.parametrize(
    ("width", "height", "code"),
    [
        (160, 16, None),
        (161, 16, 806),
        (15, 16, 807),
        (15, 151, 806),  # too small as well: the ratio is judged first
        (10_000, 10_000, None),
        (10_001, 10_000, 808),
        (1_000, 10_001, 806),  # too large as well
        (200_000, 1_000, 806),
        (50_000, 50_000, 808),
        (2**31 - 1, 2**31 - 1, 808),
        (1, 1, 807),
    ],
)
def test_sides_are_judged_from_the_header(
    width: int, height: int, code: int | None
) -> None:
    """An image that would fill the memory is refused before it is decoded."""
    if code is None:
        assert (width, height) == open_image(png_header(width, height)).size
        return

    with pytest.raises(Refused, match=f"{width} x {height}") as refusal:
        open_image(png_header(width, height))

    assert code == refusal.value.code


def test_too_many_bytes_are_refused_and_just_enough_are_not() -> None:
    """The limit belongs to what is allowed."""
    image = encoded("PNG")
    filling = b"\0" * (MOST_IMAGE_BYTES - len(image))

    assert open_image(image + filling).size == (40, 50)
    with pytest.raises(Refused) as refusal:
        open_image(image + filling + b"\0")

    assert refusal.value.code == 809


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"GIF",
        b"%PDF-1.7 not an image at all",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        encoded("ICO"),
        encoded("PPM"),
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"II*\0\xff\xff\xff\xff",
        b"BM" + b"\0" * 60,
    ],
    ids=lambda image: repr(image[:12]),
)
def test_what_is_none_of_the_six_formats_is_refused(image: bytes) -> None:
    """Also what only begins like one of them."""
    with pytest.raises(Refused) as refusal:
        open_image(image)

    assert refusal.value.code == 805


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_damaged_image_is_read_or_refused(kind: str, data: st.DataObject) -> None:
    """Whatever a decoder stumbles over, the answer is an error code."""
    image = bytearray(encoded(kind))
    places = st.integers(0, len(image) - 1)
    for place, value in data.draw(
        st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)
    ):
        image[place] = value
    end = data.draw(st.none() | places)

    code = refused_with(lambda: decode_image(open_image(bytes(image[:end]))))

    assert code in {None, 805, 806, 807, 808}


@pytest.mark.parametrize(
    ("key", "code"), [(None, 612), ("", 612), ("other", 609), ("KEY", 609)]
)
def test_a_missing_and_a_wrong_key_are_told_apart(key: str | None, code: int) -> None:
    """Whoever looks at the code knows whether a key was sent."""
    with pytest.raises(Refused) as refusal:
        validate_key(key, {"key"})

    assert code == refusal.value.code


@pytest.mark.parametrize("header", ["fr", "en-US", "ko,en;q=0.5", "*", ""])
def test_only_the_four_languages_are_taken(header: str) -> None:
    """The contract names four words and no list of preferences."""
    with pytest.raises(Refused) as refusal:
        validate_language(header)

    assert refusal.value.code == 826


def test_without_a_header_the_language_is_english() -> None:
    """The contract's default."""
    assert validate_language(None) == "en"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"price": NaN}']
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    """NaN is no JSON either."""
    with pytest.raises(Refused) as refusal:
        read_document(body)

    assert refusal.value.code == 824


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({}, 804),
        ({"image": None}, 804),
        ({"image": "data:image/png;base64,AAAA"}, 804),
        ({"image": {"content": "x"}}, 804),
        (request("x", kind="file"), 804),
        (request("x", kind="BASE64"), 804),
        (request("x", kind=1), 804),
        (request("x", kind="file", detection=["SOCKS"]), 804),
        (request("x", detection=["SOCKS"]), 825),
        (request("x", detection=["TOP", "top"]), 825),
        (request("x", detection="TOP"), 825),
        (request(None, detection=[1]), 825),
        (request("x", id=5), 824),
        (request("x", price=[1]), 824),
        ({"image": {"type": "base64", "content": "x"}, "context": []}, 824),
        ({"image": {"type": "base64"}}, 801),
        (request(None), 801),
        ({"image": {"type": "url"}}, 803),
    ],
)
def test_a_request_is_judged_field_by_field(
    document: dict[str, Any], code: int
) -> None:
    """Each fault has the code the contract gives it, the most telling one first."""
    with pytest.raises(Refused) as refusal:
        read_request(document)

    assert code == refusal.value.code


def test_json_of_very_many_values_is_refused_unread() -> None:
    """A megabyte of them would become a hundred; of a picture's bytes any number are taken."""
    with pytest.raises(Refused, match="more than 10000 values") as refused:
        read_document(b"[" + b"[]," * 1_000_000 + b"[]]")

    assert refused.value.code == 824


@pytest.mark.parametrize("price", ["1e999999999", "-1e999999999", "1e-999999999"])
def test_a_price_that_nobody_could_write_out_is_refused_at_once(price: str) -> None:
    """To make a whole number of it takes hours, and all else would wait."""
    image = '{"type": "url", "content": "http://127.0.0.1/a.png"}'
    body = f'{{"image": {image}, "context": {{"price": {price}}}}}'

    with pytest.raises(Refused, match="price") as refused:
        read_request(read_document(body.encode()))

    assert refused.value.code == 824


def test_the_code_825_names_the_word_and_the_nine_allowed() -> None:
    """An error names the value and the way out."""
    with pytest.raises(Refused, match=r"'SOCKS' is not allowed.*ACCESSORY"):
        read_request(request("x", detection=["TOP", "SOCKS"]))


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"detection": None},
        {"detection": []},
        {"detection": ["SHOES", "BAG", "HAT", "JEWELRY", "ACCESSORY"]},
        {"price": 299.99},
        {"price": "299.99"},
        {"gender": "male", "season": "19SS", "productContentName": "one-piece"},
        {"somethingNew": {"kept": "out"}},
    ],
)
def test_every_documented_context_is_taken(context: dict[str, Any]) -> None:
    """The table and the example differ in types; both are right."""
    asked = read_request(request("x", **context))

    assert asked.image.type == "base64"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", 801),
        (b64encode(b"bytes").decode(), 801),
        ("data:image/png,AAAA", 801),
        ("data:text/plain;base64,AAAA", 801),
        (" data:image/png;base64,AAAA", 801),
        ("data:image/png;base64,AAA", 802),
        ("data:image/png;base64,AAAA AAAA", 802),
        ("data:image/png;base64,AAAA\nAAAA", 802),
        ("data:image/png;base64,AA-_", 802),
        ("data:image/png;base64,AA==AAAA", 802),
        ("data:image/png;base64,가나다라", 802),
    ],
)
def test_base64_is_read_to_the_letter(content: str, code: int) -> None:
    """What passes here passes at an API that reads more kindly."""
    with pytest.raises(Refused) as refusal:
        read_image(read_request(request(content)).image, no_fetch)

    assert code == refusal.value.code


@pytest.mark.parametrize(
    "media_type", ["image/png", "image/jpeg", "IMAGE/PNG", "image/x-ms-bmp"]
)
def test_any_image_type_may_stand_in_the_prefix(media_type: str) -> None:
    """The bytes say what they are; the contract's own example says png for all."""
    asked = read_request(request(data_uri(b"bytes", media_type)))

    assert read_image(asked.image, no_fetch) == b"bytes"


def test_the_bytes_behind_a_url_are_the_image() -> None:
    """They are judged like those that came as base64."""
    asked = read_request(request("https://example.com/a.png", "url"))

    assert read_image(asked.image, lambda url: url.encode()) == (
        b"https://example.com/a.png"
    )


def test_a_url_from_which_nothing_comes_is_refused_with_the_reason() -> None:
    """The message tells what to look at."""
    asked = read_request(request("https://example.com/a.png", "url"))

    with pytest.raises(Refused, match="nothing comes from https://example") as refusal:
        read_image(asked.image, no_fetch)

    assert refusal.value.code == 803


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    """Each scan takes as long as the picture is large, and a few bytes make one."""
    jpeg = encoded("JPEG")
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]

    with pytest.raises(Refused, match="scans") as refusal:
        open_image(jpeg[:-2] + MOST_SCANS * scan + jpeg[-2:])

    assert refusal.value.code == 805


def tiled_tiff(side: int) -> bytes:
    """A grey TIFF of 40 x 50 pixels in one tile with these sides, and no pixels."""
    fields = {
        256: 40,  # width
        257: 50,  # height
        258: 8,  # bits of a sample
        259: 1,  # not compressed
        262: 1,  # black is 0
        277: 1,  # sample of a pixel
        322: side,  # the tile's width
        323: side,  # and its height
        324: 8,  # where it begins
        325: 4,  # its bytes
    }
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields.items()
    )
    directory = struct.pack("<H", len(fields)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory


def test_a_tiff_of_a_giant_tile_is_refused() -> None:
    """A small picture must not ask for the memory of a giant one."""
    assert open_image(tiled_tiff(64)).size == (40, 50)

    with pytest.raises(Refused, match="tiles") as refusal:
        open_image(tiled_tiff(65_536))

    assert refusal.value.code == 805


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "image": JSON
            | st.fixed_dictionaries(
                {},
                optional={
                    "type": st.sampled_from(["url", "base64"]) | JSON,
                    "content": JSON,
                },
            ),
            "context": JSON
            | st.fixed_dictionaries({}, optional={"detection": JSON, "price": JSON}),
        },
    )
)
def test_any_json_is_a_request_or_refused(document: dict[str, Any]) -> None:
    """Nothing a client can write brings the sandbox down."""
    body = json.dumps(document).encode()

    code = refused_with(
        lambda: read_image(read_request(read_document(body)).image, no_fetch)
    )

    assert code in {None, 801, 802, 803, 804, 824, 825}
