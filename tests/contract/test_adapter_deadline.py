"""`AwsDeadline`: no request to AWS starts that could outlast the deadline."""

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
    """DynamoDB in memory, with the deadline checked for each request."""
    create_table()
    return deadline.watch_over(session().client("dynamodb"))


@pytest.mark.parametrize("left", [2.0, 60.0])
def test_a_request_with_enough_time_is_sent(
    client: DynamoDBClient, deadline: BotoDeadline, left: float
) -> None:
    """It is sent until the last possible moment."""
    deadline.begin(FakeDeadline(left, FakeClock()))

    assert (
        DynamoDBBreaker(client, "ResultsTable").count_failure("609", "no").failures == 1
    )


def test_a_request_outside_an_invocation_is_sent(client: DynamoDBClient) -> None:
    """Bare events and the breaker's schedule set no deadline."""
    assert (
        DynamoDBBreaker(client, "ResultsTable").count_failure("609", "no").failures == 1
    )


def test_a_request_without_enough_time_fails_unsent(
    client: DynamoDBClient, deadline: BotoDeadline
) -> None:
    """It is neither sent nor retried; the adapter raises an error of the tree."""
    deadline.begin(FakeDeadline(1.9, FakeClock()))

    with pytest.raises(ResultsUnavailable, match="no time is left"):
        DynamoDBBreaker(client, "ResultsTable").count_failure("609", "no")

    deadline.begin(FakeDeadline(60.0, FakeClock()))
    assert DynamoDBBreaker(client, "ResultsTable").read().failures == 0


def test_the_deadline_is_checked_in_the_middle_of_a_long_answer(
    deadline: BotoDeadline,
) -> None:
    """A trickle of bytes would never reach a timeout."""
    clock = FakeClock()
    deadline.check()
    deadline.begin(FakeDeadline(10.0, clock))
    deadline.check()
    clock.advance(8.5)

    with pytest.raises(DeadlineTooClose):
        deadline.check()
