from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Barrier

import pytest

from hangtag.breaker import SYSTEMIC_KINDS
from hangtag.calling import API_TIMEOUT_SECONDS
from hangtag.ending import RETRY_CAP_SECONDS
from hangtag.errors import (
    Abandoned,
    AnnouncementFailed,
    ApiKeyMissing,
    ApiKeyUnavailable,
    ApiTimeout,
    ApiUnreachable,
    BadAnswer,
    EmptyImage,
    HangtagError,
    ImageTooLarge,
    InternalError,
    InvalidContext,
    MappingUnavailable,
    ObjectForbidden,
    ObjectUnavailable,
    OutOfTime,
    QueueUnavailable,
    ResultsUnavailable,
    ResultTooLarge,
    UnreadableEvent,
    UnsupportedFormat,
)
from hangtag.events import Delivery, read_body
from hangtag.tagger_api.errors import (
    ApiInternalError,
    ApiRedirected,
    Base64Refused,
    DetectionRefused,
    FormatRefused,
    HttpStatus,
    ImageTypeRefused,
    JsonRefused,
    KeyNotSent,
    KeyRefused,
    LanguageRefused,
    PrefixRefused,
    QuotaExceeded,
    RatioRefused,
    ResourceUnknown,
    SidesTooLarge,
    SidesTooSmall,
    TooManyBytes,
    UnlistedApiCode,
    UrlNotFetched,
    leaves,
)
from hangtag.telemetry import Trouble
from hangtag.uploads import SkipReason, Upload
from tests.builders import (
    API_KEY,
    BUCKET,
    FIRST_BYTES,
    KEY,
    NOON,
    PNG,
    URI,
    a_delivery,
    an_answer,
    eventbridge_event,
    notification,
    record,
    sample_event,
)
from tests.fakes import BUDGET, LEASE_SECONDS, Call, Killed, World, upload_of

Case = Callable[[World], Delivery]


def message_of(delivery: Delivery) -> tuple[str, ...]:
    """The message id that is returned if this delivery is handed back."""
    return (delivery.message_id,)


def uploads_of(delivery: Delivery) -> list[Upload]:
    """The uploads in the body of a delivery."""
    entries = read_body(delivery.body)
    return [entry for entry in entries if isinstance(entry, Upload)]


# ---- success


def test_an_upload_is_tagged_stored_and_announced() -> None:
    """This is the main path."""
    world = World()
    delivery = world.upload()

    handed_back = world.tag(delivery)

    result = world.newest(URI)
    assert handed_back == ()
    assert result is not None
    assert (result["status"], result["taggedAt"]) == ("TAGGED", NOON)
    assert result["objects"] == an_answer().objects
    assert result["image"] == upload_of(delivery).image()
    assert [result] == [
        announcement.document["data"] for announcement in world.announcer.announced
    ]
    [tagged] = world.tags
    assert (tagged.upload.uri, tagged.work.attempt) == (URI, 1)
    assert world.codes == []


@pytest.mark.parametrize(("kind", "content"), FIRST_BYTES.items())
def test_the_api_gets_the_image_with_its_true_media_type(
    kind: str, content: bytes
) -> None:
    """The extension of the name is ignored."""
    world = World()

    world.tag(world.upload("always.jpg", content))

    (call,) = world.tagger.calls
    assert call.request.image.content.startswith(f"data:{kind};base64,")
    assert call.api_key == API_KEY


def test_language_and_context_come_with_the_upload() -> None:
    """Object metadata reaches the API, the result and the announcement."""
    world = World(language="ja", detection=("HAT",))

    world.tag(world.upload(metadata={"tagger-language": "ko", "tagger-id": "A111"}))

    (call,) = world.tagger.calls
    (announcement,) = world.announcer.announced
    result = world.newest(URI)
    assert result is not None
    assert call.language == "ko"
    assert call.request.context is not None
    assert call.request.context.document() == {"id": "A111", "detection": ("HAT",)}
    assert (result["language"], result["context"]["id"]) == ("ko", "A111")
    assert announcement.texts["productId"] == "A111"


def test_the_stacks_language_is_the_default() -> None:
    """It applies where the upload's metadata has no language."""
    world = World(language="ja")

    world.tag(world.upload())

    (call,) = world.tagger.calls
    assert call.language == "ja"


def test_the_version_that_the_event_names_is_tagged() -> None:
    """The object may have been overwritten since."""
    world = World()
    delivery = world.upload(content=PNG + b"old")
    world.put(content=PNG + b"new")

    world.tag(delivery)

    (call,) = world.tagger.calls
    assert len(call.request.image.content) == len("data:image/png;base64,") + 100


def test_an_event_without_version_and_etag_is_about_the_current_object() -> None:
    """
    The function reads both from the object, so it is the same upload as an event that has them.
    """
    world = World()
    delivery = world.upload()
    bare = a_delivery(
        notification(record(version_id=None, etag=None, size=None, sequencer=None))
    )

    world.tag(bare)
    world.tag(delivery)

    result = world.newest(URI)
    assert result is not None
    assert result["image"]["versionId"] == upload_of(delivery).version_id
    assert world.skips == [SkipReason.ALREADY_TAGGED]
    assert len(world.tagger.calls) == 1


def test_an_empty_batch_succeeds() -> None:
    """It hands back no delivery."""
    assert World().tag() == ()


# ---- concurrency


def test_ten_uploads_run_at_the_same_time() -> None:
    """The API is slow: no upload waits for another one to finish."""
    world = World()
    all_asking = Barrier(10, timeout=10)
    world.tagger.before_answering = lambda _: all_asking.wait()

    handed_back = world.tag(*(world.upload(f"{number}.png") for number in range(10)))

    assert handed_back == ()
    assert len(world.announcer.announced) == 10


