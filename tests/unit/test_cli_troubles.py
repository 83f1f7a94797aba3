"""What is said when AWS does not do it."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
    SSOTokenLoadError,
)

from hangtag.adapters.aws_errors import translated
from hangtag.errors import QueueUnavailable
from hangtag_cli.troubles import sentence, told


def refusal(code: str, message: str = "no") -> ClientError:
    """AWS's answer to a call it does not carry out."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


@pytest.mark.parametrize(
    ("error", "way_out"),
    [
        (NoCredentialsError(), "aws configure"),
        (PartialCredentialsError(provider="env", cred_var="secret"), "aws configure"),
        (SSOTokenLoadError(error_msg="expired"), "aws sso login"),
        (NoRegionError(), "--region"),
        (InvalidRegionError(region_name="eu west"), "--region"),
        (ProfileNotFound(profile="shop"), "AWS_PROFILE"),
        (EndpointConnectionError(endpoint_url="https://x"), "--endpoint-url"),
        (SSLError(endpoint_url="https://x", error=OSError("no")), "AWS_CA_BUNDLE"),
        (ReadTimeoutError(endpoint_url="https://x"), "--endpoint-url"),
        (refusal("AccessDenied"), "DescribeStacks allowed"),
        (refusal("AccessDeniedException"), "DescribeStacks allowed"),
        (refusal("ExpiredToken"), "aws sso login"),
        (refusal("InvalidClientTokenId"), "aws configure"),
        (refusal("Throttling", "Rate exceeded"), "Rate exceeded"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_trouble_with_aws_has_a_sentence_with_the_way_out(
    error: BotoCoreError | ClientError, way_out: str
) -> None:
    """Whoever runs it for the first time meets most of them."""
    assert way_out in sentence(error)


def test_an_error_of_an_adapter_is_told_by_its_cause() -> None:
    """That the queue cannot be read is no help; that the credentials ran out is."""
    with (
        pytest.raises(QueueUnavailable) as caught,
        translated(QueueUnavailable, "reading the dead-letter queue"),
    ):
        raise refusal("ExpiredToken")

    assert "aws sso login" in told(caught.value)


def test_an_error_without_a_cause_speaks_for_itself() -> None:
    """Not every error comes from AWS."""
    assert told(QueueUnavailable("the queue is full")) == "the queue is full"
