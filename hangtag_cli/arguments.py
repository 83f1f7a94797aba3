"""Types of the commands' arguments and options."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

import click

_URI = re.compile(r"s3://[^/]+/.+", re.DOTALL)
_SPAN = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_image_uri(text: str) -> str:
    """
    An image's uri with the raw key: `%`, `?` and `#` belong to the key.

    Raises:
        ValueError: It is not of the form s3://bucket/key.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} is not UTF-8, as every key in S3 is") from error
    if not _URI.fullmatch(text):
        raise ValueError(
            f"{text!r} must be of the form s3://bucket/key, with the key "
            "not percent-encoded"
        )
    return text


def read_prefix_uri(text: str) -> tuple[str, str]:
    """
    A bucket's name and a prefix of keys, not percent-encoded; the prefix may be empty.

    Raises:
        ValueError: It is not of the form s3://bucket or s3://bucket/prefix.
    """
    scheme, _, rest = text.partition("://")
    bucket, _, prefix = rest.partition("/")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} is not UTF-8, as every key in S3 is") from error
    if scheme != "s3" or not bucket:
        raise ValueError(
            f"{text!r} must be of the form s3://bucket/prefix, with the prefix "
            "not percent-encoded, or s3://bucket"
        )
    return bucket, prefix


def read_amount(text: str) -> float:
    """
    A finite number that is not negative.

    Raises:
        ValueError: It is not.
    """
    try:
        amount = float(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a number") from error
    if not 0 <= amount < math.inf:
        raise ValueError(f"{text!r} must be a finite number and not negative")
    return amount


def read_confidence(text: str) -> Decimal:
    """
    A confidence.

    Raises:
        ValueError: It is not a number from 0 to 1.
    """
    try:
        confidence = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not a number") from error
    if not (
        confidence.is_finite() and 0 <= confidence <= 1 and confidence.adjusted() > -38
    ):
        raise ValueError(f"{text!r} must be from 0 to 1")
    return confidence


def read_rate(text: str) -> float:
    """
    A number per second.

    Raises:
        ValueError: It is not from 0.0001 to 1,000,000.
    """
    rate = read_amount(text)
    if not 0.0001 <= rate <= 1_000_000:
        raise ValueError(f"{text!r} must be from 0.0001 to 1,000,000 per second")
    return rate


def read_cursor(text: str) -> str:
    """
    The position of a result, as `results find` prints it.

    Raises:
        ValueError: The text is no position.
    """
    if not _CURSOR.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a cursor: copy the command that the last call printed"
        )
    return text


_CURSOR = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{5,20}Z#[0-9a-f]{32}", re.ASCII)


def read_letter_name(text: str) -> str:
    """
    The name of a dead letter: the uri of its image, or its id.

    Raises:
        ValueError: It is neither.
    """
    if text.startswith("s3:"):
        return read_image_uri(text)
    if not text.isascii() or not text.isprintable() or not text.strip():
        raise ValueError(
            f"{text!r} is neither an image's s3://bucket/key nor a dead letter's id "
            '(see "hangtag --json failures list")'
        )
    return text.strip()


def read_word(text: str) -> str:
    """
    A text to filter by.

    Raises:
        ValueError: It is empty or not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{text!r} is not UTF-8, so that nothing can match it"
        ) from error
    if not text:
        raise ValueError(f"{text!r} is empty: leave it out to match all")
    return text


def read_stack_name(text: str) -> str:
    """
    The name of a CloudFormation stack, or its ARN.

    Raises:
        ValueError: It is neither; a request without a name would not be about one stack.
    """
    if not _STACK.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of a CloudFormation stack")
    return text


_STACK = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}|arn:[\w:/-]{1,500}", re.ASCII)


def read_since(text: str, *, now: datetime) -> datetime:
    """
    A time: so long ago (`90m`, `24h`, `7d`, `2w`), or an ISO time, in UTC if it has no zone.

    Raises:
        ValueError: It is neither, or too long ago to be written as a date.
    """
    try:
        if span := _SPAN.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        moment = datetime.fromisoformat(text.strip())
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return zoned.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is not a time; write it like 24h, 7d, 2026-01-31 or 2026-01-31T12:00Z"
        ) from error


def read_endpoint_url(text: str) -> str:
    """
    The URL of an AWS endpoint.

    Raises:
        ValueError: It is not an HTTP URL.
    """
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_valid = is_valid and parts.port != 0  # reading the port checks it
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError(f"{text!r} must be like http://127.0.0.1:4566")
    return text


def read_queue(text: str) -> str:
    """
    An SQS queue: its URL, its ARN, or its name.

    Raises:
        ValueError: It has another form.
    """
    parts = urlsplit(text)
    if parts.scheme in ("http", "https"):
        path = parts.path
        if parts.hostname and path.count("/") > 1 and not path.endswith("/"):
            return text
    elif _QUEUE.fullmatch(text):
        return text
    raise ValueError(
        f"{text!r} must be a queue's URL, like "
        "https://sqs.eu-west-1.amazonaws.com/123456789012/my-queue, its name or its ARN"
    )


_QUEUE = re.compile(r"(arn:aws[\w-]*:sqs:[\w-]+:\d+:)?[\w-]{1,80}(\.fifo)?", re.ASCII)


class Checked(click.ParamType):
    """A type that a function reads. Its ValueError is wrong usage."""

    def __init__(self, name: str, read: Callable[[str], object]) -> None:
        self.name = name
        self._read = read

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> object:
        """The value that was read."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


WORD = Checked("text", read_word)
IMAGE_URI = Checked("uri", read_image_uri)
PREFIX_URI = Checked("uri", read_prefix_uri)
AMOUNT = Checked("amount", read_amount)
CONFIDENCE = Checked("number", read_confidence)
RATE = Checked("rate", read_rate)
CURSOR = Checked("cursor", read_cursor)
LETTER_NAME = Checked("uri|id", read_letter_name)
STACK = Checked("name", read_stack_name)
SINCE = Checked("time", lambda text: read_since(text, now=datetime.now(UTC)))
QUEUE = Checked("queue", read_queue)
ENDPOINT_URL = Checked("url", read_endpoint_url)
