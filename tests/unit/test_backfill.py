"""Backfill: every existing object is sent, and is paid for once."""

from __future__ import annotations

import gc
import random
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise

import pytest

from hangtag.errors import QueueUnavailable, ResultsUnavailable
from hangtag.events import read_body, record_of_object, retag_token
from hangtag.lifecycle import CallReason, Record, Status
from hangtag.operators.backfill import (
    DEPTH_CHECK_MESSAGES,
    MAX_SENDS,
    BackfillLimits,
    BackfillReport,
    BackfillSources,
    NotSent,
    backfill,
)
from hangtag.operators.backfill_estimate import expected_speed
from hangtag.operators.backfill_ports import ListedObject, Listing, UnusableCheckpoint
from hangtag.operators.backfill_start import BackfillRequest, start_of
from hangtag.selection import ALL_KEYS, Selection
from hangtag.uploads import Upload
from tests.builders import BUCKET, NOON, NOON_SECONDS, PNG, a_delivery
from tests.fakes import (
    FakeBreakerStore,
    FakeCheckpoint,
    FakeClock,
    FakeListing,
    FakeRecords,
    FakeResults,
    FakeSnapshots,
    FakeUploadFeed,
    World,
)

REQUEST = BackfillRequest("hangtag", BUCKET, "", None, again=False)
AGAIN = BackfillRequest("hangtag", BUCKET, "", None, again=True)


class Killed(BaseException):
    """The process is killed."""


def a_token(number: int) -> str:
    """A re-tag token."""
    return retag_token(NOON_SECONDS, f"{number:08x}")


@dataclass
class Backfilling:
    """A backfill with a fake behind each port."""

    listing: Listing
    feed: FakeUploadFeed = field(default_factory=FakeUploadFeed)
    checkpoint: FakeCheckpoint = field(default_factory=FakeCheckpoint)
    clock: FakeClock = field(default_factory=FakeClock)
    tokens: Iterator[int] = field(default_factory=count)
    partition: str = "aws"

    def __post_init__(self) -> None:
        self.records = FakeRecords()
        self.results = FakeSnapshots(FakeBreakerStore(), self.records, FakeResults())

    def run(
        self,
        request: BackfillRequest = REQUEST,
        *,
        rate: float | None = None,
        max_queued: int = 10_000_000,
        max_image_bytes: int | None = None,
        selection: Selection = ALL_KEYS,
        dry_run: bool = False,
    ) -> BackfillReport:
        """One run, from where the previous run stopped."""
        start = start_of(request, self.checkpoint, token=a_token(next(self.tokens)))
        return backfill(
            request,
            BackfillSources(
                self.listing,
                self.results,
                self.feed,
                self.checkpoint,
                self.clock,
                self.partition,
            ),
            BackfillLimits(rate, max_queued, max_image_bytes, selection),
            start,
            dry_run=dry_run,
        )

    def keys(self) -> list[str]:
        """The keys that were sent, in sequence."""
        return [upload.key for upload in self.uploads()]

    def uploads(self) -> list[Upload]:
        """The sent messages as the function reads them."""
        entries = [entry for body, _ in self.feed.sent for entry in read_body(body)]
        return [entry for entry in entries if isinstance(entry, Upload)]

    def tag(self, key: str) -> None:
        """Tags this version of the key."""
        upload = record_of_object(
            bucket=BUCKET,
            key=key,
            version_id="version-1",
            etag=None,
            size=1,
            at=NOON,
            partition=self.partition,
        )
        assert isinstance(upload, Upload)
        name = (upload.uri, upload.version)
        self.records.swap(name, None, Record(Status.TAGGED, "rev-1"))


def names(number: int) -> list[str]:
    """That many keys, sorted."""
    return [f"{n:05}.jpg" for n in range(number)]


# ---- which objects are sent


def test_every_object_is_sent_as_a_notification_of_s3() -> None:
    """The sequencer is unknown and left out; ten messages go in a request."""
    work = Backfilling(FakeListing(*names(25), page=7))

    report = work.run()

    assert work.keys() == names(25)
    assert work.feed.batches == [10, 10, 5]
    assert report.document() == {
        "listed": 25,
        "enqueued": 25,
        "skipped": 0,
        "dryRun": False,
    }
    upload = work.uploads()[0]
    assert (upload.version_id, upload.etag, upload.sequencer, upload.size) == (
        "version-1",
        "0123456789abcdef",
        None,
        len(PNG),
    )
    assert work.checkpoint.text is None


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_the_buckets_arn_is_one_of_the_partition(partition: str) -> None:
    """The announcement of the result has it as its source."""
    work = Backfilling(FakeListing(*names(1)), partition=partition)

    work.run()

    (upload,) = work.uploads()
    assert upload.record["s3"]["bucket"]["arn"] == f"arn:{partition}:s3:::{BUCKET}"


