"""Contract tests: a fake and its adapter sit the same exam. Only loopback can be reached."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws
from pytest_socket import socket_allow_hosts

from tests.environment import isolate


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that leaves this machine fails, and nobody's settings are seen."""
    isolate(monkeypatch)
    # pytest-socket lifts it itself when the test is over
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)


@pytest.fixture
def aws() -> Iterator[None]:
    """AWS in memory, empty."""
    with mock_aws():
        yield
