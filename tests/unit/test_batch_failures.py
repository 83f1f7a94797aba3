"""Failed uploads of a batch: every error of the tree, retries and their delays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from hangtag.breaker import FAILURES_TO_OPEN, SYSTEMIC_KINDS
from hangtag.calling import API_TIMEOUT_SECONDS
from hangtag.ending import MOST_TIMEOUTS, RETRY_CAP_SECONDS
from hangtag.errors import (
    Abandoned,
    AnnouncementFailed,
    ApiKeyMissing,
    ApiKeyUnavailable,
    ApiTimeout,
    ApiUnreachable,
    BadAnswer,
    ConfigError,
    DiskFull,
    EmptyImage,
    HangtagError,
    ImageTooLarge,
    InternalError,
    InvalidContext,
    MappingUnavailable,
    ObjectArchived,
    ObjectForbidden,
    ObjectKmsKeyUnusable,
    ObjectUnavailable,
    OutOfTime,
    QueueUnavailable,
    ResultsUnavailable,
    UnreadableEvent,
    UnsupportedFormat,
)
from hangtag.events import Delivery
from hangtag.policy import ImageTransport
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
from hangtag.telemetry import SystemicFailure, Trouble
from tests.builders import (
    PNG,
    URI,
    a_delivery,
    message_of,
)
from tests.fakes import LEASE_SECONDS, Call, Killed, World
from tests.image_files import OTHERS

Case = Callable[[World], Delivery]


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


CASES: dict[type[HangtagError], Case] = {
    UnreadableEvent: lambda _: a_delivery("no event"),
    UnsupportedFormat: lambda world: world.upload(content=b"name,price\n"),
    EmptyImage: lambda world: world.upload(content=b""),
    ImageTooLarge: lambda world: world.upload(content=PNG + bytes(2_000)),
    InvalidContext: lambda world: world.upload(metadata={"tagger-gendr": "female"}),
    Abandoned: crashes,
    ApiTimeout: api_raises(ApiTimeout),
    ApiUnreachable: api_raises(ApiUnreachable),
    BadAnswer: api_raises(BadAnswer),
    ObjectArchived: port_raises("objects", "read", ObjectArchived),
    ObjectForbidden: port_raises("objects", "read", ObjectForbidden),
    ObjectKmsKeyUnusable: port_raises("objects", "read", ObjectKmsKeyUnusable),
    ObjectUnavailable: port_raises("objects", "read", ObjectUnavailable),
    ApiKeyUnavailable: port_raises("api_keys", "fresh_key", ApiKeyUnavailable),
    ResultsUnavailable: port_raises("results", "store", ResultsUnavailable),
    AnnouncementFailed: port_raises("announcer", "announce", AnnouncementFailed),
    OutOfTime: slow_object,
    DiskFull: port_raises("objects", "read", DiskFull),
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


BY_METADATA = {
    JsonRefused: {"tagger-brand": "shop"},
    DetectionRefused: {"Tagger-Detection": "TOP"},
    LanguageRefused: {"tagger-language": "ko"},
}
"""Metadata by which an upload can cause the error."""

NOT_BY_METADATA = {
    JsonRefused: {"camera": "x", "tagger-brand": " "},
    DetectionRefused: {"tagger-brand": "shop", "tagger-detection": " "},
    LanguageRefused: {"tagger-brand": "shop", "tagger-language": ""},
}
"""Other metadata; the stack's setting replaces a blank value."""

TRANSPORTS = pytest.mark.parametrize("image_transport", ["base64", "url"])


def refused(world: World, leaf: type[ConfigError], metadata: dict[str, str]) -> None:
    """An upload with this metadata, which the API refuses."""
    world.tagger.fails_with(leaf("no"), times=1)
    number = len(world.dead_letters.letters)
    assert world.tag(world.upload(f"{number}.png", metadata=metadata)) == ()


@TRANSPORTS
@pytest.mark.parametrize("leaf", BY_METADATA, ids=case_name)
def test_an_uploader_cannot_open_the_breaker_by_metadata(
    leaf: type[ConfigError], image_transport: ImageTransport
) -> None:
    """The failure is this upload's own: it is permanent, and no systemic failure."""
    world = World(image_transport=image_transport)

    for _ in range(2 * FAILURES_TO_OPEN):
        refused(world, leaf, BY_METADATA[leaf])

    failures = [letter.failure for letter in world.dead_letters.letters]
    assert {(one.code, one.kind) for one in failures} == {(leaf.code, "permanent")}
    assert len(failures) == 2 * FAILURES_TO_OPEN
    assert not world.breaker_store.read().failures
    events = world.telemetry.events
    assert not [one for one in events if isinstance(one, SystemicFailure)]


