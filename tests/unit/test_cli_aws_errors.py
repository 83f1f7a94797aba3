"""AWS errors are explained in sentences that say how to fix them."""

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
from hangtag_cli.aws_errors import explain, explain_aws


def refusal(code: str, message: str = "no") -> ClientError:
    """An AWS error with this code."""
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
        (refusal("AccessDenied"), "DescribeStacks: have an administrator allow it"),
        (refusal("AccessDeniedException"), "docs/operator-policy.json"),
        (refusal("ExpiredToken"), "aws sso login"),
        (refusal("InvalidClientTokenId"), "aws configure"),
        (refusal("Throttling", "Rate exceeded"), "Rate exceeded"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_aws_error_is_explained_with_a_remedy(
    error: BotoCoreError | ClientError, way_out: str
) -> None:
    """A new user meets most of them."""
    assert way_out in explain_aws(error)


def test_an_adapters_error_is_explained_by_its_cause() -> None:
    """Expired credentials explain more than an unreadable queue."""
    with (
        pytest.raises(QueueUnavailable) as caught,
        translated(QueueUnavailable, "reading the dead-letter queue"),
    ):
        raise refusal("ExpiredToken")

    assert "aws sso login" in explain(caught.value)


def test_an_error_without_a_cause_keeps_its_message() -> None:
    """Not every error comes from AWS."""
    assert explain(QueueUnavailable("the queue is full")) == "the queue is full"
