"""Any interleaving of uploads, removals, faults, crashes and replays keeps the promises."""

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
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from hangtag.announcements import REMOVED
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
from hangtag.ports import StoredResult
from hangtag.tagger_api.errors import KeyRefused, SidesTooSmall
from hangtag.uploads import Upload
from tests.builders import BUCKET, PNG
from tests.fakes import LEASE_SECONDS, CanFail, Killed, World

MAX_ATTEMPTS = 3


STEPS: list[tuple[str, str, type[Exception]]] = [
    ("objects", "read", ObjectUnavailable),
    ("objects", "find", ObjectUnavailable),
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
    ("results", "remove", ResultsUnavailable),
    ("results", "the response to remove", ResultsUnavailable),
    ("records", "REMOVED", ResultsUnavailable),
    ("records", "the response to REMOVED", ResultsUnavailable),
    ("announcer", "announce", AnnouncementFailed),
    ("dead_letters", "send", QueueUnavailable),
    ("upload_queue", "delay", QueueUnavailable),
    ("upload_queue", "send", QueueUnavailable),
    ("breaker_store", "count_failure", ResultsUnavailable),
    ("breaker_store", "open", ResultsUnavailable),
    ("breaker_store", "close", ResultsUnavailable),
    ("mapping", "switch", MappingUnavailable),
]
"""A port, a method of it, and the error that it raises."""

REQUESTS = (
    "snapshots.snapshot",
    "records.swap",
    "objects.read",
    "objects.find",
    "tagger.ask",
    "results.read",
    "results.store",
    "results.move_up",
    "results.remove",
    "announcer.announce",
    "dead_letters.send",
    "upload_queue.delay",
    "upload_queue.send",
    "breaker_store.count_failure",
)
"""The requests before or after which the function may be killed."""


