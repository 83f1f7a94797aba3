"""IndexResults as Lambda runs it: real handler and wiring, AWS in memory."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from moto import mock_aws

from functions.index_results import handler
from hangtag.adapters.dynamodb_records import item_of
from hangtag.adapters.dynamodb_table import to_attribute
from hangtag.index import entries_of
from hangtag.settings import SettingsError
from tests.builders import (
    URI,
    a_failed_record,
    a_result,
    an_upload,
    key_of,
    stream_event,
    stream_record,
)
from tests.contract.aws_parts import create_table

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

TABLE = "IndexTable"


@dataclass(slots=True)
class Context:
    """Lambda's context of an invocation."""

    aws_request_id: str = "request-1"
    function_name: str = "IndexResults"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:x"
    milliseconds_left: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        """The time until Lambda stops the function."""
        return self.milliseconds_left


@pytest.fixture
def subscriber(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A stack with an index and a topic; the URL of a queue that is subscribed to the topic."""
    with mock_aws():
        create_table(TABLE)
        sqs, sns = boto3.client("sqs"), boto3.client("sns")
        topic = sns.create_topic(Name="results")["TopicArn"]
        url = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=sqs.get_queue_attributes(
                QueueUrl=url, AttributeNames=["QueueArn"]
            )["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        monkeypatch.setenv("HANGTAG_INDEX_TABLE", TABLE)
        monkeypatch.setenv("HANGTAG_LARGE_RESULTS_BUCKET", "large-results")
        monkeypatch.setenv("HANGTAG_RESULTS_TOPIC_ARN", topic)
        monkeypatch.setenv("HANGTAG_MIN_CONFIDENCE", "0")
        importlib.reload(handler)  # a new instance of the function
        yield url


def invoke(*records: dict[str, Any], **context: Any) -> dict[str, Any]:  # noqa: ANN401 - see Context
    """The function's response."""
    return handler.lambda_handler(
        stream_event(*records), cast("LambdaContext", Context(**context))
    )


def stored() -> dict[str, Any]:
    """The change by which a result was stored."""
    new = {"result": to_attribute(a_result())}
    return stream_record(version="result", new=new)


def failed() -> dict[str, Any]:
    """The change by which an upload failed."""
    upload = an_upload()
    new = item_of(key_of(upload), a_failed_record(upload))
    return stream_record(version=upload.version, new=new)


def tags() -> set[str]:
    """The partitions of the index that have entries."""
    items = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    return {one["tag"]["S"] for one in items if one.get("uri") == {"S": URI}}


def announced(url: str) -> list[dict[str, Any]]:
    """The announcements that a subscriber has received."""
    received = boto3.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [json.loads(one["Body"]) for one in received.get("Messages", [])]


def test_a_stored_result_is_indexed_and_a_failure_is_announced(subscriber: str) -> None:
    """In one batch; the answer is the line in the log."""
    done = invoke(stored(), failed())

    expected = entries_of(a_result())
    assert {tag.rpartition("#")[0] for tag in tags()} == {
        f"{term.field}#{term.value}" for term in expected
    }
    [document] = announced(subscriber)
    assert document["type"] == "hangtag.image.failed.v1"
    assert document["data"]["image"]["uri"] == URI
    assert document["source"].startswith("arn:aws:s3:::")
    assert {name: done[name] for name in ("results", "entriesPut")} == {
        "results": 1,
        "entriesPut": len(expected),
    }
    assert done["failuresAnnounced"] == 1


def test_a_batch_may_come_twice(subscriber: str) -> None:
    """The index is the same, and the announcement has the same id."""
    invoke(stored(), failed())
    before = tags()

    invoke(stored(), failed())

    assert tags() == before
    first, second = announced(subscriber)
    assert first["id"] == second["id"]


@pytest.mark.usefixtures("subscriber")
def test_a_failing_batch_fails_the_invocation() -> None:
    """Lambda repeats it; an answer that names single changes would be ignored elsewhere."""
    boto3.client("dynamodb").delete_table(TableName=TABLE)

    with pytest.raises(Exception, match="writing the known values"):
        invoke(stored())


@pytest.mark.usefixtures("subscriber")
def test_no_request_begins_that_could_not_end_in_time() -> None:
    """A batch that is too large for the timeout is halved by Lambda, like any failing one."""
    with pytest.raises(Exception, match="no time is left"):
        invoke(stored(), milliseconds_left=1_000)

    assert tags() == set()


@pytest.mark.usefixtures("subscriber")
def test_an_event_that_is_none_of_the_stream_fails() -> None:
    """Somebody invoked the function by hand."""
    with pytest.raises(Exception, match="no changes of the table"):
        handler.lambda_handler({}, cast("LambdaContext", Context()))


@pytest.mark.usefixtures("subscriber")
def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm on the index's lag leads to the log."""
    monkeypatch.delenv("HANGTAG_INDEX_TABLE")

    with pytest.raises(SettingsError, match="HANGTAG_INDEX_TABLE"):
        invoke(stored())
