"""Deploys the real template in a new local cloud, once for all tests here."""

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
Short delays and low concurrency, so that tests take seconds on two processors. The schedule is only
deployed; its first run is after the tests.
"""


@pytest.fixture(scope="session")
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WatchedStack]:
    """
    The deployed stack with a sandbox and a subscriber.

    All tests share it and its dead-letter queue, so each test must use its own keys and images.
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
    """Return a `Step` that prints in pytest's report, because the deployment takes long."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")

    @contextmanager
    def step(work: str) -> Iterator[None]:
        if reporter is not None:  # None in a worker process of pytest-xdist
            with capture.global_and_fixture_disabled():
                reporter.ensure_newline()
                reporter.write_line(f"{work} ...")
        yield

    return step
