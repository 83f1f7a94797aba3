"""
The requests that every upload needs, without most of botocore's client.

Per request, botocore's client takes 0.3 to 0.5 ms of CPU for its events, serializers and parsers:
four fifths of what tagging an image cost (docs/performance.md). `direct` returns the client with
one operation replaced. The replacement signs the request by botocore's own signer, and sends it by
the client's own connections. Only a success ends there: on any other response, the client sends
the request again, with its own retries and errors. Each of these requests may be sent twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from botocore import handlers, httpchecksum
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.exceptions import ConnectionError as NotConnected
from botocore.exceptions import HTTPClientError
from botocore.response import StreamingBody

if TYPE_CHECKING:
    from botocore.credentials import Credentials

_SUCCESSES = (200, 206)

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

    *check* is called before each request, and raises an error if there is no time for it. Of an
    object come only `Body`, `ContentLength`, `ContentRange`, `ETag` and `Metadata`. If this version
    of botocore is not as expected, the client is returned as it is.
    """
    try:
        found = _CLASSES[client.meta.service_model.service_name](
            client, credentials, check
        )
        found.rehearse()
    except Exception:  # noqa: BLE001 - Lambda updates botocore by itself
        return client
    return found


class _Direct:
    """A client whose other operations are botocore's."""

    _signer = SigV4Auth

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

    def _post(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the request has succeeded."""
        url = f"{self._client.meta.endpoint_url.rstrip('/')}/"
        request = AWSRequest("POST", url, headers, body)
        return self._send(request) is not None

    def _send(self, request: AWSRequest) -> AWSResponse | None:
        """The response, if it is a success."""
        self._check()
        try:
            response: AWSResponse = self._http.send(self._signed(request))
        except (HTTPClientError, NotConnected):
            return None
        if response.status_code in _SUCCESSES:
            return response
        response.content  # noqa: B018 - reads it, so that the connection can be used again
        return None

    def _signed(self, request: AWSRequest) -> AWSPreparedRequest:
        request.headers["User-Agent"] = self._client.meta.config.user_agent
        _add_trace(params={"headers": request.headers})
        # Frozen: refreshable credentials may change between two looks at them
        frozen = self._credentials.get_frozen_credentials()
        self._signer(frozen, *self._scope).add_auth(request)
        return request.prepare()


class _DynamoDB(_Direct):
    def put_item(self, **request: Any) -> Any:  # noqa: ANN401 - as the client's
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "DynamoDB_20120810.PutItem",
        }
        if self._post(headers, json.dumps(request).encode()):
            return {}
        return self._client.put_item(**request)


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
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        if self._post(headers, urlencode(fields).encode()):
            return {}
        return self._client.publish(**request)


_S3_HEADERS = {"IfMatch": "If-Match", "Range": "Range"}
_METADATA = "x-amz-meta-"


class _S3(_Direct):
    _signer = S3SigV4Auth

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as the base's
        super().__init__(*arguments)
        self._folders: dict[str, str] = {}
        """The URL of each bucket, with a slash at the end."""

    def get_object(self, **request: Any) -> Any:  # noqa: ANN401 - as the client's
        url = self._folder(request["Bucket"]) + quote(request["Key"], safe="/~")
        if "VersionId" in request:
            url += f"?versionId={quote(request['VersionId'], safe='-_.~')}"
        headers = {
            header: request[name]
            for name, header in _S3_HEADERS.items()
            if name in request
        }
        headers["x-amz-checksum-mode"] = "ENABLED"
        response = self._send(AWSRequest("GET", url, headers, stream_output=True))
        if response is None:
            return self._client.get_object(**request)
        found = response.headers
        length = int(found["Content-Length"])
        # The one that boto3 gives to an upload, and that needs no other library
        checksum = found.get("x-amz-checksum-crc32", "-")
        is_of_a_part = "Range" in request or "-" in checksum
        return {
            "Body": StreamingBody(response.raw, length)
            if is_of_a_part
            else httpchecksum.StreamingChecksumBody(
                response.raw, length, httpchecksum.Crc32Checksum(), checksum
            ),
            "ContentLength": length,
            "ContentRange": found.get("Content-Range", ""),
            "ETag": found["ETag"],
            "Metadata": {
                name[len(_METADATA) :]: value
                for name, value in found.items()
                if name.lower().startswith(_METADATA)
            },
        }

    def _folder(self, bucket: str) -> str:
        found = self._folders.get(bucket)
        if found is None:
            # Presigning finds the endpoint like a request, and sends nothing
            url: str = self._client.generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": "-"}
            )
            found = self._folders[bucket] = url.partition("?")[0].removesuffix("-")
        return found


_CLASSES: dict[str, type[_Direct]] = {"dynamodb": _DynamoDB, "sns": _Sns, "s3": _S3}
