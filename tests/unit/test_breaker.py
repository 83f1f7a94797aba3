"""The breaker: what is everybody's fault buries few, and the rest waits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier

import pytest

from hangtag.breaker import ROW, TRY_AGAIN_MINUTES, Breaker
from hangtag.errors import (
    AnnouncementFailed,
    ApiInternalError,
    ApiKeyMissing,
    ApiTimeout,
    KeyRefused,
    MappingUnavailable,
    QuotaExceeded,
    ResultsUnavailable,
    SidesTooSmall,
)
from hangtag.events import Delivery, read_body
from hangtag.ports import BreakerState
from hangtag.tagging import BREAKER_DELAY_SECONDS, delay_of_breaker
from hangtag.uploads import Upload
from tests.builders import a_delivery
from tests.fakes import LEASE_SECONDS, Call, Killed, World


def uploads(world: World, number: int) -> list[Delivery]:
    """So many of them, each with a key of its own, on the queue for some seconds."""
    sent_at = world.clock.now() - 5
    return [replace(world.upload(f"{n}.png"), sent_at=sent_at) for n in range(number)]


def opened(world: World) -> None:
    """A breaker that a wrong key has opened; five letters tell of it."""
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.tag(*uploads(world, ROW))
    assert world.breaker_store.read().is_open


def codes(world: World) -> list[str]:
    """Of the dead letters."""
    return [letter.failure.code for letter in world.dead_letters.letters]


def ends(world: World, deliveries: list[Delivery]) -> set[str | None]:
    """How these uploads ended."""
    uploads = [entry for one in deliveries for entry in read_body(one.body)]
    return {
        world.results.ended_as(upload)
        for upload in uploads
        if isinstance(upload, Upload)
    }


def goes_on(world: World, left: list[Delivery], rounds: int) -> list[Delivery]:
    """
    What AWS does, a few times over: the schedule tries, the mapping delivers where it is on.

    What is left on the queue in the end; a function that is killed hears of its messages again.
    """
    for _ in range(rounds):
        world.clock.advance(TRY_AGAIN_MINUTES * 60)
        with suppress(Killed):
            world.pipeline.try_again(world.invocation())
        if world.intake.on:
            with suppress(Killed):
                back = world.tag(*left)
                left = [one for one in left if one.message_id in back]
        world.revives()
    return left


# ---- it opens


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "one by one"])
def test_five_in_a_row_are_buried_and_the_others_go_back(*, together: bool) -> None:
    """Whatever the threads do: five letters, and no attempt of the rest is counted."""
    world = World(max_attempts=3)
    world.tagger.fails_with(QuotaExceeded("The quota is used up."))
    arrived = uploads(world, 10)

    if together:
        handed_back = world.tag(*arrived)
    else:
        handed_back = tuple(
            message for delivery in arrived for message in world.tag(delivery)
        )

    assert codes(world) == ["823"] * ROW
    assert len(handed_back) == 10 - ROW
    assert set(world.upload_queue.hidden_for.values()) == {BREAKER_DELAY_SECONDS}
    assert {retry.attempt for retry in world.journal.retries} == {0}
    assert world.breaker_store.read().is_open


def test_instances_that_fail_at_the_same_moment_bury_five_between_them() -> None:
    """The row is counted in one place; thirty calls are answered at once."""
    world = World(max_attempts=1)
    world.tagger.fails_with(KeyRefused("Wrong key."))
    all_ask = Barrier(30, timeout=30)
    world.tagger.before_answering = lambda _: all_ask.wait()
    arrived = uploads(world, 30)

    with ThreadPoolExecutor(3) as instances:
        handed_back = list(
            instances.map(
                lambda first: world.tag(*arrived[first : first + 10]), (0, 10, 20)
            )
        )

    assert codes(world) == ["609"] * ROW
    assert sum(map(len, handed_back)) == 30 - ROW
    assert len(world.alarm.calls) == 1
    assert not world.intake.on


def test_opening_switches_the_intake_off_and_calls_somebody_once() -> None:
    """With the code, who acts, and the way out."""
    world = World()
    world.tagger.fails_with(QuotaExceeded("The quota is used up."))

    world.tag(*uploads(world, 10))

    assert not world.intake.on
    [(subject, text)] = world.alarm.calls
    assert "823" in subject
    for told in ("823", "quota", "account owner", "hangtag resume", "--code 823"):
        assert told in text
    assert str(TRY_AGAIN_MINUTES) in text
    assert [event for event, _ in world.journal.breaker_events] == ["opened"]


def test_a_stack_without_a_key_is_stopped_likewise() -> None:
    """Nobody has set one yet; nothing is asked."""
    world = World()
    world.api_keys.fails_with(ApiKeyMissing("no key"))

    world.tag(*uploads(world, 8))

    assert codes(world) == ["API_KEY_MISSING"] * ROW
    assert world.tagger.calls == []


def test_four_in_a_row_open_nothing() -> None:
    """It may be one bad deployment of one uploader."""
    world = World()
    world.tagger.fails_with(KeyRefused("Wrong key."))

    world.tag(*uploads(world, ROW - 1))

    assert not world.breaker_store.read().is_open
    assert world.intake.on


def a_tagged_one(world: World) -> Delivery:
    """An upload that goes well."""
    world.tagger.recovers()
    return world.upload("good.png")


def a_refused_one(world: World) -> Delivery:
    """An upload whose image the API refuses: the key was good enough for that."""
    world.tagger.recovers()
    world.tagger.fails_with(SidesTooSmall("too small"), times=1)
    return world.upload("small.png")


@pytest.mark.parametrize("between", [a_tagged_one, a_refused_one])
def test_an_answer_in_between_ends_the_row(
    between: Callable[[World], Delivery],
) -> None:
    """It was not everybody's fault."""
    world = World()
    for _ in range(2):
        world.tagger.fails_with(KeyRefused("Wrong key."))
        world.tag(*uploads(world, ROW - 1))
        world.tag(between(world))

    assert not world.breaker_store.read().is_open
    assert world.breaker_store.read().row == 0