def test_a_dry_run_counts_the_same_and_changes_nothing() -> None:
    """A dry run is the same code without its last step."""
    work = Backfilling(FakeListing(*names(25)))
    work.tag("00003.jpg")
    work.checkpoint.fails_with(Killed(), at="save")
    work.feed.fails_with(Killed())

    report = work.run(dry_run=True)

    assert report.document() == {
        "listed": 25,
        "enqueued": 0,
        "skipped": 1,
        "dryRun": True,
    }
    assert (report.to_send, report.bytes) == (24, 24 * len(PNG))


def test_objects_that_the_stack_does_not_select_are_not_sent() -> None:
    """The function would skip them."""
    work = Backfilling(FakeListing("summer/a.jpg", "summer/b.gif", "winter/a.jpg"))

    report = work.run(selection=Selection(("summer/",), (".jpg",)))

    assert work.keys() == ["summer/a.jpg"]
    assert report.not_selected == report.not_sent[NotSent.NOT_SELECTED] == 2
    assert report.document()["skipped"] == 2


def test_tagged_objects_and_non_images_are_not_sent() -> None:
    """Each is counted by its reason. If the stack's size limit is unknown, the function decides."""
    listing = FakeListing("tagged.jpg", "new.jpg")
    listing.put("empty.jpg", size=0)
    listing.put("folder/", size=0)
    listing.put("large.tiff", size=1_001)
    listing.put("unknown.jpg", size=None)
    work = Backfilling(listing)
    work.tag("tagged.jpg")

    known = work.run(max_image_bytes=1_000, dry_run=True)
    unknown = work.run()

    assert known.not_sent == {
        NotSent.ALREADY_TAGGED: 1,
        NotSent.EMPTY: 1,
        NotSent.FOLDER_MARKER: 1,
        NotSent.TOO_LARGE: 1,
    }
    assert unknown.skipped == 3
    assert work.keys() == ["large.tiff", "new.jpg", "unknown.jpg"]


def test_archived_objects_are_not_sent_and_counted() -> None:
    """Restoring costs money, so objects that would not be sent anyway do not count."""
    listing = FakeListing("new.jpg")
    listing.put("archived.jpg", is_archived=True)
    listing.put("archived and tagged.jpg", is_archived=True)
    listing.put("archived and empty.jpg", is_archived=True, size=0)
    work = Backfilling(listing)
    work.tag("archived and tagged.jpg")

    dry, real = work.run(dry_run=True), work.run()

    for report in (dry, real):
        assert report.not_sent == {
            NotSent.ALREADY_TAGGED: 1,
            NotSent.ARCHIVED: 1,
            NotSent.EMPTY: 1,
        }
        assert report.document()["archived"] == 1
    assert work.keys() == ["new.jpg"]


def test_another_version_than_the_tagged_one_is_sent() -> None:
    """The tagged state belongs to a version, not to a key."""
    listing = FakeListing()
    listing.put("coat.jpg", version_id="version-2")
    work = Backfilling(listing)
    work.tag("coat.jpg")

    assert work.run().enqueued == 1


def test_with_again_tagged_objects_are_sent_with_one_retag_token() -> None:
    """The token makes sure that a repeated message is paid once."""
    work = Backfilling(FakeListing("tagged.jpg", "new.jpg"))
    work.tag("tagged.jpg")

    work.run(AGAIN)

    assert work.keys() == ["new.jpg", "tagged.jpg"]
    assert [token for _, token in work.feed.sent] == [a_token(0), a_token(0)]


def hostile_names(number: int) -> list[str]:
    """Keys with every kind of character that S3 allows."""
    randomness = random.Random(5)  # noqa: S311 - the same names each time
    alphabet = " %+?#&=/\\\"'<>[]\t\n\x01\x7f\u200b\u2028ä드😀" + "aB0._-"
    found = {
        "".join(randomness.choices(alphabet, k=randomness.randint(1, 60)))
        for _ in range(number * 2)
    }
    return sorted(found)[:number]


