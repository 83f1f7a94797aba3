"""The planned uploads and faults of the soak test."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from local.faults import Rule
from local.pictures import small_picture

SEED = 20_261_122  # the same plan on every run; the faults are random
NOT_AN_IMAGE = b"item;price\nshirt;20\n"


@dataclass(frozen=True, slots=True)
class Planned:
    """A planned upload."""

    key: str
    body: bytes
    deleted: bool = False
    """Whether the object is deleted right after the upload."""


def plan(number: int) -> list[Planned]:
    """Plan *number* object versions, most of them images with a key of their own."""
    generator = random.Random(SEED)  # noqa: S311  # not a secret
    planned: list[Planned] = []
    while len(planned) < number:
        count = len(planned)
        key = f"soak/{count:05}.png"
        kind = generator.random()
        if kind < 0.02:
            text = NOT_AN_IMAGE + str(count).encode()
            planned.append(Planned(f"soak/{count:05}.txt", text))
        elif kind < 0.03:
            planned.append(Planned(f"soak/{count:05}/", b""))
        elif kind < 0.05:
            planned.append(Planned(key, small_picture(key), deleted=True))
        elif kind < 0.09:
            versions = min(3, number - count)
            planned += [
                Planned(key, small_picture(f"{key} {version}"))
                for version in range(versions)
            ]
        else:
            planned.append(Planned(key, small_picture(key)))
    return planned


def aws_faults(rate: float) -> list[Rule]:
    """Return rules for all kinds of faults, which hit about `rate` of the AWS calls."""
    kinds: list[tuple[float, dict[str, Any]]] = [
        (0.20, {"error": {"code": "ThrottlingException", "status": 400}}),
        (0.20, {"error": {"code": "InternalError", "status": 500}}),
        (0.25, {"reset": True}),
        (0.20, {"response": {"abort_bytes": 1}}),
        (0.10, {"latency": {"min": 500, "max": 6_000}}),
        (0.05, {"error": {"code": "AccessDenied", "status": 403}}),
    ]
    rules: list[Rule] = []
    left = 1.0
    for share, effect in kinds:
        # The proxy applies the first rule that fires; later rules see only the remaining calls.
        part = rate * share
        rules.append({"service": "*", "probability": part / left, **effect})
        left -= part
    return rules


def api_faults(rate: float) -> list[dict[str, Any]]:
    """Return sandbox faults of all kinds, which hit about `rate` of the API calls."""
    kinds: list[dict[str, Any]] = [
        {"code": 500},
        {"status": 429, "body": "", "retryAfter": 1},
        {"cut": "half"},
        {"cut": "reset"},
        {"cut": "closed"},
        {"delaySeconds": 1.5},
        {"code": 803},
        {"code": 806},
    ]
    return [{"rate": rate / len(kinds), **kind} for kind in kinds] if rate else []


def in_groups(planned: Sequence[Planned], size: int) -> Iterator[Sequence[Planned]]:
    """Yield groups of at least *size* uploads; the versions of a key stay in one group."""
    group: list[Planned] = []
    for one in planned:
        if len(group) >= size and group[-1].key != one.key:
            yield group
            group = []
        group.append(one)
    if group:
        yield group