def a_slow_one(world: World) -> Delivery:
    """An upload whose call is not answered."""
    world.tagger.fails_with(ApiTimeout("slow"))
    return world.upload("slow.png")


def one_the_api_stumbles_over(world: World) -> Delivery:
    """The API has a code for that, but has not looked at the image."""
    world.tagger.fails_with(ApiInternalError("Internal error."))
    return world.upload("stumble.png")


def one_that_is_no_image(world: World) -> Delivery:
    """An upload that is refused before anybody is asked."""
    return world.upload("notes.txt", content=b"no image")


@pytest.mark.parametrize(
    "between", [a_slow_one, one_the_api_stumbles_over, one_that_is_no_image]
)
def test_a_failure_that_tells_nothing_about_the_key_does_not_end_the_row(
    between: Callable[[World], Delivery],
) -> None:
    """A fault of weeks must not bury four for each file that is none."""
    world = World()
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.tag(*uploads(world, ROW - 1))
    world.tagger.recovers()

    world.tag(between(world))

    assert world.breaker_store.read().row == ROW - 1


# ---- while it is open


def test_what_still_comes_while_it_is_open_goes_back_untouched() -> None:
    """No claim, no object, no call; it comes again soon, and costs no attempt."""
    world = World(max_attempts=1)
    opened(world)
    calls = len(world.tagger.calls)
    late = world.upload("late.png")
    world.objects.fails_with(AssertionError("nothing is read"))
    world.results.fails_with(AssertionError("nothing is claimed"))

    handed_back = world.tag(late)

    assert handed_back == (late.message_id,)
    assert world.upload_queue.hidden_for[late.receipt_handle] == BREAKER_DELAY_SECONDS
    assert len(world.tagger.calls) == calls
    assert world.journal.mistakes == []


