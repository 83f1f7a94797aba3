"""`UploadQueue`, `DeadLetterQueue` and `DeadLetterBox`: in memory and on SQS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from hangtag.adapters.sqs_queues import (
    REPLAY_GROUP,
    SqsDeadLetterBox,
    SqsDeadLetterQueue,
    SqsUploadQueue,
)
from hangtag.dead_letters import DeadLetter
from hangtag.errors import QueueUnavailable
from hangtag.operators.letters import LetterFilter
from hangtag.operators.ports import DeadLetterBox, Letter
from hangtag.operators.replay import replay
from hangtag.ports import DeadLetterQueue, UploadQueue
from tests.builders import (
    NOON,
    URI,
    a_dead_letter,
    a_failure,
    a_letter,
    an_upload,
    notification,
    record,
)
from tests.contract.aws_parts import create_queue, session
from tests.fakes import (
    FakeClock,
    FakeDeadLetterBox,
    FakeDeadLetterQueue,
    FakeFailureBook,
    FakeUploadQueue,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef


@dataclass(frozen=True)
class Queues:
    """The two queues of the template in moto."""

    client: SQSClient
    uploads: str
    dead_letters: str

    def messages(self, url: str, *, hidden_for: int = 0) -> list[MessageTypeDef]:
        """The visible messages of a queue."""
        return self.client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["MessageGroupId"],
            VisibilityTimeout=hidden_for,
            WaitTimeSeconds=0,
        ).get("Messages", [])

    def box(self) -> SqsDeadLetterBox:
        """The adapter for operators."""
        return SqsDeadLetterBox(
            self.client,
            dead_letter_queue_url=self.dead_letters,
            upload_queue_url=self.uploads,
        )


@pytest.fixture
def queues(aws: None) -> Queues:  # noqa: ARG001 - the queues are of it
    """Both queues, empty."""
    return Queues(
        session().client("sqs"),
        create_queue("UploadQueue"),
        create_queue("DeadLetterQueue"),
    )


def texts_of(message: MessageTypeDef) -> dict[str, str]:
    """The attributes of a message, which are all strings."""
    attributes = message.get("MessageAttributes", {})
    assert {value["DataType"] for value in attributes.values()} <= {"String"}
    return {name: value["StringValue"] for name, value in attributes.items()}


def noted_parameters(client: SQSClient, operation: str) -> list[dict[str, Any]]:
    """The list of parameters of the following calls of an operation."""
    noted: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: object) -> None:
        noted.append(params)

    client.meta.events.register(f"provide-client-params.sqs.{operation}", note)
    return noted


# ---- the upload queue


@dataclass(frozen=True)
class Uploads:
    """The upload queue and its messages."""

    port: UploadQueue
    bodies: Callable[[], list[str]]
    receive: Callable[[], list[str]]
    """Receipt handles of all messages, which are now hidden."""
    hidden_for: Callable[[], Mapping[str, int]]
    """Requested delays in whole seconds, by handle."""


def fake_uploads() -> Uploads:
    """The fake of the unit tests."""
    fake = FakeUploadQueue()
    return Uploads(
        fake,
        lambda: fake.bodies,
        lambda: [f"handle {number}" for number, _ in enumerate(fake.bodies)],
        lambda: fake.hidden_for,
    )


def sqs_uploads(queues: Queues) -> Uploads:
    """The adapter, and the upload queue in moto."""
    calls = noted_parameters(queues.client, "ChangeMessageVisibilityBatch")

    def receive() -> list[str]:
        handles: list[str] = []
        while found := queues.messages(queues.uploads, hidden_for=60):
            handles += [message["ReceiptHandle"] for message in found]
        return handles

    return Uploads(
        SqsUploadQueue(queues.client, queues.uploads),
        lambda: [message["Body"] for message in queues.messages(queues.uploads)],
        receive,
        lambda: {
            entry["ReceiptHandle"]: entry["VisibilityTimeout"]
            for call in calls
            for entry in call["Entries"]
        },
    )


@pytest.fixture(params=["fake", "moto"])
def uploads(request: pytest.FixtureRequest) -> Uploads:
    """The fake, then the adapter."""
    if request.param == "fake":
        return fake_uploads()
    return sqs_uploads(request.getfixturevalue("queues"))


def test_a_sent_message_is_on_the_queue(uploads: Uploads) -> None:
    """Its body is unchanged in any script."""
    bodies = [notification(record()), '{"키": "봄 자켓 + 100%"}\n']

    for body in bodies:
        uploads.port.send(body)

    assert sorted(uploads.bodies()) == sorted(bodies)


def test_each_delivery_has_a_delay_of_its_own(uploads: Uploads) -> None:
    """Delays are rounded up to whole seconds."""
    for _ in range(3):
        uploads.port.send("{}")
    first, second, third = uploads.receive()

    uploads.port.delay({first: 9.01, second: 900.0, third: 0.0})

    assert uploads.hidden_for() == {first: 10, second: 900, third: 0}


def test_more_deliveries_than_fit_into_a_call_are_delayed(uploads: Uploads) -> None:
    """A batch may have a hundred deliveries; a call of SQS takes ten."""
    for _ in range(23):
        uploads.port.send("{}")
    handles = uploads.receive()

    uploads.port.delay(dict.fromkeys(handles, 5.0))

    assert uploads.hidden_for() == dict.fromkeys(handles, 5)


def test_an_empty_list_of_deliveries_makes_no_call(uploads: Uploads) -> None:
    """SQS refuses an empty list."""
    uploads.port.delay({})

    assert uploads.hidden_for() == {}


def test_a_delay_of_0_makes_a_delivery_visible(queues: Queues) -> None:
    """It is delivered at once."""
    queue = SqsUploadQueue(queues.client, queues.uploads)
    queue.send("{}")
    (message,) = queues.messages(queues.uploads, hidden_for=60)
    hidden = queues.messages(queues.uploads)

    queue.delay({message["ReceiptHandle"]: 0.0})

    assert (len(hidden), len(queues.messages(queues.uploads))) == (0, 1)


def test_a_refused_delay_is_reported_and_the_others_are_set(
    queues: Queues,
) -> None:
    """An unknown handle must not affect other deliveries of the call."""
    queue = SqsUploadQueue(queues.client, queues.uploads)
    queue.send("{}")
    (message,) = queues.messages(queues.uploads, hidden_for=60)

    with pytest.raises(QueueUnavailable, match="ReceiptHandleIsInvalid"):
        queue.delay({"no handle": 5.0, message["ReceiptHandle"]: 0.0})

    assert len(queues.messages(queues.uploads)) == 1


# ---- the dead-letter queue


@dataclass(frozen=True)
class DeadLetters:
    """The dead-letter queue and its letters."""

    port: DeadLetterQueue
    letters: Callable[[], list[tuple[str, dict[str, str]]]]
    """Bodies and attributes."""


def fake_dead_letters() -> DeadLetters:
    """The fake of the unit tests."""
    fake = FakeDeadLetterQueue()
    return DeadLetters(
        fake, lambda: [(letter.body, letter.attributes()) for letter in fake.letters]
    )


def sqs_dead_letters(queues: Queues) -> DeadLetters:
    """The adapter, and the dead-letter queue in moto."""
    return DeadLetters(
        SqsDeadLetterQueue(queues.client, queues.dead_letters),
        lambda: [
            (message["Body"], texts_of(message))
            for message in queues.messages(queues.dead_letters)
        ],
    )


@pytest.fixture(params=["fake", "moto"])
def dead_letters(request: pytest.FixtureRequest) -> DeadLetters:
    """The fake, then the adapter."""
    if request.param == "fake":
        return fake_dead_letters()
    return sqs_dead_letters(request.getfixturevalue("queues"))


def test_a_dead_letter_has_its_notification_and_its_failure(
    dead_letters: DeadLetters,
) -> None:
    """The notification is the body, the failure is in the attributes."""
    upload = an_upload()

    dead_letters.port.send(a_dead_letter(upload, code="803", replays=2))

    assert dead_letters.letters() == [
        (
            upload.notification(),
            {
                "ErrorCode": "803",
                "ErrorKind": "permanent",
                "ErrorMessage": "Too small.",
                "ErrorSource": "api",
                "Attempts": "1",
                "Replays": "2",
                "FailedAt": NOON,
                "Image": URI,
                "RequestId": "request-1",
            },
        )
    ]


@pytest.mark.parametrize(
    "message",
    ["a\x00b\x1b[31mc\n\ud800\ufffe", " ", "\x00", "너무 작습니다", "x" * 5_000],
    ids=ascii,
)
def test_a_letter_with_any_message_can_be_sent(
    dead_letters: DeadLetters, message: str
) -> None:
    """SQS refuses control characters and empty values, so the adapter replaces them."""
    letter = DeadLetter("{}", a_failure(message=message), None, 0, "")

    dead_letters.port.send(letter)

    ((_, attributes),) = dead_letters.letters()
    assert attributes.get("ErrorMessage", "").isprintable()
    assert "" not in attributes.values()


def test_the_largest_upload_message_fits_into_the_dead_letter_queue(
    dead_letters: DeadLetters,
) -> None:
    """With its attributes it may be larger than the upload queue allows."""
    body = "x" * 262_144
    letter = DeadLetter(
        body, a_failure(message="y" * 1_000), "s3://b/" + "k" * 1_024, 9, "r"
    )

    dead_letters.port.send(letter)

    ((body, attributes),) = dead_letters.letters()
    assert (len(body), len(attributes)) == (262_144, 9)


# ---- the operators' view


@dataclass(frozen=True)
class Box:
    """The operators' view and the queues behind it."""

    port: DeadLetterBox
    visible: Callable[[], int]
    """Letters that are visible to others."""
    resent: Callable[[], list[tuple[str, dict[str, str]]]]
    """Messages on the upload queue: bodies and attributes."""


