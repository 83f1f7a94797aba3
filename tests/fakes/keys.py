from __future__ import annotations

from hangtag.errors import ApiKeyMissing
from tests.builders import API_KEY
from tests.fakes.failing import CanFail


class FakeApiKeys(CanFail):
    """`ApiKeys` in memory, with a cache like the adapter's."""

    def __init__(self, key: str | None = API_KEY) -> None:
        super().__init__()
        self._secret = key
        self._cached: str | None = None

    def set_key(self, key: str | None) -> None:
        """Sets the secret's key, or removes it."""
        self._secret = key

    def key(self) -> str:
        return self._cached or self.fresh_key()

    def fresh_key(self) -> str:
        self._cached = None
        self._may_fail("fresh_key")
        if self._secret is None:
            raise ApiKeyMissing("the secret has no value")
        self._cached = self._secret
        return self._cached
