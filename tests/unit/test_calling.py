from __future__ import annotations

from dataclasses import replace

import pytest

from hangtag.errors import HangtagError
from hangtag.policy import ImageTransport
from hangtag.tagger_api.errors import (
    ApiInternalError,
    HttpStatus,
    KeyRefused,
    LanguageRefused,
    PrefixRefused,
    TooManyBytes,
    UrlNotFetched,
)
from tests.fakes import LEASE_SECONDS, Call, World, upload_of


def test_a_url_refused_for_its_prefix_is_not_sent_again() -> None:
    """A URL has no prefix that could be left out, so a second call would fail, too."""
    world = World(image_transport="url")
    world.tagger.fails_with(PrefixRefused("Remove the header."))

    world.tag(world.upload())

    assert len(world.tagger.calls) == 1
    assert [letter.failure.code for letter in world.dead_letters.letters] == ["801"]


@pytest.mark.parametrize(
    "refusal",
    [
        TooManyBytes("too many", retry_after_seconds=1),
        LanguageRefused("no", retry_after_seconds=1),
        KeyRefused("no", retry_after_seconds=1),
        HttpStatus("no", http_status=404, retry_after_seconds=1),
    ],
    ids=lambda error: error.code,
)
def test_a_refusal_with_retry_after_is_not_repeated_in_the_same_attempt(
    refusal: HangtagError,
) -> None:
    """A gateway may add Retry-After to every response."""
    world = World()
    world.tagger.fails_with(refusal)

    world.tag(world.upload())

    assert len(world.tagger.calls) == 1


def test_an_attempt_may_use_a_fresh_key_and_leave_out_the_prefix() -> None:
    """Each reason allows one more call."""
    world = World()
    world.api_keys.key()
    world.api_keys.set_key("another-key")
    world.tagger.accepted_key = "another-key"
    world.tagger.refuses_the_prefix = True

    assert world.tag(world.upload()) == ()

    assert len(world.tagger.calls) == 3


def test_a_presigned_url_is_not_in_the_log_of_a_retry() -> None:
    """The API repeats the URL in its message and asks for a retry."""
    world = World(image_transport="url")

    def fail(call: Call) -> None:
        raise ApiInternalError(f"cannot fetch {call.request.image.content}")

    world.tagger.before_answering = fail

    assert world.tag(world.upload()) == ("message-1",)

    (retry,) = world.hand_backs
    assert retry.message.endswith("&...")
    assert "secret" not in repr(world.telemetry.events)


# ---- forms that are remembered


def has_prefix(call: Call) -> bool:
    """Whether the image was sent with the prefix."""
    return call.request.image.content.startswith("data:")


def is_link(call: Call) -> bool:
    """Whether the request has a URL instead of the image."""
    return call.request.image.type == "url"


def test_a_form_that_the_api_refused_is_not_sent_again() -> None:
    """Otherwise every image would cost two calls and two slots."""
    world = World()
    world.tagger.refuses_the_prefix = True

    for number in range(3):
        world.tag(world.upload(f"{number}.png"))

    assert list(map(has_prefix, world.tagger.calls)) == [True, False, False, False]


def test_the_prefix_is_sent_again_when_the_api_asks_for_it() -> None:
    """The API may change what it accepts."""
    world = World()
    world.tagger.refuses_the_prefix = True
    world.tag(world.upload("0.png"))
    world.tagger.refuses_the_prefix = False

    def miss_it(call: Call) -> None:
        if not has_prefix(call):
            raise PrefixRefused("The header is missing.")

    world.tagger.before_answering = miss_it
    world.tagger.calls.clear()

    for number in range(1, 3):
        world.tag(world.upload(f"{number}.png"))

    assert list(map(has_prefix, world.tagger.calls)) == [False, True, True]
    assert world.dead_letters.letters == []


def test_an_image_that_is_refused_in_both_forms_changes_no_preference() -> None:
    """The image is at fault, not the form."""
    world = World()
    world.tagger.fails_with(PrefixRefused("no"), times=2)
    world.tag(world.upload("broken.png"))
    world.tagger.calls.clear()

    world.tag(world.upload("fine.png"))

    assert list(map(has_prefix, world.tagger.calls)) == [True]


def test_images_are_sent_as_base64_after_the_api_could_not_fetch_one() -> None:
    """Otherwise every image would cost two calls."""
    world = World(image_transport="url")

    def fetch_nothing(call: Call) -> None:
        if is_link(call):
            raise UrlNotFetched("no way")

    world.tagger.before_answering = fetch_nothing

    for number in range(3):
        world.tag(world.upload(f"{number}.png"))

    assert list(map(is_link, world.tagger.calls)) == [True, False, False, False]
    assert len(world.announcer.announced) == 3


def test_an_object_that_was_deleted_does_not_change_the_transport() -> None:
    """The API could not fetch it because it was deleted."""
    world = World(image_transport="url")
    gone = world.upload("gone.png")
    world.tagger.fails_with(UrlNotFetched("404"), times=1)
    world.tagger.before_answering = lambda _: world.objects.forget(upload_of(gone).uri)
    world.tag(gone)
    world.tagger.before_answering = lambda _: None

    world.tag(world.upload("there.png"))

    assert list(map(is_link, world.tagger.calls)) == [True, True]


# ---- slow API


def answer_time(world: World, seconds: float) -> None:
    """Sets how long each answer of the API takes."""
    world.tagger.before_answering = lambda _: world.clock.advance(seconds)


@pytest.mark.parametrize("transport", ["base64", "url"])
def test_an_answer_too_late_for_a_second_call_is_a_failed_attempt(
    transport: ImageTransport,
) -> None:
    """Otherwise the calls would repeat without end."""
    world = World(image_transport=transport, max_attempts=3)
    answer_time(world, 45)
    refusal = UrlNotFetched("no") if transport == "url" else PrefixRefused("no")
    world.tagger.fails_with(refusal)
    delivery = world.upload()

    handed_back = [len(world.tag(delivery)) for _ in range(3)]

    assert handed_back == [1, 1, 0]
    assert len(world.tagger.calls) == 3
    assert world.codes == ["OUT_OF_TIME"]


# ---- slow objects


def test_an_object_that_takes_the_whole_time_to_read_is_a_failure() -> None:
    """A retry with the same time would take as long."""
    world = World(max_attempts=3)
    world.objects.before_reading = lambda: world.clock.advance(45)
    delivery = world.upload()

    handed_back = [len(world.tag(delivery)) for _ in range(3)]

    assert handed_back == [1, 1, 0]
    assert world.codes == ["OUT_OF_TIME"]
    assert world.tagger.calls == []


@pytest.mark.parametrize("left", [31, 45])
def test_an_object_that_was_started_too_late_is_no_failure(left: float) -> None:
    """With a whole invocation it is tagged."""
    world = World(max_attempts=1)
    world.deadline.seconds = left
    world.objects.before_reading = lambda: world.clock.advance(left - 17)
    delivery = world.upload()

    assert world.tag(delivery) == (delivery.message_id,)
    world.deadline.seconds = LEASE_SECONDS
    assert world.tag(delivery) == ()

    assert len(world.announcer.announced) == 1


def test_an_upload_that_never_has_enough_time_is_delayed_longer_each_time() -> None:
    """After 1,000 receives SQS itself would move the message, without a code."""
    world = World()
    world.deadline.seconds = 1.0
    delivery = world.upload()

    delays: list[float] = []
    for receives in (1, 10, 11, 20, 500):
        world.tag(replace(delivery, receives=receives))
        delays += world.upload_queue.hidden_for.values()

    assert delays == [1, 512, 1_024, 1_575, 1_575]
