"""
The requests that every upload needs, without most of botocore's client.

Per request, botocore's client takes 0.3 to 0.5 ms of CPU for its events, serializers and parsers:
four fifths of what tagging an image cost (docs/performance.md). `direct` returns the client with
one operation replaced. The replacement signs the request by botocore's own signer, and sends it by
the client's own connections. Only a success ends there: after anything else, the client sends the
request again, with its own retries and errors. Each of these requests may be sent twice.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlencode

from botocore import handlers
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.httpchecksum import (
    Crc32Checksum,
    Sha1Checksum,
    Sha256Checksum,
    StreamingChecksumBody,
)
from botocore.response import StreamingBody

if TYPE_CHECKING:
    from botocore.credentials import Credentials

_SUCCESSES = (200, 206)
_MOST_BUCKETS = 100

# For AWS's detection of recursive loops; other versions of botocore may lack it
_add_trace: Callable[..., object] = getattr(
    handlers, "add_recursion_detection_header", lambda **_: None
)


def direct(
    client: Any,  # noqa: ANN401 - a client has the methods of its service
    credentials: Credentials,
    check: Callable[[], None],
) -> Any:  # noqa: ANN401 - as the client
    """
    *client*, of DynamoDB, SNS or S3, with a direct `put_item`, `publish` or `get_object`.

    *check* is called before each request, and raises an error if there is no time for it. The
    response of `put_item` and `publish` is empty. Of an object come only `Body`, `ContentLength`,
    `ContentRange`, `ETag` and `Metadata`. If this version of botocore is not as expected, the
    client is returned as it is.
    """
    try:
        found = _CLASSES[client.meta.service_model.service_name](
            client, credentials, check
        )
        found.rehearse()
    except Exception:  # noqa: BLE001 - Lambda updates botocore by itself
        return client
    return found


class _Direct(ABC):
    """A client whose other operations are botocore's."""

    _signer = SigV4Auth
    _parameters: ClassVar[frozenset[str]]
    """A request with others is the client's."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - a client has the methods of its service
        credentials: Credentials,
        check: Callable[[], None],
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._check = check
        self._scope = (client.meta.service_model.signing_name, client.meta.region_name)
        # botocore has no public access to a client's connections
        self._http = client._endpoint.http_session  # noqa: SLF001

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the client's
        return getattr(self._client, name)

    def rehearse(self) -> None:
        """Sign a request that is not sent."""
        self._signed(AWSRequest("GET", self._client.meta.endpoint_url))

    @abstractmethod
    def _request(self, request: Mapping[str, Any]) -> AWSRequest:
        """The HTTP request."""

    @abstractmethod
    def _result(self, response: AWSResponse, request: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as the client's
        """What the operation returns. Raises any error if the response is not as expected."""

    def _sent(self, request: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as the client's
        """The result of a request; None if the client is to send it."""
        self._check()
        if not request.keys() <= self._parameters:
            return None
        response: AWSResponse | None = None
        try:
            response = self._http.send(self._signed(self._request(request)))
            if response.status_code in _SUCCESSES:
                return self._result(response, request)
            response.content  # noqa: B018 - reads it, so that the connection can be used again
        # No connection, no whole response, another version of botocore: the client has the errors
        except Exception:  # noqa: BLE001
            if response is not None:
                response.raw.close()
        return None

    def _url(self, operation: str, parameters: Mapping[str, Any]) -> str:
        """Where the client sends an operation; presigning finds it like a request."""
        url: str = self._client.generate_presigned_url(operation, Params=parameters)
        return url.partition("?")[0]

    def _signed(self, request: AWSRequest) -> AWSPreparedRequest:
        request.headers["User-Agent"] = self._client.meta.config.user_agent
        _add_trace(params={"headers": request.headers})
        # Frozen: refreshable credentials may change between two looks at them
        frozen = self._credentials.get_frozen_credentials()
        self._signer(frozen, *self._scope).add_auth(request)
        return request.prepare()


class _DynamoDB(_Direct):
    _parameters = frozenset(
        {
            "TableName",
            "Item",
            "ConditionExpression",
            "ExpressionAttributeNames",
            "ExpressionAttributeValues",
            "ReturnValuesOnConditionCheckFailure",
        }
    )
    _headers: ClassVar = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "DynamoDB_20120810.PutItem",
    }

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as the base's
        super().__init__(*arguments)
        self._address = self._url("put_item", {"TableName": "any", "Item": {}})

    def put_item(self, **request: Any) -> Any:  # noqa: ANN401 - as the client's
        found = self._sent(request)
        return self._client.put_item(**request) if found is None else found

    def _request(self, request: Mapping[str, Any]) -> AWSRequest:
        body = json.dumps(request).encode()
        return AWSRequest("POST", self._address, self._headers, body)

    def _result(self, response: AWSResponse, _: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as the client's
        _require(response, b"{")
        return {}


class _Sns(_Direct):
    _parameters = frozenset({"TopicArn", "Message", "MessageAttributes"})
    _headers: ClassVar = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"
    }

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as the base's
        super().__init__(*arguments)
        self._address = self._url("publish", {"Message": "any"})

    def publish(self, **request: Any) -> Any:  # noqa: ANN401 - as the client's
        found = self._sent(request)
        return self._client.publish(**request) if found is None else found

    def _request(self, request: Mapping[str, Any]) -> AWSRequest:
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
        body = urlencode(fields).encode()
        return AWSRequest("POST", self._address, self._headers, body)

    def _result(self, response: AWSResponse, _: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as the client's
        _require(response, b"<MessageId>")
        return {}


def _require(response: AWSResponse, part: bytes) -> None:
    """A success without that *part* is not AWS's."""
    if part not in response.content:
        raise ValueError(part)