def test_a_thousand_hostile_keys_are_sent_unchanged() -> None:
    """The function reads the same keys that were listed."""
    hostile = hostile_names(1_000)
    work = Backfilling(FakeListing(*hostile))

    work.run()

    assert len(hostile) == 1_000
    assert sorted(work.keys()) == hostile


# ---- interruptions


CALLS = (
    ("load", "checkpoint"),
    ("pages", "listing"),
    ("tagged", "results"),
    ("depth", "feed"),
    ("send", "feed"),
    ("sent", "feed"),
    ("save", "checkpoint"),
    ("saved", "checkpoint"),
    ("remove", "checkpoint"),
)


@pytest.mark.parametrize(("at", "whose"), CALLS)
@pytest.mark.parametrize("error", [Killed, KeyboardInterrupt])
def test_a_backfill_killed_at_any_point_continues_and_skips_no_object(
    at: str, whose: str, error: type[BaseException]
) -> None:
    """Kills every n-th call of each kind; each kill repeats at most one batch."""
    for survived in range(40):
        work = Backfilling(FakeListing(*names(95), page=20))
        for key in names(95)[::3]:
            work.tag(key)
        plan = getattr(work, whose)
        calls = count(1)

        class DieLater(error):  # type: ignore[misc,valid-type]  # of the case
            """Raised after that many successful calls."""

        _die_after(plan, at, survived, DieLater(), calls)
        was_killed = False
        for _ in range(3):
            try:
                report = work.run(max_queued=40_000)
                break
            except DieLater:
                was_killed = True

        meant = [key for n, key in enumerate(names(95)) if n % 3]
        sent = Counter(work.keys())
        assert set(sent) == set(meant)
        assert sum(sent.values()) <= len(meant) + 10
        assert report.listed == report.enqueued + report.skipped
        if was_killed and at == "remove":
            assert report.listed == 95
        assert work.checkpoint.text is None
        if not was_killed:
            return


def _die_after(
    plan: FakeListing | FakeUploadFeed | FakeCheckpoint | FakeSnapshots,
    at: str,
    survived: int,
    error: BaseException,
    calls: Iterator[int],
) -> None:
    """Lets *survived* calls of *at* succeed, then raises once."""
    well = plan._may_fail

    def may_fail(method: str) -> None:
        if method == at and next(calls) == survived + 1:
            raise error
        well(method)

    plan._may_fail = may_fail  # type: ignore[method-assign]  # a plan beyond "all" and "the next"


def test_a_continued_run_uses_the_token_of_the_first_run() -> None:
    """A message that both runs send is paid once."""
    work = Backfilling(FakeListing(*names(30)))
    work.feed.after_sending = lambda: work.feed.fails_with(Killed(), times=1)
    with pytest.raises(Killed):
        work.run(AGAIN)
    work.feed.after_sending = lambda: None

    work.run(AGAIN)

    assert {token for _, token in work.feed.sent} == {a_token(0)}
    assert sorted(set(work.keys())) == names(30)


def test_a_run_killed_with_its_first_messages_keeps_its_token() -> None:
    """The token is saved before the messages are sent, so they are not paid twice."""
    work = Backfilling(FakeListing(*names(30)))
    work.feed.fails_with(Killed(), at="sent", times=1)
    with pytest.raises(Killed):
        work.run(AGAIN)

    work.run(AGAIN)

    assert len(work.feed.sent) == 40
    assert {token for _, token in work.feed.sent} == {a_token(0)}


def test_a_run_continues_although_objects_were_deleted() -> None:
    """The checkpoint names a key, which need not exist any more."""
    listing = FakeListing(*names(30))
    work = Backfilling(listing)
    work.feed.after_sending = lambda: work.feed.fails_with(Killed(), times=1)
    with pytest.raises(Killed):
        work.run()
    work.feed.after_sending = lambda: None
    sent = work.keys()
    for key in sent:
        listing.delete(key)

    work.run()

    assert work.keys() == names(30)


