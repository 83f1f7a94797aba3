"""Any interleaving of uploads, repetitions, faults, crashes and replays keeps the promises."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from hangtag.errors import (
    AnnouncementFailed,
    ApiTimeout,
    MappingUnavailable,
    ObjectUnavailable,
    QueueUnavailable,
    ResultsUnavailable,
)
from hangtag.events import Delivery, read_body
from hangtag.lifecycle import CallReason
from hangtag.tagger_api.errors import KeyRefused, SidesTooSmall
from hangtag.uploads import Upload
from tests.builders import BUCKET, PNG
from tests.fakes import LEASE_SECONDS, CanFail, Killed, World

MAX_ATTEMPTS = 3


STEPS: list[tuple[str, str, type[Exception]]] = [
    ("objects", "read", ObjectUnavailable),
    ("tagger", "ask", ApiTimeout),
    ("tagger", "ask", SidesTooSmall),
    ("tagger", "ask", KeyRefused),
    ("snapshots", "snapshot", ResultsUnavailable),
    ("records", "claim", ResultsUnavailable),
    ("records", "the response to claim", ResultsUnavailable),
    ("records", "TAGGED", ResultsUnavailable),
    ("records", "the response to TAGGED", ResultsUnavailable),
    ("records", "release", ResultsUnavailable),
    ("records", "the response to release", ResultsUnavailable),
    ("records", "FAILED", ResultsUnavailable),
    ("records", "the response to FAILED", ResultsUnavailable),
    ("records", "SKIPPED", ResultsUnavailable),
    ("results", "read", ResultsUnavailable),
    ("results", "store", ResultsUnavailable),
    ("results", "the response to store", ResultsUnavailable),
    ("results", "move_up", ResultsUnavailable),
    ("announcer", "announce", AnnouncementFailed),
    ("dead_letters", "send", QueueUnavailable),
    ("upload_queue", "delay", QueueUnavailable),
    ("breaker_store", "count_failure", ResultsUnavailable),
    ("breaker_store", "open", ResultsUnavailable),
    ("breaker_store", "close", ResultsUnavailable),
    ("mapping", "switch", MappingUnavailable),
]
"""A port, a step of it, and how it fails."""

REQUESTS = (
    "snapshots.snapshot",
    "records.swap",
    "objects.read",
    "tagger.ask",
    "results.read",
    "results.store",
    "results.move_up",
    "announcer.announce",
    "dead_letters.send",
    "upload_queue.delay",
    "breaker_store.count_failure",
)
"""The requests before or after which the function may be killed."""


class Interleavings(RuleBasedStateMachine):
    """
    One worker at a time, but for what happens while it waits for the API.

    Messages come and go in any order and in any batches; an invocation works on one upload after
    the other, because the order of threads is nobody's to repeat. Whoever is killed leaves its
    claims behind.
    """

    uploaded = Bundle("uploaded")

    @initialize(max_attempts=st.integers(1, MAX_ATTEMPTS))
    def begin(self, max_attempts: int) -> None:
        """An empty stack."""
        self.max_attempts = max_attempts
        self.world = World(max_attempts=max_attempts, width=1)
        self.queue: dict[str, Delivery] = {}
        self.uploads: list[Upload] = []
        self.gone: set[str] = set()
        self.junk: list[str] = []
        self.names = count(1)
        self.tagged: set[str] = set()
        """Versions that were tagged."""
        self.orders: dict[str, str] = {}
        """The order of the result of each key."""
        self.has_cut_off = False
        """
        Whether an attempt was: by a kill, by one that lasted longer than its lease, or by a table
        that takes no end of it (docs/reliability.md, "Known gaps").
        """

    # ---- what happens outside

    @rule(
        target=uploaded,
        key=st.sampled_from(["a.png", "b.png"]),
        is_told_late=st.booleans(),
    )
    def upload(self, key: str, *, is_told_late: bool) -> Delivery:
        """A new version of a key arrives; a backfill may find it before its event comes."""
        delivery = self.world.upload(key, PNG + str(len(self.uploads) + 1).encode())
        [entry] = read_body(delivery.body)
        assert isinstance(entry, Upload)
        self.uploads.append(entry)
        if is_told_late:
            self._work([self._tell_in_part(delivery, "sequencer")])
        return self._send(delivery.body)

    @rule(sent=uploaded)
    def repeat(self, sent: Delivery) -> None:
        """S3 tells of an upload again, with another message."""
        self._send(sent.body)

    @rule(
        sent=uploaded,
        names=st.sampled_from([("versionId",), ("versionId", "sequencer", "eTag")]),
    )
    def repeat_in_part(self, sent: Delivery, names: tuple[str, ...]) -> None:
        """Somebody else tells of an upload, and not all of it."""
        self._tell_in_part(sent, *names)

    def _tell_in_part(self, sent: Delivery, *names: str) -> Delivery:
        document = json.loads(sent.body)
        for name in names:
            del document["Records"][0]["s3"]["object"][name]
        return self._send(json.dumps(document))

    @rule(one=uploaded, other=uploaded, has_junk=st.booleans())
    def repeat_together(
        self, one: Delivery, other: Delivery, *, has_junk: bool
    ) -> None:
        """Two uploads, perhaps the same one twice, in one message; perhaps nonsense beside."""
        records = [
            record
            for told in (one, other)
            for record in json.loads(told.body)["Records"]
        ]
        if has_junk:
            self.junk.append(f"nonsense {len(self.junk) + 1}.")
            records.insert(1, {"eventSource": self.junk[-1]})
        self._send(json.dumps({"Records": records}))

    @rule(key=st.sampled_from(["a.png", "b.png"]))
    def remove(self, key: str) -> None:
        """A key and all its versions are deleted."""
        uri = f"s3://{BUCKET}/{key}"
        if any(upload.uri == uri for upload in self.uploads):
            self.world.objects.forget(uri)
            self.gone |= {
                upload.version for upload in self.uploads if upload.uri == uri
            }

    @rule(seconds=st.sampled_from([0.001, 1.0, LEASE_SECONDS + 1]))
    def wait(self, seconds: float) -> None:
        """Time passes; leases run out."""
        self.world.clock.advance(seconds)

    @rule(
        which=st.integers(0, 100),
        by_hand=st.booleans(),
        how_many=st.integers(1, 2),
    )
    def replay(self, which: int, how_many: int, *, by_hand: bool) -> None:
        """An operator puts a letter back, and perhaps twice: sent, and killed before deleting."""
        letters = self.world.dead_letters.letters
        if letters:
            letter = letters.pop(which % len(letters))
            for _ in range(how_many):
                self._send(letter.body, replays=letter.replays + (not by_hand))

    @rule()
    def resume(self) -> None:
        """An operator closes the breaker."""
        self.world.breaker_store.reset()
        self.world.mapping.on = True

    # ---- what goes wrong

    @rule(
        step=st.sampled_from(STEPS),
        times=st.sampled_from([1, 1, 1, 2, 6, 100]),
        chosen=st.lists(st.integers(0, 100), min_size=1, max_size=4),
    )
    def go_wrong(
        self, step: tuple[str, str, type[Exception]], times: int, chosen: list[int]
    ) -> None:
        """A step fails so many times; messages are delivered."""
        port, method, error = step
        self.has_cut_off |= port == "records" and times > 1
        failing: CanFail = getattr(self.world, port)
        failing.fails_with(error("told to"), at=method, times=times)
        if not self.queue:
            self.upload("a.png", is_told_late=False)
        self._work(self._some(chosen))

    @rule(chosen=st.lists(st.integers(0, 100), min_size=1, max_size=4))
    def nobody_can_be_told(self, chosen: list[int]) -> None:
        """Subscribers are out of reach."""
        self.world.announcer.fails_with(AnnouncementFailed("told to"))
        self._work(self._some(chosen))
        self.world.announcer.recovers()

    @rule()
    def a_write_arrives_late(self) -> None:
        """The network held it up, and its worker has gone on, or given up."""
        self.world.records.last_write_arrives_late()
        self.has_cut_off = True

    @rule(
        step=st.sampled_from(REQUESTS),
        call=st.sampled_from([0, 0, 1, 2]),
        after=st.booleans(),
        refused=st.booleans(),
        chosen=st.lists(st.integers(0, 3), min_size=1, max_size=4),
    )
    def is_killed(
        self,
        step: str,
        call: int,
        chosen: list[int],
        *,
        after: bool,
        refused: bool,
    ) -> None:
        """The function is killed before or after a step, with all that it has in hand."""
        if not self.queue:
            self.upload("a.png", is_told_late=False)
        if refused:  # so that there is something to dead-letter
            self.world.tagger.fails_with(SidesTooSmall("small"), at="ask", times=1)
        self.has_cut_off = True
        self.world.kills(step, call=call, after=after)
        self._work(self._some(chosen))
        self.world.revives()

    @rule()
    def heal(self) -> None:
        """Everything works again."""
        for port, _, _ in STEPS:
            failing: CanFail = getattr(self.world, port)
            failing.recovers()

    # ---- what the function does

    @rule()
    def reconcile(self) -> None:
        """The schedule reconciles the breaker and the mapping."""
        self.world.pipeline.reconcile(self.world.invocation())

    @rule(chosen=st.lists(st.integers(0, 100), min_size=1, max_size=4))
    def deliver(self, chosen: list[int]) -> None:
        """Some messages are delivered as a batch."""
        self._work(self._some(chosen))

    @rule(
        slow=st.integers(0, 2),
        fast=st.lists(st.integers(0, 2), min_size=1, max_size=3),
        seconds=st.sampled_from([0.0, LEASE_SECONDS + 1]),
        killed_at=st.sampled_from([None, *REQUESTS]),
    )
    def overtake(
        self,
        slow: int,
        fast: list[int],
        seconds: float,
        killed_at: str | None,
    ) -> None:
        """
        While one waits for the API, perhaps longer than its lease, another one works.

        That one may be killed meanwhile.
        """
        self.has_cut_off |= killed_at is not None or seconds > LEASE_SECONDS

        def meanwhile(_: object) -> None:
            self.world.tagger.before_answering = lambda _: None
            self.world.clock.advance(seconds)
            if killed_at is not None:
                self.world.kills(killed_at, after=True)
            self._work(self._some(fast))
            self.world.revives()

        self.world.tagger.before_answering = meanwhile
        self._work(self._some([slow]))
        self.world.tagger.before_answering = lambda _: None

    # ---- what always holds

    @invariant()
    def the_result_of_a_key_never_goes_back(self) -> None:
        """An older version's answer does not take the place of a newer one's."""
        for uri in {upload.uri for upload in self.uploads}:
            stored = self.world.results.stored(uri)
            if stored is not None:
                assert stored.order >= self.orders.get(uri, "")
                self.orders[uri] = stored.order

    @invariant()
    def every_bill_beyond_one_has_its_excuse(self) -> None:
        """A crash, a store that stayed down, or an answer that gave way; never a repetition."""
        for upload in self.uploads:
            paid = self._paid(upload)
            if paid > 1:
                calls = self.world.calls_about(upload)
                excuses = (CallReason.UNSTORED, CallReason.OVERTAKEN)
                excused = sum(calls.get(reason, 0) for reason in excuses)
                assert paid - 1 <= excused + self.world.cut_off(upload)

    @invariant()
    def a_tagged_upload_stays_tagged(self) -> None:
        """Whatever event comes, and whatever goes wrong."""
        for upload in self.uploads:
            ended = self.world.ended_as(upload)
            record = self.world.record_of(upload)
            if record is not None and record.next_call is CallReason.OVERTAKEN:
                self.tagged.discard(upload.version)
            if ended == "TAGGED":
                self.tagged.add(upload.version)
            calls = self.world.calls_about(upload)
            if CallReason.OVERTAKEN not in calls:
                assert upload.version not in self.tagged or ended == "TAGGED"

    @invariant()
    def there_is_no_bug(self) -> None:
        """No unforeseen exception."""
        assert self.world.bugs == []

    def teardown(self) -> None:
        """When all is well again, everything comes to its end."""
        if not hasattr(self, "world"):
            return
        self.heal()
        for _ in range(10 * MAX_ATTEMPTS):
            if not self.queue:
                break
            self.world.clock.advance(LEASE_SECONDS + 1)
            self.reconcile()
            self._work(list(self.queue.values()))
        assert self.queue == {}
        buried = " ".join(letter.body for letter in self.world.dead_letters.letters)
        assert all(nonsense in buried for nonsense in self.junk)
        for upload in self.uploads:
            self._has_ended(upload)
        for uri in {upload.uri for upload in self.uploads}:
            self._newest_wins(uri)
        for letter in self.world.dead_letters.letters:
            assert letter.failure.attempts <= self.max_attempts
            # Whatever was lost on the way: nobody is abandoned whom nobody began and left
            assert letter.failure.code != "ABANDONED" or self.has_cut_off

    def _has_ended(self, upload: Upload) -> None:
        ended = self.world.ended_as(upload)
        announced = any(
            announcement.document["data"]["image"]["versionId"] == upload.version_id
            for announcement in self.world.announcer.announced
        )
        if ended == "TAGGED":
            assert announced or self._was_overtaken(upload)
        elif ended == "FAILED":
            assert self._is_buried(upload)
        elif ended is None:
            # It had failed, and somebody told of it again, without its version: what came of that
            # claim nobody was told, and by the next time it had been overtaken, or was gone.
            assert self._is_buried(upload)
            assert self._was_overtaken(upload) or upload.version in self.gone
        elif ended == "SUPERSEDED":
            assert self._was_overtaken(upload)
        else:
            assert ended == "OBJECT_GONE"
            assert upload.version in self.gone

    def _is_buried(self, upload: Upload) -> bool:
        buried = [
            entry
            for letter in self.world.dead_letters.letters
            for entry in read_body(letter.body)
        ]
        return any(
            isinstance(entry, Upload)
            and (entry.uri, entry.version) == (upload.uri, upload.version)
            for entry in buried
        )

    def _was_overtaken(self, upload: Upload) -> bool:
        return any(
            other.uri == upload.uri and other.order > upload.order
            for other in self.uploads
        )

    def _newest_wins(self, uri: str) -> None:
        ended = [
            upload
            for upload in self.uploads
            if upload.uri == uri and self.world.ended_as(upload) in ("TAGGED", "FAILED")
        ]
        shown = self.world.newest(uri)
        if ended:
            newest = max(ended, key=lambda upload: upload.order)
            assert shown is not None
            assert shown["image"]["versionId"] == newest.version_id
            if shown["status"] == "TAGGED":
                announced = self._announced_images(uri)
                assert newest.version_id in [one["versionId"] for one in announced]
        else:
            assert shown is None

    def _announced_images(self, uri: str) -> list[Any]:
        images = [
            announcement.document["data"]["image"]
            for announcement in self.world.announcer.announced
        ]
        return [image for image in images if image["uri"] == uri]

    def _paid(self, upload: Upload) -> int:
        number = self.uploads.index(upload) + 1
        content = b64encode(PNG + str(number).encode()).decode()
        return sum(
            call.request.image.content.endswith(f",{content}")
            for call in self.world.tagger.answered
        )

    def _send(self, body: str, *, replays: int = 0) -> Delivery:
        name = f"message {next(self.names)}"
        delivery = Delivery(
            message_id=name,
            receipt_handle=f"handle of {name}",
            body=body,
            replays=replays,
            sent_at=self.world.clock.now(),
        )
        self.queue[name] = delivery
        return delivery

    def _some(self, chosen: list[int]) -> list[Delivery]:
        waiting = list(self.queue.values())
        picked = {number % len(waiting) for number in chosen} if waiting else set()
        return [waiting[number] for number in sorted(picked)]

    def _work(self, batch: list[Delivery]) -> None:
        """One invocation, should the mapping deliver."""
        if not self.world.mapping.on:
            return
        self.world.clock.advance(0.01)
        batch = [
            replace(delivery, receives=delivery.receives + 1)
            for delivery in batch
            if delivery.message_id in self.queue  # else finished meanwhile
        ]
        self.queue.update((delivery.message_id, delivery) for delivery in batch)
        try:
            handed_back = self.world.tag(*batch)
        except Killed:
            self.world.revives()
            return
        for delivery in batch:
            if delivery.message_id not in handed_back:
                self.queue.pop(delivery.message_id, None)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
