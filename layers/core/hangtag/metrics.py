"""What is measured: the metrics' names, units and dimensions, for alarms and the dashboard."""

from __future__ import annotations

from enum import StrEnum

NAMESPACE = "Hangtag"
"""CloudWatch's; every metric has the dimension `service` too, the stack's name."""

SERVICE = "service"


class Metric(StrEnum):
    """A number for each invocation in which there is something to tell."""

    IMAGES_TAGGED = "ImagesTagged"
    """Uploads that were tagged and announced."""
    IMAGES_FAILED = "ImagesFailed"
    """Dead letters that were buried."""
    IMAGES_SKIPPED = "ImagesSkipped"
    """Records that ended without work, but for copies."""
    DUPLICATES_AVOIDED = "DuplicatesAvoided"
    """Copies of what has ended: without the claim, most would have been calls."""
    RETRIES = "Retries"
    """Attempts that failed for now."""
    API_CALLS = "ApiCalls"
    """Calls of the Tagger API that were begun."""
    API_LATENCY = "ApiLatency"
    """How long a call took, however it ended."""
    UPLOAD_TO_TAGGED_LATENCY = "UploadToTaggedLatency"
    """From S3's event to the announcement."""
    BREAKER_OPEN = "BreakerOpen"
    """1 as long as the breaker is open, told by whoever looks; 0 by the schedule when it is not."""

    OLDEST_FAILURE = "OldestFailure"
    """How long ago the oldest of what stands as FAILED did fail, or 0; told by the schedule."""

    @property
    def unit(self) -> str:
        """CloudWatch's name of the unit."""
        if self is Metric.OLDEST_FAILURE:
            return "Seconds"
        return "Milliseconds" if self.endswith("Latency") else "Count"

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What it is told apart by, besides being told as a whole."""
        return _DIMENSIONS.get(self, ())


_DIMENSIONS: dict[Metric, tuple[str, ...]] = {
    Metric.IMAGES_FAILED: ("code", "kind"),
    Metric.IMAGES_SKIPPED: ("reason",),
    Metric.API_CALLS: ("reason",),
}
