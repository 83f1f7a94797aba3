"""The metrics: names, units and dimensions, on which the alarms and the dashboard rely."""

from __future__ import annotations

from enum import StrEnum

NAMESPACE = "Hangtag"
"""Of all metrics in CloudWatch."""

SERVICE = "service"
"""The dimension that every metric has: the stack's name."""


OTHER_CODE = "other"
"""The dimension `code` of a failure whose code is neither listed nor a standard HTTP status."""


class Metric(StrEnum):
    """A metric. An invocation publishes a metric if it has a value for it."""

    IMAGES_TAGGED = "ImagesTagged"
    """Uploads that were tagged and announced; see `PUBLISHED_TOGETHER`."""
    IMAGES_REMOVED = "ImagesRemoved"
    """Removals: objects that are gone, and whose results were removed."""
    IMAGES_FAILED = "ImagesFailed"
    """Dead letters that were sent; see `PUBLISHED_TOGETHER`."""
    FORMATS_REFUSED = "FormatsRefused"
    """Dead letters with the code `UNSUPPORTED_FORMAT`, by the format that was found."""
    IMAGES_SKIPPED = "ImagesSkipped"
    """Records that were skipped, except copies."""
    DUPLICATES_AVOIDED = "DuplicatesAvoided"
    """Copies of uploads that have ended; without claims, most of them would be paid calls."""
    RETRIES = "Retries"
    """Attempts that failed and are retried."""
    API_CALLS = "ApiCalls"
    """Calls of the Tagger API."""
    API_LATENCY = "ApiLatency"
    """How long a call took, whether it succeeded or failed."""
    UPLOAD_TO_TAGGED_LATENCY = "UploadToTaggedLatency"
    """From S3's event to the announcement."""
    SYSTEMIC_FAILURES = "SystemicFailures"
    """Attempts that failed for a reason that would hit every upload, dead-lettered or not."""
    BREAKER_OPEN = "BreakerOpen"
    """1 while the breaker is open, published by every invocation that reads it; else 0."""
    OLDEST_FAILURE = "OldestFailure"
    """How long ago the oldest FAILED upload failed; 0 without one."""

    @property
    def unit(self) -> str:
        """CloudWatch's name of the unit."""
        if self is Metric.OLDEST_FAILURE:
            return "Seconds"
        return "Milliseconds" if self.endswith("Latency") else "Count"

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Dimensions besides `service`. The metric is published with and without them."""
        return _DIMENSIONS.get(self, ())


PUBLISHED_TOGETHER = (Metric.IMAGES_TAGGED, Metric.IMAGES_FAILED)
"""
An invocation that has a value for one of these publishes 0 for the other.

The alarm on their ratio has no data as long as one of them has never been published.
"""

_DIMENSIONS: dict[Metric, tuple[str, ...]] = {
    Metric.IMAGES_FAILED: ("code", "kind"),
    Metric.FORMATS_REFUSED: ("format",),
    Metric.IMAGES_SKIPPED: ("reason",),
    Metric.API_CALLS: ("reason",),
}