def test_the_rest_of_the_batch_in_which_it_opens_goes_back_unasked() -> None:
    """What has not begun yet does not run into the same wall."""
    world = World(max_attempts=1, width=1)
    world.tagger.fails_with(KeyRefused("Wrong key."))

    handed_back = world.tag(*uploads(world, 10))

    assert len(handed_back) == 10 - ROW
    assert len(world.tagger.calls) == ROW
    assert {retry.code for retry in world.journal.retries} == {"BREAKER"}


def test_a_mapping_that_could_not_be_switched_off_is_tried_with_every_invocation() -> (
    None
):
    """Lambda was away, or whoever opened the breaker crashed."""
    world = World()
    world.intake.fails_with(MappingUnavailable("away"))
    opened(world)
    assert world.intake.on
    assert [error.code for _, error in world.journal.troubles] == [
        "MAPPING_UNAVAILABLE"
    ]

    world.intake.recovers()
    world.tag(world.upload("late.png"))

    assert not world.intake.on


def test_nobody_who_can_be_called_is_no_failure() -> None:
    """The breaker opens all the same."""
    world = World()
    world.alarm.fails_with(AnnouncementFailed("away"))

    opened(world)

    assert codes(world) == ["609"] * ROW
    assert not world.intake.on


def test_a_failure_that_cannot_be_counted_is_not_buried() -> None:
    """Were the table away, a wrong key would bury the whole backlog uncounted."""
    world = World()
    world.breaker_store.fails_with(ResultsUnavailable("away"), at="count_failure")
    world.tagger.fails_with(KeyRefused("Wrong key."))

    handed_back = world.tag(*uploads(world, 8))

    assert len(handed_back) == 8
    assert codes(world) == []


def test_a_breaker_that_cannot_be_opened_at_once_is_opened_by_the_next_failure() -> (
    None
):
    """The fifth counts all the same: it is buried, somebody is called, and once."""
    world = World(max_attempts=1)
    world.breaker_store.fails_with(ResultsUnavailable("away"), times=1, at="open")
    world.tagger.fails_with(KeyRefused("Wrong key."))

    fifth = world.tag(*uploads(world, ROW))
    assert not world.breaker_store.read().is_open
    sixth = world.tag(world.upload("sixth.png"))

    assert (len(fifth), len(sixth)) == (0, 1)
    assert codes(world) == ["609"] * ROW
    assert world.breaker_store.read().is_open
    assert not world.intake.on
    assert len(world.alarm.calls) == 1


def test_a_breaker_that_cannot_be_read_counts_as_closed() -> None:
    """Uploads have their own ways to fail."""
    world = World()
    world.breaker_store.fails_with(ResultsUnavailable("away"), at="read")

    assert world.tag(world.upload()) == ()
    assert len(world.announcer.announced) == 1


# ---- it is tried, and it closes


def test_a_try_lets_uploads_through_and_one_that_is_tagged_closes_it() -> None:
    """The row is over: five more failures would have to come."""
    world = World()
    opened(world)
    world.tagger.recovers()

    told = world.pipeline.try_again(world.invocation())
    assert told == {"open": True, "code": "609", "row": ROW}
    assert world.intake.on
    assert world.tag(world.upload("probe.png")) == ()

    state = world.breaker_store.read()
    assert (state.is_open, state.row, state.code) == (False, 0, None)
    assert [event for event, _ in world.journal.breaker_events] == [
        "opened",
        "open",
        "tried",
        "closed",
    ]


def test_a_try_that_fails_opens_it_again_and_buries_and_calls_nobody() -> None:
    """Every 15 minutes a letter and a mail would be a massacre, too."""
    world = World(max_attempts=1)
    opened(world)

    world.pipeline.try_again(world.invocation())
    handed_back = world.tag(*uploads(world, 10))

    assert len(handed_back) == 10
    assert codes(world) == ["609"] * ROW
    assert len(world.alarm.calls) == 1
    assert world.breaker_store.read().is_open
    assert not world.intake.on


