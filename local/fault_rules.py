"""The rules by which the fault proxy and the sandbox inject the fault of a cell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from local.fault_cells import (
    DENIED,
    ECHOED,
    ERROR_500,
    FORBIDDEN,
    HALF,
    KILLED_AFTER,
    KILLED_BEFORE,
    KILLING,
    NO_FAULT,
    RESET,
    SLOW,
    STEPS,
    THROTTLED,
    ApiAnswer,
    Cell,
    UploadStep,
)
from local.faults import Rule
from local.leaks import echoes_of
from local.ledger import Sent

SLOW_SECONDS = 11.0  # longer than FunctionTimeout, which limits every call
KILL_DELAY_SECONDS = 6.0  # longer than it takes to find and kill the worker
CLIENT_ATTEMPTS = 2
"""The attempts of a client (`adapters/aws_clients.py`), so that a call of the core fails once."""
TRICKLE_KBPS = 0.00001  # so slow that the worker is killed before a byte arrives
REFUSAL = "806"
LARGE_BYTES = 500_000


@dataclass(slots=True)
class Run:
    """The state of a cell during its run."""

    cell: Cell
    bucket: str
    key: str
    body: bytes
    delay: int
    """The seconds of the API's Retry-After header; they identify the upload's delayed message."""
    sent: Sent | None = None
    marker: str | None = None
    """The version of the delete marker, of a cell about a removal."""
    injected: int = 0

    @property
    def sha256(self) -> str:
        """The digest that identifies the image in the sandbox."""
        return sha256(self.body).hexdigest()


def rules_of(run: Run, *, last_step: str) -> list[Rule]:
    """
    Return the proxy's rules for a cell.

    `last_step` is the function's last AWS call before it calls the API.
    """
    cell = run.cell
    step = cell.step
    if cell.fault in (NO_FAULT, FORBIDDEN):
        return []
    if step.is_api:
        if cell.fault not in KILLING:
            return []
        # A rule without effect, which identifies the worker that is about to call the API.
        [step] = [one for one in STEPS if one.name == last_step]
        return [{**step.match(run.bucket, run.key, 0), **times(cell, 1), "latency": 1}]
    effects: dict[str, tuple[dict[str, Any], int]] = {
        THROTTLED: (
            {"error": {"code": step.throttled, "status": throttle_status(step)}},
            CLIENT_ATTEMPTS,
        ),
        ERROR_500: (
            {"error": {"code": step.internal, "status": 500}},
            CLIENT_ATTEMPTS,
        ),
        RESET: ({"reset": True}, CLIENT_ATTEMPTS),
        # boto3 does not retry when the reading of an object's body fails.
        HALF: (
            {"response": {"abort_bytes": 1}},
            1 if step.operation == "GetObject" else CLIENT_ATTEMPTS,
        ),
        DENIED: ({"error": {"code": step.denied, "status": 403}}, 1),
        SLOW: ({"latency": SLOW_SECONDS * 1000}, 1),
        KILLED_BEFORE: ({"timeout_ms": KILL_DELAY_SECONDS * 1000}, 1),
        KILLED_AFTER: ({"response": {"bandwidth_kbps": TRICKLE_KBPS}}, 1),
    }
    effect, once = effects[cell.fault]
    match = step.match(run.bucket, run.key, run.delay)
    return [{**match, **times(cell, once), **effect}]


def throttle_status(step: UploadStep) -> int:
    """Return the HTTP status of a throttling error of the step's service."""
    return 503 if step.service == "s3" else 400


def sandbox_faults(run: Run, *, api_key: str) -> list[dict[str, Any]]:
    """Return the sandbox's faults for a cell; refusals and failures repeat the API key."""
    cell = run.cell
    if cell.fault == NO_FAULT:
        return []
    answers: dict[ApiAnswer, list[dict[str, Any]]] = {
        "tags": [],
        "large tags": [{"status": 201, "body": large_answer()}],
        "refusal": [{"code": int(REFUSAL), "message": echoes_of(api_key)}],
        "retry later": [
            {"status": 429, "body": "", "retryAfter": run.delay, "times": 1}
        ],
        "failure": [{"code": 500, "times": 1}],
    }
    if not cell.step.is_api:
        return answers[cell.step.api_answer]
    effects: dict[str, dict[str, Any]] = {
        THROTTLED: {"status": 429, "body": "", "retryAfter": 1},
        ERROR_500: {"code": 500},
        ECHOED: {"code": 500, "message": echoes_of(api_key)},
        RESET: {"cut": "reset"},
        HALF: {"cut": "half"},
        DENIED: {"code": 609},
        SLOW: {"delaySeconds": SLOW_SECONDS},
        KILLED_BEFORE: {"delaySeconds": KILL_DELAY_SECONDS},
    }
    return [{**effects[cell.fault], **times(cell, 1)}]


def large_answer() -> str:
    """Return an answer with tags that no item of the table takes."""
    tags = [{"category": {"name": "dress"}, "note": "x" * LARGE_BYTES}]
    data = {"objects": [{"type": "CLOTHING", "tags": tags}]}
    return json.dumps({"status": "ok", "data": data, "error": None})


def times(cell: Cell, once: int) -> dict[str, int]:
    """Return the rule's `times`; `once` is the number of calls in one attempt of the core."""
    return {"times": once} if cell.mode == "once" else {}
