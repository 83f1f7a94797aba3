"""Every AWS error becomes a leaf of the error tree, with the original as its cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from botocore.stub import Stubber

from hangtag.adapters.dynamodb_breaker import DynamoDBBreaker
from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.dynamodb_index import DynamoDBIndex
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.dynamodb_records import DynamoDBRecords
from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.dynamodb_slots import DynamoDBSlots
from hangtag.adapters.lambda_mapping import LambdaEventSourceMapping
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.adapters.s3_objects import S3Objects
from hangtag.adapters.secrets_manager_key import SecretsManagerKey
from hangtag.adapters.sns_announcer import SnsAnnouncer
from hangtag.adapters.sqs_queues import (
    SqsDeadLetterBox,
    SqsDeadLetterQueue,
    SqsUploadQueue,
)
from hangtag.announcements import announcement_of
from hangtag.errors import (
    AnnouncementFailed,
    ApiKeyUnavailable,
    HangtagError,
    MappingUnavailable,
    ObjectForbidden,
    ObjectKmsKeyUnusable,
    ObjectUnavailable,
    QueueUnavailable,
    ResultsUnavailable,
)
from hangtag.index import KnownValue, Term
from hangtag.lifecycle import Record
from hangtag.ports import IndexEntry
from hangtag.tagger_api.errors import leaves
from tests.builders import (
    NOON,
    NOON_SECONDS,
    URI,
    a_dead_letter,
    a_failed_record,
    a_letter,
    a_result,
    an_upload,
)
from tests.contract.aws_parts import ONCE, no_large_result, session
from tests.contract.loopback import (
    LoopbackServer,
    answer,
    hang_up,
    loopback_server,
    reset,
    silence,
    unused_port,
)
from tests.fakes import FakeClock

QUEUE_URL = "http://127.0.0.1/queue"
TOPIC_ARN = "arn:aws:sns:eu-central-1:123456789012:topic"


@dataclass(frozen=True)
class Call:
    """A call of an adapter that reaches AWS."""

    service: str
    operation: str
    """boto3's method."""
    leaf: type[HangtagError]
    make: Callable[[Any], object]
    """Makes the call with a client of the service."""
    forbidden: type[HangtagError] | None = None
    """The leaf for a denied request, where it differs."""

    def __str__(self) -> str:
        return f"{self.service} {self.operation}"


def client_of(service: str, endpoint_url: str | None = None) -> Any:  # noqa: ANN401
    """A client that makes no retries."""
    return session().client(
        cast("Any", service), endpoint_url=endpoint_url, config=ONCE
    )


def objects(client: Any) -> S3Objects:  # noqa: ANN401 - any service's client
    """A call of the adapter of S3."""
    return S3Objects(client, max_image_bytes=1_000)


def box(client: Any) -> SqsDeadLetterBox:  # noqa: ANN401 - any service's client
    """A call of the operators' adapter of SQS."""
    return SqsDeadLetterBox(
        client, dead_letter_queue_url=QUEUE_URL, upload_queue_url=QUEUE_URL
    )


def announce(client: Any) -> None:  # noqa: ANN401 - any service's client
    """A call of the adapter of SNS."""
    announcement = announcement_of(a_result(), bucket_arn="arn:aws:s3:::bucket")
    SnsAnnouncer(client, TOPIC_ARN).announce(announcement)


def key_of(client: Any) -> SecretsManagerKey:  # noqa: ANN401 - any service's client
    """A call of the adapter of Secrets Manager."""
    return SecretsManagerKey(client, "api-key", FakeClock())


def dynamodb(
    operation: str,
    adapter: Callable[..., Any],
    do: Callable[[Any], object],
    *needs: object,
) -> Call:
    """A call of an adapter of the results table, which *needs* more than the table."""
    return Call(
        "dynamodb",
        operation,
        ResultsUnavailable,
        lambda client: do(adapter(client, "ResultsTable", *needs)),
    )