@pytest.mark.parametrize("at", ["try_again", "switch"])
def test_a_try_that_is_cut_off_in_the_middle_is_made_again(at: str) -> None:
    """Else uploads would wait for ever, with a breaker that looks closed."""
    world = World()
    opened(world)
    world.tagger.recovers()
    world.breaker_store.fails_with(ResultsUnavailable("away"), times=1, at=at)
    world.intake.fails_with(MappingUnavailable("away"), times=1, at=at)

    first = world.pipeline.try_again(world.invocation())
    assert set(first) == {"trouble"}
    world.pipeline.try_again(world.invocation())

    assert world.intake.on
    assert world.tag(world.upload("probe.png")) == ()


def test_a_success_just_before_it_opens_keeps_it_closed() -> None:
    """Between the last failure and the opening the row was over."""
    world = World()
    world.breaker_store.before_opening = world.breaker_store.end_row
    world.tagger.fails_with(KeyRefused("Wrong key."))

    world.tag(*uploads(world, ROW))

    assert world.breaker_store.read() == BreakerState()
    assert world.intake.on


def test_a_success_ends_the_row_of_other_instances_too() -> None:
    """Five failures among many successes are no row, however long a batch lasts."""
    world = World(width=1)
    batch = uploads(world, 6)

    def others_fail(_: Call) -> None:
        world.clock.advance(6)
        world.breaker.count(KeyRefused("Wrong key."))

    world.tagger.before_answering = others_fail

    assert world.tag(*batch) == ()

    assert not world.breaker_store.read().is_open
    assert world.breaker_store.read().row <= 1
    assert world.alarm.calls == []


def test_there_is_nothing_to_try_where_nothing_has_failed() -> None:
    """Whoever switched the mapping off by hand wants it off."""
    world = World()
    world.intake.switch(on=False)

    world.pipeline.try_again(world.invocation())

    assert not world.intake.on


def test_a_late_success_does_not_close_what_has_just_been_opened() -> None:
    """Its call began before the fault did; the schedule finds out."""
    world = World()
    late = world.upload("late.png")

    def others_fail(_: Call) -> None:
        world.tagger.before_answering = lambda _: None
        for _n in range(ROW):
            world.breaker.count(KeyRefused("Wrong key."))

    world.tagger.before_answering = others_fail

    assert world.tag(late) == ()
    assert world.breaker_store.read().is_open


# ---- pauses


def test_a_pause_is_ended_by_no_try() -> None:
    """It is an operator's, also where the breaker is open beside it."""
    world = World()
    opened(world)
    world.breaker_store.pause(at="2026-11-22T12:00:00.000Z")

    world.pipeline.try_again(world.invocation())

    assert not world.intake.on
    assert world.breaker_store.read().is_open


def test_a_pause_holds_though_a_deployment_switched_the_mapping_on() -> None:
    """What comes in spite of it goes back, and the mapping off."""
    world = World()
    world.breaker_store.pause(at="2026-11-22T12:00:00.000Z")
    delivery = world.upload()

    assert world.tag(delivery) == (delivery.message_id,)

    assert not world.intake.on
    assert world.tagger.calls == []


def test_a_resume_in_the_same_moment_is_not_undone() -> None:
    """An instance that saw the open breaker just before switches nothing off for good."""
    world = World()
    opened(world)

    def resume() -> None:
        world.breaker_store.reset()
        world.intake.on = True

    world.intake.before_switching = resume
    world.tagger.recovers()

    assert world.tag(world.upload("late.png")) == ()
    assert world.intake.on


def lambda_is_busy(world: World) -> None:
    """It refuses to switch on what is being switched off."""
    world.intake.fails_with(MappingUnavailable("another change"), times=1)


def nobody_can_look(world: World) -> None:
    """The table does not say that somebody has resumed."""
    world.breaker_store.fails_with(ResultsUnavailable("away"), times=1, at="read")


