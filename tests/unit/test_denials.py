"""A denied call is reported with the missing action, the resource and the way out."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from hangtag_cli.aws_errors import explain_aws
from hangtag_cli.denials import Denials

ME = "User: arn:aws:iam::123456789012:user/me is not authorized to perform:"
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:letters"
URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/letters"
KMS = "arn:aws:kms:eu-central-1:123456789012:key/1234"


Call = tuple[str, str, dict[str, Any]]
"""Service, method and parameters."""


def deny(
    denials: Denials,
    call: Call,
    code: str = "AccessDenied",
    message: str = "Access Denied",
) -> ClientError:
    """The error of a call that AWS denies."""
    service, method, parameters = call
    client = boto3.client(
        service,  # type: ignore[call-overload]  # wants the name of one service
        region_name="eu-central-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    denials.watch_over(client)
    with Stubber(client) as aws:
        aws.add_client_error(method, code, message, 403)
        with pytest.raises(ClientError) as caught:
            getattr(client, method)(**parameters)
    return caught.value


HEAD = ("s3", "head_object", {"Bucket": "b", "Key": "k.png"})
HEAD_VERSION = ("s3", "head_object", {"Bucket": "b", "Key": "k.png", "VersionId": "v"})
GET = ("s3", "get_object", {"Bucket": "b", "Key": "k.png"})
LIST = ("s3", "list_object_versions", {"Bucket": "b", "Prefix": "p/"})
SEND = (
    "sqs",
    "send_message_batch",
    {"QueueUrl": URL, "Entries": [{"Id": "0", "MessageBody": "x"}]},
)
PUT_BACK = (
    "sqs",
    "change_message_visibility_batch",
    {"QueueUrl": URL, "Entries": [{"Id": "0", "ReceiptHandle": "x"}]},
)
LOOK_UP: Call = (
    "dynamodb",
    "batch_get_item",
    {"RequestItems": {"table": {"Keys": [{}]}}},
)
GET_KEY = ("secretsmanager", "get_secret_value", {"SecretId": "arn:of-the-key"})
SET_KEY = (
    "secretsmanager",
    "put_secret_value",
    {"SecretId": "arn:of-the-key", "SecretString": "x"},
)
ALARMS: Call = ("cloudwatch", "describe_alarms", {})


@pytest.mark.parametrize(
    ("call", "code", "message", "named"),
    [
        (
            HEAD,
            "403",
            "Forbidden",
            "s3:GetObject (or s3:ListBucket, if it is gone) on s3://b/k.png:",
        ),
        (
            HEAD_VERSION,
            "403",
            "Forbidden",
            "s3:GetObjectVersion (or s3:ListBucket, if it is gone) on s3://b/k.png:",
        ),
        (
            GET,
            "AccessDenied",
            f'{ME} s3:ListBucket on resource: "arn:aws:s3:::b" because no policy',
            "s3:ListBucket on arn:aws:s3:::b:",
        ),
        (
            GET,
            "AccessDenied",
            f"{ME} kms:Decrypt on resource: {KMS} because no policy",
            f"kms:Decrypt on {KMS}:",
        ),
        (
            LIST,
            "AccessDenied",
            "Access Denied",
            "s3:ListBucketVersions on s3://b/p/:",
        ),
        (
            PUT_BACK,
            "AccessDenied",
            f"{ME} sqs:changemessagevisibility on resource: {QUEUE} because no policy",
            f"sqs:ChangeMessageVisibility on {QUEUE}:",
        ),
        (
            SEND,
            "AccessDenied",
            f"{ME} sqs:SendMessageBatch because no policy",
            f"sqs:SendMessage on {URL}:",
        ),
        (SEND, "KmsAccessDenied", "No access.", "kms:GenerateDataKey:"),
        (
            SEND,
            "AccessDenied",
            "Access to the resource https://sqs.eu-central-1.amazonaws.com/1/KMS-q is denied.",
            f"sqs:SendMessage on {URL}:",
        ),
        (LOOK_UP, "AccessDeniedException", "no", "dynamodb:BatchGetItem on table:"),
        (
            GET_KEY,
            "AccessDeniedException",
            "Access to KMS is not allowed",
            "kms:Decrypt:",
        ),
        (
            SET_KEY,
            "AccessDeniedException",
            "Access to KMS is not allowed",
            "kms:GenerateDataKey:",
        ),
        (ALARMS, "UnauthorizedOperation", "no", "cloudwatch:DescribeAlarms:"),
    ],
)
def test_the_missing_action_is_named(
    call: Call, code: str, message: str, named: str
) -> None:
    """Also where AWS's message does not name it, or names it otherwise than IAM."""
    error = deny(Denials(), call, code, message)

    sentence = explain_aws(error)

    assert sentence.startswith(f"AWS denies {named}")
    assert message in sentence
    assert "docs/operator-policy.json" in sentence


def test_a_denial_that_a_command_passes_over_is_reported_once() -> None:
    """A command may leave a part out, but it reports the denied call."""
    denials = Denials()
    for _ in range(2):
        deny(denials, PUT_BACK)
    deny(denials, ALARMS)

    first, second = denials.unreported()

    assert "sqs:ChangeMessageVisibility" in first
    assert "cloudwatch:DescribeAlarms" in second
    assert list(denials.unreported()) == []


def test_a_denial_that_a_message_has_named_is_not_reported_again() -> None:
    """It is the error of the command already."""
    denials = Denials()

    explain_aws(deny(denials, LIST))

    assert list(denials.unreported()) == []


def test_other_refusals_are_no_denials() -> None:
    """No permission would help."""
    denials = Denials()

    error = deny(denials, HEAD, "InvalidObjectState", "archived")

    assert list(denials.unreported()) == []
    assert "archived" in explain_aws(error)
    assert "operator-policy" not in explain_aws(error)