_HEADERS = {"IfMatch": "If-Match", "Range": "Range"}
_METADATA = "x-amz-meta-"
_CHECKSUMS = {
    "x-amz-checksum-crc32": Crc32Checksum,
    "x-amz-checksum-sha1": Sha1Checksum,
    "x-amz-checksum-sha256": Sha256Checksum,
}
"""Those that need no other library."""


class _S3(_Direct):
    _signer = S3SigV4Auth
    _parameters = frozenset({"Bucket", "Key", "VersionId", *_HEADERS})

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as the base's
        super().__init__(*arguments)
        self._folder = lru_cache(_MOST_BUCKETS)(self._folder_of)

    def get_object(self, **request: Any) -> Any:  # noqa: ANN401 - as the client's
        # Without a key, it would be a request for the bucket
        found = self._sent(request) if request["Key"] else None
        return self._client.get_object(**request) if found is None else found

    def _request(self, request: Mapping[str, Any]) -> AWSRequest:
        url = self._folder(request["Bucket"]) + quote(request["Key"], safe="/~")
        if "VersionId" in request:
            url += f"?versionId={quote(request['VersionId'], safe='-_.~')}"
        headers = {
            header: request[name]
            for name, header in _HEADERS.items()
            if name in request
        }
        headers["x-amz-checksum-mode"] = "ENABLED"
        return AWSRequest("GET", url, headers, stream_output=True)

    def _result(self, response: AWSResponse, request: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as the client's
        found = response.headers
        length = int(found["Content-Length"])
        return {
            "Body": _body(response, length, is_part="Range" in request),
            "ContentLength": length,
            "ContentRange": found.get("Content-Range", ""),
            "ETag": found["ETag"],
            "Metadata": {
                name[len(_METADATA) :]: value
                for name, value in found.items()
                if name.lower().startswith(_METADATA)
            },
        }

    def _folder_of(self, bucket: str) -> str:
        """The URL of a bucket, with a slash at the end."""
        return self._url("get_object", {"Bucket": bucket, "Key": "-"}).removesuffix("-")


def _body(response: AWSResponse, length: int, *, is_part: bool) -> StreamingBody:
    for header, checksum in _CHECKSUMS.items():
        expected = response.headers.get(header, "-")
        # With a hyphen, it is that of the checksums of the parts of an upload
        if "-" not in expected and not is_part:
            return StreamingChecksumBody(response.raw, length, checksum(), expected)
    return StreamingBody(response.raw, length)


_CLASSES: dict[str, type[_Direct]] = {"dynamodb": _DynamoDB, "sns": _Sns, "s3": _S3}