@pytest.mark.parametrize("trouble", [lambda_is_busy, nobody_can_look])
def test_a_resume_that_cannot_be_put_right_at_once_is_by_the_schedule(
    trouble: Callable[[World], None],
) -> None:
    """The mapping is off, so that there is no next invocation; the operator has gone home."""
    world = World()
    opened(world)
    world.intake.on = True  # by a deployment: resume finds nothing to switch

    def resume() -> None:
        world.breaker_store.reset()
        trouble(world)

    world.intake.before_switching = resume
    world.tagger.recovers()
    late = world.upload("late.png")
    world.tag(late)
    assert not world.intake.on

    assert goes_on(world, [late], rounds=1) == []

    goes_on(world, [], rounds=3)
    assert world.breaker_store.read() == BreakerState()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_switch_off_that_wins_against_a_resume_is_put_right(*, after: bool) -> None:
    """The function is killed as it does it, and its request arrives when it is long gone."""
    world = World()
    opened(world)
    world.intake.on = True  # by a deployment: resume finds nothing to switch

    def resume() -> None:
        world.breaker_store.reset()
        world.tagger.recovers()

    world.intake.before_switching = resume
    late = world.upload("late.png")
    world.kills("intake.switch", after=after)
    with suppress(Killed):
        world.tag(late)
    world.revives()
    if not after:
        resume()
        world.intake.switch(on=False)

    assert not world.intake.on
    assert goes_on(world, [late], rounds=1) == []


def test_a_pause_while_the_function_switches_off_holds() -> None:
    """What the schedule puts right are the function's own doings."""
    world = World()
    opened(world)
    world.breaker_store.reset()
    world.breaker_store.pause(at="2026-11-22T12:00:00.000Z")

    goes_on(world, [], rounds=4)

    assert not world.intake.on


def test_what_the_function_switched_off_is_forgotten_when_it_has_long_been_on() -> None:
    """Whoever switches the mapping off by hand after that wants it off."""
    world = World()
    opened(world)
    world.breaker_store.reset()
    world.intake.on = True

    goes_on(world, [], rounds=1)
    world.intake.on = False
    goes_on(world, [], rounds=3)

    assert not world.intake.on
    assert world.breaker_store.read() == BreakerState()


def test_a_switch_off_that_arrives_late_is_put_right() -> None:
    """Its invocation saw the breaker open, and lasts as long as one may."""
    world = World()
    opened(world)
    world.breaker_store.reset()
    world.intake.on = True

    world.pipeline.try_again(world.invocation())
    world.clock.advance(LEASE_SECONDS)
    world.intake.on = False
    world.pipeline.try_again(world.invocation())

    assert world.intake.on


# ---- somebody is called


def test_an_alarm_that_sns_does_not_take_is_given_by_whoever_comes_next() -> None:
    """Once: nobody else calls when somebody was."""
    world = World()
    world.alarm.fails_with(AnnouncementFailed("away"), times=1)
    opened(world)
    assert world.alarm.calls == []

    world.clock.advance(TRY_AGAIN_MINUTES * 60)
    for _ in range(3):
        world.pipeline.try_again(world.invocation())
        world.tag(world.upload("late.png"))

    assert len(world.alarm.calls) == 1


def test_an_alarm_does_not_depend_on_the_fifth_failure() -> None:
    """Counted twice, because the answer was lost, the row goes from four to six."""
    world = World()
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.tag(*uploads(world, ROW - 1))
    world.breaker_store.count_failure("609", "counted, and nobody knows")

    world.tag(world.upload("sixth.png"))

    assert world.breaker_store.read().is_open
    assert len(world.alarm.calls) == 1