def test_the_records_of_one_message_run_at_the_same_time() -> None:
    """A message may hold several records."""
    world = World()
    together = Barrier(2, timeout=10)
    world.tagger.before_answering = lambda _: together.wait()
    one, other = world.upload("one.png"), world.upload("other.png")
    both = a_delivery(notification(upload_of(one).record, upload_of(other).record))

    handed_back = world.tag(both)

    assert handed_back == ()
    assert len(world.announcer.announced) == 2


def test_a_message_is_handed_back_if_one_of_its_records_is() -> None:
    """Its other record has ended by then, and is not paid for again."""
    world = World()
    one, other = world.upload("one.png"), world.upload("other.png")
    both = a_delivery(notification(upload_of(one).record, upload_of(other).record))
    world.objects.fails_with(ObjectUnavailable("slow"), times=1, at="read")

    first = world.tag(both)
    second = world.tag(both)

    assert (first, second) == (message_of(both), ())
    assert len(world.tagger.calls) == 2
    assert len(world.announcer.announced) == 2


def test_a_message_is_delayed_by_the_longest_delay_of_its_records() -> None:
    """Otherwise one of its records would be retried too early."""
    world = World()
    one, other = world.upload("one.png"), world.upload("other.png")
    both = a_delivery(notification(upload_of(one).record, upload_of(other).record))
    world.tagger.fails_with(ApiTimeout("slow", retry_after_seconds=77), times=1)
    world.tagger.fails_with(ApiTimeout("slow"), times=1)

    world.tag(both)

    assert world.upload_queue.hidden_for == {both.receipt_handle: 77}


def test_a_failure_does_not_affect_other_deliveries() -> None:
    """Only the failed delivery is handed back."""
    world = World()
    good = world.upload("good.png")
    bad = world.upload("bad.png", b"no image")
    later = world.upload("later.png", metadata={"tagger-id": "later"})

    def refuse(call: Call) -> None:
        if call.request.context is not None:
            raise ApiTimeout("slow")

    world.tagger.before_answering = refuse

    handed_back = world.tag(good, bad, later)

    assert message_of(later) == handed_back
    assert world.codes == ["UNSUPPORTED_FORMAT"]
    assert world.newest(f"s3://{BUCKET}/good.png") is not None


# ---- each leaf of the error tree


def api_raises(error: type[HangtagError]) -> Case:
    """Arranges that the API raises this error."""

    def arrange(world: World) -> Delivery:
        world.tagger.fails_with(error("no"))
        return world.upload()

    return arrange


def port_raises(port: str, at: str, error: type[HangtagError]) -> Case:
    """Arranges that a port raises this error."""

    def arrange(world: World) -> Delivery:
        getattr(world, port).fails_with(error("no"), at=at)
        return world.upload()

    return arrange


def no_key(world: World) -> Delivery:
    """Arranges a secret that was never set."""
    world.api_keys.set_key(None)
    return world.upload()


def bug(world: World) -> Delivery:
    """Arranges a bug in Hangtag."""
    world.tagger.fails_with(ZeroDivisionError("ours"))
    return world.upload()


def crashes(world: World) -> Delivery:
    """Arranges that the function crashes in every attempt."""
    delivery = world.upload()
    for _ in range(world.max_attempts):
        world.kills("objects.read", after=True)
        with suppress(Killed):
            world.tag(delivery)
        world.revives()
        world.clock.advance(LEASE_SECONDS + 1)
    world.telemetry.events.clear()
    return delivery


def slow_object(world: World) -> Delivery:
    """Arranges that reading the object takes the function's whole time in every attempt."""
    world.objects.before_reading = lambda: world.clock.advance(LEASE_SECONDS - 10)
    return world.upload()


def huge_answer(world: World) -> Delivery:
    """Arranges an answer that is too large for a table item."""
    world.tagger.answer = an_answer({"note": "x" * 500_000})
    return world.upload()


CASES: dict[type[HangtagError], Case] = {
    UnreadableEvent: lambda _: a_delivery("no event"),
    UnsupportedFormat: lambda world: world.upload(content=b"name,price\n"),
    EmptyImage: lambda world: world.upload(content=b""),
    ImageTooLarge: lambda world: world.upload(content=PNG + bytes(2_000)),
    InvalidContext: lambda world: world.upload(metadata={"tagger-gendr": "female"}),
    ResultTooLarge: huge_answer,
    Abandoned: crashes,
    ApiTimeout: api_raises(ApiTimeout),
    ApiUnreachable: api_raises(ApiUnreachable),
    BadAnswer: api_raises(BadAnswer),
    ObjectForbidden: port_raises("objects", "read", ObjectForbidden),
    ObjectUnavailable: port_raises("objects", "read", ObjectUnavailable),
    ApiKeyUnavailable: port_raises("api_keys", "fresh_key", ApiKeyUnavailable),
    ResultsUnavailable: port_raises("results", "store", ResultsUnavailable),
    AnnouncementFailed: port_raises("announcer", "announce", AnnouncementFailed),
    OutOfTime: slow_object,
    InternalError: bug,
    ApiKeyMissing: no_key,
    ApiInternalError: api_raises(ApiInternalError),
    ApiRedirected: api_raises(ApiRedirected),
    KeyRefused: api_raises(KeyRefused),
    KeyNotSent: api_raises(KeyNotSent),
    ResourceUnknown: api_raises(ResourceUnknown),
    PrefixRefused: api_raises(PrefixRefused),
    Base64Refused: api_raises(Base64Refused),
    UrlNotFetched: api_raises(UrlNotFetched),
    ImageTypeRefused: api_raises(ImageTypeRefused),
    FormatRefused: api_raises(FormatRefused),
    RatioRefused: api_raises(RatioRefused),
    SidesTooSmall: api_raises(SidesTooSmall),
    SidesTooLarge: api_raises(SidesTooLarge),
    TooManyBytes: api_raises(TooManyBytes),
    QuotaExceeded: api_raises(QuotaExceeded),
    JsonRefused: api_raises(JsonRefused),
    DetectionRefused: api_raises(DetectionRefused),
    LanguageRefused: api_raises(LanguageRefused),
}

