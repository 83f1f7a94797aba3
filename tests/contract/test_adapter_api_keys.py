"""`ApiKeys`: the cached key, in memory and in Secrets Manager."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Barrier, Thread
from typing import TYPE_CHECKING

import pytest

from hangtag.adapters.secrets_manager_key import SecretsManagerKey
from hangtag.errors import ApiKeyMissing
from hangtag.ports import ApiKeys
from tests.contract.aws_parts import session
from tests.fakes import FakeApiKeys, FakeClock

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SECRET = "api-key"


@dataclass(frozen=True)
class Keys:
    """The port, and the owner of the key."""

    port: ApiKeys
    set_key: Callable[[str], None]
    take_away: Callable[[], None]


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at noon until a test advances it."""
    return FakeClock()


@pytest.fixture
def client(aws: None) -> SecretsManagerClient:  # noqa: ARG001 - the client is of it
    """Secrets Manager in memory; the secret has no value, like that of a new stack."""
    client = session().client("secretsmanager")
    client.create_secret(Name=SECRET)
    return client


@pytest.fixture
def secret(client: SecretsManagerClient) -> Callable[[str], None]:
    """Sets the secret's value."""

    def set_value(value: str) -> None:
        client.put_secret_value(SecretId=SECRET, SecretString=value)

    return set_value


@pytest.fixture
def adapter(client: SecretsManagerClient, clock: FakeClock) -> SecretsManagerKey:
    """The adapter."""
    return SecretsManagerKey(client, SECRET, clock)


@pytest.fixture(params=["fake", "moto"])
def keys(request: pytest.FixtureRequest) -> Keys:
    """The fake, then the adapter; neither has a key yet."""
    if request.param == "fake":
        fake = FakeApiKeys(None)
        return Keys(fake, fake.set_key, lambda: fake.set_key(None))
    set_value: Callable[[str], None] = request.getfixturevalue("secret")
    return Keys(request.getfixturevalue("adapter"), set_value, lambda: set_value(" "))


# ---- the fake and the adapter


def test_a_missing_key_is_reported(keys: Keys) -> None:
    """A new stack has a secret without a value."""
    with pytest.raises(ApiKeyMissing):
        keys.port.key()
    with pytest.raises(ApiKeyMissing):
        keys.port.fresh_key()


def test_a_new_key_is_used_at_once_if_there_was_none(keys: Keys) -> None:
    """A missing key is not cached."""
    with pytest.raises(ApiKeyMissing):
        keys.port.key()
    keys.set_key("key-1")

    assert keys.port.key() == "key-1"


def test_a_key_is_cached(keys: Keys) -> None:
    """It is not read for every image."""
    keys.set_key("key-1")
    keys.port.key()
    keys.set_key("key-2")

    assert keys.port.key() == "key-1"


def test_a_fresh_key_bypasses_the_cache(keys: Keys) -> None:
    """It replaces the cached key."""
    keys.set_key("key-1")
    keys.port.key()
    keys.set_key("key-2")

    assert (keys.port.fresh_key(), keys.port.key()) == ("key-2", "key-2")


def test_a_removed_key_is_removed_from_the_cache(keys: Keys) -> None:
    """The old key is not sent again."""
    keys.set_key("key-1")
    keys.port.key()
    keys.take_away()

    with pytest.raises(ApiKeyMissing):
        keys.port.fresh_key()
    with pytest.raises(ApiKeyMissing):
        keys.port.key()


# ---- Secrets Manager only


@pytest.mark.parametrize(
    "value",
    [
        "key-1",
        " key-1\n",
        '{"apiKey": "key-1"}',
        '\n{"apiKey": " key-1 ", "note": "of the shop"}\n',
        '"key-1"\r\n',
        "\ufeffkey-1",
        '{"apiKey": "key-1\\r\\n"}',
    ],
)
def test_the_secret_is_the_bare_key_or_json(
    adapter: SecretsManagerKey, secret: Callable[[str], None], value: str
) -> None:
    """White space and quotes around the key are removed: people paste it into the console."""
    secret(value)

    assert adapter.key() == "key-1"


@pytest.mark.parametrize(
    "value",
    [
        "\n",
        '{"apiKey": ""}',
        '{"apiKey": "  "}',
        '{"apiKey": null}',
        '{"apiKey": 1}',
        '{"apiKey": ["key"]}',
        '{"key": "hidden-value"}',
        '{"apiKey": "hidden-value"',
        "{" * 10_000,
        "hidden\nvalue",
        "hidden value",
        '"hidden',
        "hidden\x00value",
        "hidden-välue",
        "열쇠",
        '{"apiKey": "hidden\\r\\nx-more: 1"}',
    ],
)
def test_a_value_that_is_no_valid_header_counts_as_a_missing_key(
    adapter: SecretsManagerKey, secret: Callable[[str], None], value: str
) -> None:
    """The message does not repeat the value."""
    secret(value)

    with pytest.raises(ApiKeyMissing) as caught:
        adapter.key()

    assert "hangtag key set" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_binary_secret_counts_as_a_missing_key(
    adapter: SecretsManagerKey, client: SecretsManagerClient
) -> None:
    """A key is text."""
    client.put_secret_value(SecretId=SECRET, SecretBinary=b"key-1")

    with pytest.raises(ApiKeyMissing):
        adapter.key()


def test_a_deleted_secret_counts_as_a_missing_key(
    adapter: SecretsManagerKey,
    client: SecretsManagerClient,
    secret: Callable[[str], None],
) -> None:
    """AWS schedules the deletion and refuses to read the secret."""
    secret("key-1")
    client.delete_secret(SecretId=SECRET)

    with pytest.raises(ApiKeyMissing) as caught:
        adapter.key()

    assert caught.value.__cause__ is not None


def test_a_missing_secret_counts_as_a_missing_key(
    client: SecretsManagerClient, clock: FakeClock
) -> None:
    """The message has the same remedy: set the key."""
    with pytest.raises(ApiKeyMissing):
        SecretsManagerKey(client, "another secret", clock).key()


@pytest.mark.parametrize(
    ("seconds", "key"), [(299.9, "key-1"), (300, "key-2"), (-1, "key-2")]
)
def test_a_key_is_cached_for_five_minutes(
    adapter: SecretsManagerKey,
    secret: Callable[[str], None],
    clock: FakeClock,
    *,
    seconds: float,
    key: str,
) -> None:
    """Then it is read again, even if the clock was set back."""
    secret("key-1")
    adapter.key()
    secret("key-2")

    clock.advance(seconds)

    assert adapter.key() == key


def test_a_fresh_key_is_cached_for_five_minutes(
    adapter: SecretsManagerKey, secret: Callable[[str], None], clock: FakeClock
) -> None:
    """The time starts when it was read."""
    secret("key-1")
    adapter.key()
    clock.advance(200)
    adapter.fresh_key()
    secret("key-2")

    clock.advance(200)

    assert adapter.key() == "key-1"


def test_a_batch_reads_the_secret_once(
    adapter: SecretsManagerKey,
    client: SecretsManagerClient,
    secret: Callable[[str], None],
) -> None:
    """Ten threads that need the key at the same time share one call."""
    secret("key-1")
    calls: list[str] = []
    client.meta.events.register(
        "before-call.secrets-manager.GetSecretValue",
        lambda **_: calls.append("GetSecretValue"),
    )
    together = Barrier(10)
    found: list[str] = []

    def worker() -> None:
        together.wait(10)
        found.append(adapter.key())

    threads = [Thread(target=worker) for _ in range(together.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (found, calls) == (["key-1"] * 10, ["GetSecretValue"])
