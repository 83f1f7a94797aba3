"""The processes in which a local cloud runs the function, and their sudden end."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
LOOPBACK = "0100007F"  # 127.0.0.1 as /proc/net/tcp writes it


def workers_of(cloud: int) -> list[int]:
    """The pids of the functions' processes of the local cloud with this pid."""
    children = []
    for status in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended in the meantime
            # Behind the name, which may hold anything: the state, the parent
            parent = status.read_text().rpartition(")")[2].split()[1]
            if int(parent) == cloud:
                children.append(int(status.parent.name))
    return children


def worker_at(port: int | None, *, cloud: int) -> int | None:
    """The worker that makes a call from this port of 127.0.0.1; None where there is none."""
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
    """The inode of the connection that comes from this port of 127.0.0.1."""
    local = f"{LOOPBACK}:{port:04X}"
    for line in (PROC / "net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        # The same port may be on the way out, of another connection, and be nobody's then
        if fields[1] == local and fields[9] != "0":
            return fields[9]
    return None


def kill(worker: int) -> None:
    """End a worker as the kernel does when memory runs out: at once and unasked."""
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGKILL)
