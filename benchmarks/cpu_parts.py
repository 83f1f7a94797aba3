"""
Measures the CPU time of a function's parts, each without the parts inside it.

`benchmarks.function_worker` loads it with nothing but the standard library, if the environment has
`WORKER_PARTS`. It replaces some functions of Hangtag by ones that look at the thread's CPU clock
before and after, which costs about a microsecond each time.
"""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from threading import Lock, local
from typing import Any

PARTS = {
    "hangtag.adapters.direct_requests:_DynamoDB.put_item": "AWS: PutItem, three",
    "hangtag.adapters.direct_requests:_Sns.publish": "AWS: Publish",
    "hangtag.adapters.s3_objects:S3Objects.read": "AWS: GetObject, and the image",
    "hangtag.adapters.dynamodb_reader:DynamoDBReader.snapshot": "AWS: BatchGetItem, one a batch",
    "hangtag.adapters.http_tagger:HttpTagger.ask": "the API's call, and its answer",
    "hangtag.entry_points:read_deliveries": "reading messages",
    "hangtag.batch:read_body": "reading messages",
    "hangtag.answering:tagged_result": "result and announcement",
    "hangtag.tagging:announcement_of": "result and announcement",
    "hangtag.adapters.dynamodb_results:DynamoDBResults.store": "result and announcement",
    "hangtag.adapters.sns_announcer:SnsAnnouncer.announce": "result and announcement",
    "hangtag.adapters.dynamodb_records:DynamoDBRecords.swap": "records and claims",
    "hangtag.claims:Claims.claim": "records and claims",
    "hangtag.claims:Claims.write": "records and claims",
    "hangtag.adapters.log_telemetry:LogTelemetry.emit": "log and metrics",
    "hangtag.adapters.emf_metrics:EmfMetrics.emit": "log and metrics",
    "hangtag.adapters.emf_metrics:EmfMetrics.flush": "log and metrics",
    "hangtag.batch:Pipeline._guarded": "the rest of an attempt",
    "hangtag.batch:Pipeline.tag": "the batch: its threads start and end",
    "concurrent.futures.thread:_WorkItem.run": "the batch: its threads start and end",
}
"""By `module:name` of a function, as its callers find it. What is in none is the rest."""


class Parts:
    """CPU milliseconds by part."""

    def __init__(self) -> None:
        self._here = local()
        self._lock = Lock()
        self.milliseconds: Counter[str] = Counter()

    def watch(self) -> None:
        """Measure all parts from now on."""
        for place, part in PARTS.items():
            module, _, path = place.partition(":")
            owner: Any = importlib.import_module(module)
            *outer, name = path.split(".")
            for one in outer:
                owner = getattr(owner, one)
            setattr(owner, name, self.measured(part, getattr(owner, name)))

    def measured(
        self,
        part: str,
        do: Callable[..., Any],
    ) -> Callable[..., Any]:
        """Return *do*, which then adds its CPU time to a part."""

        @wraps(do)
        def timed(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - those of *do*
            outside = getattr(self._here, "inside", 0.0)
            self._here.inside = 0.0
            began = time.thread_time()
            try:
                return do(*arguments, **options)
            finally:
                took = time.thread_time() - began
                with self._lock:
                    self.milliseconds[part] += 1_000 * (took - self._here.inside)
                self._here.inside = outside + took

        return timed
