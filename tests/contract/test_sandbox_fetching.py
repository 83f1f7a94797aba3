"""Images by their URL: fetched from where the sandbox may reach, and nowhere else."""

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
    """Where the images are."""
    with loopback_server() as running:
        yield running


def test_what_is_at_the_url_is_fetched(server: LoopbackServer) -> None:
    """Path and query as they were given: a presigned URL is signed to the letter."""
    server.replies(answer(200, IMAGE))

    fetched = Fetcher().fetch(f"{server.url}/b/a%20key.png?X-Sig=a%2Fb&x=1+2")

    assert fetched == IMAGE
    (asked,) = server.received
    assert ("GET", "/b/a%20key.png?X-Sig=a%2Fb&x=1+2") == (asked.method, asked.path)
    assert asked.headers["host"] == server.url.removeprefix("http://")


def test_letters_beyond_ascii_are_encoded(server: LoopbackServer) -> None:
    """As a browser does."""
    server.replies(answer(200, IMAGE))

    assert Fetcher().fetch(f"{server.url}/원피스 1.png") == IMAGE

    assert server.received[0].path == "/%EC%9B%90%ED%94%BC%EC%8A%A4%201.png"


@pytest.mark.parametrize("status", [200, 203, 206])
def test_every_2xx_is_a_success(server: LoopbackServer, status: int) -> None:
    """Also a part that was asked for by nobody."""
    server.replies(answer(status, IMAGE))

    assert Fetcher().fetch(server.url) == IMAGE


@pytest.mark.parametrize("status", [300, 304, 400, 403, 404, 500, 503])
def test_every_other_status_is_none(server: LoopbackServer, status: int) -> None:
    """The reason names it."""
    server.replies(answer(status, b""))

    with pytest.raises(NotFetched, match=f"HTTP {status}"):
        Fetcher().fetch(server.url)


def test_redirects_are_followed_a_few_times(server: LoopbackServer) -> None:
    """Relative ones, too; not for ever."""
    server.replies(
        answer(302, b"", Location="/there"),
        answer(307, b"", Location=f"{server.url}/at/last"),
        answer(200, IMAGE),
    )
    assert Fetcher().fetch(server.url) == IMAGE
    assert ["/", "/there", "/at/last"] == [asked.path for asked in server.received]

    server.replies(answer(302, b"", Location="/again"))
    with pytest.raises(NotFetched, match="HTTP 302"):
        Fetcher().fetch(server.url)
    assert len(server.received) == 3 + MOST_REDIRECTS + 1


def test_a_redirect_leads_nowhere_that_the_first_url_may_not(
    server: LoopbackServer,
) -> None:
    """An open redirect on this machine is no way into the network."""
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
        ("loopback", "0.0.0.0"),  # noqa: S104  a URL, nothing that listens
        ("public", "169.254.169.254"),
        ("public", "10.1.2.3"),
        ("public", "192.168.0.1"),
        ("public", "100.64.0.1"),
        ("public", "224.0.0.1"),
        ("public", "[fd00::1]"),
        ("public", "[::ffff:10.1.2.3]"),
    ],
)
def test_what_is_out_of_reach_is_not_connected_to(reach: Reach, host: str) -> None:
    """Private networks and the cloud's metadata least of all; the reason names the option."""
    with pytest.raises(NotFetched, match=rf"--fetch {reach} does not allow"):
        Fetcher(reach).fetch(f"http://{host}/image.png")


@pytest.mark.parametrize("reach", ["loopback", "public", "any"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_in_reach_of_all_who_may_reach_anything(
    server: LoopbackServer, reach: Reach, host: str
) -> None:
    """By its address and by its name."""
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
def test_what_is_no_url_is_not_fetched(url: str) -> None:
    """Whatever is written there, the answer is a reason."""
    with pytest.raises(NotFetched):
        Fetcher("loopback").fetch(url)


def test_where_nobody_listens_nothing_comes() -> None:
    """A refused connection is a reason."""
    with pytest.raises(NotFetched, match=r"127\.0\.0\.1 does not answer"):
        Fetcher().fetch(f"http://127.0.0.1:{unused_port()}/")


def test_an_answer_that_breaks_off_is_none(server: LoopbackServer) -> None:
    """Half an image is not the image."""
    for broken in (
        hang_up,
        reset,
        part_of_an_answer(200, IMAGE, length=len(IMAGE) + 5),
    ):
        server.replies(broken)

        with pytest.raises(NotFetched):
            Fetcher().fetch(server.url)


def test_what_takes_too_long_is_given_up(server: LoopbackServer) -> None:
    """Silence, and an answer that drips: each byte comes in time, the whole does not."""
    for slow in (silence, trickle(200, b"x" * 1000, seconds=0.02)):
        server.replies(slow)

        with pytest.raises(NotFetched, match=r"more than 0\.3 s"):
            Fetcher(seconds=0.3).fetch(server.url)

    assert server.trickled < 1000


def test_what_is_too_long_is_given_up(server: LoopbackServer) -> None:
    """No more is read than a request may bring."""
    server.replies(answer(200, bytes(MOST_BODY_BYTES + 1)))

    with pytest.raises(NotFetched, match="longer than"):
        Fetcher().fetch(server.url)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
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


def test_a_certificate_of_ones_own_is_believed_when_it_is_named(
    server: LoopbackServer, tmp_path: Path
) -> None:
    """The local cloud's S3 speaks TLS with a certificate that nobody else knows."""
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
