"""
Runs a Lambda handler like Lambda's runtime does: one process, one invocation at a time.

    python benchmarks/function_worker.py MODULE < commands > measurements

`benchmarks.function` starts it in the function's environment, in the Python that stands for
Lambda's. It has to load nothing but the standard library, so that the handler pays for what it
imports. It writes a line of JSON when the handler is loaded, and one after each invocation. A
command is a line with an event.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import sys
import time
from collections import Counter
from typing import Any, TextIO

_TIMEOUT_SECONDS = 60.0


class Context:
    """The part of Lambda's context object that handlers use."""

    function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = (
        f"arn:aws:lambda:us-east-1:000000000000:function:{function_name}"
    )

    def __init__(self, number: int) -> None:
        self.aws_request_id = f"00000000-0000-4000-8000-{number:012d}"
        self._ends_at = time.monotonic() + _TIMEOUT_SECONDS

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function would be stopped."""
        return max(0, round(1000 * (self._ends_at - time.monotonic())))


def count_requests() -> Counter[str]:
    """Count the HTTP requests of this process from now on, by `host:port`."""
    counts: Counter[str] = Counter()
    send = http.client.HTTPConnection.putrequest

    def counted(
        self: http.client.HTTPConnection,
        *arguments: Any,  # noqa: ANN401 - the library's
        **options: Any,  # noqa: ANN401 - the library's
    ) -> None:
        counts[f"{self.host}:{self.port}"] += 1
        send(self, *arguments, **options)

    http.client.HTTPConnection.putrequest = counted  # type: ignore[method-assign]
    return counts


def watched_parts() -> Counter[str]:
    """Measure the CPU of parts from now on."""
    # This file's folder is where Python looks first
    parts = importlib.import_module("cpu_parts").Parts()
    parts.watch()
    milliseconds: Counter[str] = parts.milliseconds
    return milliseconds


def peak_megabytes() -> float:
    """Return the highest resident set size of this process, without that of its parent."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - no pathlib here
        peak = next(line for line in status if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


def report(output: TextIO, **measurements: object) -> None:
    """Write a line of measurements."""
    print(json.dumps(measurements), file=output, flush=True)


def main(module: str) -> None:
    """Load the handler and invoke it with each event on stdin."""
    # The handlers' own lines must not be between the measurements
    output = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.environ["WORKER_LOG"], os.O_WRONLY | os.O_APPEND), 1)
    cpu_began = time.process_time()
    handler = importlib.import_module(module).lambda_handler
    report(output, cpu=1000 * (time.process_time() - cpu_began))
    requests = count_requests()
    parts = watched_parts() if "WORKER_PARTS" in os.environ else Counter()
    for number, line in enumerate(sys.stdin):
        event = json.loads(line)
        requests.clear()
        parts.clear()
        began, cpu_began = time.perf_counter(), time.process_time()
        answer = handler(event, Context(number))
        seconds = time.perf_counter() - began
        cpu = time.process_time() - cpu_began
        sys.stdout.flush()
        report(
            output,
            milliseconds=1000 * seconds,
            cpu=1000 * cpu,
            megabytes=peak_megabytes(),
            failed=len(answer["batchItemFailures"]),
            requests=requests,
            parts=parts,
        )


if __name__ == "__main__":
    main(sys.argv[1])
