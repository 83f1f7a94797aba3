"""Unit tests think; they do not talk: sockets are disabled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket

from tests.environment import isolate


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No socket can be opened, and nobody's settings are seen."""
    isolate(monkeypatch)
    disable_socket()
    yield
    enable_socket()
