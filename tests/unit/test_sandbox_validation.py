"""The sandbox's validation: which requests it refuses, in which sequence."""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
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
from tests.fuzzing import times


def encoded(kind: str, size: tuple[int, int] = (40, 50)) -> bytes:
    """A red image."""
    buffer = BytesIO()
    Image.new("RGB", size, (200, 30, 40)).save(buffer, kind)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG with these sides and no pixels."""
    fields = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checked = fields + struct.pack(">I", zlib.crc32(fields))
    end = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + checked + end


def refusal_code(judge: Callable[[], object]) -> int | None:
    """The code with which *judge* refuses, or None."""
    try:
        judge()
    except Refused as refused:
        return refused.code
    return None


def no_fetch(url: str) -> bytes:
    """Stands for a URL that returns no image."""
    raise NotFetched(f"nothing comes from {url}")


def request(
    content: object, kind: object = "base64", **context: object
) -> dict[str, Any]:
    """The body of a request, valid or not."""
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
        (15, 151, 806),  # too small as well: the ratio is checked first
        (10_000, 10_000, None),
        (10_001, 10_000, 808),
        (1_000, 10_001, 806),  # too large as well
        (200_000, 1_000, 806),
        (50_000, 50_000, 808),
        (2**31 - 1, 2**31 - 1, 808),
        (1, 1, 807),
    ],
)
def test_sides_are_read_from_the_header(
    width: int, height: int, code: int | None
) -> None:
    """An image that would exhaust the memory is refused before it is decoded."""
    if code is None:
        assert (width, height) == open_image(png_header(width, height)).size
        return

    with pytest.raises(Refused, match=f"{width} x {height}") as refusal:
        open_image(png_header(width, height))

    assert code == refusal.value.code


def test_the_largest_size_is_accepted_and_a_byte_more_is_refused() -> None:
    """The limit itself is allowed."""
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
def test_a_file_in_another_format_is_refused(image: bytes) -> None:
    """Files that only begin like one of the six formats are refused, too."""
    with pytest.raises(Refused) as refusal:
        open_image(image)

    assert refusal.value.code == 805


@pytest.mark.fuzz("hangtag_sandbox.validation.open_image")
@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
@given(data=st.data())
def test_a_damaged_image_is_read_or_refused(kind: str, data: st.DataObject) -> None:
    """Any error of a decoder becomes an error code."""
    image = bytearray(encoded(kind))
    places = st.integers(0, len(image) - 1)
    for place, value in data.draw(
        st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)
    ):
        image[place] = value
    end = data.draw(st.none() | places)

    code = refusal_code(lambda: decode_image(open_image(bytes(image[:end]))))

    assert code in {None, 805, 806, 807, 808}


@pytest.mark.parametrize(
    ("key", "code"), [(None, 612), ("", 612), ("other", 609), ("KEY", 609)]
)
def test_a_missing_and_a_wrong_key_have_different_codes(
    key: str | None, code: int
) -> None:
    """The code shows whether a key was sent."""
    with pytest.raises(Refused) as refusal:
        validate_key(key, {"key"})

    assert code == refusal.value.code


@pytest.mark.parametrize("header", ["fr", "en-US", "ko,en;q=0.5", "*", ""])
def test_only_the_four_languages_are_accepted(header: str) -> None:
    """The contract lists four words and no preferences."""
    with pytest.raises(Refused) as refusal:
        validate_language(header)

    assert refusal.value.code == 826


def test_the_default_language_is_english() -> None:
    """The contract defines it."""
    assert validate_language(None) == "en"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"price": NaN}']
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    """NaN is no JSON."""
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
def test_each_invalid_field_has_its_code(document: dict[str, Any], code: int) -> None:
    """The contract defines the codes; with several errors the most specific code comes first."""
    with pytest.raises(Refused) as refusal:
        read_request(document)

    assert code == refusal.value.code


def test_json_with_very_many_values_is_refused_before_parsing() -> None:
    """
    A megabyte of values would need a hundred of memory. An image may have any number of bytes.
    """
    with pytest.raises(Refused, match="more than 10000 values") as refused:
        read_document(b"[" + b"[]," * 1_000_000 + b"[]]")

    assert refused.value.code == 824


@pytest.mark.parametrize("price", ["1e999999999", "-1e999999999", "1e-999999999"])
def test_a_price_with_a_huge_exponent_is_refused_at_once(price: str) -> None:
    """Converting it to an integer would block the sandbox for hours."""
    image = '{"type": "url", "content": "http://127.0.0.1/a.png"}'
    body = f'{{"image": {image}, "context": {{"price": {price}}}}}'

    with pytest.raises(Refused, match="price") as refused:
        read_request(read_document(body.encode()))

    assert refused.value.code == 824


def test_error_825_names_the_word_and_the_nine_allowed_words() -> None:
    """The message has the value and the remedy."""
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
def test_every_documented_context_is_accepted(context: dict[str, Any]) -> None:
    """The documentation's table and example have different types; both are valid."""
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
def test_base64_is_checked_strictly(content: str, code: int) -> None:
    """A request that passes here also passes at a less strict API."""
    with pytest.raises(Refused) as refusal:
        read_image(read_request(request(content)).image, no_fetch)

    assert code == refusal.value.code


@pytest.mark.parametrize(
    "media_type", ["image/png", "image/jpeg", "IMAGE/PNG", "image/x-ms-bmp"]
)
def test_the_prefix_may_name_any_image_type(media_type: str) -> None:
    """The bytes determine the type; the contract's example says png for all images."""
    asked = read_request(request(data_uri(b"bytes", media_type)))

    assert read_image(asked.image, no_fetch) == b"bytes"


def test_the_image_at_a_url_is_checked_like_base64() -> None:
    """The same rules apply to its bytes."""
    asked = read_request(request("https://example.com/a.png", "url"))

    assert read_image(asked.image, lambda url: url.encode()) == (
        b"https://example.com/a.png"
    )


def test_a_url_without_an_image_is_refused_with_the_reason() -> None:
    """The message names the cause."""
    asked = read_request(request("https://example.com/a.png", "url"))

    with pytest.raises(Refused, match="nothing comes from https://example") as refusal:
        read_image(asked.image, no_fetch)

    assert refusal.value.code == 803


def test_a_jpeg_with_very_many_scans_is_refused() -> None:
    """A few bytes make a scan, and each takes time in proportion to the picture."""
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
        259: 1,  # no compression
        262: 1,  # black is 0
        277: 1,  # sample of a pixel
        322: side,  # the tile's width
        323: side,  # and height
        324: 8,  # its offset
        325: 4,  # its length
    }
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields.items()
    )
    directory = struct.pack("<H", len(fields)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory


def test_a_tiff_with_a_giant_tile_is_refused() -> None:
    """A small picture must not allocate the memory of a giant one."""
    assert open_image(tiled_tiff(64)).size == (40, 50)

    with pytest.raises(Refused, match="tiles") as refusal:
        open_image(tiled_tiff(65_536))

    assert refusal.value.code == 805


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.fuzz("hangtag_sandbox.validation.read_request")
@times(5)
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
def test_any_json_gets_an_answer_or_a_refusal(document: dict[str, Any]) -> None:
    """No request crashes the sandbox."""
    body = json.dumps(document).encode()

    code = refusal_code(
        lambda: read_image(read_request(read_document(body)).image, no_fetch)
    )

    assert code in {None, 801, 802, 803, 804, 824, 825}
