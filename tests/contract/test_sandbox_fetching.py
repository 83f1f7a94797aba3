"""The sandbox fetches images by URL, only from where it is allowed to."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hangtag_sandbox.fetching import Fetcher, NotFetched, Reach, tls_context
from hangtag_sandbox.limits import MOST_BODY_BYTES, MOST_REDIRECTS
from tests.contract.loopback import (
    LoopbackServer,
    answer,
    hang_up,
    loopback_server,
    part_of_an_answer,
    reset,
    silence,
    trickle,
    unused_port,
)

IMAGE = b"\x89PNG and so on"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """The server of the images."""
    with loopback_server() as running:
        yield running


def test_the_image_at_a_url_is_fetched(server: LoopbackServer) -> None:
    """Path and query are sent unchanged, because a presigned URL is signed."""
    server.replies(answer(200, IMAGE))

    fetched = Fetcher().fetch(f"{server.url}/b/a%20key.png?X-Sig=a%2Fb&x=1+2")

    assert fetched == IMAGE
    (request,) = server.received
    assert ("GET", "/b/a%20key.png?X-Sig=a%2Fb&x=1+2") == (request.method, request.path)
    assert request.headers["host"] == server.url.removeprefix("http://")


def test_non_ascii_characters_are_encoded(server: LoopbackServer) -> None:
    """A browser does the same."""
    server.replies(answer(200, IMAGE))

    assert Fetcher().fetch(f"{server.url}/원피스 1.png") == IMAGE

    assert server.received[0].path == "/%EC%9B%90%ED%94%BC%EC%8A%A4%201.png"


@pytest.mark.parametrize("status", [200, 203, 206])
def test_every_2xx_is_a_success(server: LoopbackServer, status: int) -> None:
    """A partial response counts, too."""
    server.replies(answer(status, IMAGE))

    assert Fetcher().fetch(server.url) == IMAGE


@pytest.mark.parametrize("status", [300, 304, 400, 403, 404, 500, 503])
def test_every_other_status_is_a_failure(server: LoopbackServer, status: int) -> None:
    """The reason names it."""
    server.replies(answer(status, b""))

    with pytest.raises(NotFetched, match=f"HTTP {status}"):
        Fetcher().fetch(server.url)


def test_a_few_redirects_are_followed(server: LoopbackServer) -> None:
    """They may be relative."""
    server.replies(
        answer(302, b"", Location="/there"),
        answer(307, b"", Location=f"{server.url}/at/last"),
        answer(200, IMAGE),
    )
    assert Fetcher().fetch(server.url) == IMAGE
    assert ["/", "/there", "/at/last"] == [request.path for request in server.received]

    server.replies(answer(302, b"", Location="/again"))
    with pytest.raises(NotFetched, match="HTTP 302"):
        Fetcher().fetch(server.url)
    assert len(server.received) == 3 + MOST_REDIRECTS + 1


def test_a_redirect_is_limited_like_the_first_url(
    server: LoopbackServer,
) -> None:
    """An open redirect on this machine must not lead into the network."""
    server.replies(answer(302, b"", Location="http://10.0.0.1/secrets"))

    with pytest.raises(
        NotFetched, match=r"10\.0\.0\.1 .*--fetch loopback does not allow"
    ):
        Fetcher().fetch(server.url)


@pytest.mark.parametrize(
    ("reach", "host"),
    [
        ("none", "127.0.0.1"),
        ("loopback", "93.184.215.14"),
        ("loopback", "169.254.169.254"),
        ("loopback", "0.0.0.0"),  # noqa: S104  a URL, no listening socket
        ("public", "169.254.169.254"),
        ("public", "10.1.2.3"),
        ("public", "192.168.0.1"),
        ("public", "100.64.0.1"),
        ("public", "224.0.0.1"),
        ("public", "[fd00::1]"),
        ("public", "[::ffff:10.1.2.3]"),
    ],
)
def test_addresses_out_of_reach_are_not_connected_to(reach: Reach, host: str) -> None:
    """Private networks and the cloud's metadata are examples; the reason names the option."""
    with pytest.raises(NotFetched, match=rf"--fetch {reach} does not allow"):
        Fetcher(reach).fetch(f"http://{host}/image.png")


@pytest.mark.parametrize("reach", ["loopback", "public", "any"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_in_reach_of_every_option_but_none(
    server: LoopbackServer, reach: Reach, host: str
) -> None:
    """It is reached by address and by name."""
    server.replies(answer(200, IMAGE))

    url = server.url.replace("127.0.0.1", host)

    assert Fetcher(reach).fetch(url) == IMAGE


@pytest.mark.parametrize(
    "url",
    [
        "",
        "image.png",
        "//127.0.0.1/image.png",
        "ftp://127.0.0.1/image.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "http://",
        "http:///image.png",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:http/",
        "http://[::1",
        "http://" + "a" * 300 + "/",
        "http://127.0.0.1/" + "a" * 9000,
        "http://exa mple/",
        "http://127.0.0.1\r\nx: y/",
    ],
)
def test_an_invalid_url_is_not_fetched(url: str) -> None:
    """The result is a reason, not an exception."""
    with pytest.raises(NotFetched):
        Fetcher("loopback").fetch(url)


def test_a_port_without_a_server_is_a_failure() -> None:
    """The reason is a refused connection."""
    with pytest.raises(NotFetched, match=r"127\.0\.0\.1 does not answer"):
        Fetcher().fetch(f"http://127.0.0.1:{unused_port()}/")


def test_a_truncated_response_is_a_failure(server: LoopbackServer) -> None:
    """Half an image must not be used."""
    for broken in (
        hang_up,
        reset,
        part_of_an_answer(200, IMAGE, length=len(IMAGE) + 5),
    ):
        server.replies(broken)

        with pytest.raises(NotFetched):
            Fetcher().fetch(server.url)


def test_a_slow_response_is_given_up(server: LoopbackServer) -> None:
    """The timeout applies to the whole response, also if each byte arrives in time."""
    for slow in (silence, trickle(200, b"x" * 1000, seconds=0.02)):
        server.replies(slow)

        with pytest.raises(NotFetched, match=r"more than 0\.3 s"):
            Fetcher(seconds=0.3).fetch(server.url)

    assert server.trickled < 1000


def test_a_response_that_is_too_long_is_given_up(server: LoopbackServer) -> None:
    """The limit is that of a request."""
    server.replies(answer(200, bytes(MOST_BODY_BYTES + 1)))

    with pytest.raises(NotFetched, match="longer than"):
        Fetcher().fetch(server.url)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate_file, key_file = folder / "server.crt", folder / "server.key"
    certificate_file.write_bytes(signed.public_bytes(pem))
    key_file.write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


def test_a_self_signed_certificate_is_accepted_when_it_is_named(
    server: LoopbackServer, tmp_path: Path
) -> None:
    """The local cloud's S3 uses such a certificate."""
    certificate_file, key_file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.replies(answer(200, IMAGE))
    url = server.url.replace("http", "https")

    with pytest.raises(NotFetched, match="CERTIFICATE_VERIFY_FAILED"):
        Fetcher().fetch(url)

    assert Fetcher(tls=tls_context(certificate_file)).fetch(url) == IMAGE
    assert server.received[0].headers["host"] == url.removeprefix("https://")