NEVER_ON_A_LETTER = {QueueUnavailable, MappingUnavailable}
"""Errors that concern the dead-letter queue itself, or no upload."""


def test_every_leaf_of_the_error_tree_has_a_case() -> None:
    """A new error needs an upload here that is dead-lettered with its code."""
    assert set(leaves()) == set(CASES) | NEVER_ON_A_LETTER


def case_name(leaf: type[HangtagError]) -> str:
    """The leaf as a test's id."""
    return leaf.__name__


PERMANENT = [leaf for leaf in CASES if leaf.kind == "permanent"]
RETRIED = [leaf for leaf in CASES if leaf.kind == "transient"]
SYSTEMIC = [leaf for leaf in CASES if leaf.kind in SYSTEMIC_KINDS]


@pytest.mark.parametrize("leaf", PERMANENT, ids=case_name)
def test_a_permanent_failure_is_dead_lettered_at_once(leaf: type[HangtagError]) -> None:
    """The letter has its code, and the delivery is not handed back."""
    world = World(max_attempts=3, max_image_bytes=1_000)
    delivery = CASES[leaf](world)

    handed_back = world.tag(delivery)

    (letter,) = world.dead_letters.letters
    assert handed_back == ()
    assert (letter.failure.code, letter.failure.kind) == (leaf.code, "permanent")
    assert letter.failure.source == leaf.source
    assert letter.failure.message
    assert letter.request_id == "request-1"
    assert letter.body == delivery.body
    assert [one.letter for one in world.dead_lettered] == [letter]
    assert world.announcer.announced == []


@pytest.mark.parametrize("leaf", SYSTEMIC, ids=case_name)
def test_a_systemic_failure_is_dead_lettered_at_once(
    leaf: type[HangtagError],
) -> None:
    """A retry would fail, too. The breaker counts how many fail in a row."""
    world = World(max_attempts=3)
    delivery = CASES[leaf](world)

    handed_back = world.tag(delivery)

    (letter,) = world.dead_letters.letters
    assert handed_back == ()
    assert (letter.failure.code, letter.failure.kind) == (leaf.code, leaf.kind)
    assert letter.failure.attempts == 1
    assert not world.breaker_store.read().is_open


@pytest.mark.parametrize("leaf", RETRIED, ids=case_name)
def test_a_transient_failure_is_retried_and_dead_lettered_after_the_last_attempt(
    leaf: type[HangtagError],
) -> None:
    """The delay doubles from attempt to attempt; the letter has the code."""
    world = World(max_attempts=3, retry_base_seconds=10)
    delivery = CASES[leaf](world)

    outcomes = []
    for _ in range(3):
        handed_back = world.tag(delivery)
        outcomes.append((handed_back, list(world.upload_queue.hidden_for.values())))
        world.upload_queue.hidden_for.clear()
        world.clock.advance(1_000)

    (letter,) = world.dead_letters.letters
    assert outcomes == [
        (message_of(delivery), [10]),
        (message_of(delivery), [20]),
        ((), []),
    ]
    assert (letter.failure.code, letter.failure.kind) == (leaf.code, leaf.kind)
    assert letter.failure.attempts == 3
    assert [(1, leaf.code), (2, leaf.code)] == [
        (retry.work.attempt, retry.code) for retry in world.hand_backs
    ]


@pytest.mark.parametrize(
    "leaf", [leaf for leaf in CASES if leaf is not UnreadableEvent], ids=case_name
)
def test_a_failed_upload_has_a_failed_result(leaf: type[HangtagError]) -> None:
    """It has the same failure as the letter, and stays after the letter expires."""
    world = World(max_attempts=1, max_image_bytes=1_000)

    world.tag(CASES[leaf](world))

    result = world.newest(URI)
    (letter,) = world.dead_letters.letters
    assert result is not None
    assert result["status"] == "FAILED"
    assert result["failure"] == letter.failure.document()


@pytest.mark.parametrize(
    ("error", "handed_back"),
    [
        (UnlistedApiCode("new", code="841", http_status=400), False),
        (UnlistedApiCode("new", code="841", http_status=503), True),
        (HttpStatus("teapot", http_status=418), False),
        (HttpStatus("busy", http_status=429), True),
    ],
)
def test_unlisted_codes_are_handled_by_their_kind(
    error: HangtagError, *, handed_back: bool
) -> None:
    """The API may return codes that its documentation does not list."""
    world = World()
    world.tagger.fails_with(error)
    delivery = world.upload()

    came_back = world.tag(delivery)

    assert handed_back == (message_of(delivery) == came_back)
    assert world.codes == ([] if handed_back else [error.code])


# ---- delays


def test_a_retry_delay_is_at_most_15_minutes() -> None:
    """This holds for any number of attempts."""
    world = World(max_attempts=100)
    world.tagger.fails_with(ApiTimeout("slow"))
    delivery = world.upload()

    for _ in range(30):
        world.tag(delivery)

    assert max(retry.delay_seconds for retry in world.hand_backs) == 900
    assert world.hand_backs[-1].delay_seconds == RETRY_CAP_SECONDS


@pytest.mark.parametrize(
    ("asked_for", "expected"), [(None, 10), (3, 10), (42.2, 43), (86_400, 900)]
)
def test_a_retry_waits_at_least_as_long_as_the_api_asks(
    asked_for: float | None, expected: float
) -> None:
    """The limit of 15 minutes applies here, too."""
    world = World(retry_base_seconds=10)
    world.tagger.fails_with(
        HttpStatus("busy", http_status=429, retry_after_seconds=asked_for)
    )
    delivery = world.upload()

    world.tag(delivery)

    assert world.upload_queue.hidden_for == {delivery.receipt_handle: expected}


