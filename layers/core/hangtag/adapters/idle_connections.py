"""
Connections that have been idle for too long are closed instead of reused.

A function that was frozen may wake up with connections that the other side gave up in the meantime.
Nothing has arrived that says so: the next request is reset, and costs an attempt.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from urllib3 import HTTPConnectionPool

MAX_IDLE_SECONDS = 20.0
"""Far less than the minute after which load balancers usually close an idle connection."""

# The monotonic clock may stand still while the function is frozen, and the wall clock may be set
# back: the larger of the two times counts
_CLOCKS = (time.time, time.monotonic)

C = TypeVar("C")


def with_idle_limit(
    pools: Mapping[str, type[HTTPConnectionPool]],
    *,
    max_idle_seconds: float,
    clocks: Sequence[Callable[[], float]] = _CLOCKS,
) -> dict[str, type[HTTPConnectionPool]]:
    """
    Classes of connection pools by URL scheme, with a limit.

    Each connection has the limit for itself.
    """

    def connections(maxsize: int) -> _Connections:
        return _Connections(maxsize, max_idle_seconds, clocks)

    return {
        # QueueCls is urllib3's setting for the queue that holds a pool's connections
        scheme: type(pool.__name__, (pool,), {"QueueCls": staticmethod(connections)})
        for scheme, pool in pools.items()
    }


def limit_idle_time(client: C, *, max_idle_seconds: float) -> C:
    """
    *client*, a client of boto3 that has sent no request yet, with the limit for its connections.

    There is no public way to the pools. If another version of botocore keeps them elsewhere, the
    client works without the limit, and a contract test fails.
    """
    session: Any = getattr(getattr(client, "_endpoint", None), "http_session", None)
    pools: Any = getattr(session, "_pool_classes_by_scheme", None)
    if isinstance(pools, dict):
        pools.update(with_idle_limit(pools, max_idle_seconds=max_idle_seconds))
    return client


class _Connections(queue.LifoQueue[Any]):
    """The connections of a pool, or None for one that is not made yet, with their last use."""

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
