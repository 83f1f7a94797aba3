"""The API key in Secrets Manager."""

from __future__ import annotations

import json
from threading import Lock
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.adapters.aws_errors import code_of
from hangtag.errors import ApiKeyMissing, ApiKeyUnavailable
from hangtag.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_CACHE_SECONDS = 300.0
_RETRY_SECONDS = 10.0  # after a failed read, while the cached key is used
_HOW_TO_SET = 'set it with "hangtag key set"'

# No secret, no current version of it, or marked for deletion
_MISSING = ("ResourceNotFoundException", "InvalidRequestException")


class SecretsManagerKey:
    """
    `ApiKeys` on Secrets Manager.

    Threads share one read. No message contains the value.
    """

    def __init__(
        self, client: SecretsManagerClient, secret_id: str, clock: Clock
    ) -> None:
        self._client = client
        self._secret_id = secret_id
        self._clock = clock
        self._lock = Lock()
        self._cached: str | None = None
        self._stale_at = 0.0

    def key(self) -> str:
        with self._lock:
            left = self._stale_at - self._clock.now()
            # More than the whole time is left if the clock was set back
            if self._cached is None or not 0 < left <= _CACHE_SECONDS:
                try:
                    self._fetch()
                except ApiKeyUnavailable:
                    if self._cached is None:
                        raise
                    # The cached key is most likely still valid
                    self._stale_at = self._clock.now() + _RETRY_SECONDS
            return self._current()

    def fresh_key(self) -> str:
        with self._lock:
            self._fetch()
            return self._current()

    def _current(self) -> str:
        if self._cached is None:
            raise ApiKeyMissing(f"the secret {self._secret_id} is empty; {_HOW_TO_SET}")
        return self._cached

    def _fetch(self) -> None:
        try:
            secret = self._client.get_secret_value(SecretId=self._secret_id)
        except ClientError as error:
            if code_of(error) in _MISSING:
                self._cached = None
                raise ApiKeyMissing(
                    f"the secret {self._secret_id} has no value; {_HOW_TO_SET}"
                ) from error
            raise ApiKeyUnavailable(f"Secrets Manager: {error}") from error
        except BotoCoreError as error:
            raise ApiKeyUnavailable(f"Secrets Manager: {error}") from error
        self._cached = None  # if the value is invalid
        self._cached = read_key(secret.get("SecretString") or "")
        self._stale_at = self._clock.now() + _CACHE_SECONDS


def read_key(secret: str) -> str | None:
    """
    The key in a secret's value, which is the bare key or `{"apiKey": "…"}`; None if it is empty.

    Raises:
        ApiKeyMissing: The value is not empty, but cannot be sent as a header.
    """
    key: object = secret.strip()
    if secret.lstrip().startswith("{"):
        try:
            key = json.loads(secret).get("apiKey")
        except (ValueError, RecursionError):
            key = None
        if not isinstance(key, str):
            raise ApiKeyMissing(
                f'the secret is JSON, but not {{"apiKey": "…"}}; {_HOW_TO_SET}'
            )
        key = key.strip()
    if not key:
        return None
    if not isinstance(key, str) or not (key.isascii() and key.isprintable()):
        raise ApiKeyMissing(
            f"the secret contains characters that no key has; {_HOW_TO_SET}"
        )
    return key
