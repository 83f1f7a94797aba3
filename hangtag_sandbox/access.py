"""
Decides which requests the sandbox accepts, by `Host`, `Origin` and the control token.

A web page in a browser on this machine can send requests to loopback: from its own origin, or
under a host name that its owner lets point to loopback (DNS rebinding). `Host` then has that name,
and `Origin` or `Sec-Fetch-Site` shows the foreign page. Another user of this machine can send any
header, but does not know the control token.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address

from werkzeug.exceptions import Unauthorized, UnsupportedMediaType
from werkzeug.wrappers import Request

from hangtag.api_key import InvalidKey, read_key

DEFAULT_KEY = "sandbox-key"
TOKEN_VARIABLE = "HANGTAG_SANDBOX_TOKEN"  # noqa: S105  a variable's name
KEY_VARIABLE = "HANGTAG_SANDBOX_KEY"


class ForeignSite(Exception):
    """The request was sent to another host or by a page of another site; says which."""


class UnsafeStart(ValueError):
    """The sandbox would be open to others; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Access:
    """Which requests the sandbox accepts."""

    token: str | None = None
    """The control token; None: every control request is refused."""
    hosts: frozenset[str] = frozenset()
    """Further values of `Host`: `name` at the served port, or `name:port`. Lower case."""
    beyond_loopback: bool = False
    """Whether `Host` may be any literal address, and not one of loopback alone."""

    def check_site(self, request: Request) -> None:
        """
        Check that the request is meant for this sandbox and comes from no foreign page.

        Raises:
            ForeignSite: `Host` is missing or not this sandbox's; `Origin` or `Sec-Fetch-Site`
                names another site.
        """
        host = request.headers.get("Host", "").lower()
        if not self._is_own(host, request.environ["SERVER_PORT"]):
            raise ForeignSite(
                f"The host {host[:100]!r} is not this sandbox's. Use its address, or start it with "
                "--allowed-host."
            )
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() != f"http://{host}":
            raise ForeignSite(f"Pages of {origin[:100]!r} may not call the sandbox.")
        # Browsers leave Origin out of some requests, for example those of <img>.
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site not in ("same-origin", "none"):
            raise ForeignSite(
                f"Pages of another site may not call it ({site[:100]!r})."
            )

    def check_control(self, request: Request) -> None:
        """
        Check that a control request has the token, and a JSON body if it has one.

        Raises:
            Unauthorized: The token is missing or wrong (401).
            UnsupportedMediaType: The body has another type than JSON (415). Forms cannot send
                JSON, and scripts of other sites cannot without the sandbox's consent.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        known = self.token is not None and secrets.compare_digest(
            token.strip().encode(), self.token.encode()
        )
        if scheme.lower() != "bearer" or not known:
            raise Unauthorized(
                "The header `Authorization: Bearer TOKEN` needs the control token, which the "
                f"sandbox prints when it starts or takes from {TOKEN_VARIABLE}."
            )
        if request.method in ("POST", "PUT") and request.mimetype != "application/json":
            raise UnsupportedMediaType("The body must be application/json.")

    def _is_own(self, host: str, port: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"]
        if found["port"] and host in self.hosts:
            return True
        if (found["port"] or "80") != port:
            return False
        if name == "localhost" or name in self.hosts:
            return True
        try:
            literal = ip_address(name.strip("[]"))
        except ValueError:
            return False
        # A literal address cannot be rebound: no DNS is asked for it.
        return self.beyond_loopback or literal.is_loopback


_HOST = re.compile(
    r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(:(?P<port>[0-9]{1,5}))?"
)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,200}=*")


def access_for(
    host: str, key: str, *, token: str | None = None, hosts: Collection[str] = ()
) -> Access:
    """
    Return the rules for a sandbox that listens on *host*, with a random token if there is none.

    Raises:
        UnsafeStart: *host* is beyond loopback, and *key* is the public default or *token* is
            missing; or *key*, *token* or one of *hosts* cannot be sent in a header.
    """
    for each in hosts:
        if not _HOST.fullmatch(each.lower()):
            raise UnsafeStart(
                f"--allowed-host {each!r} must be a name or NAME:PORT, without http://"
            )
    try:
        read_key(key or DEFAULT_KEY)
    except InvalidKey as error:
        raise UnsafeStart(f"this is no API key: {error}") from error
    if token and not _TOKEN.fullmatch(token):
        raise UnsafeStart(
            f"{TOKEN_VARIABLE} must have 16 to 200 letters, digits or any of ._~+/-"
        )
    beyond = not is_loopback(host)
    if beyond and (not token or key in ("", DEFAULT_KEY)):
        raise UnsafeStart(
            f"on {host!r}, others can reach the sandbox: set an API key of your own in "
            f"{KEY_VARIABLE} and a control token in {TOKEN_VARIABLE}, for example with "
            f"`export {KEY_VARIABLE}=$(openssl rand -hex 16) "
            f"{TOKEN_VARIABLE}=$(openssl rand -hex 16)`; or leave out --host"
        )
    names = {each.lower() for each in hosts} | ({host.lower()} if beyond else set())
    return Access(token or secrets.token_urlsafe(24), frozenset(names), beyond)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches *host*; an unknown name counts as beyond."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
