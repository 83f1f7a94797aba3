"""The direct requests are those of botocore's client, which takes over where they fail."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs
from zlib import crc32

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
)
from hypothesis import given
from hypothesis import strategies as st

from hangtag.adapters import direct_requests
from hangtag.adapters.aws_deadline import DeadlineTooClose
from tests.contract.loopback import (
    LoopbackServer,
    Received,
    Reply,
    answer,
    hang_up,
    loopback_server,
    unused_port,
)
from tests.environment import REGION

CREDENTIALS = Credentials("AKIAEXAMPLE000000000", "a secret", "a token")
ITEM = {
    "uri": {"S": "s3://b/Kleid ä.png"},
    "number": {"N": "0.77872"},
    "map": {"M": {"none": {"NULL": True}, "list": {"L": [{"BOOL": False}]}}},
}
PUT: dict[str, Any] = {
    "TableName": "results",
    "Item": ITEM,
    "ConditionExpression": "rev = :seen",
    "ExpressionAttributeValues": {":seen": {"S": "1"}},
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}
PUBLISH: dict[str, Any] = {
    "TopicArn": f"arn:aws:sns:{REGION}:123456789012:results",
    "Message": '{"a": "100 % ä & ~ + =\\n"}',
    "MessageAttributes": {
        "type": {"DataType": "String", "StringValue": "a&b"},
        "color": {"DataType": "String.Array", "StringValue": '["red", "blue"]'},
    },
}
GET: dict[str, Any] = {"Bucket": "uploads", "Key": "a b/ä.png", "VersionId": "v.1_~"}
REQUESTS = {"dynamodb": PUT, "sns": PUBLISH, "s3": GET}
OPERATIONS = {"dynamodb": "put_item", "sns": "publish", "s3": "get_object"}
PUBLISHED = (
    b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult>"
    b"</PublishResponse>"
)
GOOD = {
    "dynamodb": answer(200, b"{}"),
    "sns": answer(200, PUBLISHED),
    "s3": answer(200, b"image", ETag='"e"', x_amz_meta_tagger_id="7"),
}
SAME_HEADERS = (
    *("content-type", "host", "x-amz-checksum-mode"),
    *("x-amz-content-sha256", "x-amz-security-token", "x-amz-target"),
    "x-amzn-trace-id",
)
services = pytest.mark.parametrize("service", sorted(REQUESTS))


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """AWS."""
    with loopback_server() as running:
        yield running


def client(service: str, url: str) -> Any:  # noqa: ANN401 - each service has its own
    """A client of botocore, which tries twice."""
    session: Any = boto3.Session(
        CREDENTIALS.access_key, CREDENTIALS.secret_key, CREDENTIALS.token, REGION
    )
    return session.client(
        service,
        endpoint_url=url,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 2},
            user_agent="Botocore",
            s3={"addressing_style": "path"},
        ),
    )


def direct(service: str, url: str, check: Callable[[], None] = lambda: None) -> Any:  # noqa: ANN401 - as above
    """The client with the direct operation."""
    return direct_requests.direct(client(service, url), CREDENTIALS, check)


def send(caller: Any, service: str) -> Any:  # noqa: ANN401 - as above
    """The operation, with its request."""
    return getattr(caller, OPERATIONS[service])(**REQUESTS[service])


def content_of(request: Received) -> object:
    """What a body says, in whatever order."""
    if request.headers.get("content-type", "").startswith("application/x-amz-json"):
        return json.loads(request.body)
    return parse_qs(request.body.decode())


def signed_as(request: Received) -> object:
    """The scope of the signature: the day is the same, or the test runs at midnight."""
    return request.headers["authorization"].partition("Credential=")[2].split(",")[0]


@services
def test_the_request_is_that_of_the_client(
    server: LoopbackServer, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same content for the same address, in the name and on behalf of the same caller."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "TagUploads")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793")
    server.replies(GOOD[service])

    send(direct(service, server.url), service)
    send(client(service, server.url), service)

    own, botos = server.received
    assert (own.method, own.path) == (botos.method, botos.path)
    assert content_of(own) == content_of(botos)
    assert signed_as(own) == signed_as(botos)
    assert "x-amzn-trace-id" in own.headers
    for name in SAME_HEADERS:
        assert own.headers.get(name) == botos.headers.get(name)


@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_any_key_gets_the_path_that_the_client_gives_it(key: str) -> None:
    """Also one with dots, slashes, question marks and percent signs."""
    urls: list[str] = []
    plain = client("s3", f"http://127.0.0.1:{unused_port()}")

    def note(request: Any, **_: object) -> None:  # noqa: ANN401 - botocore's
        urls.append(request.url)
        raise DeadlineTooClose

    plain.meta.events.register("before-send", note)
    with pytest.raises(DeadlineTooClose):
        plain.get_object(Bucket="uploads", Key=key, VersionId="v")

    class Http:
        """Notes the direct request."""

        def send(self, request: Any) -> None:  # noqa: ANN401 - botocore's
            """Do not send it."""
            urls.append(request.url)
            raise DeadlineTooClose

    plain._endpoint.http_session = Http()
    with pytest.raises(DeadlineTooClose):
        direct_requests.direct(plain, CREDENTIALS, lambda: None).get_object(
            Bucket="uploads", Key=key, VersionId="v"
        )

    assert urls[0] == urls[1]


@services
def test_a_success_is_one_request(server: LoopbackServer, service: str) -> None:
    """Nothing is repeated."""
    server.replies(GOOD[service])

    send(direct(service, server.url), service)

    assert len(server.received) == 1


@services
@pytest.mark.parametrize("reply", [answer(503), answer(400), hang_up])
def test_the_client_repeats_what_was_no_success(
    server: LoopbackServer, service: str, reply: Reply
) -> None:
    """Its own retries come on top: this is only the first try."""
    server.replies(reply, GOOD[service])

    send(direct(service, server.url), service)

    assert len(server.received) == 2


@services
def test_an_error_is_the_client_s(server: LoopbackServer, service: str) -> None:
    """With its code, and the item that a condition has found."""
    body = json.dumps(
        {"__type": "x#ConditionalCheckFailedException", "Item": ITEM}
    ).encode()
    if service != "dynamodb":
        body = b"<Error><Code>NoSuchKey</Code></Error>"
    if service == "sns":
        body = b"<ErrorResponse><Error><Code>NotFound</Code></Error></ErrorResponse>"
    server.replies(answer(400, body))

    with pytest.raises(ClientError) as caught:
        send(direct(service, server.url), service)

    response: Any = caught.value.response
    assert response["Error"]["Code"] in (
        "ConditionalCheckFailedException",
        "NoSuchKey",
        "NotFound",
    )
    if service == "dynamodb":
        assert response["Item"] == ITEM


@services
def test_without_a_connection_the_client_fails_as_ever(service: str) -> None:
    """Its error is known to the callers."""
    url = f"http://127.0.0.1:{unused_port()}"

    with pytest.raises(EndpointConnectionError):
        send(direct(service, url), service)


@services
def test_nothing_is_sent_when_there_is_no_time(
    server: LoopbackServer, service: str
) -> None:
    """The check comes before each request."""

    def check() -> None:
        raise DeadlineTooClose

    with pytest.raises(DeadlineTooClose):
        send(direct(service, server.url, check), service)

    assert server.received == []


@services
def test_a_client_without_known_connections_sends_the_request(
    server: LoopbackServer, service: str
) -> None:
    """Another version of botocore may keep them elsewhere."""
    server.replies(GOOD[service])
    plain = client(service, server.url)

    class Other:
        """A client without the attribute of its connections."""

        meta = plain.meta

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the client's
            if name == "_endpoint":
                raise AttributeError(name)
            return getattr(plain, name)

    send(direct_requests.direct(Other(), CREDENTIALS, lambda: None), service)

    assert len(server.received) == 1
    assert "amz-sdk-request" in server.received[0].headers


def test_an_object_is_read_like_the_client_reads_it(server: LoopbackServer) -> None:
    """Its bytes, length, etag, range and metadata."""
    part = answer(
        206, b"mag", ETag='"e"', Content_Range="bytes 1-3/5", x_amz_meta_tagger_id="7"
    )
    server.replies(part)
    request = {**GET, "Range": "bytes=1-3", "IfMatch": '"e"'}

    found = direct("s3", server.url).get_object(**request)
    expected = client("s3", server.url).get_object(**request)

    for name in ("ContentLength", "ContentRange", "ETag", "Metadata"):
        assert found[name] == expected[name]
    assert found["Body"].read() == expected["Body"].read() == b"mag"
    own, botos = server.received
    assert own.headers["range"] == botos.headers["range"]
    assert own.headers["if-match"] == botos.headers["if-match"]


def test_a_damaged_object_is_an_error(server: LoopbackServer) -> None:
    """S3 sends the checksum of the upload."""
    checksum = b64encode(crc32(b"image").to_bytes(4)).decode()
    caller = direct("s3", server.url)
    server.replies(answer(200, b"image", ETag='"e"', x_amz_checksum_crc32=checksum))
    assert send(caller, "s3")["Body"].read() == b"image"

    server.replies(answer(200, b"imagf", ETag='"e"', x_amz_checksum_crc32=checksum))

    with pytest.raises(BotoCoreError, match="checksum"):
        send(caller, "s3")["Body"].read()


def test_a_connection_is_used_again_after_an_object(server: LoopbackServer) -> None:
    """Its body has been read to the end, or it was closed."""
    server.replies(GOOD["s3"])
    caller = direct("s3", server.url)

    for _ in range(3):
        send(caller, "s3")["Body"].read()

    assert len({request.client_port for request in server.received}) == 1


@services
def test_other_operations_are_the_client_s(service: str) -> None:
    """Nothing else is replaced."""
    caller = direct(service, "http://127.0.0.1:1")

    assert caller.meta.service_model.service_name == service
    assert caller.exceptions is not None
