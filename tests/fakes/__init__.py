"""
A fake for each port of `hangtag.ports`: in memory, with failures on request.

Fakes and adapters pass the same contract tests (tests/contract), so that they behave alike.
"""

from tests.fakes.backfill import FakeCheckpoint, FakeListing, FakeUploadFeed
from tests.fakes.failed_uploads import ALL, FailedUploads, upload_in
from tests.fakes.failing import CanFail, Killed, Killer
from tests.fakes.failures import FakeFailureBook
from tests.fakes.hot_item import HotItem
from tests.fakes.index import FakeIndex, FakeLargeResults
from tests.fakes.keys import FakeApiKeys
from tests.fakes.objects import FakeObjectStore
from tests.fakes.queues import (
    FakeAnnouncer,
    FakeDeadLetterBox,
    FakeDeadLetterQueue,
    FakeUploadQueue,
)
from tests.fakes.records import FakeRecords
from tests.fakes.results import FakeResults, FakeSnapshots
from tests.fakes.state import (
    FakeBreakerStore,
    FakeMapping,
    FakeRunLease,
    FakeSlots,
)
from tests.fakes.tagger import Call, FakeTagger
from tests.fakes.telemetry import FakeTelemetry
from tests.fakes.time import FakeClock, FakeDeadline, VirtualTime
from tests.fakes.world import BUDGET, LEASE_SECONDS, World, upload_of

__all__ = [
    "ALL",
    "BUDGET",
    "LEASE_SECONDS",
    "Call",
    "CanFail",
    "FailedUploads",
    "FakeAnnouncer",
    "FakeApiKeys",
    "FakeBreakerStore",
    "FakeCheckpoint",
    "FakeClock",
    "FakeDeadLetterBox",
    "FakeDeadLetterQueue",
    "FakeDeadline",
    "FakeFailureBook",
    "FakeIndex",
    "FakeLargeResults",
    "FakeListing",
    "FakeMapping",
    "FakeObjectStore",
    "FakeRecords",
    "FakeResults",
    "FakeRunLease",
    "FakeSlots",
    "FakeSnapshots",
    "FakeTagger",
    "FakeTelemetry",
    "FakeUploadFeed",
    "FakeUploadQueue",
    "HotItem",
    "Killed",
    "Killer",
    "VirtualTime",
    "World",
    "upload_in",
    "upload_of",
]