def test_without_a_base_there_is_no_delay() -> None:
    """RetryBaseSeconds may be 0."""
    world = World(retry_base_seconds=0)
    world.tagger.fails_with(ApiTimeout("slow"))
    delivery = world.upload()

    world.tag(delivery)

    assert world.upload_queue.hidden_for == {delivery.receipt_handle: 0}


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 8), (0.5, 10), (0.999, 13)])
def test_retry_delays_have_jitter(fraction: float, expected: float) -> None:
    """A delay varies by a quarter, so uploads that failed together are not retried together."""
    world = World(retry_base_seconds=10, random_fraction=lambda: fraction)
    world.tagger.fails_with(ApiTimeout("slow"))
    delivery = world.upload()

    world.tag(delivery)

    assert world.upload_queue.hidden_for == {delivery.receipt_handle: expected}


def test_a_message_whose_delay_cannot_be_set_is_handed_back() -> None:
    """It returns after the visibility timeout, later than intended; it is not acknowledged."""
    world = World()
    world.tagger.fails_with(ApiTimeout("slow"))
    world.upload_queue.fails_with(QueueUnavailable("away"), at="delay")
    delivery = world.upload()

    handed_back = world.tag(delivery)

    assert message_of(delivery) == handed_back
    [trouble] = world.telemetry.of(Trouble)
    assert trouble.error.code == "QUEUE_UNAVAILABLE"


# ---- second calls in an attempt


def test_a_rotated_key_is_fetched_and_used_in_the_same_attempt() -> None:
    """A rotation costs one more call."""
    world = World()
    world.api_keys.key()
    world.api_keys.set_key("new key")
    world.tagger.accepted_key = "new key"

    handed_back = world.tag(world.upload())

    assert handed_back == ()
    assert [call.api_key for call in world.tagger.calls] == [API_KEY, "new key"]
    assert len(world.announcer.announced) == 1


@pytest.mark.parametrize("error", [KeyRefused, KeyNotSent])
def test_an_unchanged_key_is_not_sent_twice(
    error: type[HangtagError],
) -> None:
    """The API would refuse it again."""
    world = World()
    world.tagger.fails_with(error("no"))

    world.tag(world.upload())

    assert len(world.tagger.calls) == 1


def test_a_fresh_key_is_tried_once() -> None:
    """If the API refuses the fresh key too, the upload fails and an operator has to act."""
    world = World(max_attempts=1)
    world.api_keys.key()
    world.api_keys.set_key("new key")
    world.tagger.accepted_key = "another"

    world.tag(world.upload())

    assert [call.api_key for call in world.tagger.calls] == [API_KEY, "new key"]
    assert world.codes == ["609"]


def test_an_image_with_a_refused_prefix_is_sent_once_without_it() -> None:
    """The API's documentation contradicts itself about the prefix."""
    world = World()
    world.tagger.refuses_the_prefix = True

    handed_back = world.tag(world.upload())

    with_prefix, without = (call.request.image.content for call in world.tagger.calls)
    assert handed_back == ()
    assert with_prefix == "data:image/png;base64," + without
    assert len(world.announcer.announced) == 1


def test_a_prefix_error_about_an_image_without_prefix_is_a_failure() -> None:
    """The function makes two calls and no third."""
    world = World()
    world.tagger.fails_with(PrefixRefused("no"))

    world.tag(world.upload())

    assert len(world.tagger.calls) == 2
    assert world.codes == ["801"]


# ---- store, then announce


def test_a_result_that_was_not_stored_is_not_announced() -> None:
    """A subscriber that reads the table must find the result."""
    world = World()
    world.results.fails_with(ResultsUnavailable("away"), at="store")

    world.tag(world.upload())

    assert world.announcer.announced == []


def test_a_failed_announcement_is_retried_without_asking_again() -> None:
    """The answer is paid for and stored."""
    world = World()
    world.announcer.fails_with(AnnouncementFailed("away"), times=1)
    delivery = world.upload()

    first = world.tag(delivery)
    world.clock.advance(10)
    second = world.tag(delivery)

    (announcement,) = world.announcer.announced
    assert (first, second) == (message_of(delivery), ())
    assert len(world.tagger.calls) == 1
    assert announcement.document["time"] == NOON


def test_an_upload_whose_announcement_failed_for_good_is_replayed_for_free() -> None:
    """The letter is replayed, and the stored answer is announced."""
    world = World(max_attempts=1)
    world.announcer.fails_with(AnnouncementFailed("away"), times=1)
    delivery = world.upload()

    world.tag(delivery)
    world.tag(replace(delivery, replays=1))

    result = world.newest(URI)
    assert result is not None
    assert result["status"] == "TAGGED"
    assert len(world.tagger.calls) == 1
    assert len(world.announcer.announced) == 1


def test_an_announcement_that_cannot_be_recorded_is_repeated_with_the_same_id() -> None:
    """Announcements are at least once; subscribers recognise a repetition by its id."""
    world = World()
    world.records.fails_with(ResultsUnavailable("away"), at="TAGGED")
    delivery = world.upload()

    world.tag(delivery)
    world.records.recovers()
    world.tag(delivery)

    one, other = world.announcer.announced
    assert one.document == other.document
    assert len(world.tagger.calls) == 1


# ---- one bill


def test_a_repetition_of_a_tagged_upload_is_skipped() -> None:
    """S3 and SQS repeat messages; the function neither pays nor announces twice."""
    world = World()
    delivery = world.upload()

    world.tag(delivery)
    handed_back = world.tag(replace(delivery, message_id="other", receipt_handle="o"))

    assert handed_back == ()
    assert world.skips == [SkipReason.ALREADY_TAGGED]
    assert (len(world.tagger.calls), len(world.announcer.announced)) == (1, 1)


