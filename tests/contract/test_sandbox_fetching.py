"""The sandbox fetches images by URL, only from where it is allowed to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from hangtag_sandbox.fetching import Fetcher, NotFetched, tls_context
from hangtag_sandbox.limits import MOST_IMAGE_BYTES, MOST_REDIRECTS
from hangtag_sandbox.networks import REACHES, Reach
from tests.contract.certificates import speak_tls
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


def fetcher(
    server: LoopbackServer, *, tls: ssl.SSLContext | None = None, seconds: float = 10
) -> Fetcher:
    """A fetcher that may reach only the port of the server."""
    ports = frozenset({server.server_port})
    return Fetcher(loopback_ports=ports, tls=tls or tls_context(), seconds=seconds)


def test_the_image_at_a_url_is_fetched(server: LoopbackServer) -> None:
    """Path and query are sent unchanged, because a presigned URL is signed."""
    server.replies(answer(200, IMAGE))

    fetched = fetcher(server).fetch(f"{server.url}/b/a%20key.png?X-Sig=a%2Fb&x=1+2")

    assert fetched == IMAGE
    (request,) = server.received
    assert ("GET", "/b/a%20key.png?X-Sig=a%2Fb&x=1+2") == (request.method, request.path)
    assert request.headers["host"] == server.url.removeprefix("http://")


def test_non_ascii_characters_are_encoded(server: LoopbackServer) -> None:
    """A browser does the same."""
    server.replies(answer(200, IMAGE))

    assert fetcher(server).fetch(f"{server.url}/원피스 1.png") == IMAGE

    assert server.received[0].path == "/%EC%9B%90%ED%94%BC%EC%8A%A4%201.png"


@pytest.mark.parametrize("status", [200, 203, 206])
def test_every_2xx_is_a_success(server: LoopbackServer, status: int) -> None:
    """A partial response counts, too."""
    server.replies(answer(status, IMAGE))

    assert fetcher(server).fetch(server.url) == IMAGE


@pytest.mark.parametrize("status", [300, 304, 400, 403, 404, 500, 503])
def test_every_other_status_is_a_failure(server: LoopbackServer, status: int) -> None:
    """The reason names it."""
    server.replies(answer(status, b""))

    with pytest.raises(NotFetched, match=f"HTTP {status}"):
        fetcher(server).fetch(server.url)


def test_a_few_redirects_are_followed(server: LoopbackServer) -> None:
    """They may be relative."""
    server.replies(
        answer(302, b"", Location="/there"),
        answer(307, b"", Location=f"{server.url}/at/last"),
        answer(200, IMAGE),
    )
    assert fetcher(server).fetch(server.url) == IMAGE
    assert ["/", "/there", "/at/last"] == [request.path for request in server.received]

    server.replies(answer(302, b"", Location="/again"))
    with pytest.raises(NotFetched, match="HTTP 302"):
        fetcher(server).fetch(server.url)
    assert len(server.received) == 3 + MOST_REDIRECTS + 1


def test_a_redirect_is_limited_like_the_first_url(
    server: LoopbackServer,
) -> None:
    """A permitted server must not lead to a forbidden one, nor to another port of this machine."""
    with loopback_server() as secret:
        secret.replies(answer(200, IMAGE))
        for location in ("http://10.0.0.1/secrets", secret.url):
            server.replies(
                answer(302, b"", Location="/on"),
                answer(307, b"", Location=location),
            )

            with pytest.raises(NotFetched, match=r"private network|opens a port"):
                fetcher(server).fetch(server.url)

    assert secret.received == []


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.255.255.254",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.01",
        "localhost",
        "LocalHost",
        "localhost.",
        "127。0。0。1",
        "\uff11\uff12\uff17.0.0.1",
        "①②⑦.0.0.1",
        "public.example@127.0.0.1",
        "public.example:80@127.0.0.1",
        "127.0.0.1#@public.example",
        "0.0.0.0",  # noqa: S104  a URL, no listening socket
        "0",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[::1%lo]",
        "[::1%25lo]",
        "[fe80::1%25lo]",
    ],
)
def test_no_spelling_of_this_machine_is_reached_through_another_port(
    server: LoopbackServer, reach: Reach, host: str
) -> None:
    """A server on a port that no option names receives nothing."""
    server.replies(answer(200, IMAGE))
    authority, mark, rest = host.partition("#")
    port = server.server_port
    other = Fetcher(reach, frozenset({unused_port()}))

    with pytest.raises(NotFetched):
        other.fetch(f"http://{authority}:{port}{mark}{rest}/image.png")

    assert server.received == []


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_named_port_of_this_machine_is_reached(
    server: LoopbackServer, reach: Reach, host: str
) -> None:
    """The local cloud's presigned URLs lead there, whatever the reach is."""
    server.replies(answer(200, IMAGE))
    ports = frozenset({server.server_port})

    url = server.url.replace("127.0.0.1", host)

    assert Fetcher(reach, ports).fetch(url) == IMAGE