def records(operation: str, do: Callable[[DynamoDBRecords], object]) -> Call:
    """A call of the store of records."""
    return dynamodb(operation, DynamoDBRecords, do, FakeClock())


def results(operation: str, do: Callable[[DynamoDBResults], object]) -> Call:
    """A call of the store of results."""
    return dynamodb(operation, DynamoDBResults, do, large_results(client_of("s3")))


def large_results(client: Any) -> S3LargeResults:  # noqa: ANN401 - any service's client
    """The adapter of S3 for large results."""
    return S3LargeResults(client, "large-results")


def large(operation: str, do: Callable[[S3LargeResults], object]) -> Call:
    """A call of the adapter of S3 for large results."""
    return Call(
        "s3", operation, ResultsUnavailable, lambda client: do(large_results(client))
    )


def reader(operation: str, do: Callable[[DynamoDBReader], object]) -> Call:
    """A call of the reader of both."""
    return dynamodb(operation, DynamoDBReader, do, FakeClock(), no_large_result)


def breaker(operation: str, make: Callable[[DynamoDBBreaker], object]) -> Call:
    """A call of the breaker's store."""
    return dynamodb(operation, DynamoDBBreaker, make)


def mapping(client: Any) -> LambdaEventSourceMapping:  # noqa: ANN401 - any service's client
    """The adapter of Lambda."""
    return LambdaEventSourceMapping(
        lambda: client, function_name="TagUploads", queue_name="UploadQueue"
    )


def sqs(operation: str, make: Callable[[Any], object]) -> Call:
    """A call of a queue."""
    return Call("sqs", operation, QueueUnavailable, make)


def index(operation: str, do: Callable[[DynamoDBIndex], object]) -> Call:
    """A call of the index."""
    return dynamodb(operation, DynamoDBIndex, do, FakeClock())


UPLOAD = (URI, an_upload().version)
RED = Term("color", "red")
ENTRY = IndexEntry(RED, NOON, URI, None)


def failures(operation: str, do: Callable[[DynamoDBFailures], object]) -> Call:
    """A call of the operators' store of failures."""
    return dynamodb(operation, DynamoDBFailures, do, FakeClock())


CALLS = [
    large("put_object", lambda store: store.write(URI, "version:1", NOON, a_result())),
    large("get_object", lambda store: store.read("key")),
    large("delete_object", lambda store: store.delete("key")),
    Call(
        "s3",
        "head_object",
        ObjectUnavailable,
        lambda client: objects(client).find(an_upload()),
        forbidden=ObjectForbidden,
    ),
    Call(
        "s3",
        "get_object",
        ObjectUnavailable,
        lambda client: objects(client).read(an_upload()),
        forbidden=ObjectForbidden,
    ),
    Call(
        "secretsmanager",
        "get_secret_value",
        ApiKeyUnavailable,
        lambda client: key_of(client).key(),
    ),
    Call(
        "secretsmanager",
        "get_secret_value",
        ApiKeyUnavailable,
        lambda client: key_of(client).fresh_key(),
    ),
    records("put_item", lambda store: store.swap(UPLOAD, None, Record(rev="1"))),
    records("query", lambda store: store.oldest_failure(since=0.0)),
    results("get_item", lambda store: store.read(URI)),
    results(
        "put_item",
        lambda store: store.store(an_upload(), a_result(), retag=None, fence=1.0),
    ),
    results("update_item", lambda store: store.move_up(an_upload())),
    reader("batch_get_item", lambda table: table.snapshot([UPLOAD])),
    reader("batch_get_item", lambda table: table.tagged([an_upload()])),
    reader("query", lambda table: table.history(URI)),
    reader("query", lambda table: table.count_ended("TAGGED", since="2026")),
    failures("query", lambda book: list(book.failures())),
    failures("batch_get_item", lambda book: book.look_up([UPLOAD])),
    failures(
        "put_item",
        lambda book: book.swap(UPLOAD, "rev-1", a_failed_record()),
    ),
    breaker("get_item", lambda store: store.read()),
    breaker("update_item", lambda store: store.count_failure("609", "wrong key")),
    breaker("update_item", lambda store: store.open(at=NOON, failures=1)),
    breaker("update_item", lambda store: store.close()),
    breaker("update_item", lambda store: store.let_through()),
    breaker("update_item", lambda store: store.pause(at=NOON)),
    breaker("update_item", lambda store: store.reset()),
    Call(
        "dynamodb",
        "update_item",
        ResultsUnavailable,
        lambda client: DynamoDBSlots(client, "ResultsTable").reserve(
            step=1, earliest=NOON_SECONDS, latest=NOON_SECONDS + 1
        ),
    ),
    index("batch_write_item", lambda entries: entries.put([ENTRY])),
    index("batch_write_item", lambda entries: entries.remove([ENTRY])),
    index("update_item", lambda entries: entries.learn([KnownValue(RED, "red")])),
    Call("sns", "publish", AnnouncementFailed, announce),
    Call(
        "lambda",
        "list_event_source_mappings",
        MappingUnavailable,
        lambda client: mapping(client).is_enabled(),
    ),
    Call(
        "lambda",
        "list_event_source_mappings",
        MappingUnavailable,
        lambda client: mapping(client).switch(on=True),
    ),
    sqs("send_message", lambda client: SqsUploadQueue(client, QUEUE_URL).send("{}")),
    sqs(
        "send_message",
        lambda client: SqsDeadLetterQueue(client, QUEUE_URL).send(a_dead_letter()),
    ),
    sqs("receive_message", lambda client: box(client).receive()),
    sqs("delete_message", lambda client: box(client).delete(a_letter("letter-1"))),
    sqs(
        "send_message",
        lambda client: box(client).resend(a_letter("letter-1"), replays=1),
    ),
]

