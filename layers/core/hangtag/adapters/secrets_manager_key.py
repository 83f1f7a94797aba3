"""The API key in Secrets Manager."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.adapters.aws_errors import code_of
from hangtag.api_key import InvalidKey, read_key
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
                    return self._fetch()
                except ApiKeyUnavailable:
                    if self._cached is None:
                        raise
                    # The cached key is most likely still valid
                    self._stale_at = self._clock.now() + _RETRY_SECONDS
            return self._cached

    def fresh_key(self) -> str:
        with self._lock:
            return self._fetch()

    def _fetch(self) -> str:
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
        try:
            key = read_key(secret.get("SecretString") or "")
        except InvalidKey as error:
            raise ApiKeyMissing(
                f"the secret {self._secret_id} holds no key: {error}; {_HOW_TO_SET}"
            ) from None
        self._cached = key
        self._stale_at = self._clock.now() + _CACHE_SECONDS
        return key
