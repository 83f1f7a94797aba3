"""
A fake for every port of `hangtag.ports`: in memory, and able to be told to fail.

They take the same contract tests as the adapters (tests/contract), so that they do not rot.
"""

from tests.fakes.failing import CanFail
from tests.fakes.journal import FakeJournal, Retry
from tests.fakes.keys import FakeApiKeys
from tests.fakes.objects import FakeObjectStore
from tests.fakes.queues import (
    FakeAnnouncer,
    FakeDeadLetterBox,
    FakeDeadLetterQueue,
    FakeUploadQueue,
)
from tests.fakes.results import FakeResultStore
from tests.fakes.tagger import Call, FakeTagger
from tests.fakes.time import FakeClock, FakeDeadline
from tests.fakes.world import LEASE_SECONDS, World

__all__ = [
    "LEASE_SECONDS",
    "Call",
    "CanFail",
    "FakeAnnouncer",
    "FakeApiKeys",
    "FakeClock",
    "FakeDeadLetterBox",
    "FakeDeadLetterQueue",
    "FakeDeadline",
    "FakeJournal",
    "FakeObjectStore",
    "FakeResultStore",
    "FakeTagger",
    "FakeUploadQueue",
    "Retry",
    "World",
]
