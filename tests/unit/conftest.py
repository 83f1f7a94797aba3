"""Unit tests do no I/O: sockets are disabled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket

from tests.environment import isolate


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Disables sockets and hides the developer's settings."""
    isolate(monkeypatch)
    disable_socket()
    yield
    enable_socket()