REFUSALS = [
    ("ThrottlingException", 400),
    ("ProvisionedThroughputExceededException", 400),
    ("SlowDown", 503),
    ("InternalServerError", 500),
    ("ServiceUnavailable", 503),
    ("KMS.ThrottlingException", 400),
    ("ExpiredToken", 400),
]

FORBIDDEN = [("AccessDenied", 403), ("AccessDeniedException", 403), ("403", 403)]


def error_of(call: Call, client: Any) -> HangtagError:  # noqa: ANN401
    """The error that the adapter raises."""
    with pytest.raises(HangtagError) as caught:
        call.make(client)
    return caught.value


def stubbed_error(call: Call, code: str, status: int) -> HangtagError:
    """The error that the adapter raises when the service answers with this code."""
    client = client_of(call.service)
    with Stubber(client) as stub:
        stub.add_client_error(
            call.operation,
            service_error_code=code,
            service_message="the service's words",
            http_status_code=status,
        )
        error = error_of(call, client)
        stub.assert_no_pending_responses()
    return error


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize(("code", "status"), REFUSALS)
def test_an_error_of_a_service_is_transient(call: Call, code: str, status: int) -> None:
    """It becomes the port's leaf, with the service's message and the original as its cause."""
    error = stubbed_error(call, code, status)

    assert type(error) is call.leaf
    assert (error.kind, error.source) == ("transient", "aws")
    assert "the service's words" in str(error)
    assert isinstance(error.__cause__, ClientError)
    assert error.__cause__.response["Error"]["Code"] == code


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize(("code", "status"), FORBIDDEN)
def test_a_denied_request_has_its_own_leaf_or_that_of_the_port(
    call: Call, code: str, status: int
) -> None:
    """A forbidden object has its own code, because an operator must grant access."""
    error = stubbed_error(call, code, status)

    assert type(error) is (call.forbidden or call.leaf)
    assert isinstance(error.__cause__, ClientError)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_an_unreachable_service_is_a_transient_error(call: Call) -> None:
    """The connection is refused."""
    client = client_of(call.service, f"http://127.0.0.1:{unused_port()}")

    error = error_of(call, client)

    assert type(error) is call.leaf
    assert isinstance(error.__cause__, EndpointConnectionError)


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    """A service with replies that a test sets."""
    with loopback_server() as server:
        yield server


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize(
    "reply",
    [hang_up, reset, answer(500, b"<html>"), answer(502)],
    ids=["hangs up", "resets", "500 without a code", "502 without a body"],
)
def test_a_broken_response_is_a_transient_error(
    server: LoopbackServer, call: Call, reply: Callable[[Any], None]
) -> None:
    """The response is incomplete, or not the service's own."""
    server.replies(reply)

    error = error_of(call, client_of(call.service, server.url))

    assert type(error) is call.leaf
    assert isinstance(error.__cause__, ClientError | BotoCoreError)


