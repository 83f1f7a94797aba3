"""TagUploads as Lambda runs it: real handler and wiring, AWS in memory, an API on loopback."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import boto3
import pytest
from moto import mock_aws

from functions.tag_uploads import handler
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.errors import ResultsUnavailable
from hangtag.settings import SettingsError
from tests.builders import (
    API_KEY,
    BUCKET,
    KEY,
    PNG,
    answer_document,
    failed_answer_document,
    in_sns,
    jacket,
    notification,
    record,
    sample_event,
    sqs_event,
    to_body,
)
from tests.contract.loopback import Exchange, LoopbackServer, answer, loopback_server
from tests.environment import REGION
from tests.template.cloudformation import read_template

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBServiceResource
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

RESOURCES: dict[str, Any] = read_template()["Resources"]


@dataclass(slots=True)
class Context:
    """Lambda's context of an invocation."""

    aws_request_id: str = "request-1"
    function_name: str = "TagUploads"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:x"

    def get_remaining_time_in_millis(self) -> int:
        """The time until Lambda stops the function."""
        return 30_000


class Stack:
    """The resources of a stack, with the properties of the template."""

    def __init__(self, api: LoopbackServer, region: str) -> None:
        self.api = api
        self.s3: S3Client = boto3.client("s3")
        self.sqs: SQSClient = boto3.client("sqs")
        self.dynamodb: DynamoDBServiceResource = boto3.resource("dynamodb")
        self.s3.create_bucket(
            Bucket=BUCKET,
            CreateBucketConfiguration=cast("Any", {"LocationConstraint": region}),
        )
        self.s3.put_bucket_versioning(
            Bucket=BUCKET,
            VersioningConfiguration=RESOURCES["UploadsBucket"]["Properties"][
                "VersioningConfiguration"
            ],
        )
        self.s3.create_bucket(
            Bucket="large-results",
            CreateBucketConfiguration=cast("Any", {"LocationConstraint": region}),
        )
        table = RESOURCES["ResultsTable"]["Properties"]
        self.table = self.dynamodb.create_table(
            TableName="results",
            **{
                name: table[name]
                for name in (
                    "AttributeDefinitions",
                    "BillingMode",
                    "GlobalSecondaryIndexes",
                    "KeySchema",
                )
            },
        )
        self.uploads = self.sqs.create_queue(QueueName="uploads")["QueueUrl"]
        self.dead_letters = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        self.subscriber = self.sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        sns = boto3.client("sns")
        self.topic = sns.create_topic(Name="results")["TopicArn"]
        sns.subscribe(
            TopicArn=self.topic,
            Protocol="sqs",
            Endpoint=self.sqs.get_queue_attributes(
                QueueUrl=self.subscriber, AttributeNames=["QueueArn"]
            )["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        self.secret = boto3.client("secretsmanager").create_secret(
            Name="key", SecretString=json.dumps({"apiKey": API_KEY})
        )["ARN"]

    def environment(self) -> dict[str, str]:
        """The environment variables of the template."""
        return {
            "HANGTAG_TAGGER_API_URL": f"{self.api.url}/tagger/v2.12/tags",
            "HANGTAG_LANGUAGE": "en",
            "HANGTAG_DETECTION": "",
            "HANGTAG_IMAGE_TRANSPORT": "base64",
            "HANGTAG_BATCH_SIZE": "10",
            "HANGTAG_MAX_ATTEMPTS": "2",
            "HANGTAG_RETRY_BASE_SECONDS": "0",
            "HANGTAG_MAX_IMAGE_BYTES": "1000000",
            "HANGTAG_FUNCTION_TIMEOUT": "60",
            "HANGTAG_API_KEY_SECRET_ARN": self.secret,
            "HANGTAG_RESULTS_TABLE": "results",
            "HANGTAG_MAX_REQUESTS_PER_SECOND": "0",
            "HANGTAG_RESULTS_TOPIC_ARN": self.topic,
            "AWS_LAMBDA_FUNCTION_NAME": "TagUploads",
            "HANGTAG_UPLOAD_QUEUE_URL": self.uploads,
            "HANGTAG_DEAD_LETTER_QUEUE_URL": self.dead_letters,
            "HANGTAG_LARGE_RESULTS_BUCKET": "large-results",
            "HANGTAG_RESULTS_TTL_DAYS": "7",
        }

    def upload(self, key: str = KEY, content: bytes = PNG) -> str:
        """Puts an object into the bucket; returns its notification."""
        put = self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        return notification(
            record(key, version_id=put["VersionId"], etag=put["ETag"].strip('"'))
        )

    def messages(self, queue_url: str) -> list[dict[str, Any]]:
        """The messages of a queue: bodies and attribute values."""
        received = self.sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [
            {
                "body": message["Body"],
                **{
                    name: value["StringValue"]
                    for name, value in message.get("MessageAttributes", {}).items()
                },
            }
            for message in received.get("Messages", [])
        ]


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """The stack, and a function that has not been invoked yet."""
    with deployed(monkeypatch, REGION) as made:
        yield made


@contextmanager
def deployed(monkeypatch: pytest.MonkeyPatch, region: str) -> Iterator[Stack]:
    """The stack in a region."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    with mock_aws(), loopback_server() as api:
        api.replies(answer(201, to_body(answer_document())))
        made = Stack(api, region)
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        start_the_function()
        yield made


def start_the_function() -> None:
    """Another instance of the function, with the environment as it is now."""
    importlib.reload(handler)


def invoke(event: dict[str, Any], context: Context | None = None) -> dict[str, Any]:
    """One invocation."""
    lambda_context = cast("LambdaContext", context or Context())
    answered: dict[str, Any] = handler.lambda_handler(event, lambda_context)
    return answered


@dataclass(slots=True)
class EndingContext(Context):
    """The context of an invocation whose time can end."""

    milliseconds_left: int = 30_000

    def get_remaining_time_in_millis(self) -> int:
        """The time until Lambda stops the function."""
        return self.milliseconds_left


def test_an_upload_is_tagged_and_announced(stack: Stack) -> None:
    """The message comes from the queue, the result is in the table and on the topic; one call."""
    body = stack.upload()

    answered = invoke(sqs_event(body))

    items: dict[str, dict[str, Any]] = {
        str(item["version"]): dict(item) for item in stack.table.scan()["Items"]
    }
    (announced,) = stack.messages(stack.subscriber)
    assert answered == {"batchItemFailures": []}
    result, (upload,) = items.pop("result"), items.values()
    assert upload["status"] == result["result"]["status"] == "TAGGED"
    assert upload["uri"] == result["uri"] == f"s3://{BUCKET}/{KEY}"
    assert json.loads(announced["body"])["data"]["status"] == "TAGGED"
    assert json.loads(announced["color"]) == ["beige", "T0326", "khaki", "EXAMPLE-1"]
    assert [API_KEY] == [request.headers["x-api-key"] for request in stack.api.received]


def test_an_answer_that_no_item_takes_is_tagged_and_announced(stack: Stack) -> None:
    """It is in S3, where the announcement leads; the item has our part, and when it expires."""
    stack.api.replies(
        answer(201, to_body(answer_document({**jacket(), "note": "x" * 500_000})))
    )

    assert invoke(sqs_event(stack.upload())) == {"batchItemFailures": []}

    (announced,) = stack.messages(stack.subscriber)
    full = json.loads(announced["body"])["data"]["fullResult"]
    item: dict[str, Any] = stack.dynamodb.Table(full["table"]).get_item(
        Key=full["key"]
    )["Item"]
    found = stack.s3.get_object(
        Bucket=full["largeResultsBucket"], Key=item["largeResult"]
    )
    whole = json.loads(found["Body"].read())
    assert whole["objects"][0]["tags"][0]["note"] == "x" * 500_000
    assert "objects" not in item["result"]
    tagged_at = datetime.fromisoformat(whole["taggedAt"]).timestamp()
    assert item["expiresAt"] == int(tagged_at) + 7 * 86_400
    assert len(stack.api.received) == 1


def test_a_large_result_that_s3_refuses_at_first_is_stored_without_another_call(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is paid for: the same invocation stores it again."""
    stack.api.replies(answer(201, to_body(answer_document({"note": "x" * 500_000}))))
    write, refusals = S3LargeResults.write, [ResultsUnavailable("slow down")]

    def write_later(self: S3LargeResults, *arguments: Any) -> str:  # noqa: ANN401 - its own
        if refusals:
            raise refusals.pop()
        return write(self, *arguments)

    monkeypatch.setattr(S3LargeResults, "write", write_later)

    assert invoke(sqs_event(stack.upload())) == {"batchItemFailures": []}

    assert refusals == []
    assert len(stack.messages(stack.subscriber)) == 1
    assert len(stack.api.received) == 1


def test_a_deleted_image_loses_its_result_and_an_undeleted_one_gets_it_again(
    stack: Stack,
) -> None:
    """Through all adapters: S3 says what is there, and the queue gets the undeleted version."""
    invoke(sqs_event(stack.upload()))
    stack.messages(stack.subscriber)

    marker = stack.s3.delete_object(Bucket=BUCKET, Key=KEY)["VersionId"]
    removal = record(
        version_id=marker,
        sequencer="0065A3F1C2D4E5B608",
        event_name="ObjectRemoved:DeleteMarkerCreated",
    )
    assert invoke(sqs_event(notification(removal))) == {"batchItemFailures": []}
    tombstone = stack.table.get_item(
        Key={"uri": f"s3://{BUCKET}/{KEY}", "version": "result"}
    )["Item"]
    (removed,) = stack.messages(stack.subscriber)

    stack.s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=marker)
    undelete = record(
        version_id=marker,
        sequencer="0065A3F1C2D4E5B609",
        event_name="ObjectRemoved:Delete",
    )
    invoke(sqs_event(notification(undelete)))
    (again,) = stack.messages(stack.uploads)
    invoke(sqs_event(again["body"]))
    (tagged,) = stack.messages(stack.subscriber)

    assert "result" not in tombstone
    assert tombstone["removedAt"] == json.loads(removed["body"])["time"]
    assert removed["type"] == "hangtag.image.removed.v1"
    assert tagged["type"] == "hangtag.image.tagged.v1"
    assert len(stack.api.received) == 2


