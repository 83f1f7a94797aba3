"""
Fetches images from their URLs, and only from allowed addresses.

A service that fetches any URL can be abused to reach its own network (SSRF). `networks` therefore
limits the addresses, by default to none. The sandbox resolves a host once and connects to the
address it has checked, which defeats DNS rebinding. It checks each redirect again and uses no
proxy.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Event, Timer
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from hangtag_sandbox.limits import (
    FETCH_SECONDS,
    MOST_IMAGE_BYTES,
    MOST_REDIRECTS,
    MOST_URL_CHARACTERS,
)
from hangtag_sandbox.networks import REACHES, Reach, refusal


class NotFetched(Exception):
    """The image could not be fetched; the message gives the reason."""


@cache
def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """
    Create a TLS context that trusts this machine's certificates and *ca_file* (file or folder).

    This machine's certificates are OpenSSL's; the environment variable SSL_CERT_FILE replaces
    them.

    Raises:
        OSError: *ca_file* cannot be read or has no certificates.
    """
    context = ssl.create_default_context()
    if ca_file is not None and ca_file.is_dir():
        context.load_verify_locations(capath=ca_file)
    elif ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


Resolve = Callable[[str, int], Sequence[str]]
"""Returns the literal addresses of a host, for connections to a port."""


def resolve(host: str, port: int) -> Sequence[str]:
    """
    Look the host's addresses up as the system does.

    Raises:
        OSError: The host is unknown.
        UnicodeError: The host is no host name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in found]


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches images over http and https from the addresses that *reach* allows."""

    reach: Reach = "none"
    loopback_ports: frozenset[int] = frozenset()
    """The ports of this machine that it may fetch from, whatever the reach is."""
    tls: ssl.SSLContext = field(default_factory=tls_context)
    """The trusted certificates."""
    seconds: float = FETCH_SECONDS
    """The deadline of a whole fetch, name resolution excluded."""
    resolve: Resolve = resolve

    def fetch(self, url: str) -> bytes:
        """
        Return the body at *url*, after redirects; one that is too long for an image is cut.

        Raises:
            NotFetched: The host is not allowed, the status is not 2xx or the deadline has passed.
        """
        until = time.monotonic() + self.seconds
        for _ in range(MOST_REDIRECTS + 1):
            response, body = self._get(_read_url(url), until)
            if response.status not in (301, 302, 303, 307, 308):
                break
            url = urljoin(url, response.headers.get("location", ""))
        if not 200 <= response.status < 300:
            raise NotFetched(f"the answer is HTTP {response.status}")
        return body

    def _get(
        self, url: SplitResult, until: float
    ) -> tuple[http.client.HTTPResponse, bytes]:
        host = url.hostname or ""
        try:
            plain = self._connected(host, url.port or _PORTS[url.scheme], until)
            with plain, _deadline(until, plain) as late:
                try:
                    answer = self._ask(url, plain)
                except (OSError, http.client.HTTPException, NotFetched):
                    if not late.is_set():
                        raise
                if late.is_set():
                    raise TimeoutError(f"it took more than {self.seconds:g} s")
                return answer
        except (OSError, http.client.HTTPException) as error:
            raise NotFetched(f"{host} does not answer: {error}") from error

    def _connected(self, host: str, port: int, until: float) -> socket.socket:
        last_error: OSError | None = None
        for address in self._allowed_addresses(host, port):
            left = max(0.1, until - time.monotonic())
            try:
                connection = socket.create_connection((address, port), left)
            except OSError as error:  # the next address may answer
                last_error = error
            else:
                connection.settimeout(None)  # `_deadline` takes over
                return connection
        raise last_error or OSError("it has no address")

    def _allowed_addresses(self, host: str, port: int) -> list[str]:
        if self.reach == "none" and not self.loopback_ports:
            raise NotFetched(
                "--fetch none does not allow any address "
                f"(choices: {', '.join(REACHES)}; --fetch-loopback-port)"
            )
        try:
            addresses = self.resolve(host, port)
        except UnicodeError as error:
            raise NotFetched(f"{host[:80]!r} is not a host name") from error
        refusals = {
            address: refusal(address, port, self.reach, self.loopback_ports)
            for address in addresses
        }
        allowed = [address for address, reason in refusals.items() if reason is None]
        if refusals and not allowed:
            address, reason = next(iter(refusals.items()))
            raise NotFetched(f"{host} is at {address}, port {port}: {reason}")
        return allowed

    def _ask(
        self, url: SplitResult, plain: socket.socket
    ) -> tuple[http.client.HTTPResponse, bytes]:
        host = url.hostname or ""
        connection = http.client.HTTPConnection(host)
        connection.sock = (
            self.tls.wrap_socket(plain, server_hostname=host)
            if url.scheme == "https"
            else plain
        )
        target = quote(f"{url.path or '/'}{url.query and '?'}{url.query}", _RESERVED)
        with connection.sock:
            connection.request(
                "GET",
                target,
                # A presigned URL's signature covers the host exactly as written.
                headers={"Host": url.netloc.rpartition("@")[2], "Accept": "image/*"},
            )
            with connection.getresponse() as response:
                body = response.read(MOST_IMAGE_BYTES + 1)
        if response.length and len(body) <= MOST_IMAGE_BYTES:
            raise NotFetched(f"the answer ended {response.length} bytes early")
        return response, body


_PORTS = {"http": 80, "https": 443}
_RESERVED = "!#$%&'()*+,/:;=?@[]~"  # quoting these again would change the URL


def _read_url(url: str) -> SplitResult:
    if len(url) > MOST_URL_CHARACTERS:
        raise NotFetched(f"the URL has more than {MOST_URL_CHARACTERS} characters")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  reading it raises if the port is invalid
    except ValueError as error:
        raise NotFetched(f"{url[:200]!r} is not a URL: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise NotFetched(f"{url[:200]!r} is not an http or https URL")
    return parts


@contextmanager
def _deadline(until: float, connection: socket.socket) -> Iterator[Event]:
    """
    Shut the connection down at the time *until* (monotonic) and set the event.

    A socket timeout is no deadline: it starts again with every byte that arrives.
    """
    late = Event()
    same = connection.dup()  # wrapping in TLS detaches the original

    def end() -> None:
        late.set()
        with suppress(OSError):  # the peer has closed it already
            same.shutdown(socket.SHUT_RDWR)

    timer = Timer(max(0.0, until - time.monotonic()), end)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()
        same.close()
