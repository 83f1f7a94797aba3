"""The function reads whatever arrives: events, messages, dead letters, its environment."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hangtag.api_key import InvalidKey, decode_key, read_key
from hangtag.dead_letters import read_letter
from hangtag.errors import UnreadableEvent
from hangtag.events import read_body, read_deliveries, to_bare
from hangtag.operators.replay_request import RequestError, read_request
from hangtag.results import failed_result
from hangtag.settings import (
    SettingsError,
    read_ask_settings,
    read_index_settings,
    read_replay_settings,
    read_tagging_settings,
)
from hangtag.tagger_api import LANGUAGES
from hangtag.telemetry import Unforeseen
from hangtag.text import to_attribute
from hangtag.uploads import Upload
from tests.builders import NOON, a_delivery, sample_event
from tests.fakes.world import World
from tests.fuzzing import JSON, TEXTS, damaged, damaged_bytes, times, to_lenient_json
from tests.unit.test_settings import COMPLETE, COMPLETE_INDEX

SQS_EVENTS = [
    sample_event(name)
    for name in ("sqs-batch", "sqs-backfill-again", "sqs-replayed", "sqs-two-records")
]
BODIES = [
    *(record["body"] for event in SQS_EVENTS for record in event["Records"]),
    *(
        record["body"]
        for name in ("sqs-eventbridge", "sqs-sns-s3-put", "sqs-undelivered-event")
        for record in sample_event(name)["Records"]
    ),
]
DIRECT = [
    sample_event(name)
    for name in ("s3-put", "sns-s3-put", "eventbridge-object-created", "try-again")
]


def message(**changes: object) -> dict[str, Any]:
    """An event of one message."""
    return {"Records": [{**SQS_EVENTS[0]["Records"][0], **changes}]}


any_body = (
    TEXTS
    | st.sampled_from(BODIES)
    | damaged([json.loads(body) for body in BODIES]).map(to_lenient_json)
)


@pytest.mark.fuzz("hangtag.events.read_deliveries")
@times(3)
@given(damaged(SQS_EVENTS) | JSON)
@example(message(attributes=5))
@example(message(messageAttributes=[5]))
@example(message(messageAttributes={"Again": 5, "Replays": 5}))
@example(message(messageAttributes={"Replays": {"stringValue": 5}}))
def test_any_event_is_a_batch_or_not_of_sqs_or_unreadable(event: object) -> None:
    """Another exception would bring the batch back for ever."""
    with suppress(UnreadableEvent):
        for delivery in read_deliveries(event) or ():
            assert min(delivery.replays, delivery.receives - 1) >= 0
            assert delivery.message_id


@pytest.mark.fuzz("hangtag.batch.Pipeline.tag")
@given(st.lists(any_body, min_size=1, max_size=4))
def test_any_batch_ends_without_a_bug(bodies: list[str]) -> None:
    """Each message is dead-lettered, skipped or tagged, and none fails the batch."""
    world = World()
    deliveries = [
        a_delivery(body, message_id=f"message-{number}")
        for number, body in enumerate(bodies)
    ]

    handed_back = world.tag(*deliveries)

    assert world.telemetry.of(Unforeseen) == []
    assert set(handed_back) <= {one.message_id for one in deliveries}
    for letter in world.dead_letters.letters:
        assert all(letter.attributes().values())


@pytest.mark.fuzz("hangtag.batch.Pipeline.enqueue")
@given(damaged(DIRECT) | JSON)
@example({**DIRECT[0], "Records": [{**DIRECT[0]["Records"][0], "x": "\ud800"}]})
def test_any_event_that_is_not_of_sqs_is_queued_or_unreadable(event: Any) -> None:  # noqa: ANN401 - JSON
    """Lambda sends what raises to the dead-letter queue."""
    world = World()

    with suppress(UnreadableEvent):
        world.pipeline.enqueue(to_lenient_json(event), world.invocation())

    for body in world.upload_queue.bodies:
        assert any(isinstance(one, Upload) for one in read_body(body)), body


@pytest.mark.fuzz("hangtag.dead_letters.read_letter", "hangtag.events.to_bare")
@times(3)
@given(
    any_body,
    st.dictionaries(
        st.sampled_from(
            [
                "ErrorCode",
                "ErrorKind",
                "ErrorMessage",
                "ErrorSource",
                "Attempts",
                "Replays",
                "FailedAt",
                "Image",
                "RequestId",
                "Format",
            ]
        ),
        st.fixed_dictionaries({}, optional={"StringValue": TEXTS}),
    ),
)
def test_any_dead_letter_can_be_read_sent_and_stored(
    body: str, attributes: dict[str, dict[str, str]]
) -> None:
    """Anybody who may send to the queue writes its body and its attributes."""
    letter = read_letter(body, attributes, sent_at=NOON)

    assert letter.failure.code
    assert all(text == to_attribute(text) for text in letter.attributes().values())
    assert to_bare(to_bare(body)) == to_bare(body)
    for upload in read_body(body):
        if isinstance(upload, Upload):
            assert failed_result(upload, letter.failure)["failure"]["attempts"] >= 0


@pytest.mark.fuzz("hangtag.operators.replay_request.read_request")
@times(3)
@given(
    damaged(
        [
            {},
            {"codes": ["803"], "kinds": ["transient"], "prefix": "summer/"},
            {"max": 5, "maxSeconds": 30.0, "ratePerSecond": 2.5, "dryRun": False},
        ]
    )
)
@example({"ratePerSecond": 5e-324})
def test_any_replay_request_is_valid_or_names_its_fault(event: object) -> None:
    """A misread request would replay too much."""
    with suppress(RequestError):
        request = read_request(event)
        request.limits()
        request.selected()
        assert 0 < request.maxSeconds <= 300


@pytest.mark.fuzz(
    "hangtag.settings.read_tagging_settings",
    "hangtag.settings.read_replay_settings",
    "hangtag.settings.read_index_settings",
    "hangtag.settings.read_ask_settings",
)
@times(3)
@given(
    st.dictionaries(
        st.sampled_from([*COMPLETE, *COMPLETE_INDEX, "HANGTAG_API_KEY"]),
        TEXTS,
        max_size=3,
    )
)
def test_any_environment_is_valid_or_names_the_variable(
    changes: dict[str, str],
) -> None:
    """The alarm on errors shows the message."""
    environment = {**COMPLETE, **COMPLETE_INDEX, **changes}

    for read in (read_tagging_settings, read_replay_settings, read_index_settings):
        with suppress(SettingsError):
            read(environment)
    with suppress(SettingsError):
        assert read_ask_settings(environment).language in LANGUAGES


@pytest.mark.fuzz("hangtag.api_key.read_key", "hangtag.api_key.decode_key")
@times(3)
@given(
    damaged_bytes(
        [
            b"abc123",
            b'{"apiKey": "abc123"}',
            b"x-api-key: 'abc123'\r\n",
            "HANGTAG_API_KEY=abc123".encode("utf-16"),
            b"[" * 100_000,
        ]
    )
)
def test_any_secret_is_a_key_or_refused_without_showing_it(secret: bytes) -> None:
    """The message appears in logs."""
    said = key = ""
    try:
        key = read_key(decode_key(secret))
    except InvalidKey as error:
        said = str(error)

    assert "abc123" not in said
    assert key.isascii()
    assert key.isprintable()