@pytest.mark.parametrize(
    "other",
    [
        AGAIN,
        BackfillRequest("other", BUCKET, "", None, again=False),
        BackfillRequest("hangtag", "other", "", None, again=False),
        BackfillRequest("hangtag", BUCKET, "p", None, again=False),
        BackfillRequest("hangtag", BUCKET, "", "s3://i/manifest.json", again=False),
    ],
)
def test_a_checkpoint_of_another_request_is_refused(other: BackfillRequest) -> None:
    """Continuing from it would skip objects."""
    work = Backfilling(FakeListing(*names(30)))
    work.feed.fails_with(Killed(), at="sent")
    work.checkpoint.save({"request": REQUEST.document()})
    before = work.checkpoint.text

    with pytest.raises(UnusableCheckpoint, match="another backfill"):
        work.run(other)

    assert (work.checkpoint.text, work.feed.sent) == (before, [])


COUNTS = {"listed": 1, "enqueued": 1, "bytes": 1, "notSent": {}}


@pytest.mark.parametrize(
    "rest",
    [
        {},
        {"place": "a", "token": a_token(0)},
        {"place": "a", "token": a_token(0), "counts": {"listed": "many"}},
        {"place": 1, "token": a_token(0), "counts": COUNTS},
        {"place": "\ud800", "token": a_token(0), "counts": COUNTS},
        {"place": "x" * 10_000, "token": a_token(0), "counts": COUNTS},
        {"place": "a", "token": "", "counts": COUNTS},
        {"place": "a", "token": "zzzz", "counts": COUNTS},
        {"place": "a", "token": "\ud800", "counts": COUNTS},
        {"place": "a", "token": a_token(0), "counts": COUNTS | {"listed": -1}},
        {"place": "a", "token": a_token(0), "counts": COUNTS | {"bytes": 10**4_200}},
        {
            "place": "a",
            "token": a_token(0),
            "counts": COUNTS | {"notSent": {"EMPTY": -1}},
        },
    ],
)
def test_an_incomplete_checkpoint_is_refused(rest: dict[str, object]) -> None:
    """The backfill does not start over either: the file may have been edited."""
    work = Backfilling(FakeListing(*names(3)))
    work.checkpoint.save({"request": REQUEST.document(), **rest})

    with pytest.raises(UnusableCheckpoint):
        work.run()


# ---- SQS refuses or fails


def test_refused_messages_are_sent_again_without_the_accepted_ones() -> None:
    """A batch may fail in part; no accepted message is sent twice."""
    work = Backfilling(FakeListing(*names(10)))
    refusals = iter([True, False, True] + [False] * 100)
    work.feed.refuses = lambda _: next(refusals)

    report = work.run()

    assert sorted(work.keys()) == names(10)
    assert work.feed.batches == [10, 2]
    assert report.enqueued == 10


def test_a_backfill_retries_during_a_short_outage_of_the_queue() -> None:
    """A backfill may run all night."""
    work = Backfilling(FakeListing(*names(10)))
    work.feed.fails_with(QueueUnavailable("away"), times=MAX_SENDS - 1, at="send")

    assert work.run().enqueued == 10


def test_a_backfill_that_is_denied_to_send_ends_at_once() -> None:
    """A retry would be denied, too."""
    work = Backfilling(FakeListing(*names(10)))
    denied = QueueUnavailable("denied")
    denied.is_denied = True
    work.feed.fails_with(denied, times=1, at="send")

    with pytest.raises(QueueUnavailable):
        work.run()

    assert work.keys() == []


def test_a_long_outage_ends_the_backfill_with_its_progress_saved() -> None:
    """The next run continues from there."""
    work = Backfilling(FakeListing(*names(30)))
    work.feed.after_sending = lambda: work.feed.fails_with(
        QueueUnavailable("away"), at="send"
    )
    with pytest.raises(QueueUnavailable):
        work.run()
    work.feed.recovers()
    work.feed.after_sending = lambda: None

    report = work.run()

    assert work.keys() == names(30)
    assert (report.listed, report.enqueued) == (30, 30)


def test_a_dry_run_after_an_interruption_reports_what_is_left() -> None:
    """The report includes the bytes that are left to send."""
    work = Backfilling(FakeListing(*names(30)))
    whole = work.run(dry_run=True)
    work.feed.after_sending = lambda: work.feed.fails_with(
        QueueUnavailable("away"), at="send"
    )
    with pytest.raises(QueueUnavailable):
        work.run()

    left = work.run(dry_run=True)

    assert (left.to_send - left.enqueued) / whole.to_send == left.bytes / whole.bytes
    assert 0 < left.bytes < whole.bytes


