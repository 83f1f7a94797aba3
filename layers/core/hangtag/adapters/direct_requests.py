"""
The writes and announcements of every upload, without most of botocore's client.

Per request, botocore's client takes 0.3 to 0.5 ms of CPU for its serializers, events and parsers:
four fifths of what tagging an image cost (docs/performance.md). `direct_dynamodb` and `direct_sns`
return the client itself with one operation replaced. The replacement signs the request by
botocore's own signer and sends it by the client's own connections. Only a success ends there:
after any other response the client sends the same request again, with its retries and its errors.
All these requests may be sent twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import HTTPClientError

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sns import SNSClient

_OK = 200


def direct_dynamodb(
    client: DynamoDBClient, credentials: Credentials, check: Callable[[], None]
) -> DynamoDBClient:
    """
    *client* with a direct `put_item`.

    *check* is called before each request, and raises an error if there is no time for it.
    """
    return cast("DynamoDBClient", _DynamoDB(client, credentials, check))


def direct_sns(
    client: SNSClient, credentials: Credentials, check: Callable[[], None]
) -> SNSClient:
    """*client* with a direct `publish`; *check* as in `direct_dynamodb`."""
    return cast("SNSClient", _Sns(client, credentials, check))


class _Direct:
    """A client whose other operations are botocore's."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - a client has the methods of its service
        credentials: Credentials,
        check: Callable[[], None],
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._check = check
        meta = client.meta
        self._url = f"{meta.endpoint_url.rstrip('/')}/"
        self._scope = (meta.service_model.signing_name, meta.region_name)
        # botocore has no public access to a client's connections
        endpoint = getattr(client, "_endpoint", None)
        self._http: Any = getattr(endpoint, "http_session", None)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the client's
        return getattr(self._client, name)

    def _post(self, headers: Mapping[str, str], body: bytes) -> bytes | None:
        """The body of a response that is a success, else None."""
        if self._http is None:
            return None
        self._check()
        request = AWSRequest("POST", self._url, headers, body)
        # Frozen: refreshable credentials may change between two looks at them
        frozen = self._credentials.get_frozen_credentials()
        SigV4Auth(frozen, *self._scope).add_auth(request)
        try:
            response = self._http.send(request.prepare())
        except HTTPClientError:
            return None
        content: bytes = response.content
        return content if response.status_code == _OK else None


class _DynamoDB(_Direct):
    def put_item(self, **request: Any) -> Any:  # noqa: ANN401 - as the client's
        answer = self._post(
            {
                "Content-Type": "application/x-amz-json-1.0",
                "User-Agent": "hangtag",
                "X-Amz-Target": "DynamoDB_20120810.PutItem",
            },
            json.dumps(request).encode(),
        )
        return self._client.put_item(**request) if answer is None else {}


class _Sns(_Direct):
    def publish(self, **request: Any) -> Any:  # noqa: ANN401 - as the client's
        fields = {
            "Action": "Publish",
            "Version": "2010-03-31",
            "TopicArn": request["TopicArn"],
            "Message": request["Message"],
        }
        attributes = request.get("MessageAttributes", {})
        for number, (name, attribute) in enumerate(attributes.items(), start=1):
            entry = f"MessageAttributes.entry.{number}"
            fields[f"{entry}.Name"] = name
            fields[f"{entry}.Value.DataType"] = attribute["DataType"]
            fields[f"{entry}.Value.StringValue"] = attribute["StringValue"]
        answer = self._post(
            {
                "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
                "User-Agent": "hangtag",
            },
            urlencode(fields).encode(),
        )
        return self._client.publish(**request) if answer is None else {}