def test_a_repetition_in_the_same_batch_waits() -> None:
    """The second delivery waits until the first one's lease ends, and makes no call."""
    world = World()
    delivery = world.upload()
    twin = replace(delivery, message_id="twin", receipt_handle="handle of twin")

    handed_back = world.tag(delivery, twin)

    assert len(world.tagger.calls) == 1
    assert len(world.announcer.announced) == 1
    assert set(handed_back) <= {delivery.message_id, "twin"}
    assert len(handed_back) + len(world.skips) == 1


def test_an_upload_that_another_worker_has_claimed_is_retried_before_its_lease_ends() -> (
    None
):
    """Either that worker has finished by then, or it has crashed and the lease expires."""
    world = World()
    delivery = world.upload()
    world.kills("objects.read", after=False)
    with suppress(Killed):
        world.tag(delivery)
    world.revives()

    first = world.tag(delivery)
    world.clock.advance(LEASE_SECONDS)
    second = world.tag(delivery)

    assert (first, second) == (message_of(delivery), ())
    assert world.upload_queue.hidden_for == {delivery.receipt_handle: 1}
    assert [(retry.code, retry.work.attempt) for retry in world.hand_backs] == [
        ("BUSY", 0)
    ]
    assert world.tags[0].work.attempt == 2


def test_a_replay_starts_with_attempt_1() -> None:
    """Its letter counts one more replay."""
    world = World(max_attempts=2)
    world.tagger.fails_with(ApiTimeout("slow"))
    delivery = world.upload()

    for _ in range(2):
        world.tag(delivery)
    for _ in range(2):
        world.tag(replace(delivery, replays=1))

    first, second = world.dead_letters.letters
    assert (first.failure.attempts, first.replays) == (2, 0)
    assert (second.failure.attempts, second.replays) == (2, 1)


def test_a_replay_resets_the_attempts_of_a_waiting_retry() -> None:
    """The operator's request takes precedence, also before the last attempt has failed."""
    world = World(max_attempts=3)
    world.tagger.fails_with(ApiTimeout("slow"))
    delivery = world.upload()

    for _ in range(2):
        world.tag(delivery)
    for _ in range(2):
        world.tag(replace(delivery, replays=1))

    assert world.codes == []
    assert [retry.work.attempt for retry in world.hand_backs] == [1, 2, 1, 2]


def test_a_replay_of_an_upload_that_was_tagged_since_is_skipped() -> None:
    """Its letter was left over."""
    world = World()
    delivery = world.upload()

    world.tag(delivery)
    world.tag(replace(delivery, replays=1))

    assert world.skips == [SkipReason.ALREADY_TAGGED]


# ---- newest wins


def test_an_older_event_that_arrives_late_is_skipped() -> None:
    """The function makes no call and no announcement."""
    world = World()
    older, newer = world.upload(content=PNG + b"1"), world.upload(content=PNG + b"2")

    world.tag(newer)
    world.tag(older)

    result = world.newest(URI)
    assert result is not None
    assert world.skips == [SkipReason.SUPERSEDED]
    assert len(world.tagger.calls) == 1
    assert result["image"]["versionId"] == upload_of(newer).version_id


def test_an_older_call_that_answers_late_is_not_announced() -> None:
    """
    A newer version was tagged during the call; the late answer is stored in its own record only.
    """
    world = World()
    older, newer = world.upload(content=PNG + b"1"), world.upload(content=PNG + b"2")

    def overtake(_: Call) -> None:
        world.tagger.before_answering = lambda _: None
        world.tag(newer)

    world.tagger.before_answering = overtake

    world.tag(older)

    result = world.newest(URI)
    (announcement,) = world.announcer.announced
    assert result is not None
    assert result["image"]["versionId"] == upload_of(newer).version_id
    assert announcement.document["data"] == result
    assert world.skips == [SkipReason.SUPERSEDED]


def test_a_superseded_upload_is_not_called_about_again() -> None:
    """A repetition of it ends at once."""
    world = World()
    older, newer = world.upload(content=PNG + b"1"), world.upload(content=PNG + b"2")

    world.tag(newer)
    world.tag(older)
    handed_back = world.tag(older)

    assert handed_back == ()
    assert len(world.tagger.calls) == 1


def test_versions_of_different_keys_do_not_supersede_each_other() -> None:
    """Sequencers order the events of one key only."""
    world = World()
    older, newer = world.upload("a.png"), world.upload("b.png")

    world.tag(newer)
    world.tag(older)

    assert len(world.announcer.announced) == 2


def test_a_newer_version_that_failed_is_shown_instead_of_the_older_result() -> None:
    """Operators ask about the object that is in the bucket now."""
    world = World()
    older, newer = world.upload(content=PNG), world.upload(content=b"no image")

    world.tag(newer)
    world.tag(older)

    result = world.newest(URI)
    assert result is not None
    assert result["status"] == "FAILED"
    assert result["image"]["versionId"] == upload_of(newer).version_id


# ---- deleted objects and records to skip


def test_a_deleted_object_is_skipped() -> None:
    """It was deleted before the function read it; that is no failure."""
    world = World()
    delivery = a_delivery(notification(record(version_id="version-9")))

    handed_back = world.tag(delivery)

    assert handed_back == ()
    assert world.skips == [SkipReason.OBJECT_GONE]
    assert (world.codes, world.tagger.calls) == ([], [])


def test_a_deleted_object_of_an_event_without_version_is_skipped() -> None:
    """Without version and etag it is not even claimed."""
    world = World()
    delivery = a_delivery(notification(record(version_id=None, etag=None)))

    handed_back = world.tag(delivery)

    assert handed_back == ()
    assert world.skips == [SkipReason.OBJECT_GONE]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sqs-s3-test-event", SkipReason.TEST_EVENT),
        ("sqs-folder-marker", SkipReason.FOLDER_MARKER),
        ("sqs-deletion", SkipReason.NOT_AN_UPLOAD),
    ],
)
def test_a_record_that_is_no_upload_is_skipped_for_a_named_reason(
    name: str, reason: SkipReason
) -> None:
    """It is counted and logged."""
    world = World()
    body = sample_event(name)["Records"][0]["body"]

    handed_back = world.tag(a_delivery(body))

    assert handed_back == ()
    assert [reason] == world.skips


