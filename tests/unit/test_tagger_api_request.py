from __future__ import annotations

import base64
import json
from decimal import Decimal
from email.header import Header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.errors import InvalidContext
from hangtag.tagger_api import (
    DETECTIONS,
    LANGUAGES,
    Context,
    media_type,
    models,
    read_detection,
    read_language,
    read_metadata,
)
from hangtag.tagger_api.models import TaggingRequest
from tests.builders import FIRST_BYTES, PNG, a_body

EVERY_FIELD = {
    "tagger-id": "A111",
    "tagger-detection": "TOP, shoes",
    "tagger-gender": "female",
    "tagger-brand": "Example & Söhne",
    "tagger-currency": "KRW",
    "tagger-price": "299.990",
    "tagger-age": "early20s",
    "tagger-keywords": "summer onepiece",
    "tagger-product-content-name": "봄 자켓",
    "tagger-season": "19SS",
    "tagger-language": "ko",
}


def read(metadata: dict[str, str]) -> tuple[str, dict[str, object]]:
    """Language and context of an object with this user metadata."""
    language, context = read_metadata(metadata, language="en", detection=())
    return language, context.document()


# ---- the body of a request


@pytest.mark.parametrize("size", [0, 1, 2, 3, 196_607, 196_608, 196_609, 1_000_000])
def test_a_request_carries_the_image_byte_for_byte(size: int) -> None:
    """Base64 in pieces is the same as base64 of the whole."""
    image = bytes(number % 251 for number in range(size))
    body = a_body(image, "image/webp")

    request = TaggingRequest.model_validate_json(b"".join(body))

    assert request.image.type == "base64"
    assert request.image.content == (
        "data:image/webp;base64," + base64.b64encode(image).decode()
    )
    assert request.context is None


def test_a_request_without_the_prefix_is_bare_base64() -> None:
    """The English text of error 801 asks for that."""
    body = a_body(with_prefix=False)

    request = TaggingRequest.model_validate_json(b"".join(body))

    assert base64.b64encode(PNG).decode() == request.image.content


def test_a_request_can_be_iterated_again() -> None:
    """A second call sends the same bytes."""
    body = a_body(context=Context(brand="봄"))

    assert list(body) == list(body)


_texts = st.none() | st.text()
contexts = st.builds(
    Context,
    id=_texts,
    detection=st.none() | st.lists(st.sampled_from(DETECTIONS)).map(tuple),
    gender=_texts,
    brand=_texts,
    currency=_texts,
    price=_texts,
    age=_texts,
    keywords=_texts,
    product_content_name=_texts,
    season=_texts,
)


@given(
    image=st.binary(),
    kind=st.sampled_from(sorted(FIRST_BYTES)),
    context=contexts,
    with_prefix=st.booleans(),
)
def test_a_request_reads_back_unchanged(
    *, image: bytes, kind: str, context: Context, with_prefix: bool
) -> None:
    """The sandbox reads requests with the models; the client writes them without."""
    body = a_body(image, kind, context, with_prefix=with_prefix)

    written = b"".join(body)
    request = TaggingRequest.model_validate_json(written)

    assert len(written) == len(body)
    assert context.document() == (
        request.context.model_dump(by_alias=True, exclude_none=True)
        if request.context
        else {}
    )


def test_the_context_that_is_sent_has_the_fields_of_the_model() -> None:
    """The function writes it without the model; results have its fields in that sequence."""
    every_field = Context(
        **{name: f"a {name}" for name in models.Context.model_fields}  # type: ignore[arg-type]
    )

    assert list(every_field.document()) == [
        field.alias or name for name, field in models.Context.model_fields.items()
    ]


def test_the_context_is_sent_by_the_apis_names() -> None:
    """The names of the attributes are not sent."""
    context = Context(
        id="A111", product_content_name="one-piece", detection=("SHOES",), price="1.50"
    )
    body = a_body(context=context)

    written = json.loads(b"".join(body))

    assert written["context"] == {
        "id": "A111",
        "detection": ["SHOES"],
        "productContentName": "one-piece",
        "price": "1.50",
    }


@pytest.mark.parametrize(
    ("price", "expected"),
    [("299.99", "299.99"), (299, 299), (299.99, Decimal("299.99"))],
)
def test_a_price_is_a_number_or_a_text(price: object, expected: object) -> None:
    """The documentation's table says text, its example has a number."""
    text = json.dumps({"price": price})

    context = models.Context.model_validate_json(text)

    assert expected == context.price
    assert type(expected) is type(context.price)