def fake_box(letters: list[DeadLetter]) -> Box:
    """The fake of the unit tests."""
    fake = FakeDeadLetterBox(
        *(a_letter(f"letter-{number}", letter) for number, letter in enumerate(letters))
    )
    return Box(
        fake,
        lambda: len(fake.visible),
        lambda: [(body, {"Replays": str(replays)}) for body, replays in fake.resent],
    )


def sqs_box(queues: Queues, letters: list[DeadLetter]) -> Box:
    """The adapter, and both queues in moto."""
    queue = SqsDeadLetterQueue(queues.client, queues.dead_letters)
    for letter in letters:
        queue.send(letter)

    def visible() -> int:
        attributes = queues.client.get_queue_attributes(
            QueueUrl=queues.dead_letters,
            AttributeNames=["ApproximateNumberOfMessages"],
        )["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])

    def resent() -> list[tuple[str, dict[str, str]]]:
        return [
            (message["Body"], texts_of(message))
            for message in queues.messages(queues.uploads)
        ]

    return Box(queues.box(), visible, resent)


@pytest.fixture(params=["fake", "moto"])
def box_of(request: pytest.FixtureRequest) -> Callable[..., Box]:
    """A box with these letters: the fake, then the adapter."""
    if request.param == "fake":
        return lambda *letters: fake_box(list(letters))
    queues: Queues = request.getfixturevalue("queues")
    return lambda *letters: sqs_box(queues, list(letters))


BoxOf = Callable[..., Box]


def test_received_letters_are_hidden_until_they_are_put_back(box_of: BoxOf) -> None:
    """Two operators cannot replay the same letter."""
    box = box_of(a_dead_letter(code="803"), a_dead_letter(code="807"))

    received = box.port.receive()
    hidden = (box.visible(), box.port.receive())
    box.port.put_back(received)

    assert sorted(letter.letter.failure.code for letter in received) == ["803", "807"]
    assert hidden == (0, [])
    assert box.visible() == 2


def test_letters_hidden_by_another_reader_are_counted(box_of: BoxOf) -> None:
    """A reader then knows that it does not see all letters."""
    box = box_of(*(a_dead_letter() for _ in range(12)))

    box.port.receive()

    assert box.port.count() == 12


def test_letters_come_ten_at_a_time(box_of: BoxOf) -> None:
    """Each letter is received once."""
    box = box_of(*(a_dead_letter() for _ in range(12)))

    first, second = box.port.receive(), box.port.receive()

    assert (len(first), len(second)) == (10, 2)
    assert len({letter.id for letter in [*first, *second]}) == 12


def test_more_letters_than_fit_into_a_call_are_put_back(box_of: BoxOf) -> None:
    """A walk receives many letters before it puts them back."""
    box = box_of(*(a_dead_letter() for _ in range(12)))
    received = [*box.port.receive(), *box.port.receive()]

    box.port.put_back(iter(received))

    assert box.visible() == 12


def test_a_letter_reads_back_as_it_was_written(box_of: BoxOf) -> None:
    """It has body, failure, image, replays and request id."""
    letter = a_dead_letter(an_upload("드레스/a+b %20.png"), code="500", replays=3)
    box = box_of(letter)

    (received,) = box.port.receive()

    assert received.letter == letter


def test_a_deleted_letter_stays_deleted(box_of: BoxOf) -> None:
    """A later put-back has no effect on it."""
    box = box_of(a_dead_letter(code="803"), a_dead_letter(code="807"))
    received = box.port.receive()
    deleted = received[0]

    box.port.delete(deleted)
    box.port.put_back(received)

    (left,) = box.port.receive()
    assert left.id == received[1].id


def test_a_resent_letter_is_its_notification_with_a_count_of_replays(
    box_of: BoxOf,
) -> None:
    """The old failure is not copied, and the letter itself stays unchanged."""
    upload = an_upload()
    box = box_of(a_dead_letter(upload, replays=1))
    (letter,) = box.port.receive()

    box.port.resend(letter, replays=2)
    box.port.put_back([letter])

    assert box.resent() == [(upload.notification(), {"Replays": "2"})]
    assert box.visible() == 1


def test_a_replay_keeps_the_letters_that_it_does_not_select(box_of: BoxOf) -> None:
    """This runs the use case on the adapter: send first, delete after, put the others back."""
    meant = a_dead_letter(an_upload("a"), code="803")
    other = a_dead_letter(an_upload("b"), code="807")
    box = box_of(meant, other)

    report = replay(
        box.port,
        FakeFailureBook(),
        LetterFilter(codes={"803"}),
        clock=FakeClock(),
        dry_run=False,
    )

    assert (report.matched, report.done, report.left) == (1, 1, 0)
    assert box.resent() == [(meant.body, {"Replays": "1"})]
    assert box.visible() == 1


# ---- SQS only


def test_replays_are_a_message_group_and_other_messages_have_none(
    queues: Queues,
) -> None:
    """SQS then delivers fresh uploads before a backlog of replays."""
    SqsUploadQueue(queues.client, queues.uploads).send('"fresh"')
    for number in range(2):
        letter = a_letter(f"letter-{number}", a_dead_letter())
        queues.box().resend(letter, replays=1)

    groups = [
        message.get("Attributes", {}).get("MessageGroupId")
        for message in queues.messages(queues.uploads)
    ]

    assert groups == [None, REPLAY_GROUP, REPLAY_GROUP]


def test_a_message_that_is_handed_back_stays_in_its_group(queues: Queues) -> None:
    """A retry of an old upload is no fresh upload."""
    queues.box().resend(a_letter("letter-1", a_dead_letter()), replays=1)
    [message] = queues.messages(queues.uploads, hidden_for=60)

    SqsUploadQueue(queues.client, queues.uploads).delay({message["ReceiptHandle"]: 0.0})

    [again] = queues.messages(queues.uploads)
    assert again["Attributes"]["MessageGroupId"] == REPLAY_GROUP


def test_a_letter_is_hidden_for_at_most_half_a_minute(queues: Queues) -> None:
    """A command that is killed hides no letter for longer."""
    received = noted_parameters(queues.client, "ReceiveMessage")

    queues.box().receive()

    (parameters,) = received
    assert parameters["VisibilityTimeout"] <= 30


def test_a_letter_without_a_code_reads_as_uncoded(queues: Queues) -> None:
    """SQS's redrive moved it; its time is known."""
    upload = an_upload()
    queues.client.send_message(
        QueueUrl=queues.dead_letters, MessageBody=upload.notification()
    )

    (found,) = queues.box().receive()

    failure = found.letter.failure
    assert (failure.code, failure.kind, failure.attempts) == ("UNCODED", "uncoded", 0)
    assert failure.failed_at.endswith("Z")
    assert (found.letter.image, found.letter.replays) == (upload.uri, 0)


def test_a_letter_with_foreign_attributes_is_read(queues: Queues) -> None:
    """It may have numbers, bytes, and invalid values of Hangtag's attributes."""
    queues.client.send_message(
        QueueUrl=queues.dead_letters,
        MessageBody="hello",
        MessageAttributes={
            "ErrorCode": {"DataType": "String", "StringValue": "803"},
            "Attempts": {"DataType": "String", "StringValue": "many"},
            "Replays": {"DataType": "Number", "StringValue": "3"},
            "Image": {"DataType": "Binary", "BinaryValue": b"\xff"},
        },
    )

    (found,) = queues.box().receive()

    letter = found.letter
    assert (letter.body, letter.failure.code) == ("hello", "803")
    assert (letter.failure.attempts, letter.replays, letter.image) == (0, 3, None)


def test_putting_back_a_deleted_letter_raises_no_error(queues: Queues) -> None:
    """A walk may end with letters that were deleted meanwhile."""
    box = queues.box()
    SqsDeadLetterQueue(queues.client, queues.dead_letters).send(a_dead_letter())
    (held,) = box.receive()
    unknown = Letter("unknown", "no handle", held.letter)

    box.put_back([unknown, held])

    assert len(queues.messages(queues.dead_letters)) == 1