def test_a_message_with_one_unreadable_record_is_tagged_and_dead_lettered() -> None:
    """The readable record is tagged; the letter has the whole body unchanged."""
    world = World()
    good = upload_of(world.upload()).record
    bad = {"eventSource": "aws:s3"}

    delivery = a_delivery(notification(good, bad))

    handed_back = world.tag(delivery)

    (letter,) = world.dead_letters.letters
    assert handed_back == ()
    assert len(world.announcer.announced) == 1
    assert letter.body == delivery.body


# ---- deadline


@pytest.mark.parametrize("left", [0.0, 1.0, BUDGET.attempt - 0.1])
def test_an_upload_that_cannot_finish_in_time_is_handed_back(left: float) -> None:
    """It uses no attempt, because it was not claimed."""
    world = World()
    world.deadline.seconds = left
    delivery = world.upload()

    handed_back = world.tag(delivery)
    world.deadline.seconds = LEASE_SECONDS
    world.tag(delivery)

    assert message_of(delivery) == handed_back
    assert world.upload_queue.hidden_for == {delivery.receipt_handle: 1}
    assert [(retry.code, retry.work.attempt) for retry in world.hand_backs] == [
        ("DEADLINE", 0)
    ]
    assert world.tags[0].work.attempt == 1


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (60.0, API_TIMEOUT_SECONDS),
        (BUDGET.reserve + 20.0, 20.0),
        (BUDGET.reserve + BUDGET.least_call, BUDGET.least_call),
    ],
)
def test_the_api_call_gets_the_time_that_is_left(left: float, expected: float) -> None:
    """The timeout leaves time to store and announce, and is never more than half a minute."""
    world = World()
    delivery = world.upload()
    world.objects.before_reading = lambda: setattr(world.deadline, "seconds", left)

    world.tag(delivery)

    (call,) = world.tagger.calls
    assert call.timeout_seconds == pytest.approx(expected)


def test_a_call_without_enough_time_is_not_made_and_uses_no_attempt() -> None:
    """Its answer would be paid for and lost."""
    world = World(max_attempts=1)
    delivery = world.upload()
    world.deadline.seconds = (
        LEASE_SECONDS / 2
    )  # the images of other uploads took the other half
    world.objects.before_reading = lambda: setattr(world.deadline, "seconds", 3.2)

    assert world.tag(delivery) == ("message-1",)

    assert world.tagger.calls == []
    world.deadline.seconds = 60.0
    world.objects.before_reading = lambda: None
    assert world.tag(delivery) == ()
    assert world.tags[0].work.attempt == 1


# ---- information that must not be lost


def test_an_event_without_a_sequencer_does_not_supersede_its_own_upload() -> None:
    """The copy comes from another sender and lacks the sequencer."""
    world = World()
    facts = world.put()
    completed = record(version_id=facts.version_id, etag=facts.etag, sequencer="0A")
    world.tagger.fails_with(RatioRefused("too long"), times=1)
    world.tag(a_delivery(notification(completed), message_id="message-1"))

    bare = record(version_id=facts.version_id, etag=facts.etag, sequencer=None)
    world.tag(a_delivery(notification(bare), message_id="message-2"))

    assert len(world.tags) == 1
    assert SkipReason.SUPERSEDED not in world.skips


def test_an_event_with_an_etag_only_is_about_the_version_with_that_etag() -> None:
    """In a versioned bucket both events are about one version, so there is one call."""
    world = World()
    delivery = world.upload()
    facts = world.objects.find(next(iter(uploads_of(delivery))))
    assert facts is not None
    etag_only = record(version_id=None, etag=facts.etag, sequencer=None)

    world.tag(delivery)
    world.tag(a_delivery(notification(etag_only), message_id="message-2"))

    assert len(world.tagger.calls) == 1
    assert world.skips == [SkipReason.ALREADY_TAGGED]


def test_a_failure_that_could_not_be_dead_lettered_keeps_its_code() -> None:
    """
    The next delivery dead-letters the upload with the first failure, not with the queue's error.
    """
    world = World(max_attempts=2)
    world.tagger.fails_with(ApiInternalError("down"))
    delivery = world.upload()
    world.tag(delivery)
    world.dead_letters.fails_with(QueueUnavailable("away"), times=1)

    assert world.tag(delivery) == ("message-1",)
    assert world.tag(delivery) == ()

    assert world.codes == ["500"]


def test_a_stored_result_is_announced_after_any_number_of_attempts() -> None:
    """Announcing is free; dead-lettering it as ABANDONED would hide a paid result."""
    world = World(max_attempts=1)
    world.announcer.fails_with(RuntimeError("killed"), times=1)
    world.dead_letters.fails_with(QueueUnavailable("away"), times=1)
    delivery = world.upload()
    world.tag(delivery)

    assert world.tag(delivery) == ()

    assert len(world.tagger.calls) == 1
    assert len(world.tags) == 1


def test_an_outage_does_not_exhaust_the_receives() -> None:
    """The delay of hand-backs without an attempt grows, also where RetryBaseSeconds is 0."""
    world = World(retry_base_seconds=0)
    world.records.fails_with(ResultsUnavailable("away"))
    delivery = world.upload()
    delays = []
    for receives in (1, 2, 3, 20):
        world.tag(replace(delivery, receives=receives))
        delays.append(world.upload_queue.hidden_for[delivery.receipt_handle])

    assert [1, 2, 4, 1800] == delays