def test_a_message_that_is_always_refused_ends_the_backfill() -> None:
    """It does not skip the message silently."""
    work = Backfilling(FakeListing(*names(3)))
    work.feed.refuses = lambda body: "00001" in body

    with pytest.raises(QueueUnavailable, match="1 of 1"):
        work.run()
    work.feed.refuses = lambda _: False

    assert work.run().document() == {
        "listed": 3,
        "enqueued": 3,
        "skipped": 0,
        "dryRun": False,
    }


def test_an_outage_of_the_table_ends_the_backfill() -> None:
    """It does not send objects that may be tagged already."""
    work = Backfilling(FakeListing(*names(3)))
    work.results.fails_with(ResultsUnavailable("away"))

    with pytest.raises(ResultsUnavailable):
        work.run()

    assert work.feed.sent == []


# ---- rate and queue depth


@pytest.mark.parametrize("rate", [0.5, 5.0, 40.0, 250.0])
def test_messages_are_sent_evenly_at_the_rate(rate: float) -> None:
    """No second has more messages than the rate and one batch; the average is close to the rate."""
    work = Backfilling(FakeListing(*names(400)))
    times: list[float] = []

    def note() -> None:
        times.extend([work.clock.now()] * work.feed.batches[-1])

    work.feed.after_sending = note

    work.run(rate=rate)

    spent = times[-1] - times[0]
    assert 400 / rate - 10 / rate <= spent + 1e-3 <= 400 / rate + 1e-3
    window = max(1.0, 1 / rate)
    most = max(sum(at <= other < at + window for other in times) for at in times)
    assert most <= rate * window + max(1, rate / 10) + 1
    assert max(work.feed.batches) <= max(1, rate / 10)


def test_a_pause_earns_no_burst() -> None:
    """After a slow listing the rate is the same."""
    work = Backfilling(FakeListing(*names(20)))
    times: list[float] = []

    def note() -> None:
        times.append(work.clock.now())
        if len(times) == 5:
            work.clock.advance(60)

    work.feed.after_sending = note

    work.run(rate=10)

    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) > 0.099


def test_the_queue_depth_never_exceeds_the_ceiling() -> None:
    """The backfill waits until the function has received some messages, then continues."""
    work = Backfilling(FakeListing(*names(500)))
    work.feed.waiting = 60
    depths: list[int] = []
    work.feed.after_sending = lambda: depths.append(work.feed.depth())
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        work.clock.advance(seconds)
        work.feed.taken += 7

    work.clock.when_sleeping = sleep

    assert work.run(max_queued=100).enqueued == 500

    assert max(depths) == 100
    assert len(waits) > 50


def test_a_ceiling_below_the_batch_size_makes_batches_smaller() -> None:
    """A ceiling of three is respected, too."""
    work = Backfilling(FakeListing(*names(20)))

    def sleep(seconds: float) -> None:
        work.clock.advance(seconds)
        work.feed.taken = len(work.feed.sent)

    work.clock.when_sleeping = sleep

    work.run(max_queued=3)

    assert max(work.feed.batches) == 3


def test_messages_of_other_senders_count_towards_the_depth() -> None:
    """The depth is read again after a number of messages, although there was room for more."""
    work = Backfilling(FakeListing(*names(3 * DEPTH_CHECK_MESSAGES)))
    seen_waiting: list[int] = []

    def others() -> None:
        if len(work.feed.sent) == 50:
            work.feed.waiting = 100_000

    def sleep(seconds: float) -> None:
        work.clock.advance(seconds)
        seen_waiting.append(len(work.feed.sent))
        work.feed.waiting = 0

    work.feed.after_sending = others
    work.clock.when_sleeping = sleep

    work.run(max_queued=50_000)

    assert seen_waiting == [DEPTH_CHECK_MESSAGES]


# ---- memory


class Many:
    """A lazy listing of very many objects."""

    def __init__(self, number: int) -> None:
        self._number = number

    def pages(self, *, after: str | None) -> Iterator[Sequence[ListedObject]]:  # noqa: ARG002 - a port's
        """Pages of a thousand objects; one of each page is to be sent."""
        for first in range(0, self._number, 1_000):
            yield [
                ListedObject(key, "v", "e", int(key[-3:] in ("0", "000")), key)
                for key in map(str, range(first, first + 1_000))
            ]


