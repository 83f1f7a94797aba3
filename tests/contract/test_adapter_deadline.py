"""`Patience`: no request to AWS begins that could not end in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hangtag.adapters.aws_deadline import AwsPatience, OutOfPatience
from hangtag.adapters.dynamodb_breaker import DynamoDBBreaker
from hangtag.errors import ResultsUnavailable
from tests.contract.aws_parts import create_table, session
from tests.fakes import FakeClock, FakeDeadline

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def patience() -> AwsPatience:
    """One request may take two seconds."""
    return AwsPatience(seconds=2.0)


@pytest.fixture
def client(aws: None, patience: AwsPatience) -> DynamoDBClient:  # noqa: ARG001
    """DynamoDB in memory, watched over."""
    create_table()
    return patience.watch_over(session().client("dynamodb"))


@pytest.mark.parametrize("left", [2.0, 60.0])
def test_a_request_that_has_the_time_is_made(
    client: DynamoDBClient, patience: AwsPatience, left: float
) -> None:
    """To the last moment."""
    patience.begin(FakeDeadline(left, FakeClock()))

    assert (
        DynamoDBBreaker(client, "ResultsTable").count_failure("609", "no").failures == 1
    )


def test_a_request_without_an_invocation_is_made(client: DynamoDBClient) -> None:
    """A bare event, or the breaker's schedule."""
    assert (
        DynamoDBBreaker(client, "ResultsTable").count_failure("609", "no").failures == 1
    )


def test_a_request_that_has_no_time_fails_like_one_that_failed(
    client: DynamoDBClient, patience: AwsPatience
) -> None:
    """It is not sent, and not tried twice; the adapter makes it one of our errors."""
    patience.begin(FakeDeadline(1.9, FakeClock()))

    with pytest.raises(ResultsUnavailable, match="no time is left"):
        DynamoDBBreaker(client, "ResultsTable").count_failure("609", "no")

    patience.begin(FakeDeadline(60.0, FakeClock()))
    assert DynamoDBBreaker(client, "ResultsTable").read().failures == 0


def test_the_middle_of_a_long_answer_is_looked_at_too(patience: AwsPatience) -> None:
    """A trickle keeps every timeout."""
    clock = FakeClock()
    patience.check()
    patience.begin(FakeDeadline(10.0, clock))
    patience.check()
    clock.advance(8.5)

    with pytest.raises(OutOfPatience):
        patience.check()
