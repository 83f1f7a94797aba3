"""The real template in a local cloud of its own, deployed once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local.progress import Step
from local.stack import bring_up, take_down
from local.watch import WatchedStack, watch

PARAMETERS = {
    "RetryBaseSeconds": "0",
    "MaxAttempts": "2",
    "FunctionTimeout": "10",
    "VisibilityTimeout": "12",
    "MaxConcurrency": "2",
    "AutoReplaySchedule": '"rate(7 days)"',  # quoted for sam, which splits at spaces
}
"""
Small, so that a test of a retry takes seconds, and two processors are enough. The schedule is there
to be deployed; no test waits for it.
"""


@pytest.fixture(scope="session")
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WatchedStack]:
    """
    The stack, a sandbox to ask, a subscriber to its topic, and helpers to wait with.

    All tests share it, and its dead-letter queue: let each use keys and images of its own.
    """
    directory = tmp_path_factory.mktemp("stack")
    deployed = bring_up(
        directory, step=steps_in_the_report(request.config), parameters=PARAMETERS
    )
    try:
        yield watch(deployed, "tests-subscriber")
    finally:
        take_down(directory)


def steps_in_the_report(config: pytest.Config) -> Step:
    """Steps told where pytest reports: making the stack takes longer than any test."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")

    @contextmanager
    def step(work: str) -> Iterator[None]:
        if reporter is not None:  # one of several processes has none
            with capture.global_and_fixture_disabled():
                reporter.ensure_newline()
                reporter.write_line(f"{work} ...")
        yield

    return step
