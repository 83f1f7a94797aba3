"""The AWS clients of the commands; the only maker of clients in this package."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import NoRegionError

from .aws_errors import explained
from .denials import Denials
from .exits import NotDone

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

# A person waits: botocore's own timeouts are a minute, and it retries four times
_CONFIG = Config(
    connect_timeout=2.0,
    read_timeout=10.0,
    retries={"mode": "standard", "total_max_attempts": 2},
    # Some networks admit only regional endpoints; botocore's default in us-east-1 is the global one
    s3={"us_east_1_regional_endpoint": "regional"},
)


class Aws:
    """
    AWS clients of one region. Each is made when it is first used.

    *region* and *endpoint_url* default to those of the AWS configuration (None or empty). Denied
    calls are noted in *denials*.

    Raises:
        NotDone: There is no such profile, no region, or an endpoint that is no URL.
    """

    def __init__(
        self,
        *,
        region: str | None,
        endpoint_url: str | None,
        denials: Denials | None = None,
    ) -> None:
        with explained():
            self._session = boto3.Session(region_name=region or None)
            if not self._session.region_name:
                raise NoRegionError  # boto3 accepts an empty name
        self._endpoint_url = endpoint_url
        self._denials = denials or Denials()

    @property
    def region(self) -> str:
        """The region of the clients."""
        return str(self._session.region_name)

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        """CloudFormation."""
        return cast("CloudFormationClient", self._client("cloudformation"))

    @cached_property
    def cloudwatch(self) -> Any:  # noqa: ANN401 - its types are not installed
        """CloudWatch."""
        return self._client("cloudwatch")

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """DynamoDB."""
        return cast("DynamoDBClient", self._client("dynamodb"))

    @cached_property
    def functions(self) -> LambdaClient:
        """Lambda."""
        return cast("LambdaClient", self._client("lambda"))

    @cached_property
    def logs(self) -> Any:  # noqa: ANN401 - its types are not installed
        """CloudWatch Logs."""
        return self._client("logs")

    @cached_property
    def s3(self) -> S3Client:
        """S3."""
        return cast("S3Client", self._client("s3"))

    @cached_property
    def secrets(self) -> SecretsManagerClient:
        """Secrets Manager."""
        return cast("SecretsManagerClient", self._client("secretsmanager"))

    @cached_property
    def sqs(self) -> SQSClient:
        """SQS."""
        return cast("SQSClient", self._client("sqs"))

    def _client(self, service: str) -> Any:  # noqa: ANN401 - each property has its type
        make: Any = self._session.client
        try:
            with explained():
                client = make(service, endpoint_url=self._endpoint_url, config=_CONFIG)
                return self._denials.watch_over(client)
        except ValueError as error:  # botocore: the endpoint is no URL
            raise NotDone(
                f"{error}: correct AWS_ENDPOINT_URL, or endpoint_url in your AWS configuration"
            ) from error
