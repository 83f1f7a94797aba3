"""
Closes connections that have been idle for too long, instead of reusing them.

While Lambda has frozen the function, the other side may drop its connections, and the function
cannot receive the news. The next request would be reset, and cost an attempt
(docs/decisions/0024-idle-connections.md).
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from urllib3 import HTTPConnectionPool

MAX_IDLE_SECONDS = 20.0
"""Far less than the minute after which load balancers usually close an idle connection."""

# The larger of the two times counts: the monotonic clock may stand still while the function is
# frozen, and the wall clock may be set back
_CLOCKS = (time.time, time.monotonic)

C = TypeVar("C")


def with_idle_limit(
    pools: Mapping[str, type[HTTPConnectionPool]],
    *,
    max_idle_seconds: float,
    clocks: Sequence[Callable[[], float]] = _CLOCKS,
) -> dict[str, type[HTTPConnectionPool]]:
    """The classes of connection *pools*, by URL scheme, with the limit for each connection."""

    def connections(maxsize: int) -> _Connections:
        return _Connections(maxsize, max_idle_seconds, clocks)

    return {
        # QueueCls is urllib3's setting for the queue that holds a pool's connections
        scheme: type(pool.__name__, (pool,), {"QueueCls": staticmethod(connections)})
        for scheme, pool in pools.items()
    }


def limit_idle_time(client: C, *, max_idle_seconds: float) -> C:
    """
    *client*, a boto3 client that has sent no request yet, with the limit for each connection.

    If the pools of another version of botocore are elsewhere, the client works without the limit,
    and a contract test fails.
    """
    pools = pools_of(client)
    pools.update(with_idle_limit(pools, max_idle_seconds=max_idle_seconds))
    return client


def pools_of(client: object) -> dict[str, Any]:
    """
    The classes of the connection pools of a boto3 client, by URL scheme; a change has effect.

    botocore has no public access to them. If another version keeps them elsewhere, there are none.
    """
    session: Any = getattr(getattr(client, "_endpoint", None), "http_session", None)
    pools: Any = getattr(session, "_pool_classes_by_scheme", None)
    return pools if isinstance(pools, dict) else {}


class _Connections(queue.LifoQueue[Any]):
    """The free connections of a pool, each with its last use; None instead of one not yet made."""

    def __init__(
        self, maxsize: int, limit: float, clocks: Sequence[Callable[[], float]]
    ) -> None:
        super().__init__(maxsize)
        self._limit = limit
        self._clocks = clocks

    def put(self, item: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the library's
        super().put((item, [clock() for clock in self._clocks]), *args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the library's
        connection, since = super().get(*args, **kwargs)
        if connection is not None:
            idle = max(
                clock() - then for clock, then in zip(self._clocks, since, strict=True)
            )
            if idle > self._limit:
                connection.close()  # urllib3 connects it again
        return connection
