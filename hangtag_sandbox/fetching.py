"""
Images that are given by their URL.

A service that fetches what strangers name can be made to reach into its own network. How far the
sandbox reaches is therefore a choice, `Reach`, and this machine alone by default. The address
that was judged is the one that is connected to, so a name that changes its mind changes nothing;
redirects are judged anew. Proxies are not asked.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from threading import Event, Timer
from typing import Literal, get_args
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from hangtag_sandbox.limits import (
    FETCH_SECONDS,
    MOST_BODY_BYTES,
    MOST_REDIRECTS,
    MOST_URL_CHARACTERS,
)

Reach = Literal["none", "loopback", "public", "any"]
"""Nothing; this machine; this machine and the internet; private networks, too."""

REACHES: tuple[Reach, ...] = get_args(Reach)


class NotFetched(Exception):
    """The image did not come; says why."""


@cache
def trusting(ca_file: Path | None = None) -> ssl.SSLContext:
    """
    A belief in the certificates of this machine, and in those in *ca_file* (or folder).

    The machine's are OpenSSL's: the environment variable SSL_CERT_FILE can name others.

    Raises:
        OSError: *ca_file* cannot be read, or holds no certificates.
    """
    context = ssl.create_default_context()
    if ca_file is not None and ca_file.is_dir():
        context.load_verify_locations(capath=ca_file)
    elif ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches images over http and https, as far as *reach* allows."""

    reach: Reach = "loopback"
    trust: ssl.SSLContext = field(default_factory=trusting)
    """Which certificates are believed."""
    seconds: float = FETCH_SECONDS
    """All that a fetch may take, but for the name's resolution."""

    def fetch(self, url: str) -> bytes:
        """
        What is at *url*, after redirects.

        Raises:
            NotFetched: It is out of reach, answers with no 2xx, takes too long or is too large.
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
            with plain, _ended_at(until, plain) as late:
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
        trouble: OSError | None = None
        for address in self._within_reach(host, port):
            left = max(0.1, until - time.monotonic())
            try:
                connection = socket.create_connection((address, port), left)
            except OSError as error:  # the next address may answer
                trouble = error
            else:
                connection.settimeout(None)  # from here on it is ended, see `_ended_at`
                return connection
        raise trouble or OSError("it has no address")

    def _within_reach(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise NotFetched(f"{host[:80]!r} is no name of a host") from error
        addresses = [str(info[4][0]) for info in found]
        allowed = [each for each in addresses if _is_allowed(each, self.reach)]
        if addresses and not allowed:
            raise NotFetched(
                f"{host} is at {addresses[0]}, and this sandbox may reach: {self.reach} "
                f"(of {', '.join(REACHES)}; the option --fetch)"
            )
        return allowed

    def _ask(
        self, url: SplitResult, plain: socket.socket
    ) -> tuple[http.client.HTTPResponse, bytes]:
        host = url.hostname or ""
        connection = http.client.HTTPConnection(host)
        connection.sock = (
            self.trust.wrap_socket(plain, server_hostname=host)
            if url.scheme == "https"
            else plain
        )
        target = quote(f"{url.path or '/'}{url.query and '?'}{url.query}", _AS_GIVEN)
        with connection.sock:
            connection.request(
                "GET",
                target,
                # A presigned URL's signature covers the host as it is written there.
                headers={"Host": url.netloc.rpartition("@")[2], "Accept": "image/*"},
            )
            with connection.getresponse() as response:
                body = response.read(MOST_BODY_BYTES + 1)
        if len(body) > MOST_BODY_BYTES:
            raise NotFetched(f"the answer is longer than {MOST_BODY_BYTES} bytes")
        if response.length:
            raise NotFetched(f"the answer ended {response.length} bytes early")
        return response, body


_PORTS = {"http": 80, "https": 443}
_AS_GIVEN = "!#$%&'()*+,/:;=?@[]~"  # what may stand in a URL stands there for a reason


def _read_url(url: str) -> SplitResult:
    if len(url) > MOST_URL_CHARACTERS:
        raise NotFetched(f"the URL has more than {MOST_URL_CHARACTERS} characters")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  it is read here to know that it can be
    except ValueError as error:
        raise NotFetched(f"{url[:200]!r} is no URL: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise NotFetched(f"{url[:200]!r} is no http or https URL")
    return parts


def _is_allowed(address: str, reach: Reach) -> bool:
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return (
        reach == "any"
        or (reach != "none" and ip.is_loopback)
        or (reach == "public" and ip.is_global and not ip.is_multicast)
    )


@contextmanager
def _ended_at(until: float, connection: socket.socket) -> Iterator[Event]:
    """
    Ends the connection then, and sets the event.

    A timeout of the socket would begin anew with every byte that drips in.
    """
    late = Event()
    same = connection.dup()  # TLS takes the first one over

    def end() -> None:
        late.set()
        with suppress(OSError):  # it has ended by itself
            same.shutdown(socket.SHUT_RDWR)

    timer = Timer(max(0.0, until - time.monotonic()), end)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()
        same.close()