@pytest.mark.parametrize(
    "call", {call.service: call for call in CALLS}.values(), ids=str
)
def test_a_service_that_does_not_answer_is_a_transient_error(
    server: LoopbackServer, call: Call
) -> None:
    """The client's timeout ends the request."""
    server.replies(silence)

    error = error_of(call, client_of(call.service, server.url))

    assert type(error) is call.leaf
    assert isinstance(error.__cause__, ReadTimeoutError)


def test_every_port_of_aws_has_a_case() -> None:
    """A new leaf for an AWS error needs a call here."""
    unavailable = {
        leaf for leaf in leaves() if leaf.source == "aws" and leaf.kind == "transient"
    }

    tried = {call.leaf for call in CALLS} | {call.forbidden for call in CALLS}

    # Only some requests to S3 use a KMS key: see the tests of the object store
    assert tried - {None} == unavailable - {ObjectKmsKeyUnusable}


# ---- calls that do not raise the first error


def test_a_delay_that_fails_is_reported() -> None:
    """The messages return after the visibility timeout, later than intended."""
    client = client_of("sqs")
    with Stubber(client) as stub:
        stub.add_client_error(
            "change_message_visibility_batch", "RequestThrottled", "too fast", 400
        )

        with pytest.raises(QueueUnavailable, match="too fast"):
            SqsUploadQueue(client, QUEUE_URL).delay({"handle": 5.0})


def test_after_a_failed_call_the_other_deliveries_are_delayed() -> None:
    """A call takes ten deliveries; one failed call does not prevent the next."""
    client = client_of("sqs")
    with Stubber(client) as stub:
        stub.add_client_error(
            "change_message_visibility_batch", "RequestThrottled", "too fast", 400
        )
        stub.add_response(
            "change_message_visibility_batch", {"Successful": [], "Failed": []}
        )

        with pytest.raises(QueueUnavailable):
            SqsUploadQueue(client, QUEUE_URL).delay(
                {f"handle {number}": 5.0 for number in range(11)}
            )

        stub.assert_no_pending_responses()


def test_putting_letters_back_raises_no_error() -> None:
    """It ends a walk, perhaps after an error that must stay visible."""
    client = client_of("sqs")
    with Stubber(client) as stub:
        stub.add_client_error(
            "change_message_visibility_batch", "RequestThrottled", "too fast", 400
        )

        box(client).put_back([a_letter("letter-1")])

        stub.assert_no_pending_responses()


def test_a_result_that_dynamodb_rejects_twice_is_retried() -> None:
    """Its item has only our own part then, so something else is wrong."""
    dynamodb, s3 = client_of("dynamodb"), client_of("s3")
    with Stubber(dynamodb) as table, Stubber(s3) as bucket:
        table.add_client_error("put_item", "ValidationException", "no", 400)
        bucket.add_response("put_object", {})
        table.add_client_error("put_item", "ValidationException", "no", 400)

        with pytest.raises(ResultsUnavailable, match="no"):
            DynamoDBResults(dynamodb, "ResultsTable", large_results(s3)).store(
                an_upload(), a_result(), retag=None, fence=1.0
            )

        table.assert_no_pending_responses()
        bucket.assert_no_pending_responses()