def test_the_address_that_was_checked_is_the_one_that_is_called(
    server: LoopbackServer,
) -> None:
    """A name that changes its address after the check (DNS rebinding) is not asked again."""
    server.replies(answer(200, IMAGE))
    addresses = iter([["192.0.2.1"], ["127.0.0.1"]])
    asked = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return next(addresses)

    ports = frozenset({server.server_port})
    attacked = Fetcher("public", ports, resolve=rebinding)
    url = f"http://rebinding.example:{server.server_port}/"

    with pytest.raises(NotFetched, match=r"192\.0\.2\.1"):
        attacked.fetch(url)
    assert attacked.fetch(url) == IMAGE

    assert asked == [("rebinding.example", server.server_port)] * 2


def test_a_refused_address_beside_a_permitted_one_is_not_called(
    server: LoopbackServer,
) -> None:
    """A name may have both."""
    server.replies(answer(200, IMAGE))
    ports = frozenset({server.server_port})
    mixed = Fetcher(
        "public", ports, resolve=lambda *_: ["169.254.169.254", "127.0.0.1"]
    )

    assert mixed.fetch(f"http://mixed.example:{server.server_port}/") == IMAGE


def test_nothing_is_looked_up_when_nothing_may_be_fetched() -> None:
    """A URL must not make the sandbox ask an attacker's name server."""

    def never(host: str, port: int) -> list[str]:
        raise AssertionError(host, port)

    with pytest.raises(NotFetched, match="--fetch none does not allow"):
        Fetcher(resolve=never).fetch("http://secret.attacker.example/")


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
        Fetcher("none", frozenset({80})).fetch(url)


def test_a_port_without_a_server_is_a_failure() -> None:
    """The reason is a refused connection."""
    port = unused_port()

    with pytest.raises(NotFetched, match=r"127\.0\.0\.1 does not answer"):
        Fetcher(loopback_ports=frozenset({port})).fetch(f"http://127.0.0.1:{port}/")


def test_a_truncated_response_is_a_failure(server: LoopbackServer) -> None:
    """Half an image must not be used."""
    for broken in (
        hang_up,
        reset,
        part_of_an_answer(200, IMAGE, length=len(IMAGE) + 5),
    ):
        server.replies(broken)

        with pytest.raises(NotFetched):
            fetcher(server).fetch(server.url)


def test_a_slow_response_is_given_up(server: LoopbackServer) -> None:
    """The timeout applies to the whole response, also if each byte arrives in time."""
    for slow in (silence, trickle(200, b"x" * 1000, seconds=0.02)):
        server.replies(slow)

        with pytest.raises(NotFetched, match=r"more than 0\.3 s"):
            fetcher(server, seconds=0.3).fetch(server.url)

    assert server.trickled < 1000


def test_no_more_than_an_image_is_read_of_a_response(server: LoopbackServer) -> None:
    """One byte more shows that it is too long."""
    server.replies(answer(200, bytes(MOST_IMAGE_BYTES + 2)))

    assert len(fetcher(server).fetch(server.url)) == MOST_IMAGE_BYTES + 1


def test_a_self_signed_certificate_is_accepted_when_it_is_named(
    server: LoopbackServer, tmp_path: Path
) -> None:
    """The local cloud's S3 uses such a certificate."""
    certificate_file = speak_tls(server, tmp_path)
    server.replies(answer(200, IMAGE))
    url = server.url.replace("http", "https")

    with pytest.raises(NotFetched, match="CERTIFICATE_VERIFY_FAILED"):
        fetcher(server).fetch(url)

    assert fetcher(server, tls=tls_context(certificate_file)).fetch(url) == IMAGE
    assert server.received[0].headers["host"] == url.removeprefix("https://")