# ---- metadata


def test_every_field_of_the_context_comes_with_the_upload() -> None:
    """There are eleven keys of user metadata."""
    language, context = read(EVERY_FIELD)

    assert language == "ko"
    assert context == {
        "id": "A111",
        "detection": ("TOP", "SHOES"),
        "gender": "female",
        "brand": "Example & Söhne",
        "currency": "KRW",
        "price": "299.990",
        "age": "early20s",
        "keywords": "summer onepiece",
        "productContentName": "봄 자켓",
        "season": "19SS",
    }


def test_metadata_without_the_prefix_is_ignored() -> None:
    """Other programs use metadata, too."""
    assert read({"owner": "somebody", "taggerid": "x"}) == ("en", {})


def test_an_empty_value_is_no_value() -> None:
    """Tools write empty metadata for fields that are not filled in."""
    assert read({"tagger-brand": " ", "tagger-price": ""}) == ("en", {})


def test_the_case_of_a_key_does_not_matter() -> None:
    """S3 makes keys lower case, other stores do not."""
    assert read({"Tagger-Brand": "Example"}) == ("en", {"brand": "Example"})


def test_the_stacks_settings_are_the_defaults() -> None:
    """Language and Detection are the stack's parameters."""
    language, context = read_metadata({}, language="ja", detection=("HAT",))

    assert (language, context.document()) == ("ja", {"detection": ("HAT",)})


def test_the_metadata_of_an_upload_overrides_the_settings() -> None:
    """This holds for the language and the detection."""
    language, context = read_metadata(
        {"tagger-language": "ko", "tagger-detection": "shoes"},
        language="ja",
        detection=("HAT",),
    )

    assert (language, context.document()) == ("ko", {"detection": ("SHOES",)})


@pytest.mark.parametrize("text", ["봄 자켓", "Söhne", "a" * 300 + "ü", "=?", "🧥"])
def test_a_value_that_is_not_ascii_is_decoded(text: str) -> None:
    """S3 returns such values in the encoding of RFC 2047."""
    encoded = Header(text, "utf-8").encode()

    assert read({"tagger-brand": encoded}) == ("en", {"brand": text})


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        ("=?UTF-8?B?67SEIOyekOy8kw==?=", "봄 자켓"),
        ("=?UTF-8?Q?S=C3=B6hne?=", "Söhne"),
        ("=?utf-8?q?S=C3=B6hne_und_T=C3=B6chter?=", "Söhne und Töchter"),
        ("=?UTF-8?B?67SEIA==?= =?UTF-8?B?7J6Q7LyT?=", "봄 자켓"),
        ("plain =?UTF-8?B?67SE?=", "plain 봄"),
    ],
)
def test_both_spellings_of_rfc_2047_are_decoded(encoded: str, expected: str) -> None:
    """Base64 and quoted-printable, one word or several."""
    assert read({"tagger-brand": encoded}) == ("en", {"brand": expected})


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("tagger-gendr", "female", "tagger-gender"),
        ("tagger-", "x", "tagger-id"),
        ("tagger-language", "english", "en, ko, zh, ja"),
        ("tagger-detection", "TOP,SOCKS", "SOCKS"),
        ("tagger-price", "cheap", "299.99"),
        ("tagger-price", "NaN", "299.99"),
        ("tagger-price", "Infinity", "299.99"),
        ("tagger-price", "1_000", "299.99"),
        ("tagger-price", "\u0663\u0664", "299.99"),
        ("tagger-brand", "=?utf-8?q?=ff?=", "RFC 2047"),
        ("tagger-brand", "=?nothing?b?AAAA?=", "RFC 2047"),
        ("tagger-brand", "=?utf-8?b?A?=", "RFC 2047"),
        ("tagger-brand", "=?utf-7?q?+2AA-?=", "RFC 2047"),
    ],
)
def test_an_invalid_value_is_named_with_the_allowed_values(
    key: str, value: str, named: str
) -> None:
    """A typo must not silently drop a product's gender, nor cost a call."""
    with pytest.raises(InvalidContext) as caught:
        read({key: value})

    assert f"x-amz-meta-{key}" in str(caught.value)
    assert repr(value) in str(caught.value)
    assert named in str(caught.value)


