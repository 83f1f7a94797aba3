"""Contract tests: a fake and its adapter pass the same tests. Only loopback can be reached."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws
from pytest_socket import socket_allow_hosts

from tests.contract.cli_stack import InMemory, deploy
from tests.environment import isolate


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks connections to other machines, and hides the developer's settings."""
    isolate(monkeypatch)
    # pytest-socket removes it after the test
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)


@pytest.fixture
def aws() -> Iterator[None]:
    """An empty AWS in memory."""
    with mock_aws():
        yield


@pytest.fixture
def cloud() -> Iterator[None]:
    """AWS in memory, with functions that need no Docker."""
    with mock_aws(config={"lambda": {"use_docker": False}}):
        yield


@pytest.fixture
def stack(cloud: None) -> InMemory:  # noqa: ARG001 - the stack is in it
    """A deployed stack for the command `hangtag`."""
    return deploy()
