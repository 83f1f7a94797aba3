from __future__ import annotations

import math

import pytest

from hangtag.failures import (
    ApiInternalError,
    HangtagError,
    HttpStatus,
    KeyRefused,
    LanguageRefused,
    PrefixRefused,
    QuotaExceeded,
    TooManyBytes,
)
from tests.fakes import Call, World


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