class Interleavings(RuleBasedStateMachine):
    """
    One worker at a time, except during a call of the API, when others may run.

    Messages arrive in any sequence and in any batches. An invocation handles one upload after the
    other, because the scheduling of threads cannot be reproduced. A killed worker leaves its
    claims.
    """

    uploaded = Bundle("uploaded")
    removed = Bundle("removed")

    @initialize(max_attempts=st.integers(1, MAX_ATTEMPTS))
    def begin(self, max_attempts: int) -> None:
        """Starts with an empty stack."""
        self.max_attempts = max_attempts
        self.world = World(max_attempts=max_attempts, width=1)
        self.queue: dict[str, Delivery] = {}
        self.uploads: list[Upload] = []
        self.gone: set[str] = set()
        self.junk: list[str] = []
        self.names = count(1)
        self.tagged: dict[str, int] = {}
        """Versions that were tagged, and how many of their attempts had been cut off by then."""
        self.stored: dict[str, StoredResult] = {}
        """The result or the tombstone of each key."""
        self.removals: list[Upload] = []
        self.silently_gone: set[str] = set()
        """Keys that were deleted without an event."""
        self.forged: set[str] = set()
        """The keys about which somebody has sent a forged event."""
        self.has_cut_off = False
        """
        Whether an attempt was cut off: by a kill, by a lease that expired, or by a table that
        refused to write its end (docs/reliability.md, "Known gaps").
        """

    # ---- events outside the function

    @rule(
        target=uploaded,
        key=st.sampled_from(["a.png", "b.png"]),
        is_backfilled=st.booleans(),
    )
    def upload(self, key: str, *, is_backfilled: bool) -> Delivery:
        """A new version of a key arrives; a backfill may find it before its event comes."""
        delivery = self.world.upload(key, PNG + str(len(self.uploads) + 1).encode())
        [entry] = read_body(delivery.body)
        assert isinstance(entry, Upload)
        self.uploads.append(entry)
        if is_backfilled:
            self._work([self._send_without(delivery, "sequencer")])
        return self._send(delivery.body)

    @rule(sent=uploaded)
    def repeat(self, sent: Delivery) -> None:
        """S3 repeats an event in another message."""
        self._send(sent.body)

    @rule(
        sent=uploaded,
        names=st.sampled_from([("versionId",), ("versionId", "sequencer", "eTag")]),
    )
    def repeat_incompletely(self, sent: Delivery, names: tuple[str, ...]) -> None:
        """Another sender repeats an event without some of its fields."""
        self._send_without(sent, *names)

    @rule(
        sent=uploaded,
        sequencer=st.sampled_from(["0", "F" * 63, "F" * 64]),
        replays=st.sampled_from([0, 1, 900_000_000_000_000]),
        delivered=st.booleans(),
    )
    def forge(
        self, sent: Delivery, sequencer: str, replays: int, *, delivered: bool
    ) -> None:
        """Who may send to the queue lies about the place of a version, perhaps before its event."""
        document = json.loads(sent.body)
        document["Records"][0]["s3"]["object"]["sequencer"] = sequencer
        message = self._send(json.dumps(document), replays=replays)
        [entry] = read_body(message.body)
        assert isinstance(entry, Upload)
        self.forged.add(entry.uri)
        if delivered:
            self._work([message])

    def _send_without(self, sent: Delivery, *names: str) -> Delivery:
        document = json.loads(sent.body)
        for name in names:
            del document["Records"][0]["s3"]["object"][name]
        return self._send(json.dumps(document))

    @rule(one=uploaded, other=uploaded, has_junk=st.booleans())
    def repeat_together(
        self, one: Delivery, other: Delivery, *, has_junk: bool
    ) -> None:
        """
        Two uploads, perhaps the same one twice, in one message; perhaps with an unreadable record.
        """
        records = [
            record
            for delivery in (one, other)
            for record in json.loads(delivery.body)["Records"]
        ]
        if has_junk:
            self.junk.append(f"nonsense {len(self.junk) + 1}.")
            records.insert(1, {"eventSource": self.junk[-1]})
        self._send(json.dumps({"Records": records}))

    @rule(key=st.sampled_from(["a.png", "b.png"]))
    def remove(self, key: str) -> None:
        """A key and all its versions are deleted, and the events are lost."""
        uri = f"s3://{BUCKET}/{key}"
        if any(upload.uri == uri for upload in self.uploads):
            self.world.objects.forget(uri)
            self.silently_gone.add(uri)
            self.gone |= {
                upload.version for upload in self.uploads if upload.uri == uri
            }

    @rule(target=removed, sent=uploaded, for_good=st.booleans())
    def delete(self, sent: Delivery, *, for_good: bool) -> Delivery | MultipleResults:
        """A key gets a delete marker, or its newest version is deleted for good."""
        [upload] = read_body(sent.body)
        assert isinstance(upload, Upload)
        current = self._current(upload.uri)
        if current is None:
            return multiple()
        if for_good:
            self.gone.add(current.version)
            return self._send_removal(self.world.purge(current))
        return self._send_removal(self.world.delete(upload.key))

    @rule(target=removed, sent=uploaded)
    def purge(self, sent: Delivery) -> Delivery | MultipleResults:
        """A version is deleted for good: any one, also below others or below a delete marker."""
        [upload] = read_body(sent.body)
        assert isinstance(upload, Upload)
        if upload.version in self.gone:
            return multiple()
        self.gone.add(upload.version)
        return self._send_removal(self.world.purge(upload))

    @rule(target=removed, sent=uploaded)
    def undelete(self, sent: Delivery) -> Delivery | MultipleResults:
        """The delete marker of a key is deleted."""
        [upload] = read_body(sent.body)
        assert isinstance(upload, Upload)
        if not self.world.objects.has_delete_marker(upload.uri):
            return multiple()
        return self._send_removal(self.world.undelete(upload.key))

    def _send_removal(self, removal: Delivery) -> Delivery:
        [entry] = read_body(removal.body)
        assert isinstance(entry, Upload)
        self.removals.append(entry)
        return self._send(removal.body)

    @rule(sent=removed)
    def repeat_removal(self, sent: Delivery) -> None:
        """S3 repeats the event of a removal in another message."""
        self._send(sent.body)

    @rule(sent=uploaded, sequencer=st.sampled_from(["0", "F" * 64]))
    def forge_removal(self, sent: Delivery, sequencer: str) -> None:
        """Who may send to the queue says that an object is gone."""
        document = json.loads(sent.body)
        document["Records"][0]["eventName"] = "ObjectRemoved:Delete"
        document["Records"][0]["s3"]["object"]["sequencer"] = sequencer
        [entry] = read_body(self._send(json.dumps(document)).body)
        assert isinstance(entry, Upload)
        self.forged.add(entry.uri)

    @rule(seconds=st.sampled_from([0.001, 1.0, LEASE_SECONDS + 1]))
    def wait(self, seconds: float) -> None:
        """Time passes; leases expire."""
        self.world.clock.advance(seconds)

    @rule(
        which=st.integers(0, 100),
        by_hand=st.booleans(),
        how_many=st.integers(1, 2),
    )
    def replay(self, which: int, how_many: int, *, by_hand: bool) -> None:
        """An operator replays a letter; a kill before the delete may repeat it."""
        letters = self.world.dead_letters.letters
        if letters:
            letter = letters.pop(which % len(letters))
            for _ in range(how_many):
                self._send(letter.body, replays=letter.replays + (not by_hand))

    @rule()
    def resume(self) -> None:
        """An operator resumes, which closes the breaker."""
        self.world.breaker_store.reset()
        self.world.mapping.on = True

    # ---- faults

    @rule(
        step=st.sampled_from(STEPS),
        times=st.sampled_from([1, 1, 1, 2, 6, 100]),
        chosen=st.lists(st.integers(0, 100), min_size=1, max_size=4),
    )
    def go_wrong(
        self, step: tuple[str, str, type[Exception]], times: int, chosen: list[int]
    ) -> None:
        """A port fails that many times while some messages are delivered."""
        port, method, error = step
        self.has_cut_off |= port == "records" and times > 1
        failing: CanFail = getattr(self.world, port)
        failing.fails_with(error("injected"), at=method, times=times)
        if not self.queue:
            self.upload("a.png", is_backfilled=False)
        self._work(self._some(chosen))

    @rule(chosen=st.lists(st.integers(0, 100), min_size=1, max_size=4))
    def announcements_fail(self, chosen: list[int]) -> None:
        """SNS is not available."""
        self.world.announcer.fails_with(AnnouncementFailed("injected"))
        self._work(self._some(chosen))
        self.world.announcer.recovers()

    @rule()
    def a_write_arrives_late(self) -> None:
        """The network delayed a write; its worker has continued or given up."""
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
        """The function is killed before or after a request, with all uploads of the batch."""
        if not self.queue:
            self.upload("a.png", is_backfilled=False)
        if refused:  # otherwise no letter is written
            self.world.tagger.fails_with(SidesTooSmall("small"), at="ask", times=1)
        self.has_cut_off = True
        self.world.kills(step, call=call, after=after)
        self._work(self._some(chosen))
        self.world.revives()

    @rule()
    def heal(self) -> None:
        """All ports work again."""
        for port, _, _ in STEPS:
            failing: CanFail = getattr(self.world, port)
            failing.recovers()

    # ---- the function

    @rule()
    def reconcile(self) -> None:
        """The schedule reconciles the breaker and the mapping."""
        self.world.pipeline.reconcile(self.world.invocation())

    @rule(chosen=st.lists(st.integers(0, 100), min_size=1, max_size=4))
    def deliver(self, chosen: list[int]) -> None:
        """Delivers some messages as a batch."""
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
        During a call of the API, perhaps longer than the lease, another worker runs.

        That worker may be killed.
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

    @rule(
        slow=st.integers(0, 2),
        fast=st.lists(st.integers(0, 2), max_size=2),
    )
    def overtake_after_a_look(self, slow: int, fast: list[int]) -> None:
        """S3 has said what is there; then that changes, and another worker runs."""
        work = self._some([slow])

        def meanwhile() -> None:
            entry = read_body(work[0].body)[0]
            assert isinstance(entry, Upload)
            if self.world.objects.has_delete_marker(entry.uri):
                self._send_removal(self.world.undelete(entry.key))
            else:
                self.upload(entry.key, is_backfilled=False)
            self._work(self._some([*fast, len(self.queue) - 1]))

        self.world.objects.after_finding = meanwhile
        self._work(work)
        self.world.objects.after_finding = lambda: None

    # ---- invariants

    @invariant()
    def the_result_of_a_key_never_becomes_older(self) -> None:
        """Nor does a tombstone: what replaces another has at least its place, despite all lies."""
        for uri in {upload.uri for upload in self.uploads}:
            stored = self.world.results.stored(uri)
            if stored is not None:
                before = self.stored.get(uri)
                assert before is None or stored.order >= before.order
                self.stored[uri] = stored

    @invariant()
    def every_further_paid_call_has_its_reason(self) -> None:
        """
        The reasons are a crash, a store that stayed down, and a replaced answer; never a
        repetition.
        """
        for upload in self.uploads:
            paid = self._paid(upload)
            if paid > 1:
                calls = self.world.calls_about(upload)
                reasons = [CallReason.UNSTORED, CallReason.OVERTAKEN]
                if self._has_removals(upload.uri):
                    # The record lacks a call for OVERTAKEN that was cut off, and has the next one
                    reasons.append(CallReason.UNFINISHED)
                explained = sum(calls.get(reason, 0) for reason in reasons)
                record = self.world.record_of(upload)
                # No worker is at work between two rules: a lease is that of a killed one
                is_killed = (
                    record is not None and record.lease_until > self.world.clock.now()
                )
                assert paid - 1 <= explained + self.world.cut_off(upload) + is_killed

    @invariant()
    def a_tagged_upload_stays_tagged(self) -> None:
        """No later event and no fault changes it."""
        for upload in self.uploads:
            ended = self.world.ended_as(upload)
            record = self.world.record_of(upload)
            cut_off = 0 if record is None else record.cut_off
            if record is not None and record.next_call is CallReason.OVERTAKEN:
                self.tagged.pop(upload.version, None)
            # Only an attempt for OVERTAKEN can be cut off after that
            if cut_off > self.tagged.get(upload.version, cut_off):
                self.tagged.pop(upload.version)
            if ended == "TAGGED":
                self.tagged[upload.version] = cut_off
            calls = self.world.calls_about(upload)
            if CallReason.OVERTAKEN not in calls:
                assert upload.version not in self.tagged or ended == "TAGGED"

    @invariant()
    def no_bug_is_reported(self) -> None:
        """There is no unexpected exception."""
        assert self.world.bugs == []

    def teardown(self) -> None:
        """After all faults end, every upload ends."""
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
        dead_lettered = " ".join(
            letter.body for letter in self.world.dead_letters.letters
        )
        assert all(nonsense in dead_lettered for nonsense in self.junk)
        for upload in self.uploads:
            self._has_ended(upload)
        for removal in self.removals:
            self._removal_has_ended(removal)
        for uri in {upload.uri for upload in self.uploads}:
            self._current_wins(uri)
            self._a_gone_version_has_no_result(uri)
            if self._has_removals(uri):
                self._a_removed_key_has_no_result(uri)
            elif uri not in self.forged:
                self._newest_wins(uri)
        for letter in self.world.dead_letters.letters:
            assert letter.failure.attempts <= self.max_attempts
            # Only an attempt that was cut off counts towards ABANDONED
            assert letter.failure.code != "ABANDONED" or self.has_cut_off

    def _has_ended(self, upload: Upload) -> None:
        ended = self.world.ended_as(upload)
        announced = any(
            announcement.document["data"]["image"]["versionId"] == upload.version_id
            for announcement in self.world.announcer.announced
        )
        is_lied_about = upload.uri in self.forged
        if ended == "TAGGED":
            assert announced or self._was_overtaken(upload)
        elif ended == "FAILED":
            assert self._is_dead_lettered(upload)
        elif ended is None:
            # A later event without a version claimed it again, and the worker was killed.
            # By the next event it had been superseded or deleted.
            assert self._is_dead_lettered(upload)
            assert (
                self._was_overtaken(upload)
                or self._has_removals(upload.uri)
                or upload.version in self.gone
            )
        elif ended == "SUPERSEDED":
            assert (
                self._was_overtaken(upload)
                or self._has_removals(upload.uri)
                or is_lied_about
            )
        else:
            assert ended == "OBJECT_GONE"
            assert upload.version in self.gone
        if upload is self._current(upload.uri) and not self._is_unsure(upload.uri):
            assert ended in ("TAGGED", "FAILED")

    def _removal_has_ended(self, removal: Upload) -> None:
        ended = self.world.ended_as(removal)
        if ended == "REMOVED":
            assert (removal.uri, removal.version_id) in [
                (image["uri"], image["versionId"])
                for announcement in self.world.announcer.announced
                if announcement.document["type"] == REMOVED
                for image in (announcement.document["data"]["image"],)
            ]
        elif ended == "FAILED":
            assert self._is_dead_lettered(removal)
        else:
            assert ended == "SUPERSEDED"

    def _is_unsure(self, uri: str) -> bool:
        """Whether a removal failed, or a lie hides one from a version that was tagged before."""
        failed = any(
            removal.uri == uri and self._is_dead_lettered(removal)
            for removal in self.removals
        )
        return failed or (uri in self.forged and self._has_removals(uri))

    def _has_removals(self, uri: str) -> bool:
        return any(removal.uri == uri for removal in self.removals)

    def _a_removed_key_has_no_result(self, uri: str) -> None:
        """As long as its object is gone."""
        is_gone = self._current(uri) is None
        if is_gone and uri not in self.silently_gone and not self._is_unsure(uri):
            shown = self.world.newest(uri)
            assert shown is None or shown["status"] == "FAILED"

    def _a_gone_version_has_no_result(self, uri: str) -> None:
        """Unless nobody was told that it is gone."""
        stored = self.world.results.stored(uri)
        if stored is not None and uri not in self.silently_gone:
            assert self._is_unsure(uri) or stored.version not in self.gone

    def _is_dead_lettered(self, upload: Upload) -> bool:
        dead_lettered = [
            entry
            for letter in self.world.dead_letters.letters
            for entry in read_body(letter.body)
        ]
        return any(
            isinstance(entry, Upload)
            and (entry.uri, entry.version) == (upload.uri, upload.version)
            for entry in dead_lettered
        )

    def _current(self, uri: str) -> Upload | None:
        """The upload of the object's current version."""
        found = self.world.objects.current(uri)
        version_id = None if found is None else found.version_id
        current = [one for one in self.uploads if one.version_id == version_id]
        return current[0] if current else None

    def _was_overtaken(self, upload: Upload) -> bool:
        return any(
            other.uri == upload.uri and other.order > upload.order
            for other in self.uploads
        )

    def _current_wins(self, uri: str) -> None:
        """Although somebody has lied about the key, its current version has its result."""
        current = self._current(uri)
        if current is None or self._is_unsure(uri):
            return
        if self.world.ended_as(current) == "TAGGED":
            stored = self.world.results.stored(uri)
            assert stored is not None
            assert stored.version == current.version
            announced = [one["versionId"] for one in self._announced_images(uri)]
            assert current.version_id in announced

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
        """One invocation, if the mapping is enabled."""
        if not self.world.mapping.on:
            return
        self.world.clock.advance(0.01)
        batch = [
            replace(delivery, receives=delivery.receives + 1)
            for delivery in batch
            if delivery.message_id
            in self.queue  # otherwise the message was deleted meanwhile
        ]
        self.queue.update((delivery.message_id, delivery) for delivery in batch)
        try:
            handed_back = self.world.tag(*batch)
        except Killed:
            self.world.revives()
            return
        finally:
            sent, self.world.upload_queue.bodies = self.world.upload_queue.bodies, []
            for body in sent:
                self._send(body)
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