def test_a_fault_that_lasts_is_told_once_a_day() -> None:
    """What waits on the queue has 14 days."""
    world = World()
    opened(world)
    days = 3

    goes_on(world, uploads(world, 1), rounds=days * 24 * 60 // TRY_AGAIN_MINUTES)

    assert len(world.alarm.calls) == 1 + days


def test_the_next_fault_is_told_like_the_first() -> None:
    """An operator has resumed; it was not mended."""
    world = World()
    opened(world)
    world.breaker_store.reset()
    world.intake.on = True

    world.tag(*uploads(world, ROW))

    assert len(world.alarm.calls) == 2


def test_an_alarm_says_what_to_type() -> None:
    """It is read on a telephone, at three in the morning."""
    world = World()
    breaker = Breaker(
        world.breaker_store,
        world.intake,
        world.alarm,
        world.journal,
        world.clock,
        invocation_seconds=LEASE_SECONDS,
        stack_name="shop",
    )

    for _ in range(ROW):
        breaker.count(ApiKeyMissing("The secret holds no key."))

    [(_, text)] = world.alarm.calls
    assert "hangtag --stack shop resume" in text
    assert "hangtag --stack shop failures replay --code API_KEY_MISSING --yes" in text
    assert "The secret holds no key." in text


# ---- a fault of days


def test_no_fault_uses_up_the_receives_of_a_message() -> None:
    """After 1,000 SQS itself moves it, without a code; it keeps a message for 14 days."""
    delivery = a_delivery()
    passed, receives = 0.0, 0
    while passed < 14 * 24 * 3_600:
        receives += 1
        passed += delay_of_breaker(replace(delivery, receives=receives))

    assert receives < 1_000
    assert delay_of_breaker(replace(delivery, receives=10**9)) <= 12 * 3_600


# ---- crashes


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("step", "call"),
    [
        ("breaker_store.read", 0),
        ("breaker_store.count_failure", ROW - 1),
        ("breaker_store.open", 0),
        ("intake.switch", 0),
        ("breaker_store.read", 1),
        ("alarm.call", 0),
        ("dead_letters.bury", ROW - 1),
        ("results.store_failed", ROW - 1),
        ("upload_queue.delay", 0),
    ],
)
def test_a_crash_while_it_opens_leaves_nobody_waiting(
    step: str, call: int, *, after: bool
) -> None:
    """Wherever it is, the fault buries no more than its few, and what waited is tagged."""
    world = World(max_attempts=2, width=1)
    arrived = uploads(world, 10)
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.kills(step, call=call, after=after)
    with pytest.raises(Killed):
        world.tag(*arrived)
    world.revives()

    left = goes_on(world, arrived, rounds=4)
    assert not world.intake.on
    assert world.breaker_store.read().is_open
    world.tagger.recovers()
    left = goes_on(world, left, rounds=4)

    assert left == []
    assert ends(world, arrived) == {"DONE", "FAILED"}
    # One may be counted and not buried, or buried twice: whoever knew it was killed
    assert set(codes(world)) == {"609"}
    assert ROW - 1 <= len(codes(world)) <= ROW + 1
    assert world.breaker_store.read() == BreakerState()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("mended", [False, True], ids=["faulty", "mended"])
@pytest.mark.parametrize(
    "step",
    [
        "breaker_store.read",
        "breaker_store.try_again",
        "intake.switch",
        "breaker_store.count_failure",
        "breaker_store.open",
        "breaker_store.end_row",
        "tagger.ask",
        "results.withdraw",
        "announcer.announce",
    ],
)
def test_a_crash_while_it_is_tried_leaves_nobody_waiting(
    step: str, *, mended: bool, after: bool
) -> None:
    """The next try goes on where that one was cut off."""
    world = World(max_attempts=2, width=1)
    opened(world)
    waiting = uploads(world, 4)
    if mended:
        world.tagger.recovers()
    world.kills(step, after=after)

    left = goes_on(world, waiting, rounds=3)
    world.tagger.recovers()
    left = goes_on(world, left, rounds=3)

    assert left == []
    assert ends(world, waiting) == {"DONE"}
    assert codes(world) == ["609"] * ROW
    assert len(world.alarm.calls) == 1
    assert world.breaker_store.read() == BreakerState()
