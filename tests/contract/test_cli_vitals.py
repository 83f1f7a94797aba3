"""The vitals of a stack, from CloudWatch and Secrets Manager."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.stub import Stubber

from hangtag_cli.vitals import Vitals, read_vitals, span


@pytest.mark.usefixtures("aws")
def test_vitals_are_read_from_cloudwatch_and_the_secret() -> None:
    """A stack whose name begins with the same letters is left out."""
    now = datetime.now(UTC)
    cloudwatch = boto3.client("cloudwatch")
    secrets = boto3.client("secretsmanager")
    arn = secrets.create_secret(Name="key", SecretString="x")["ARN"]
    for stack, value in (("hangtag", 3), ("hangtag-prod", 100)):
        cloudwatch.put_metric_data(
            Namespace="Hangtag",
            MetricData=[
                {
                    "MetricName": "ImagesTagged",
                    "Dimensions": [{"Name": "service", "Value": stack}],
                    "Timestamp": now - timedelta(minutes=10),
                    "Value": value,
                }
            ],
        )
        name = f"{stack}-DeadLettersAlarm-ABC"
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
        )
        cloudwatch.set_alarm_state(
            AlarmName=name, StateValue="ALARM", StateReason="test"
        )

    vitals = read_vitals(
        cloudwatch,
        secrets,
        stack_name="hangtag",
        upload_queue="uploads",
        dead_letter_queue="letters",
        secret_arn=arn,
        now=now,
    )

    assert vitals.tagged_last_hour == 3
    assert vitals.oldest_upload_seconds is None
    assert vitals.alarms == ("hangtag-DeadLettersAlarm-ABC",)
    assert vitals.key_changed_at is not None
    assert span(now - vitals.key_changed_at).endswith("minutes")


def test_values_that_aws_denies_are_unknown() -> None:
    """Access to the queue does not include access to CloudWatch."""
    cloudwatch = boto3.client("cloudwatch")
    secrets = boto3.client("secretsmanager")
    with Stubber(cloudwatch) as refusing, Stubber(secrets) as refusing_too:
        for operation in ("get_metric_data", "describe_alarms"):
            refusing.add_client_error(operation, "AccessDenied", "no", 403)
        refusing_too.add_client_error("describe_secret", "AccessDenied", "no", 403)

        vitals = read_vitals(
            cloudwatch,
            secrets,
            stack_name="hangtag",
            upload_queue="uploads",
            dead_letter_queue="letters",
            secret_arn="arn",
            now=datetime.now(UTC),
        )

    assert vitals == Vitals()
