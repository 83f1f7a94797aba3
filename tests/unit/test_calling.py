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


def test_a_url_that_is_refused_for_its_prefix_is_asked_about_once() -> None:
    """A URL has no prefix that could be left out: the same question has the same answer."""
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
def test_a_refusal_is_not_repeated_in_the_same_attempt(refusal: HangtagError) -> None:
    """A gateway may put Retry-After on everything."""
    world = World()
    world.tagger.fails_with(refusal)

    world.tag(world.upload())

    assert len(world.tagger.calls) == 1


def test_a_fresh_key_and_no_prefix_are_tried_in_one_attempt() -> None:
    """Each reason for one more call counts once, whatever came before."""
    world = World()
    world.api_keys.key()
    world.api_keys.set_key("another-key")
    world.tagger.accepted_key = "another-key"
    world.tagger.refuses_the_prefix = True

    assert world.tag(world.upload()) == ()

    assert len(world.tagger.calls) == 3


def test_a_presigned_url_is_not_logged_with_a_retry_either() -> None:
    """The API tells which URL it could not fetch, and says that it may go better later."""
    world = World(image_transport="url")

    def fail(call: Call) -> None:
        raise ApiInternalError(f"cannot fetch {call.request.image.content}")

    world.tagger.before_answering = fail

    assert world.tag(world.upload()) == ("message-1",)

    (retry,) = world.hand_backs
    assert retry.message.endswith("&...")
    assert "secret" not in repr(world.telemetry.events)


# ---- what is learnt is kept


def has_prefix(call: Call) -> bool:
    """Whether the image was sent with one."""
    return call.request.image.content.startswith("data:")


def is_link(call: Call) -> bool:
    """Whether the API was to fetch the image."""
    return call.request.image.type == "url"


def test_a_form_that_is_not_taken_is_not_sent_again() -> None:
    """Else every image would cost two calls, and wait for two turns."""
    world = World()
    world.tagger.refuses_the_prefix = True

    for number in range(3):
        world.tag(world.upload(f"{number}.png"))

    assert list(map(has_prefix, world.tagger.calls)) == [True, False, False, False]


def test_the_prefix_is_sent_again_when_it_is_missed() -> None:
    """Whatever the API wants today it may not want tomorrow."""
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


def test_an_image_that_is_refused_in_both_forms_teaches_nothing() -> None:
    """There is something wrong with the image."""
    world = World()
    world.tagger.fails_with(PrefixRefused("no"), times=2)
    world.tag(world.upload("broken.png"))
    world.tagger.calls.clear()

    world.tag(world.upload("fine.png"))

    assert list(map(has_prefix, world.tagger.calls)) == [True]


def test_images_are_sent_along_after_the_api_could_not_fetch_one() -> None:
    """Else every image would cost two calls."""
    world = World(image_transport="url")

    def fetch_nothing(call: Call) -> None:
        if is_link(call):
            raise UrlNotFetched("no way")

    world.tagger.before_answering = fetch_nothing

    for number in range(3):
        world.tag(world.upload(f"{number}.png"))

    assert list(map(is_link, world.tagger.calls)) == [True, False, False, False]
    assert len(world.announcer.announced) == 3


def test_an_object_that_was_deleted_says_nothing_about_urls() -> None:
    """The API could not fetch it because it was gone."""
    world = World(image_transport="url")
    gone = world.upload("gone.png")
    world.tagger.fails_with(UrlNotFetched("404"), times=1)
    world.tagger.before_answering = lambda _: world.objects.forget(upload_of(gone).uri)
    world.tag(gone)
    world.tagger.before_answering = lambda _: None

    world.tag(world.upload("there.png"))

    assert list(map(is_link, world.tagger.calls)) == [True, True]


# ---- an API that is too slow for a second call


def takes(world: World, seconds: float) -> None:
    """Every answer of the API takes so long."""
    world.tagger.before_answering = lambda _: world.clock.advance(seconds)


@pytest.mark.parametrize("transport", ["base64", "url"])
def test_an_answer_that_comes_too_late_for_a_second_call_is_a_failed_attempt(
    transport: ImageTransport,
) -> None:
    """It must not be called about for ever."""
    world = World(image_transport=transport, max_attempts=3)
    takes(world, 45)
    refusal = UrlNotFetched("no") if transport == "url" else PrefixRefused("no")
    world.tagger.fails_with(refusal)
    delivery = world.upload()

    handed_back = [len(world.tag(delivery)) for _ in range(3)]

    assert handed_back == [1, 1, 0]
    assert len(world.tagger.calls) == 3
    assert world.codes == ["OUT_OF_TIME"]


# ---- an object that is too slow to ask about


def test_an_object_that_takes_too_long_to_read_is_a_failure() -> None:
    """With the whole time it would take as long again."""
    world = World(max_attempts=3)
    world.objects.before_reading = lambda: world.clock.advance(45)
    delivery = world.upload()

    handed_back = [len(world.tag(delivery)) for _ in range(3)]

    assert handed_back == [1, 1, 0]
    assert world.codes == ["OUT_OF_TIME"]
    assert world.tagger.calls == []


@pytest.mark.parametrize("left", [31, 45])
def test_an_object_that_was_begun_too_late_is_no_failure(left: float) -> None:
    """With an invocation of its own it is tagged."""
    world = World(max_attempts=1)
    world.deadline.seconds = left
    world.objects.before_reading = lambda: world.clock.advance(left - 17)
    delivery = world.upload()

    assert world.tag(delivery) == (delivery.message_id,)
    world.deadline.seconds = LEASE_SECONDS
    assert world.tag(delivery) == ()

    assert len(world.announcer.announced) == 1


def test_what_never_finds_time_comes_back_ever_less_often() -> None:
    """After 1,000 receives SQS itself would move it, without a code."""
    world = World()
    world.deadline.seconds = 1.0
    delivery = world.upload()

    delays: list[float] = []
    for receives in (1, 10, 11, 20, 500):
        world.tag(replace(delivery, receives=receives))
        delays += world.upload_queue.hidden_for.values()

    assert delays == [1, 512, 1_024, 1_800, 1_800]
