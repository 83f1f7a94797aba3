"""
One TLS context for all connections to AWS.

botocore reads the file of the certificate authorities again for each new connection, which takes
12 ms of CPU (docs/decisions/0052-large-images-on-the-disk.md).
"""

from __future__ import annotations

from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from hangtag.adapters.idle_connections import pools_of

if TYPE_CHECKING:
    import ssl

C = TypeVar("C")

_lock = Lock()
_contexts: dict[str, ssl.SSLContext] = {}
"""By the file of the authorities, which they have read."""


def share_tls_context(client: C) -> C:
    """
    *client*, a boto3 client that has sent no request yet, with the context of all others.

    If the pools of another version of botocore are elsewhere, the client works without the shared
    context, and a contract test fails.
    """
    pools = pools_of(client)
    if "https" in pools:
        pool = pools["https"]
        connection = _with_shared_context(pool.ConnectionCls)
        pools["https"] = type(pool.__name__, (pool,), {"ConnectionCls": connection})
    return client


def _with_shared_context(connection: Any) -> Any:  # noqa: ANN401 - urllib3's
    def init(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - urllib3's
        new, ca_certs = kwargs.get("ssl_context"), kwargs.get("ca_certs")
        if new is not None and ca_certs is not None:
            with suppress(OSError):  # urllib3 has an error for that when it connects
                kwargs["ssl_context"] = _context(new, ca_certs)
                kwargs["ca_certs"] = None
        connection.__init__(self, *args, **kwargs)

    return type(connection.__name__, (connection,), {"__init__": init})


def _context(new: ssl.SSLContext, ca_certs: str) -> ssl.SSLContext:
    """The context for these authorities, made of a *new* one if there is none."""
    with _lock:
        if ca_certs not in _contexts:
            new.load_verify_locations(ca_certs)
            _contexts[ca_certs] = new
        return _contexts[ca_certs]
