"""The connections to AWS share a TLS context, which has read the authorities once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, SSLError
from botocore.parsers import ResponseParserError

from hangtag.adapters.tls_contexts import share_tls_context
from tests.contract.aws_parts import ONCE, session
from tests.contract.certificates import certificate, speak_tls
from tests.contract.loopback import (
    LoopbackServer,
    answer,
    answer_and_hang_up,
    loopback_server,
)
from tests.contract.test_idle_connections import (
    PROBES,
    RecordingSession,
    clients_of_index_results,
    clients_of_replay_failures,
    clients_of_tag_uploads,
)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """An AWS whose TLS certificate is in the fixture `authority`."""
    with loopback_server() as server:
        server.replies(answer(200))
        yield server


@pytest.fixture
def authority(server: LoopbackServer, tmp_path: Path) -> Path:
    """The server's certificate, which has signed itself."""
    return speak_tls(server, tmp_path)


def s3(server: LoopbackServer, authority: Path) -> Any:  # noqa: ANN401 - a client
    """A client that trusts *authority*."""
    url = server.url.replace("http:", "https:")
    client = session().client(
        "s3", endpoint_url=url, verify=str(authority), config=ONCE
    )
    return share_tls_context(client)


def test_new_connections_do_not_read_the_authorities_again(
    server: LoopbackServer, authority: Path
) -> None:
    """Neither of the same client nor of another one: their file may even be gone."""
    server.replies(answer_and_hang_up(200, b""))
    client = s3(server, authority)
    client.get_object(Bucket="b", Key="k")["Body"].read()
    authority.unlink()

    for each in (client, s3(server, authority)):
        each.get_object(Bucket="b", Key="k")["Body"].read()

    assert len({request.client_port for request in server.received}) == 3


def test_other_authorities_are_not_trusted(
    server: LoopbackServer, authority: Path, tmp_path: Path
) -> None:
    """Each file has its own context."""
    s3(server, authority).get_object(Bucket="b", Key="k")
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other")

    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        s3(server, other).get_object(Bucket="b", Key="k")


def test_another_host_s_certificate_is_not_trusted(
    server: LoopbackServer, authority: Path
) -> None:
    """The certificate is for 127.0.0.1, and its authority is trusted."""
    s3(server, authority).get_object(Bucket="b", Key="k")
    url = server.url.replace("http://127.0.0.1", "https://localhost")
    client = session().client(
        "s3", endpoint_url=url, verify=str(authority), config=ONCE
    )

    with pytest.raises(SSLError, match="'localhost'"):
        share_tls_context(client).get_object(Bucket="b", Key="k")


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_client_without_verification_leaves_that_of_others(
    server: LoopbackServer, authority: Path, tmp_path: Path
) -> None:
    """It does not get the shared context."""
    url = server.url.replace("http:", "https:")
    trusting = session().client("s3", endpoint_url=url, verify=False, config=ONCE)
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other")

    for _ in range(2):
        share_tls_context(trusting).get_object(Bucket="b", Key="k")
        with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            s3(server, other).get_object(Bucket="b", Key="k")

    s3(server, authority).get_object(Bucket="b", Key="k")


def test_authorities_that_cannot_be_read_are_an_error(
    server: LoopbackServer, tmp_path: Path
) -> None:
    """It is botocore's own, which the command and the adapters know."""
    with pytest.raises(SSLError):
        s3(server, tmp_path / "missing.pem").get_object(Bucket="b", Key="k")


def test_a_client_whose_pools_are_not_found_is_returned_unchanged() -> None:
    """The function must run with every version of botocore that Lambda may have."""
    client = object()

    assert share_tls_context(client) is client


@pytest.mark.parametrize(
    "make_clients",
    [clients_of_tag_uploads, clients_of_replay_failures, clients_of_index_results],
)
def test_the_clients_of_the_functions_share_the_context(
    server: LoopbackServer,
    authority: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_clients: Callable[[RecordingSession], object],
) -> None:
    """The first one reads the authorities for all."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url.replace("http:", "https:"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
    made = RecordingSession()
    server.replies(answer(200, b'{"Items": [], "EventSourceMappings": []}'))
    make_clients(made)
    probe(made, "sns" if "sns" in made.made else "sqs")
    authority.unlink()
    before = len(server.received)

    for service in made.made:
        probe(made, service)

    assert len(server.received) >= before + len(made.made)  # botocore may retry


def probe(made: RecordingSession, service: str) -> None:
    """Send a request; what the response says does not matter."""
    name, arguments = PROBES[service]
    with suppress(ClientError, ResponseParserError):
        getattr(made.made[service], name)(**arguments)
