"""Finds and kills the processes in which a local cloud runs the function."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
LOOPBACK = "0100007F"  # 127.0.0.1 as /proc/net/tcp writes it


def workers_of(cloud: int) -> list[int]:
    """List the pids of the function processes of the local cloud with the pid *cloud*."""
    children = []
    for status in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # the process has ended in the meantime
            # The name may contain blanks and parentheses; state and parent follow it.
            parent = status.read_text().rpartition(")")[2].split()[1]
            if int(parent) == cloud:
                children.append(int(status.parent.name))
    return children


def worker_at(port: int | None, *, cloud: int) -> int | None:
    """Find the worker that calls from this port of 127.0.0.1; None if there is no such worker."""
    inode = None if port is None else inode_of(port)
    if inode is None:
        return None
    for worker in workers_of(cloud):
        with suppress(OSError):
            for descriptor in (PROC / str(worker) / "fd").iterdir():
                with suppress(OSError):
                    if descriptor.readlink() == Path(f"socket:[{inode}]"):
                        return worker
    return None


def inode_of(port: int) -> str | None:
    """Find the inode of the connection from this port of 127.0.0.1."""
    local = f"{LOOPBACK}:{port:04X}"
    for line in (PROC / "net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        # A closed connection may still occupy the port; its inode is 0.
        if fields[1] == local and fields[9] != "0":
            return fields[9]
    return None


def kill(worker: int) -> None:
    """Kill a worker with SIGKILL, as the kernel does when memory runs out."""
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGKILL)
