from __future__ import annotations

import re

import pytest

from docs.generate_error_codes import error_codes
from hangtag import errors
from hangtag.errors import KINDS, MESSAGE_LIMIT, BadAnswer, HangtagError, InternalError
from hangtag.failure import Failure
from hangtag.tagger_api.errors import (
    HttpStatus,
    SidesTooSmall,
    UnlistedApiCode,
    UnlistedError,
    error_from_api,
    kind_of_http_status,
    leaves,
)
from tests.builders import NOON, REPOSITORY

LEAVES = list(leaves())

# The vendor's codes: the meaning, who acts, and the kind
DOCUMENTED: dict[str, tuple[str, str, str]] = {
    "500": ("internal server error", "no one at first: it is retried", "transient"),
    "609": ("wrong key or no permission", "key owner", "auth"),
    "612": ("x-api-key header missing", "key owner", "auth"),
    "623": ("unknown resource or method", "operator", "config"),
    # The vendor's page and its translation contradict each other: an operator cannot act
    "801": ("base64 header (prefix) problem", "Hangtag's developers", "permanent"),
    "802": ("base64 image could not be read", "uploader", "permanent"),
    "803": ("image could not be fetched from the url", "operator", "permanent"),
    "804": ("image.type is neither url nor base64", "operator", "config"),
    "805": ("format not supported", "uploader", "permanent"),
    "806": ("aspect ratio not supported", "uploader", "permanent"),
    "807": ("width or height too small", "uploader", "permanent"),
    "808": ("width or height too large", "uploader", "permanent"),
    "809": ("too many bytes", "uploader", "permanent"),
    "823": ("usage quota exceeded", "account owner", "quota"),
    "824": ("invalid JSON", "operator", "config"),
    "825": ("detection value not allowed", "operator or uploader", "config"),
    "826": ("language not supported", "operator", "config"),
}

_TREE_LINE = re.compile(
    r"^    (?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)(:.*|\s{2,}(?P<code>\S.*))?$"
)


def with_subclasses(
    branch: type[HangtagError] = HangtagError,
) -> set[type[HangtagError]]:
    """*branch* and all its subclasses."""
    below = (with_subclasses(child) for child in branch.__subclasses__())
    return {branch}.union(*below)


def drawn_tree() -> dict[str, tuple[str | None, str | None]]:
    """The tree in the module's docstring, as name to parent and code."""
    assert errors.__doc__ is not None
    branches: dict[int, str] = {}
    drawn: dict[str, tuple[str | None, str | None]] = {}
    for line in errors.__doc__.splitlines():
        found = _TREE_LINE.match(line)
        if found:
            depth = len(found["indent"]) // 4
            branches[depth] = found["name"]
            drawn[found["name"]] = (branches.get(depth - 1), found["code"])
    return drawn


def page_rows() -> dict[str, dict[str, str]]:
    """The rows of docs/error-codes.md about one code, by column."""
    page = (REPOSITORY / "docs" / "error-codes.md").read_text(encoding="utf-8")
    columns = (
        *("code", "meaning", "kind", "source"),
        *("who acts", "what to do", "who can cause it"),
    )
    rows: dict[str, dict[str, str]] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(columns) and re.fullmatch("`[A-Z0-9_]+`", cells[0]):
            rows[cells[0].strip("`")] = dict(zip(columns, cells, strict=True))
    return rows


# ---- the tree


def test_the_tree_drawn_in_the_docstring_is_the_tree_of_the_classes() -> None:
    """Readers see it first."""
    classes = {
        error.__name__: None if error is HangtagError else error.__base__.__name__
        for error in with_subclasses()
        if error.__base__ is not None
    }

    drawn = {name: parent for name, (parent, _) in drawn_tree().items()}

    assert classes == drawn


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_the_code_drawn_beside_a_leaf_is_its_own(leaf: type[HangtagError]) -> None:
    """The drawing includes the codes."""
    _, code = drawn_tree()[leaf.__name__]

    assert leaf.code == code


def test_leaves_and_codes_match_one_to_one() -> None:
    """The advice belongs to the code."""
    codes = [leaf.code for leaf in LEAVES]

    assert len(codes) == len(set(codes))


def test_every_error_without_a_code_is_a_branch_or_cannot_be_listed() -> None:
    """Every error that is raised has a code."""
    uncoded = with_subclasses() - set(LEAVES)

    ends = {error for error in uncoded if not error.__subclasses__()}

    assert ends == {UnlistedApiCode, HttpStatus}


@pytest.mark.parametrize(
    "error", [*LEAVES, UnlistedApiCode, HttpStatus], ids=lambda error: error.__name__
)
def test_every_error_has_a_meaning_and_advice(
    error: type[HangtagError],
) -> None:
    """Each has a sentence about the meaning, who acts, and a sentence of advice."""
    assert error.__doc__ is not None
    assert error.__doc__.strip().splitlines()[0].endswith(".")
    assert error.source in {"api", "image", "aws", "event", "internal"}
    assert error.who
    assert error.advice.endswith(".")


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_every_leaf_has_a_kind_and_a_code_that_can_be_typed(
    leaf: type[HangtagError],
) -> None:
    """Digits, or capitals and underscores."""
    assert leaf.kind in KINDS
    assert re.fullmatch(r"\d+|[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", leaf.code)


