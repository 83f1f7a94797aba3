"""Every image that was read is closed: it may be a file, and the next batch needs its room."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hangtag.errors import ApiKeyMissing, ResultsUnavailable
from hangtag.tagger_api.errors import (
    ApiInternalError,
    KeyRefused,
    LanguageRefused,
    PrefixRefused,
    SidesTooSmall,
)
from tests.fakes import World

FAILURES: dict[str, Callable[[World], object]] = {
    "none": lambda world: world,
    "the key cannot be read": lambda world: world.api_keys.fails_with(
        ApiKeyMissing("no")
    ),
    "a retry": lambda world: world.tagger.fails_with(ApiInternalError("no")),
    "a refusal": lambda world: world.tagger.fails_with(SidesTooSmall("no")),
    "the key is refused": lambda world: world.tagger.fails_with(KeyRefused("no")),
    "the prefix is refused": lambda world: world.tagger.fails_with(PrefixRefused("no")),
    "the language is refused": lambda world: world.tagger.fails_with(
        LanguageRefused("no")
    ),
    "a bug": lambda world: world.tagger.fails_with(RuntimeError("no")),
    "the result cannot be stored": lambda world: world.results.fails_with(
        ResultsUnavailable("no"), at="store"
    ),
    "no time is left for a call": lambda world: setattr(
        world.objects, "before_reading", lambda: world.clock.advance(45)
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_an_image_is_closed_however_its_attempt_ends(failure: str) -> None:
    """Also in the middle of the calls."""
    world = World()
    FAILURES[failure](world)

    world.tag(world.upload())

    assert world.objects.reads == 1
    assert world.objects.open_images == []


def test_an_image_with_wrong_metadata_is_closed() -> None:
    """There is no call."""
    world = World()

    world.tag(world.upload(metadata={"tagger-colour": "red"}))

    assert world.codes == ["INVALID_CONTEXT"]
    assert world.objects.reads == 1
    assert world.objects.open_images == []


def test_an_image_stays_open_during_the_call() -> None:
    """It is sent from there."""
    world = World()
    open_images: list[int] = []
    world.tagger.before_answering = lambda _: open_images.append(
        len(world.objects.open_images)
    )

    world.tag(world.upload())

    assert open_images == [1]
