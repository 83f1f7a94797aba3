"""
A plain function with the same job, to compare Hangtag with: one image at a time.

It is what an engineer writes in an afternoon with Powertools and requests. It checks no duplicates,
keeps no sequence and counts no attempts; what fails goes back to the queue.
"""

import base64
import json
import os
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_plus

import boto3
import requests
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics(namespace="Peer")
processor = BatchProcessor(event_type=EventType.SQS)
s3 = boto3.client("s3")
sns = boto3.client("sns")
table = boto3.resource("dynamodb").Table(os.environ["PEER_TABLE"])


def tag(record: SQSRecord) -> None:
    """Tag the image of one message."""
    upload = json.loads(record.body)["Records"][0]["s3"]
    bucket = upload["bucket"]["name"]
    key = unquote_plus(upload["object"]["key"])
    image = s3.get_object(Bucket=bucket, Key=key)
    content = base64.b64encode(image["Body"].read()).decode()
    api_key = parameters.get_secret(os.environ["PEER_API_KEY_SECRET"], max_age=300)
    answer = requests.post(
        os.environ["PEER_TAGGER_API_URL"],
        json={
            "image": {
                "type": "base64",
                "content": f"data:{image['ContentType']};base64,{content}",
            }
        },
        headers={"x-api-key": str(api_key), "accept-language": "en"},
        timeout=30,
    )
    answer.raise_for_status()
    data = json.loads(answer.text, parse_float=Decimal)["data"]
    uri = f"s3://{bucket}/{key}"
    table.put_item(Item={"uri": uri, "status": "TAGGED", **data})
    sns.publish(
        TopicArn=os.environ["PEER_TOPIC_ARN"],
        Message=json.dumps({"uri": uri, "data": data}, default=float),
    )
    metrics.add_metric(name="ImagesTagged", unit=MetricUnit.Count, value=1)
    logger.info("tagged", uri=uri, objects=len(data["objects"]))


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:  # noqa: ANN401 - Powertools'
    """Tag the images of a batch of messages."""
    return process_partial_response(
        event=event, record_handler=tag, processor=processor, context=context
    )
