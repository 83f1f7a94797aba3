"""`AwsDeadline`: no request to AWS begins that could not end in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hangtag.adapters.aws_deadline import BotoDeadline, DeadlineTooClose
from hangtag.adapters.dynamodb_breaker import DynamoDBBreaker
from hangtag.errors import ResultsUnavailable
from tests.contract.aws_parts import create_table, session
from tests.fakes import FakeClock, FakeDeadline

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def deadline() -> BotoDeadline:
    """One request may take two seconds."""
    return BotoDeadline(seconds=2.0)


@pytest.fixture
def client(aws: None, deadline: BotoDeadline) -> DynamoDBClient:  # noqa: ARG001
    """DynamoDB in memory, watched over."""
    create_table()
    return deadline.watch_over(session().client("dynamodb"))


@pytest.mark.parametrize("left", [2.0, 60.0])
def test_a_request_that_has_the_time_is_made(
    client: DynamoDBClient, deadline: BotoDeadline, left: float
) -> None:
    """To the last moment."""
    deadline.begin(FakeDeadline(left, FakeClock()))

    assert (
        DynamoDBBreaker(client, "ResultsTable").count_failure("609", "no").failures == 1
    )


def test_a_request_without_an_invocation_is_made(client: DynamoDBClient) -> None:
    """A bare event, or the breaker's schedule."""
    assert (
        DynamoDBBreaker(client, "ResultsTable").count_failure("609", "no").failures == 1
    )


def test_a_request_that_has_no_time_fails_like_one_that_failed(
    client: DynamoDBClient, deadline: BotoDeadline
) -> None:
    """It is not sent, and not tried twice; the adapter makes it one of our errors."""
    deadline.begin(FakeDeadline(1.9, FakeClock()))

    with pytest.raises(ResultsUnavailable, match="no time is left"):
        DynamoDBBreaker(client, "ResultsTable").count_failure("609", "no")

    deadline.begin(FakeDeadline(60.0, FakeClock()))
    assert DynamoDBBreaker(client, "ResultsTable").read().failures == 0


def test_the_middle_of_a_long_answer_is_looked_at_too(deadline: BotoDeadline) -> None:
    """A trickle keeps every timeout."""
    clock = FakeClock()
    deadline.check()
    deadline.begin(FakeDeadline(10.0, clock))
    deadline.check()
    clock.advance(8.5)

    with pytest.raises(DeadlineTooClose):
        deadline.check()