def test_an_object_that_is_uploaded_again_after_its_deletion_is_tagged() -> None:
    """Without versions, the same bytes under the same key are the same upload."""
    world = World()
    delivery = world.upload()
    world.objects.forget(URI)
    world.tag(delivery)
    world.objects.restore(URI)

    world.tag(delivery)

    assert len(world.tags) == 1


# ---- image transport by URL


def test_with_url_transport_the_api_is_sent_a_link_to_the_version() -> None:
    """The request does not contain the image."""
    world = World(image_transport="url")
    delivery = world.upload(metadata={"tagger-brand": "B"})

    assert world.tag(delivery) == ()

    (call,) = world.tagger.calls
    assert call.request.image.type == "url"
    assert "versionId=version-1" in call.request.image.content
    assert call.request.context is not None
    assert call.request.context.brand == "B"


def test_a_file_that_is_no_image_is_refused_before_its_link_is_sent() -> None:
    """The function reads the first bytes in both transports."""
    world = World(image_transport="url")

    world.tag(world.upload(content=b"no image"))

    assert world.codes == ["UNSUPPORTED_FORMAT"]
    assert world.tagger.calls == []


def test_an_image_that_the_api_cannot_fetch_is_sent_as_base64() -> None:
    """After error 803 the same attempt makes a second call with the image."""
    world = World(image_transport="url")
    world.tagger.fails_with(UrlNotFetched("cannot fetch"), times=1)

    assert world.tag(world.upload()) == ()

    assert ["url", "base64"] == [call.request.image.type for call in world.tagger.calls]
    assert len(world.tags) == 1


def test_an_image_that_is_deleted_before_the_second_call_is_skipped() -> None:
    """A deleted object is skipped at every step."""
    world = World(image_transport="url")
    delivery = world.upload()
    world.tagger.fails_with(UrlNotFetched("cannot fetch"), times=1)
    world.tagger.before_answering = lambda _: world.objects.forget(URI)

    assert world.tag(delivery) == ()

    assert SkipReason.OBJECT_GONE in set(world.skips)


def test_a_presigned_url_is_in_no_log_and_no_letter() -> None:
    """A presigned URL gives access to the image."""
    world = World(image_transport="url")

    def refuse(call: Call) -> None:
        raise FormatRefused(f"cannot read {call.request.image.content}")

    world.tagger.before_answering = refuse
    world.tag(world.upload())

    (letter,) = world.dead_letters.letters
    assert letter.failure.message.endswith("&...")
    assert "secret" not in repr(letter) + repr(world.telemetry.events)


# ---- Retry-After


def test_the_function_does_not_sleep_until_the_api_is_available() -> None:
    """Lambda bills sleep, so the message waits on the queue."""
    world = World(retry_base_seconds=0)
    began = world.clock.now()
    busy = HttpStatus("slow down", http_status=429, retry_after_seconds=7)
    world.tagger.fails_with(busy)

    assert world.tag(world.upload()) == ("message-1",)

    assert len(world.tagger.calls) == 1
    assert world.clock.now() == began
    assert list(world.upload_queue.hidden_for.values()) == [7.0]


# ---- outages of AWS services


def test_an_upload_that_cannot_be_claimed_is_handed_back_without_an_attempt() -> None:
    """Without the table attempts cannot be counted; the function makes no call without a claim."""
    world = World(max_attempts=1)
    world.records.fails_with(ResultsUnavailable("away"), at="claim")
    delivery = world.upload()

    handed_back = [world.tag(delivery) for _ in range(3)]
    world.records.recovers()
    handed_back.append(world.tag(delivery))

    assert handed_back == [message_of(delivery)] * 3 + [()]
    assert len(world.tagger.calls) == 1
    assert world.tags[0].work.attempt == 1


def test_an_upload_whose_object_cannot_be_looked_up_is_handed_back() -> None:
    """The function needs the version for the claim."""
    world = World()
    world.put()
    world.objects.fails_with(ObjectUnavailable("no"), times=1, at="find")
    delivery = a_delivery(notification(record(version_id=None, etag=None)))

    handed_back = [world.tag(delivery) for _ in range(2)]

    assert handed_back == [message_of(delivery), ()]
    assert len(world.announcer.announced) == 1


@pytest.mark.parametrize("end", ["release", "withdraw"])
def test_releasing_a_claim_is_retried_for_a_moment(end: str) -> None:
    """Until the lease expires no other worker can claim the upload; an outage is not waited out."""
    world = World()
    away = ResultsUnavailable("away")
    if end == "release":
        world.tagger.fails_with(ApiTimeout("slow"), times=1)
    else:  # a systemic failure that cannot be counted
        world.tagger.fails_with(KeyRefused("rotated"), times=1)
        world.breaker_store.fails_with(away, times=1, at="count_failure")
    world.results.fails_with(away, times=2, at=end)
    delivery = world.upload()
    began = world.clock.now()

    first = world.tag(delivery)
    second = world.tag(delivery)

    assert (first, second) == (message_of(delivery), ())
    assert world.clock.now() - began < 3


def test_a_claim_that_cannot_be_released_expires() -> None:
    """The upload waits a little longer and is retried."""
    world = World()
    world.tagger.fails_with(ApiTimeout("slow"), times=1)
    world.records.fails_with(ResultsUnavailable("away"), at="release")
    delivery = world.upload()

    first = world.tag(delivery)
    world.results.recovers()
    second = world.tag(delivery)
    world.clock.advance(LEASE_SECONDS + 1)
    third = world.tag(delivery)

    assert (first, second, third) == (message_of(delivery), message_of(delivery), ())
    assert [retry.code for retry in world.hand_backs] == ["API_TIMEOUT", "BUSY"]
    assert len(world.announcer.announced) == 1


