"""docs/sandbox.md describes every feature of the sandbox."""

from __future__ import annotations

import re
from dataclasses import fields

from hangtag_sandbox import limits
from hangtag_sandbox.calls import Call
from hangtag_sandbox.faults import Fault
from hangtag_sandbox.networks import REACHES
from hangtag_sandbox.openapi import openapi, published_errors
from hangtag_sandbox.validation import http_status
from tests.builders import REPOSITORY

PAGE = (REPOSITORY / "docs" / "sandbox.md").read_text(encoding="utf-8")


def test_the_page_has_cause_and_status_of_every_error() -> None:
    """Its table has the same codes as the contract."""
    rows = re.findall(r"^\| (\d{3}) \| (\d{3}) \|", PAGE, flags=re.MULTILINE)

    codes = [int(error.code) for error in published_errors()]
    assert [(code, http_status(code)) for code in codes] == [
        (int(code), int(status)) for code, status in rows
    ]


def test_every_field_of_a_fault_is_on_the_page() -> None:
    """Authors of tests look here."""
    names = {field.alias or name for name, field in Fault.model_fields.items()}

    assert set() == {field for field in names if f"`{field}`" not in PAGE}


def test_every_field_of_a_call_is_on_the_page() -> None:
    """Readers of the list look here."""
    assert [field.name for field in fields(Call) if f"`{field.name}`" not in PAGE] == []


def test_every_path_is_on_the_page() -> None:
    """The sandbox's own paths are included."""
    paths = {path.replace("{sha256}", "<sha256>") for path in openapi()["paths"]}

    assert set() == {path for path in paths if path not in PAGE}


def test_every_fetch_option_is_on_the_page() -> None:
    """Each has its meaning beside it."""
    assert [each for each in REACHES if f"\n| `--fetch {each}` | " not in PAGE] == []


def test_the_limits_on_the_page_are_current() -> None:
    """The numbers match the code."""
    for text in (
        f"narrower than 1:{limits.LONGEST_RATIO}",
        f"under {limits.SHORTEST_SIDE} pixels",
        f"over {limits.LONGEST_SIDE:,} pixels",
        f"over {limits.MOST_IMAGE_BYTES // 1024**2} MiB",
        f"over {limits.MOST_BODY_BYTES // 1024**2} MiB",
        f"in {limits.FETCH_SECONDS:g} s",
        f"up to {limits.MOST_DELAY_SECONDS:g}",
        f"more than {limits.MOST_CONTEXT_CHARACTERS:,} characters",
        f"more than {limits.MOST_VALUES:,} values",
        f"whole in {limits.REQUEST_SECONDS:g} s",
        f"the last {limits.MOST_CALLS:,} tag calls",
        f"| open connections | {limits.MOST_CONNECTIONS} |",
        f"| {limits.MOST_HEADER_BYTES // 1024} KiB and 100 headers |",
        f"| {limits.MOST_BODY_BYTES // 1024**2} MiB; of a refused request",
        f"{limits.MOST_UNREAD_BYTES // 1024**2} MiB is read |",
        f"| {limits.MOST_RECEIVED_BYTES // 1024**2} MiB received",
        f"a byte of its body | {limits.IDLE_SECONDS:g} s |",
        f"| {limits.HEADER_SECONDS:g} s from the first byte |",
        f"| {limits.REQUEST_SECONDS:g} s from the first byte |",
        f"| sending an answer | {limits.IDLE_SECONDS:g} s |",
    ):
        assert text in PAGE