def test_an_invalid_value_is_shown_decoded() -> None:
    """The uploader did not encode it."""
    with pytest.raises(InvalidContext, match="tagger-price = '삼만원'"):
        read({"tagger-price": "=?UTF-8?B?7IK866eM7JuQ?="})


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("tagger-detection", "SOCKS" * 350, "ACCESSORY"),
        ("tagger-language", "x" * 1_900, "ja"),
        ("tagger-price", "9" * 1_900 + "x", "299.99"),
        ("tagger-" + "x" * 1_900, "x", "tagger-language"),
    ],
)
def test_a_long_value_leaves_room_for_the_allowed_values(
    key: str, value: str, allowed: str
) -> None:
    """S3 keeps 2 KB of metadata; a failure keeps fewer characters of a message."""
    with pytest.raises(InvalidContext) as caught:
        read({key: value})

    assert str(caught.value).endswith(allowed)


_metadata_keys = st.sampled_from([*EVERY_FIELD, "tagger-nothing", "other"])
_encoded_words = st.builds(
    "=?{}?{}?{}?=".format,
    st.sampled_from(["utf-8", "us-ascii", "utf-7", "hex", "idna", "x\0y"]) | st.text(),
    st.sampled_from("bBqQx"),
    st.text(),
)


@pytest.mark.fuzz("hangtag.tagger_api.read_metadata")
@given(st.dictionaries(_metadata_keys, st.text() | _encoded_words))
def test_all_metadata_is_read_or_is_an_invalid_context(
    metadata: dict[str, str],
) -> None:
    """There is no other exception, and every context can be sent and stored."""
    try:
        _, context = read(metadata)
    except InvalidContext:
        return

    json.dumps(context, ensure_ascii=False).encode()


# ---- languages and detections


def test_detections_are_read_in_any_case_and_spacing() -> None:
    """People type them."""
    assert read_detection(" top,, Shoes ,") == ("TOP", "SHOES")


def test_no_detection_means_all() -> None:
    """The API's default."""
    assert read_detection(" , ") == ()


def test_the_nine_documented_detections_are_known() -> None:
    """Five are documented for version 2.12, four on the vendor's other pages."""
    assert len(read_detection(",".join(DETECTIONS))) == 9


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_are_read_in_any_case(language: str) -> None:
    """People type them, too."""
    assert language == read_language(f" {language.upper()} ")


# ---- media types

VARIANTS = [
    ("image/bmp", b"BM\x00\x00\x00\x00\x00\x00\x00\x00\x8a\x00\x00\x00\x7c\x00"),
    ("image/gif", b"GIF87a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00"),
    ("image/jpeg", b"\xff\xd8\xff\xe1\x00\x18Exif\x00\x00II*\x00"),
    ("image/jpeg", b"\xff\xd8\xff\xdb\x00\x43\x00\x08\x06\x06\x07\x06\x05\x08\x07\x07"),
    ("image/tiff", b"MM\x00*\x00\x00\x00\x08\x00\x0e\x00\xfe\x00\x04\x00\x00"),
    ("image/webp", b"RIFF\x24\x00\x00\x00WEBPVP8L"),
    ("image/webp", b"RIFF\x24\x00\x00\x00WEBPVP8X"),
    *FIRST_BYTES.items(),
]

NO_IMAGES = [
    b"",
    b"\x89PN",
    b"GIF88a\x01\x00\x01\x00",
    b"BMW price list 2027",
    b"II+\x00\x08\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00",  # BigTIFF
    b"MM\x00+\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10",  # BigTIFF
    b"RIFF\x24\x00\x00\x00WAVEfmt ",
    b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00",
    b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00",
    b"<svg xmlns='http",
    b"%PDF-1.7\n",
    b"name,price\nshirt",
]


@pytest.mark.parametrize(("expected", "first_bytes"), VARIANTS)
def test_the_six_formats_are_recognised_by_their_first_bytes(
    expected: str, first_bytes: bytes
) -> None:
    """In all their variants."""
    assert expected == media_type(first_bytes)


@pytest.mark.parametrize("first_bytes", NO_IMAGES)
def test_other_formats_are_not_recognised(first_bytes: bytes) -> None:
    """The API would refuse them."""
    assert media_type(first_bytes) is None
