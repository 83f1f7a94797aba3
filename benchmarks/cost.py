"""
How many requests to AWS an image costs, counted.

    python -m benchmarks.cost

The real wiring of the function against AWS in memory (moto) and a sandbox on loopback; every
request of its clients is counted as botocore sends it. What Lambda and SQS do by themselves
(receive, delete, invoke) is not among them: docs/cost.md adds it.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from unittest import mock

import boto3
from aws_lambda_powertools import Logger
from moto import mock_aws
from PIL import Image

from hangtag.adapters.dynamodb_results import from_items
from hangtag.pipeline import Invocation, Pipeline
from hangtag.settings import TaggingSettings
from hangtag.uploads import Delivery
from hangtag.wiring import tagging_pipeline
from hangtag_sandbox.server import serve
from tests.contract.aws_parts import create_table

IMAGES = 100
KEY = "benchmark-key"
BUCKET = "hangtag-uploads"
_CLIENT_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "NO_PROXY": "127.0.0.1",
}


@dataclass(frozen=True, slots=True)
class Minute:
    """A `Deadline` that never comes near."""

    def seconds_left(self) -> float:
        """As the port."""
        return 60.0


def picture(number: int) -> bytes:
    """A garment-like thing, another for every number."""
    image = Image.new("RGB", (120, 160), "white")
    image.paste((number * 2 % 256, 80, 160), (30, 40, 90, 130))
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def deliveries() -> list[Delivery]:
    """A message for each picture, which is in the bucket."""
    s3 = boto3.client("s3")
    s3.create_bucket(
        Bucket=BUCKET,
        CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
    )
    s3.put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
    )
    made = []
    for number in range(IMAGES):
        put = s3.put_object(Bucket=BUCKET, Key=f"{number}.png", Body=picture(number))
        record = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": BUCKET},
                "object": {
                    "key": f"{number}.png",
                    "versionId": put["VersionId"],
                    "eTag": put["ETag"].strip('"'),
                    "sequencer": f"{number + 1:018X}",
                },
            },
        }
        made.append(
            Delivery(
                message_id=str(number),
                receipt_handle=str(number),
                body=json.dumps({"Records": [record]}),
                replays=0,
            )
        )
    return made


def settings(url: str, rate: float) -> TaggingSettings:
    """Those of a default stack, with its resources made in memory."""
    sqs, sns = boto3.client("sqs"), boto3.client("sns")
    secret = boto3.client("secretsmanager").create_secret(Name="key", SecretString=KEY)[
        "ARN"
    ]
    return TaggingSettings.model_validate(
        {
            "tagger_api_url": f"{url}/tagger/v2.12/tags",
            "language": "en",
            "detection": "",
            "image_transport": "base64",
            "batch_size": 10,
            "max_attempts": 5,
            "retry_base_seconds": 10,
            "max_image_bytes": 20_971_520,
            "function_timeout": 60,
            "stack_name": "hangtag",
            "max_requests_per_second": rate,
            "api_key_secret_arn": secret,
            "results_table": create_table(),
            "results_topic_arn": sns.create_topic(Name="results")["TopicArn"],
            "alarms_topic_arn": sns.create_topic(Name="alarms")["TopicArn"],
            "upload_queue_url": sqs.create_queue(QueueName="uploads")["QueueUrl"],
            "dead_letter_queue_url": sqs.create_queue(QueueName="dead")["QueueUrl"],
        }
    )


def count(batch: int, rate: float) -> Counter[str]:
    """The requests of tagging all pictures, so many in an invocation."""
    counted: Counter[str] = Counter()
    quiet = Logger(service="benchmark", level=logging.CRITICAL)
    with mock_aws(), serve("127.0.0.1", 0, KEY) as url:
        session = boto3.Session()
        arrived = deliveries()
        told = settings(url, rate)
        session.events.register(
            "before-call",
            lambda model, **_: counted.update(
                [f"{model.service_model.service_name} {model.name}"]
            ),
        )
        pipeline = tagging_pipeline(
            told, quiet, function_name="TagUploads", session=session
        )
        for start in range(0, IMAGES, batch):
            run(pipeline, arrived[start : start + batch])
        stored = boto3.client("dynamodb").scan(TableName=told.results_table)["Items"]
        # Names and values; DynamoDB's own tags of types do not count much
        size = sum(len(json.dumps(from_items(item), default=str)) for item in stored)
        counted["(bytes of an item)"] = size
    return counted


def run(pipeline: Pipeline, batch: Sequence[Delivery]) -> None:
    """One invocation."""
    left = pipeline.tag(batch, Invocation("benchmark", Minute()))
    if left:
        raise RuntimeError(f"{len(left)} were handed back")


def main() -> None:
    """Print requests per image, for batches of ten and of one, without and with a rate."""
    columns = {"10 a batch": (10, 0.0), "1 a batch": (1, 0.0), "10, rate": (10, 1000.0)}
    with mock.patch.dict(os.environ, _CLIENT_ENVIRONMENT):
        results = {name: count(*how) for name, how in columns.items()}
    operations = sorted({operation for one in results.values() for operation in one})
    print(f"{'requests per image':40}" + "".join(f"{name:>14}" for name in columns))
    for operation in operations:
        numbers = "".join(
            f"{results[name][operation] / IMAGES:14.2f}" for name in columns
        )
        print(f"{operation:40}{numbers}")


if __name__ == "__main__":
    main()
