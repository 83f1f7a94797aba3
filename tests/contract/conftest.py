"""Contract tests: a fake and its adapter pass the same tests. Only loopback can be reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from moto.sqs.models import Message, SQSBackend
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
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS in memory, with functions that need no Docker, and queues that answer at once."""
    receive = SQSBackend.receive_message

    def receive_at_once(
        self: SQSBackend,
        queue: str,
        count: int,
        _seconds: int,
        *others: Any,  # noqa: ANN401 - moto's
    ) -> list[Message]:
        return receive(self, queue, count, 0, *others)

    monkeypatch.setattr(SQSBackend, "receive_message", receive_at_once)
    with mock_aws(config={"lambda": {"use_docker": False}}):
        yield


@pytest.fixture
def stack(cloud: None) -> InMemory:  # noqa: ARG001 - the stack is in it
    """A deployed stack for the command `hangtag`."""
    return deploy()
