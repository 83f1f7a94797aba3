"""How long a backfill takes, by the narrowest limit that is known."""

from __future__ import annotations

from dataclasses import dataclass

ASSUMED_SECONDS = 1.0
"""For one image, from claim to end. The API's latency is not known beforehand: a guess."""


@dataclass(frozen=True, slots=True)
class TaggingSpeed:
    """How fast uploads can be tagged."""

    per_second: float
    because: str
    """The limit that it results from, in words."""


def expected_speed(
    *,
    rate: float | None,
    requests_per_second: float,
    images_at_once: int | None,
) -> TaggingSpeed | None:
    """
    The speed that the narrowest known limit allows; None if no limit is known.

    *rate* is that of sending, *requests_per_second* (0: no limit) that of the API calls.
    """
    speeds = []
    if rate is not None:
        speeds.append(TaggingSpeed(rate, f"--rate {rate:g}"))
    if requests_per_second > 0:
        because = f"MaxRequestsPerSecond {requests_per_second:g}"
        speeds.append(TaggingSpeed(requests_per_second, because))
    if images_at_once:
        because = (
            f"MaxConcurrency x BatchSize = {images_at_once} images at once, if one takes "
            f"{ASSUMED_SECONDS:g} s"
        )
        speeds.append(TaggingSpeed(images_at_once / ASSUMED_SECONDS, because))
    return min(speeds, key=lambda speed: speed.per_second) if speeds else None