def test_an_upload_that_cannot_be_dead_lettered_stays_on_the_queue() -> None:
    """Dead-letter first, acknowledge after."""
    world = World()
    world.dead_letters.fails_with(QueueUnavailable("away"), times=1)
    delivery = world.upload(content=b"no image")

    first = world.tag(delivery)
    world.clock.advance(LEASE_SECONDS + 1)
    second = world.tag(delivery)

    assert (first, second) == (message_of(delivery), ())
    assert world.codes == ["UNSUPPORTED_FORMAT"]
    assert world.hand_backs[0].code == "QUEUE_UNAVAILABLE"


def test_an_unreadable_message_that_cannot_be_dead_lettered_stays_on_the_queue() -> (
    None
):
    """It has no record, so the message is its only copy."""
    world = World()
    world.dead_letters.fails_with(QueueUnavailable("away"), times=1)
    delivery = a_delivery("no event")

    handed_back = [world.tag(delivery) for _ in range(2)]

    assert handed_back == [message_of(delivery), ()]
    assert world.codes == ["UNREADABLE_EVENT"]


def test_a_failure_that_cannot_be_stored_is_dead_lettered_again() -> None:
    """A crash may repeat a letter, but loses none."""
    world = World()
    world.records.fails_with(ResultsUnavailable("away"), at="FAILED")
    delivery = world.upload(content=b"no image")

    first = world.tag(delivery)
    world.records.recovers()
    world.clock.advance(LEASE_SECONDS + 1)
    second = world.tag(delivery)

    assert (first, second) == (message_of(delivery), ())
    assert world.codes == ["UNSUPPORTED_FORMAT", "UNSUPPORTED_FORMAT"]


@pytest.mark.parametrize(
    ("port", "at"),
    [
        ("objects", "find"),
        ("snapshots", "snapshot"),
        ("records", "claim"),
        ("objects", "read"),
        ("api_keys", "fresh_key"),
        ("tagger", "ask"),
        ("results", "store"),
        ("announcer", "announce"),
        ("records", "TAGGED"),
        ("dead_letters", "send"),
        ("records", "FAILED"),
    ],
)
def test_a_bug_does_not_affect_other_deliveries(port: str, at: str) -> None:
    """It is logged, and its delivery is handed back or dead-lettered."""
    world = World(max_attempts=1)
    bodies = [
        notification(record("find.png", version_id=None, etag=None)),
        world.upload("good.png").body,
        world.upload("bad.png", b"no image").body,
        world.upload("other.png").body,
    ]
    world.put("find.png")
    deliveries = [
        a_delivery(body, message_id=f"message-{number}")
        for number, body in enumerate(bodies)
    ]
    getattr(world, port).fails_with(ZeroDivisionError("ours"), times=1, at=at)

    handed_back = world.tag(*deliveries)

    known = {delivery.message_id for delivery in deliveries}
    ended = len(world.announcer.announced) + len(world.dead_letters.letters)
    assert len(world.bugs) == 1
    assert set(handed_back) <= known
    assert len(handed_back) <= 1
    assert ended + len(handed_back) >= 4


# ---- events without a queue


@pytest.mark.parametrize(
    "event", [sample_event("s3-put"), sample_event("eventbridge-object-created")]
)
def test_a_bare_event_is_put_on_the_queue(event: dict[str, object]) -> None:
    """There it has retries; the function does not tag it in the same invocation."""
    world = World()

    queued = world.pipeline.enqueue(event, json.dumps(event), world.invocation())

    (body,) = world.upload_queue.bodies
    assert queued == 1
    assert [type(entry) for entry in read_body(body)] == [Upload]
    assert world.tagger.calls == []


def test_each_upload_of_a_bare_event_is_a_message_of_its_own() -> None:
    """So one upload cannot hold up the other."""
    world = World()
    event = json.loads(notification(record("a.png"), record("b.png")))

    queued = world.pipeline.enqueue(event, json.dumps(event), world.invocation())

    assert queued == 2
    assert [upload_of(a_delivery(body)).key for body in world.upload_queue.bodies] == [
        "a.png",
        "b.png",
    ]


def test_a_folder_marker_of_a_bare_event_is_put_on_the_queue() -> None:
    """The function counts it when it receives it from there."""
    world = World()
    event = json.loads(notification(record("lookbook/", size=0)))

    queued = world.pipeline.enqueue(event, json.dumps(event), world.invocation())

    assert queued == 1
    (body,) = world.upload_queue.bodies
    assert world.tag(a_delivery(body)) == ()
    assert world.skips == [SkipReason.FOLDER_MARKER]


def test_a_bare_event_that_is_no_upload_is_skipped() -> None:
    """It has no upload to count."""
    world = World()
    event = json.loads(notification(record(event_name="ObjectRemoved:Delete")))

    queued = world.pipeline.enqueue(event, json.dumps(event), world.invocation())

    assert queued == 0
    assert world.upload_queue.bodies == []
    assert world.skips == [SkipReason.NOT_AN_UPLOAD]


def test_an_unreadable_bare_event_is_an_error() -> None:
    """The sender gets the error; readable uploads beside it are queued."""
    world = World()
    event = json.loads(notification({"eventSource": "aws:s3"}, record("b.png")))

    with pytest.raises(UnreadableEvent):
        world.pipeline.enqueue(event, json.dumps(event), world.invocation())

    assert len(world.upload_queue.bodies) == 1


def test_a_bare_event_that_cannot_be_queued_is_an_error() -> None:
    """Lambda retries it, and in the end sends it to the dead-letter queue."""
    world = World()
    world.upload_queue.fails_with(QueueUnavailable("away"))
    event = eventbridge_event()

    with pytest.raises(QueueUnavailable):
        world.pipeline.enqueue(event, json.dumps(event), world.invocation())


def test_the_api_key_is_in_no_log_and_no_letter() -> None:
    """This holds for a refused key, too."""
    world = World(max_attempts=1)
    world.tagger.accepted_key = "another"

    world.tag(world.upload(KEY))

    said = [*world.hand_backs, *world.dead_letters.letters, *world.dead_lettered]
    assert said
    assert API_KEY not in repr(said)