def test_the_page_of_error_codes_is_fresh() -> None:
    """To update it: `python docs/generate_error_codes.py > docs/error-codes.md`."""
    page = (REPOSITORY / "docs" / "error-codes.md").read_text(encoding="utf-8")

    assert error_codes() == page


# ---- the API's codes


def test_the_documented_codes_have_leaves_of_their_kind() -> None:
    """Every code that the vendor lists, and no other number."""
    ours = {leaf.code: leaf.kind for leaf in LEAVES if leaf.code.isdigit()}

    assert ours == {code: kind for code, (_, _, kind) in DOCUMENTED.items()}


@pytest.mark.parametrize("code", DOCUMENTED)
def test_the_page_has_the_vendors_meaning_of_a_documented_code(code: str) -> None:
    """The page and the vendor agree about the meaning."""
    meaning, who, kind = DOCUMENTED[code]

    row = page_rows()[code]

    assert row["meaning"].lower() == f"{meaning}.".lower()
    assert row["who acts"] == who
    assert (row["kind"], row["source"]) == (f"`{kind}`", "`api`")


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_the_page_describes_every_leaf(
    leaf: type[HangtagError],
) -> None:
    """Page and tree agree, column by column."""
    assert page_rows()[leaf.code] == {
        "code": f"`{leaf.code}`",
        "meaning": leaf.__doc__,
        "kind": f"`{leaf.kind}`",
        "source": f"`{leaf.source}`",
        "who can cause it": leaf.cause,
        "who acts": leaf.who,
        "what to do": leaf.advice,
    }


def test_the_page_has_only_codes_of_the_tree() -> None:
    """Every listed code can occur."""
    assert set(page_rows()) == {leaf.code for leaf in LEAVES} | {errors.UNCODED}


@pytest.mark.parametrize("code", DOCUMENTED)
def test_a_documented_code_keeps_its_kind_whatever_the_status(code: str) -> None:
    """The body decides."""
    for status in (200, 400, 500):
        error = error_from_api(code, "no", http_status=status, retry_after_seconds=3)

        assert (code, DOCUMENTED[code][2]) == (error.code, error.kind)
        assert error.retry_after_seconds == 3


@pytest.mark.parametrize(
    ("status", "kind"), [(200, "permanent"), (429, "transient"), (500, "transient")]
)
def test_other_codes_are_kept_and_judged_by_the_status(status: int, kind: str) -> None:
    """The API has codes that are not documented."""
    error = error_from_api("831", "no", http_status=status)

    assert isinstance(error, UnlistedError)
    assert (error.code, error.kind) == ("831", kind)


@pytest.mark.parametrize("status", [400, 407, 408, 409, 428, 429, 430, 499, 500, 599])
def test_every_status_has_a_kind(status: int) -> None:
    """408, 429 and 5xx are transient, all others permanent."""
    later = status in (408, 429) or status >= 500

    assert ("transient" if later else "permanent") == kind_of_http_status(status)


# ---- failures


def test_a_failure_records_an_error() -> None:
    """It is in the result and on the dead letter."""
    failure = Failure.of(SidesTooSmall("10 x 10"), attempts=2, failed_at=NOON)

    assert failure.document() == {
        "code": "807",
        "kind": "permanent",
        "message": "10 x 10",
        "source": "api",
        "attempts": 2,
        "failedAt": NOON,
    }


@pytest.mark.parametrize("message", ["", " ", "\n\t", "\x00"])
def test_a_failure_without_a_message_has_its_errors_name(message: str) -> None:
    """SQS refuses empty attributes."""
    failure = Failure.of(InternalError(message), attempts=1, failed_at=NOON)

    assert failure.message == "InternalError"


def test_a_long_message_is_cut() -> None:
    """An attribute of a message is small."""
    failure = Failure.of(InternalError("가" * 5_000), attempts=1, failed_at=NOON)

    assert failure.message == "가" * MESSAGE_LIMIT


@pytest.mark.parametrize(
    "said",
    [
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=5ecret",
        "https://b.s3.amazonaws.com/k?a=1&X-Amz-Credential=A%2F5ecret&X-Amz-Signature=x",
        r'{"url": "https:\/\/b\/k?X-Amz-Date=1\u0026X-Amz-Signature=5ecret"}',
        '<a href="https://b/k?X-Amz-Date=1&amp;X-Amz-Signature=5ecret">',
        "fetch?url=https%3A%2F%2Fb%2Fk%3FX-Amz-Date%3D1%26X-Amz-Signature%3D5ecret",
        "https://b/k?x-amz-signature=5ecret",
        "data:image/png;base64,5ecret",
        r"data:image\/png;base64,iVBORw0KGgo5ecret\/AAAA",
        '{"content": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB5ecret"}',
        r'{"content": "\/9j\/4AAQSkZJRgABAQAAAQABAAD5ecret\/AA"}',
    ],
)
def test_no_message_has_a_presigned_url_or_an_image(said: str) -> None:
    """A message is logged and dead-lettered, and the API may echo its request."""
    error = BadAnswer(f"it said {said}, sorry")

    assert "5ecret" not in str(error)
    assert str(error).startswith("it said ")


@pytest.mark.parametrize(
    "said",
    ["x" * 300, "base64 could not be read", "Qk", "X-Amz-Meta", "a/9j/b?c=d&e=f"],
)
def test_other_text_is_kept(said: str) -> None:
    """Operators need the API's message."""
    assert str(BadAnswer(said)) == said