@pytest.mark.parametrize(
    ("region", "partition"),
    [(REGION, "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_the_source_of_an_announcement_is_an_arn_of_the_functions_partition(
    monkeypatch: pytest.MonkeyPatch, region: str, partition: str
) -> None:
    """Also if the event does not name the bucket's ARN."""
    with deployed(monkeypatch, region) as stack:
        event = json.loads(stack.upload())
        del event["Records"][0]["s3"]["bucket"]["arn"]

        invoke(sqs_event(json.dumps(event)))

        (announced,) = stack.messages(stack.subscriber)
    assert json.loads(announced["body"])["source"] == f"arn:{partition}:s3:::{BUCKET}"


def test_attributes_follow_the_stacks_min_confidence(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result has all colours."""
    monkeypatch.setenv("HANGTAG_MIN_CONFIDENCE", "0.5")
    start_the_function()

    invoke(sqs_event(stack.upload()))

    (announced,) = stack.messages(stack.subscriber)
    [tag] = json.loads(announced["body"])["data"]["objects"][0]["tags"]
    assert json.loads(announced["color"]) == ["beige", "T0326"]
    assert [color["name"] for color in tag["colors"]] == ["beige", "khaki"]


def test_a_truncated_announcement_names_the_item_with_the_full_result(
    stack: Stack,
) -> None:
    """A subscriber reads it with one request."""
    document = answer_document({**jacket(), "note": "x" * 300_000})
    stack.api.replies(answer(201, to_body(document)))

    invoke(sqs_event(stack.upload()))

    (announced,) = stack.messages(stack.subscriber)
    full = json.loads(announced["body"])["data"]["fullResult"]
    item = stack.dynamodb.Table(full["table"]).get_item(Key=full["key"])["Item"]
    [tag] = cast("Any", item["result"])["objects"][0]["tags"]
    assert tag["note"] == "x" * 300_000


def test_a_repeated_message_makes_no_call(stack: Stack) -> None:
    """The claim is in the table, not in the function's memory."""
    body = stack.upload()

    invoke(sqs_event(body))
    start_the_function()
    answered = invoke(sqs_event(body))

    assert answered == {"batchItemFailures": []}
    assert len(stack.api.received) == 1
    assert len(stack.messages(stack.subscriber)) == 1


def test_failures_are_dead_lettered_or_handed_back_separately(stack: Stack) -> None:
    """The batch has a good image, a file that is no image, an unreadable message and a retry."""
    stack.api.replies(answer(201, to_body(answer_document())))
    good, bad = stack.upload("good.png"), stack.upload("bad.png", b"name,price\n")
    invoke(sqs_event(good))
    stack.api.replies(answer(503, to_body(failed_answer_document(500))))
    later = stack.upload("later.png")

    answered = invoke(sqs_event(good, bad, "no event", later))

    letters = {
        letter["ErrorCode"]: letter for letter in stack.messages(stack.dead_letters)
    }
    assert answered == {"batchItemFailures": [{"itemIdentifier": "message-4"}]}
    assert set(letters) == {"UNSUPPORTED_FORMAT", "UNREADABLE_EVENT"}
    assert letters["UNSUPPORTED_FORMAT"]["Image"] == f"s3://{BUCKET}/bad.png"
    assert letters["UNREADABLE_EVENT"]["body"] == "no event"


@pytest.mark.parametrize("transport", ["base64", "url"])
def test_secrets_are_neither_logged_nor_dead_lettered(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    transport: str,
) -> None:
    """This holds even if the API repeats the key, the image or its presigned URL."""
    monkeypatch.setenv("HANGTAG_IMAGE_TRANSPORT", transport)
    start_the_function()

    def echo_all(exchange: Exchange) -> None:
        request = stack.api.received[-1]
        words = f"{request.headers['x-api-key']} {request.body.decode()}"
        answer(500, to_body(failed_answer_document(500, words)))(exchange)

    stack.api.replies(echo_all)
    body = stack.upload()

    invoke(sqs_event(body))
    invoke(sqs_event(body))

    (letter,) = stack.messages(stack.dead_letters)
    logged = json.dumps([vars(line) for line in caplog.records], default=str)
    content = json.loads(stack.api.received[-1].body)["image"]["content"]
    secret = content.split("base64," if transport == "base64" else "&", 1)[1]
    assert '"handed back"' in logged
    assert '"dead-lettered"' in logged
    for text in (logged, letter["ErrorMessage"]):
        assert API_KEY not in text
        assert secret[:40] not in text
        assert "X-Amz-Signature" not in text


def test_the_api_gets_a_presigned_url_of_the_bucket_in_its_region(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The global endpoint redirects or refuses the API in many regions."""
    monkeypatch.setenv("HANGTAG_IMAGE_TRANSPORT", "url")
    importlib.reload(handler)

    invoke(sqs_event(stack.upload()))

    (request,) = stack.api.received
    url = json.loads(request.body)["image"]["content"]
    assert url.startswith(f"https://{BUCKET}.s3.{REGION}.amazonaws.com/{quote(KEY)}?")


def test_the_log_line_of_an_upload_is_complete(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the version, the attempt, the ending, and the duration of each step."""
    body = stack.upload()
    stack.api.replies(answer(500, to_body(failed_answer_document(500, "no"))))
    invoke(sqs_event(body))
    invoke(sqs_event(body))
    stack.api.replies(answer(200, to_body(answer_document())))
    invoke(sqs_event(stack.upload()))

    records = [vars(line) for line in caplog.records]
    lines = [line for line in records if line.get("uri")]
    assert [line["msg"] for line in lines] == ["handed back", "dead-lettered", "tagged"]
    assert [line.get("code") for line in lines] == ["500", "500", None]
    for line in lines:
        assert line["version"].startswith("version:")
        assert line["attempt"] in (1, 2)
        assert line["calls"]
        assert line["milliseconds"]["all"] >= line["milliseconds"]["call"] >= 0


def test_the_log_line_of_a_skipped_upload_is_complete(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """Looking the object up takes time."""
    body = stack.upload("gone.png")
    gone = json.loads(body)["Records"][0]["s3"]["object"]
    boto3.client("s3").delete_object(
        Bucket=BUCKET, Key="gone.png", VersionId=gone["versionId"]
    )

    invoke(sqs_event(body))

    [line] = [vars(line) for line in caplog.records if "uri" in vars(line)]
    assert (line["msg"], line["reason"], line["attempt"]) == (
        "skipped",
        "OBJECT_GONE",
        1,
    )
    assert line["milliseconds"]["all"] >= line["milliseconds"]["read"] >= 0


def test_a_bare_event_is_put_on_the_queue(stack: Stack) -> None:
    """It returns through SQS, with retries."""
    answered = invoke(sample_event("s3-put"))

    (message,) = stack.messages(stack.uploads)
    assert answered == {"queued": 1}
    assert json.loads(message["body"]) == sample_event("s3-put")


@pytest.mark.parametrize(
    "event",
    [sample_event("s3-put"), sample_event("try-again")],
    ids=["bare", "schedule"],
)
def test_every_invocation_has_its_own_deadline(
    stack: Stack, event: dict[str, Any]
) -> None:
    """The deadline of the previous invocation does not apply, for any kind of event."""
    before = EndingContext()
    invoke(sqs_event(stack.upload()), before)
    before.milliseconds_left = -1_000

    answered = invoke(event)

    assert answered in (
        {"queued": 1},
        {"breaker": {"trouble": "MAPPING_UNAVAILABLE"}},  # the stack has no mapping
    )


@pytest.mark.parametrize(
    "variable", ["HANGTAG_TAGGER_API_URL", "HANGTAG_RESULTS_TABLE"]
)
def test_a_batch_for_new_code_with_an_old_environment_is_kept_and_counts_no_attempt(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Lambda returns the batch of an invocation that fails; the error names the variable."""
    body = stack.upload()
    deployed = os.environ[variable]
    monkeypatch.delenv(variable)
    start_the_function()

    for _ in range(3):
        with pytest.raises(SettingsError, match=f"{variable} is missing"):
            invoke(sqs_event(body))
    untouched = stack.table.scan()["Items"], stack.messages(stack.dead_letters)
    monkeypatch.setenv(variable, deployed)
    start_the_function()
    answered = invoke(sqs_event(body))

    assert untouched == ([], [])
    assert answered == {"batchItemFailures": []}
    [record_item] = [
        item for item in stack.table.scan()["Items"] if item["version"] != "result"
    ]
    assert (record_item["status"], record_item["attempts"]) == ("TAGGED", 1)
    assert len(stack.api.received) == 1


def test_old_code_with_a_new_environment_works(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ignores the variables that it does not know."""
    monkeypatch.setenv("HANGTAG_OF_THE_NEXT_VERSION", "x")
    start_the_function()

    assert invoke(sqs_event(stack.upload())) == {"batchItemFailures": []}
    assert len(stack.api.received) == 1


@pytest.mark.parametrize(
    "event", [sample_event("s3-put"), sample_event("try-again")], ids=["bare", "timer"]
)
def test_a_wrong_environment_fails_the_other_events_too(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, event: dict[str, Any]
) -> None:
    """Lambda repeats such an event, and then sends it to the dead-letter queue."""
    monkeypatch.setenv("HANGTAG_BATCH_SIZE", "ten")
    start_the_function()

    with pytest.raises(SettingsError, match="HANGTAG_BATCH_SIZE"):
        invoke(event)

    assert stack.messages(stack.uploads) == []


def test_an_upload_in_an_sns_envelope_is_tagged(stack: Stack) -> None:
    """A topic delivers it to the queue, and the function works on it like on a bare one."""
    answered = invoke(sqs_event(in_sns(stack.upload())))

    assert answered == {"batchItemFailures": []}
    assert len(stack.messages(stack.subscriber)) == 1


def test_an_event_of_an_sns_subscription_is_put_on_the_queue(stack: Stack) -> None:
    """Without its envelope."""
    answered = invoke(sample_event("sns-s3-put"))

    (message,) = stack.messages(stack.uploads)
    assert answered == {"queued": 1}
    assert json.loads(message["body"]) == sample_event("s3-put")


def test_the_token_of_a_subscription_is_not_logged(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """With it anybody can confirm; the letter has it, for the owner of the queue."""
    event = sample_event("sqs-sns-confirmation")
    body = event["Records"][0]["body"].replace("EXAMPLE", "SECRET")

    invoke(sqs_event(body))

    (letter,) = stack.messages(stack.dead_letters)
    logged = json.dumps([vars(line) for line in caplog.records], default=str)
    assert "UNREADABLE_EVENT" in logged
    assert "SECRET" not in logged + letter["ErrorMessage"]
    assert letter["body"] == body


def test_a_result_that_has_expired_is_not_made_again_for_a_removal(
    stack: Stack,
) -> None:
    """ResultsTtlDays is set: an older version that goes is no reason for a call."""
    invoke(sqs_event(stack.upload()))
    stack.table.delete_item(Key={"uri": f"s3://{BUCKET}/{KEY}", "version": "result"})
    of_an_older_version = record(
        KEY, version_id="older", sequencer="FF", event_name="ObjectRemoved:Delete"
    )

    answered = invoke(sqs_event(notification(of_an_older_version)))

    assert answered == {"batchItemFailures": []}
    assert stack.messages(stack.uploads) == []