@TRANSPORTS
@pytest.mark.parametrize("leaf", BY_METADATA, ids=case_name)
def test_the_stacks_own_settings_open_the_breaker(
    leaf: type[ConfigError], image_transport: ImageTransport
) -> None:
    """Other metadata cannot have caused the error; uploads to blame do not hide it."""
    world = World(image_transport=image_transport)

    for _ in range(FAILURES_TO_OPEN):
        assert not world.breaker_store.read().is_open
        refused(world, leaf, BY_METADATA[leaf])
        refused(world, leaf, NOT_BY_METADATA[leaf])

    assert world.breaker_store.read().is_open


def test_an_uploader_can_cause_no_systemic_failure_but_the_quota() -> None:
    """Each other error of these kinds needs the operator, the vendor or the API."""
    by_uploaders = {leaf for leaf in SYSTEMIC if "uploader" in leaf.cause}

    assert by_uploaders == {*BY_METADATA, QuotaExceeded}


@pytest.mark.parametrize("leaf", RETRIED, ids=case_name)
def test_a_transient_failure_is_retried_and_dead_lettered_after_the_last_attempt(
    leaf: type[HangtagError],
) -> None:
    """The delay doubles from attempt to attempt; the letter has the code."""
    base = 2.5 if leaf is ApiTimeout else 10  # timeouts wait four times as long
    world = World(max_attempts=3, retry_base_seconds=base)
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


# ---- formats


@pytest.mark.parametrize("transport", ["base64", "url"])
def test_the_format_of_a_refused_file_is_on_its_letter_and_its_record(
    transport: ImageTransport,
) -> None:
    """An operator counts formats, and never by the words of a message."""
    world = World(image_transport=transport)
    upload = world.upload(content=OTHERS["HEIC"][1])

    world.tag(upload)

    [letter] = world.dead_letters.letters
    [event] = world.dead_lettered
    failed = world.newest(letter.image or "")
    assert failed is not None
    assert letter.attributes()["Format"] == "HEIC"
    assert failed["failure"]["format"] == "HEIC"
    assert event.letter.failure.image_format == "HEIC"


# ---- delays


def test_a_retry_delay_is_at_most_15_minutes() -> None:
    """This holds for any number of attempts."""
    world = World(max_attempts=100)
    world.tagger.fails_with(ApiUnreachable("reset"))
    delivery = world.upload()

    for _ in range(30):
        world.tag(delivery)

    longest = max(retry.delay_seconds for retry in world.hand_backs)
    assert 0.75 * RETRY_CAP_SECONDS < longest <= RETRY_CAP_SECONDS == 15 * 60


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


@pytest.mark.parametrize(("max_attempts", "attempts"), [(1, 1), (2, 2), (5, 3)])
def test_an_image_on_which_the_api_hangs_occupies_a_worker_for_90_seconds_at_most(
    max_attempts: int, attempts: int
) -> None:
    """It has three attempts, each with one call of at most 30 seconds."""
    world = World(max_attempts=max_attempts, retry_base_seconds=10)
    delivery = world.upload()
    occupied = 0.0
    delays: list[float] = []

    def hang(call: Call) -> None:
        nonlocal occupied
        occupied += call.timeout_seconds
        world.clock.advance(call.timeout_seconds)
        raise ApiTimeout("no answer")

    world.tagger.before_answering = hang
    while world.tag(delivery):
        delays += world.upload_queue.hidden_for.values()
        world.clock.advance(1_000)

    assert world.codes == ["API_TIMEOUT"]
    assert len(world.tagger.calls) == attempts
    assert occupied <= MOST_TIMEOUTS * API_TIMEOUT_SECONDS == 90
    assert delays == [40, 80][: attempts - 1]


def test_another_failure_before_a_timeout_is_an_attempt_too() -> None:
    """The attempts have one count: the third one ends the upload if it times out."""
    world = World(max_attempts=5)
    delivery = world.upload()

    for error in (ApiUnreachable("reset"), ApiUnreachable("reset"), ApiTimeout("slow")):
        world.tagger.fails_with(error, times=1)
        world.tag(delivery)
        world.clock.advance(1_000)

    assert world.codes == ["API_TIMEOUT"]


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
    world.tagger.fails_with(ApiUnreachable("reset"))
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
