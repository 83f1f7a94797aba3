"""The first bytes of a file decide whether it is sent, and what it is called if it is not."""

from __future__ import annotations

from contextlib import suppress
from string import ascii_letters, digits

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hangtag.errors import UnsupportedFormat
from hangtag.tagger_api import SIGNATURE_BYTES, media_type, require_media_type
from hangtag.tagger_api.other_formats import OTHER_FORMATS, STRAY_BYTES, other_format
from tests.image_files import (
    DNG_VERSION,
    OTHERS,
    SIX,
    SONY_PRIVATE,
    bmp,
    make,
    nef,
    sub_directories,
    subfile,
    tiff,
)


def refusal(content: bytes) -> UnsupportedFormat:
    """The error of a file."""
    with pytest.raises(UnsupportedFormat) as refused:
        require_media_type(content[:SIGNATURE_BYTES], "s3://uploads/dress.jpg")
    return refused.value


@pytest.mark.parametrize("name", SIX)
def test_the_six_formats_are_recognised_in_all_their_variants(name: str) -> None:
    """A good image that is refused would never be tagged."""
    expected, content = SIX[name]

    assert require_media_type(content[:SIGNATURE_BYTES], name) == expected


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_in_another_format_is_refused_by_its_name(name: str) -> None:
    """The uploader learns what it is and what to upload instead."""
    expected, content = OTHERS[name]

    error = refusal(content)

    assert error.image_format == expected
    assert str(error) == f"s3://uploads/dress.jpg {OTHER_FORMATS[expected]}"
    assert error.code == "UNSUPPORTED_FORMAT"


def test_every_name_has_a_sample() -> None:
    """A name that nothing is called by would be a dead row of the list."""
    assert {name for name, _ in OTHERS.values()} | {STRAY_BYTES} == set(OTHER_FORMATS)


def test_the_names_are_few_and_short() -> None:
    """CloudWatch charges for each value of a dimension, and takes printable ASCII."""
    allowed = set(ascii_letters + digits + " ")

    assert len(OTHER_FORMATS) <= 32
    assert all(set(name) <= allowed for name in OTHER_FORMATS)


def test_the_message_about_an_iphone_photo_says_what_to_do() -> None:
    """HEIC is the most frequent of the refused formats."""
    error = refusal(OTHERS["HEIC"][1])

    assert str(error) == (
        "s3://uploads/dress.jpg is HEIC (the iPhone's default); export it as JPEG"
    )


def test_an_unknown_format_is_shown_by_its_first_bytes() -> None:
    """A developer may recognise them, and add the format."""
    error = refusal(b"FLIF31\x0f\x0f\x91")

    assert error.image_format == ""
    assert str(error) == (
        "s3://uploads/dress.jpg begins with 46 4c 49 46 33 31 0f 0f; it is not "
        "a BMP, GIF, JPEG, PNG, TIFF or WEBP image"
    )


@pytest.mark.parametrize("name", SIX)
@pytest.mark.parametrize(
    "strays",
    [
        b"\n",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"   ",
        b"\0\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf\r\n",
    ],
)
def test_an_image_behind_stray_bytes_is_refused_as_such(
    name: str, strays: bytes
) -> None:
    """Programs that print before they send an image leave them there."""
    kind, content = SIX[name]

    error = refusal(strays + content)

    assert error.image_format == STRAY_BYTES
    found = kind.removeprefix("image/").upper()
    them = "byte; remove it" if len(strays) == 1 else "bytes; remove them"
    assert str(error) == (
        f"s3://uploads/dress.jpg is a {found} behind {len(strays)} stray {them}"
    )


@pytest.mark.parametrize("name", SIX)
def test_each_beginning_of_an_image_reads_the_same_or_is_too_short(name: str) -> None:
    """An image that is cut off by the number of bytes read is not taken for another format."""
    expected, content = SIX[name]

    kinds = [media_type(content[:length]) for length in range(min(len(content), 400))]

    first = next((at for at, kind in enumerate(kinds) if kind), len(kinds))
    assert first <= 28
    assert set(kinds[first:]) <= {expected}


@pytest.mark.fuzz("hangtag.tagger_api.require_media_type")
@given(
    st.binary(max_size=200)
    | st.tuples(
        st.sampled_from([content for _, content in (SIX | OTHERS).values()]),
        st.integers(0, 300),
        st.binary(max_size=40),
    ).map(lambda parts: parts[0][: parts[1]] + parts[2])
)
@example(b"")
@example(b"II*\0\xff\xff\xff\xff")
@example(b"MM\0*\0\0\0\x08\xff\xff")
@example(b"\0\0\0\0ftyp")
@example(b"\xff\xff\xff\xffftypmif1")
@example(b"<!--" * 1_000)
@example(b"<??>" * 1_000)
def test_any_bytes_have_a_name_or_none(content: bytes) -> None:
    """A file that raises another error would be retried for nothing."""
    with suppress(UnsupportedFormat):
        require_media_type(content, "it")
    assert other_format(content) in {None, *OTHER_FORMATS}


# ---- BMP


@pytest.mark.parametrize(
    "damaged",
    [
        bmp(40, reserved=b"GR32")[:10]
        + b"\0\0\0\0"
        + bmp(40)[14:],  # pixels in the header
        bmp(40, reserved=b"GR32")[:14] + b"\x29" + bmp(40)[15:],  # no such header
        bmp(40, reserved=b"GR32")[:26] + b"\x02" + bmp(40)[27:],  # two planes
        bmp(40, reserved=b"GR32")[:20],
    ],
)
def test_a_bmp_whose_reserved_words_are_set_needs_a_plausible_header(
    damaged: bytes,
) -> None:
    """Two letters alone are no signature."""
    assert media_type(damaged) is None


# ---- TIFF and RAW photos


@pytest.mark.parametrize(
    "tags",
    [
        [make("NIKON CORPORATION")],
        [subfile(1), make("NIKON CORPORATION"), sub_directories(60_000)],
        [subfile(1), make("SONY"), sub_directories(60_000)],
        [subfile(0), make("SONY"), SONY_PRIVATE],
        [DNG_VERSION],
        [subfile(1), (50706, 2, b"text")],
    ],
    ids=repr,
)
def test_a_tiff_is_no_raw_photo_by_one_sign_alone(
    tags: list[tuple[int, int, bytes]],
) -> None:
    """Scanners and programs write each of them into plain TIFFs."""
    assert media_type(tiff(tags)) == "image/tiff"


def test_a_raw_photo_whose_tags_are_not_among_the_first_bytes_counts_as_a_tiff() -> (
    None
):
    """The API decides about it; a guess could refuse good TIFFs."""
    far = nef(sub=2 * SIGNATURE_BYTES)

    assert media_type(far[:SIGNATURE_BYTES]) == "image/tiff"
    assert media_type(nef()[:SIGNATURE_BYTES]) is None
