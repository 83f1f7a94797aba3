"""
A fake for every port of `hangtag.ports`: in memory, and able to be told to fail.

They take the same contract tests as the adapters (tests/contract), so that they do not rot.
"""

from tests.fakes.backfill import FakeCheckpoint, FakeListing, FakeUploadFeed
from tests.fakes.failed_uploads import ALL, FailedUploads, upload_in
from tests.fakes.failing import CanFail, Killed, Killer
from tests.fakes.failures import FakeFailureBook
from tests.fakes.journal import FakeJournal, FakeMeter, Retry
from tests.fakes.keys import FakeApiKeys
from tests.fakes.objects import FakeObjectStore
from tests.fakes.queues import (
    FakeAnnouncer,
    FakeDeadLetterBox,
    FakeDeadLetterQueue,
    FakeUploadQueue,
)
from tests.fakes.results import FakeResultStore
from tests.fakes.state import FakeAlarm, FakeBreakerStore, FakeIntake, FakeTurnBook
from tests.fakes.tagger import Call, FakeTagger
from tests.fakes.time import FakeClock, FakeDeadline
from tests.fakes.world import LEASE_SECONDS, TIMING, World

__all__ = [
    "ALL",
    "LEASE_SECONDS",
    "TIMING",
    "Call",
    "CanFail",
    "FailedUploads",
    "FakeAlarm",
    "FakeAnnouncer",
    "FakeApiKeys",
    "FakeBreakerStore",
    "FakeCheckpoint",
    "FakeClock",
    "FakeDeadLetterBox",
    "FakeDeadLetterQueue",
    "FakeDeadline",
    "FakeFailureBook",
    "FakeIntake",
    "FakeJournal",
    "FakeListing",
    "FakeMeter",
    "FakeObjectStore",
    "FakeResultStore",
    "FakeTagger",
    "FakeTurnBook",
    "FakeUploadFeed",
    "FakeUploadQueue",
    "Killed",
    "Killer",
    "Retry",
    "World",
    "upload_in",
]