class RemovalInterleavings(Interleavings):
    """
    Without forged and lost events, so that S3 alone says how each key ends.

    Deletions and undeletes are more frequent than in `Interleavings`.
    """

    forge = forge_removal = remove = replay = None  # type: ignore[assignment]  # no rules here
    repeat_incompletely = repeat_together = None  # type: ignore[assignment]
    announcements_fail = a_write_arrives_late = None  # type: ignore[assignment]

    @rule(
        key=st.sampled_from(["a.png", "a.png", "b.png"]),
        action=st.sampled_from(["upload", "delete", "delete", "purge"]),
        is_delivered=st.sampled_from([True, True, False]),
    )
    def change(self, key: str, action: str, *, is_delivered: bool) -> None:
        """A key changes; one that is behind a delete marker is uploaded or undeleted."""
        uri = f"s3://{BUCKET}/{key}"
        current = self._current(uri)
        if self.world.objects.has_delete_marker(uri) and action != "upload":
            self._send_removal(self.world.undelete(key))
        elif current is None or action == "upload":
            self.upload(key, is_backfilled=False)
        elif action == "purge":
            self.gone.add(current.version)
            self._send_removal(self.world.purge(current))
        else:
            self._send_removal(self.world.delete(key))
        if is_delivered:
            self._work(self._some([len(self.queue) - 1]))


TestRemovalInterleavings = RemovalInterleavings.TestCase
TestRemovalInterleavings.settings = settings(
    TestInterleavings.settings, stateful_step_count=25
)
