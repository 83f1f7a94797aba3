from __future__ import annotations

import math
from dataclasses import replace

import pytest

from hangtag.errors import (
    ApiInternalError,
    HangtagError,
    HttpStatus,
    KeyRefused,
    LanguageRefused,
    PrefixRefused,
    QuotaExceeded,
    TooManyBytes,
    UrlNotFetched,
)
from tests.fakes import LEASE_SECONDS, Call, World


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
def test_no_wait_is_kept_that_cannot_help(refusal: HangtagError) -> None:
    """A gateway may put Retry-After on everything; a refusal is paid once."""
    world = World()
    world.tagger.fails_with(refusal)

    world.tag(world.upload())

    assert len(world.tagger.calls) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        ApiInternalError("sorry", retry_after_seconds=1),
        QuotaExceeded("used up", retry_after_seconds=1),
        HttpStatus("busy", http_status=503, retry_after_seconds=1),
    ],
    ids=lambda error: error.code,
)
def test_a_short_wait_that_may_help_is_kept(trouble: HangtagError) -> None:
    """The API says itself when it will be better."""
    world = World()
    world.tagger.fails_with(trouble, times=1)

    assert world.tag(world.upload()) == ()

    assert len(world.tagger.calls) == 2


@pytest.mark.parametrize("seconds", [900, 1e300, math.inf])
def test_nobody_waits_for_ever(seconds: float) -> None:
    """Not even where there is no deadline, as for a person at the command line."""
    world = World()
    world.deadline.seconds = math.inf
    world.tagger.fails_with(
        HttpStatus("busy", http_status=503, retry_after_seconds=seconds)
    )

    assert world.tag(world.upload()) == ("message-1",)

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

    (retry,) = world.journal.retries
    assert retry.message.endswith("&...")
    assert "secret" not in repr(world.journal.retries)


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


def test_images_are_sent_along_where_the_api_cannot_fetch_them() -> None:
    """For a while: a bucket that is out of reach may come within reach."""
    world = World(image_transport="url")

    def fetch_nothing(call: Call) -> None:
        if is_link(call):
            raise UrlNotFetched("no way")

    world.tagger.before_answering = fetch_nothing

    for number in range(4):
        world.tag(world.upload(f"{number}.png"))
    world.clock.advance(15 * 60)
    world.tagger.before_answering = lambda _: None
    for number in range(4, 6):
        world.tag(world.upload(f"{number}.png"))

    asked = list(map(is_link, world.tagger.calls))
    assert asked == [True, False, True, False, False, False, True, True]
    assert len(world.announcer.announced) == 6


def test_one_link_that_is_not_fetched_is_no_rule() -> None:
    """The next ones are, most likely."""
    world = World(image_transport="url")

    for number in range(6):
        if number % 2:
            world.tagger.fails_with(UrlNotFetched("a hiccup"), times=1)
        world.tag(world.upload(f"{number}.png"))

    asked = list(map(is_link, world.tagger.calls))
    assert asked == [True, True, False] * 3


# ---- an API that is too slow for a second call


def takes(world: World, seconds: float) -> None:
    """Every answer of the API takes so long."""
    world.tagger.before_answering = lambda _: world.clock.advance(seconds)


def test_what_there_was_no_time_to_send_otherwise_is_sent_so_at_once_later() -> None:
    """The second call of an attempt becomes the first of the next."""
    world = World()
    takes(world, 45)
    world.tagger.refuses_the_prefix = True
    delivery = world.upload()

    assert world.tag(delivery) == (delivery.message_id,)
    assert world.tag(delivery) == ()

    assert list(map(has_prefix, world.tagger.calls)) == [True, False]
    assert len(world.announcer.announced) == 1


def test_what_is_refused_too_late_for_a_second_call_is_buried_in_the_end() -> None:
    """It must not be asked about for ever."""
    world = World(max_attempts=3)
    takes(world, 45)
    world.tagger.fails_with(PrefixRefused("no"))
    delivery = world.upload()

    for _ in range(2):
        assert world.tag(delivery) == (delivery.message_id,)
        assert min(world.upload_queue.hidden_for.values()) > 0
    assert world.tag(delivery) == ()

    assert len(world.tagger.calls) == 3
    assert [letter.failure.code for letter in world.dead_letters.letters] == ["801"]


def test_a_link_that_is_refused_too_late_to_send_the_image_is_a_failure() -> None:
    """It must not be asked about for ever, and in the end the image is sent along."""
    world = World(image_transport="url", max_attempts=3)
    delivery = world.upload()

    def fetch_nothing(call: Call) -> None:
        world.clock.advance(45)
        if is_link(call):
            raise UrlNotFetched("no way")

    world.tagger.before_answering = fetch_nothing

    handed_back = [len(world.tag(delivery)) for _ in range(3)]

    assert handed_back == [1, 1, 0]
    assert [retry.code for retry in world.journal.retries] == ["803", "803"]
    assert list(map(is_link, world.tagger.calls)) == [True, True, False]
    assert len(world.announcer.announced) == 1


def test_a_refused_form_that_finds_no_turn_is_no_attempt_but_is_kept() -> None:
    """Whoever waits in a long line is not to blame for it, and does not wait twice."""
    world = World(requests_per_second=0.01, max_attempts=1)
    world.tagger.refuses_the_prefix = True
    delivery = world.upload()

    assert world.tag(delivery) == (delivery.message_id,)
    world.clock.advance(1_000)
    assert world.tag(delivery) == ()

    assert list(map(has_prefix, world.tagger.calls)) == [True, False]


# ---- an object that is too slow to ask about


def test_an_object_that_takes_too_long_to_read_is_a_failure() -> None:
    """With the whole time it would take as long again."""
    world = World(max_attempts=3)
    world.objects.before_reading = lambda: world.clock.advance(45)
    delivery = world.upload()

    for _ in range(2):
        assert world.tag(delivery) == (delivery.message_id,)
        assert min(world.upload_queue.hidden_for.values()) > 0
    assert world.tag(delivery) == ()

    (letter,) = world.dead_letters.letters
    assert letter.failure.code == "OBJECT_UNAVAILABLE"
    assert "45.0 s" in letter.failure.message
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

    assert delays[:2] == [0, 0]
    assert 0 < delays[2] < delays[3] <= delays[4]
