"""Code, docstring and docs/architecture.md describe the lifecycle of an upload alike."""

from __future__ import annotations

from docs.generate_lifecycle import BEGIN, END, PAGE, docstring_cells, updated
from hangtag.lifecycle import TRANSITIONS, Status


def test_the_table_in_the_docstring_matches_the_code() -> None:
    """A claim may also be `Done`, which leaves the record unchanged."""
    written = {
        (event, status): Status(cell.split()[0])
        for (event, status), cell in docstring_cells().items()
        if not cell.startswith("Done")
    }
    followed = {
        (event, status): outcome
        for event, outcomes in TRANSITIONS.items()
        for status, outcome in outcomes.items()
    }

    assert written.items() <= followed.items()
    assert set(followed) - set(written) == {("claim", Status.TAGGED)}


def test_the_page_about_the_life_of_an_upload_is_fresh() -> None:
    """To update it: `python docs/generate_lifecycle.py`."""
    page = PAGE.read_text(encoding="utf-8")

    assert page.count(BEGIN) == page.count(END) == 1
    assert updated(page) == page