class ForgetfulFeed(FakeUploadFeed):
    """A queue that is emptied at once."""

    def send(self, bodies: Sequence[str], *, again: str | None) -> Sequence[int]:
        """Accepts all messages and keeps no copy."""
        refused = super().send(bodies, again=again)
        self.taken += len(self.sent)
        self.sent.clear()
        self.batches.clear()
        return refused


def peak_of(number: int) -> int:
    """The peak memory in bytes of a run over that many objects."""
    work = Backfilling(Many(number), feed=ForgetfulFeed())
    tracemalloc.start()
    try:
        report = work.run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (report.listed, report.enqueued) == (number, number // 1_000)
    return peak


def test_memory_does_not_grow_with_the_number_of_objects() -> None:
    """A hundred thousand objects take as much memory as ten thousand: about a page."""
    few, many = peak_of(10_000), peak_of(100_000)

    assert many < 1.1 * few
    assert many < 4_000_000


class Measured(Many):
    """A listing that counts the interpreter's memory blocks at each page."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.blocks: list[int] = []

    def pages(self, *, after: str | None) -> Iterator[Sequence[ListedObject]]:
        """The pages, unchanged."""
        for page in super().pages(after=after):
            self.blocks.append(sys.getallocatedblocks())
            yield page


def test_a_backfill_of_a_million_objects_keeps_no_data_per_object() -> None:
    """One string per object would be a million blocks. Tracing memory would be ten times slower."""
    listing = Measured(1_000_000)
    gc.collect()
    gc.disable()  # garbage of earlier tests would hide growth
    try:
        report = Backfilling(listing, feed=ForgetfulFeed()).run()
    finally:
        gc.enable()

    assert (report.listed, report.enqueued) == (1_000_000, 1_000)
    assert max(listing.blocks[-100:]) - max(listing.blocks[10:110]) < 5_000


# ---- with the function


def test_a_backfilled_object_is_tagged_once() -> None:
    """It is identified by version, without a sequencer. A second backfill finds it tagged."""
    world = World()
    facts = world.put("old.jpg")
    listing = FakeListing()
    listing.put(
        "old.jpg", version_id=facts.version_id, etag=facts.etag, size=facts.size
    )
    work = Backfilling(listing)
    work.results = world.snapshots
    work.run()

    [(body, _)] = work.feed.sent
    assert world.tag(a_delivery(body)) == ()

    assert len(world.announcer.announced) == 1
    [upload] = work.uploads()
    assert world.calls_about(upload) == {CallReason.FIRST: 1}
    assert work.run().not_sent == {NotSent.ALREADY_TAGGED: 1}


def test_a_backfilled_object_does_not_replace_a_version_with_a_sequencer() -> None:
    """A version without a sequencer is never newer than one with a sequencer."""
    world = World()
    world.tag(world.upload("coat.jpg", content=PNG + b"1"))
    facts = world.put("coat.jpg", content=PNG + b"2")
    listing = FakeListing()
    listing.put("coat.jpg", version_id=facts.version_id, etag=facts.etag)
    work = Backfilling(listing)
    work.results = world.snapshots
    work.run()

    [(body, _)] = work.feed.sent
    world.tag(a_delivery(body))

    [upload] = work.uploads()
    assert world.ended_as(upload) == "SUPERSEDED"
    assert len(world.tagger.calls) == 1


# ---- estimate


@pytest.mark.parametrize(
    ("rate", "requests", "width", "per_second", "because"),
    [
        (5, 10, 50, 5, "--rate"),
        (20, 10, 50, 10, "MaxRequestsPerSecond"),
        (None, 0, 50, 50, "MaxConcurrency"),
    ],
)
def test_the_lowest_known_limit_gives_the_rate(
    rate: float | None, requests: float, width: int, per_second: float, because: str
) -> None:
    """The estimate names that limit."""
    speed = expected_speed(
        rate=rate, requests_per_second=requests, images_at_once=width
    )

    assert speed is not None
    assert speed.per_second == per_second
    assert because in speed.because


def test_without_a_known_limit_there_is_no_estimate() -> None:
    """The command then shows that the time is unknown."""
    assert expected_speed(rate=None, requests_per_second=0, images_at_once=None) is None
