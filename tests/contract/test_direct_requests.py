"""The direct requests are those of botocore's client, which takes over where they fail."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha1, sha256
from typing import Any
from urllib.parse import parse_qs
from zlib import crc32

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ParamValidationError,
)
from hypothesis import example, given
from hypothesis import strategies as st

from hangtag.adapters import direct_requests
from hangtag.adapters.aws_clients import AwsClients
from hangtag.adapters.aws_deadline import DeadlineTooClose
from hangtag.adapters.s3_objects import S3Objects
from hangtag.errors import ObjectUnavailable
from hangtag.time_budget import TimeBudget
from tests.builders import PNG, an_upload
from tests.contract.loopback import (
    LoopbackServer,
    Received,
    Reply,
    answer,
    hang_up,
    loopback_server,
    part_of_an_answer_and_silence,
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
            read_timeout=1,
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
    # Powertools adds its own name to that of the client, where it is loaded
    assert botos.headers["user-agent"].startswith(own.headers["user-agent"])
    for name in SAME_HEADERS:
        assert own.headers.get(name) == botos.headers.get(name)


def addresses(
    plain: Any,  # noqa: ANN401 - as above
    operation: str,
    request: dict[str, Any],
) -> tuple[str, str]:
    """The direct request's address and the client's, which takes over; neither is sent."""
    urls: list[str] = []

    class Http:
        """Notes the direct request."""

        def send(self, request: Any) -> None:  # noqa: ANN401 - botocore's
            """Do not send it."""
            urls.append(request.url)
            raise ConnectionClosedError(endpoint_url=request.url)

    def note(request: Any, **_: object) -> None:  # noqa: ANN401 - botocore's
        urls.append(request.url)
        raise DeadlineTooClose

    plain.meta.events.register("before-send", note)
    plain._endpoint.http_session = Http()
    caller = direct_requests.direct(plain, CREDENTIALS, lambda: None)
    with pytest.raises(DeadlineTooClose):
        getattr(caller, operation)(**request)
    own, botos = urls
    return own, botos


@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
@example("/a")
@example("//")
@example("a/../b")
@example("./.")
@example("%2e%2e/100%?#+ ~")
def test_any_key_gets_the_path_that_the_client_gives_it(key: str) -> None:
    """Also one with dots, slashes, question marks and percent signs."""
    plain = client("s3", f"http://127.0.0.1:{unused_port()}")

    own, botos = addresses(
        plain, "get_object", {"Bucket": "uploads", "Key": key, "VersionId": "v"}
    )

    assert own == botos


@services
@pytest.mark.parametrize(
    ("region", "environment"),
    [
        ("us-east-1", {}),
        ("cn-north-1", {}),
        ("us-gov-west-1", {"AWS_USE_FIPS_ENDPOINT": "true"}),
        ("us-east-1", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}),
        ("eu-central-1", {"AWS_ACCOUNT_ID": "123456789012"}),
        ("eu-central-1", {"AWS_ENDPOINT_URL": "https://proxy.example.com/aws"}),
        ("eu-central-1", {"AWS_ENDPOINT_URL_S3": "https://s3.example.com"}),
    ],
)
def test_the_address_is_the_one_that_the_client_finds(
    service: str,
    region: str,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment may ask for other endpoints, and their rules have exceptions."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    plain = AwsClients(TimeBudget.of(60)).client(service)

    own, botos = addresses(plain, OPERATIONS[service], REQUESTS[service])

    assert own == botos


@pytest.mark.parametrize("bucket", ["a.b.c", "Old_Bucket", "a-b-s3alias"])
def test_the_bucket_is_named_where_the_client_names_it(bucket: str) -> None:
    """In the path, where the certificate or the name's letters rule out the host."""
    plain = AwsClients(TimeBudget.of(60)).client("s3")

    own, botos = addresses(plain, "get_object", {**GET, "Bucket": bucket})

    assert own == botos


@services
def test_a_success_is_one_request(server: LoopbackServer, service: str) -> None:
    """Nothing is repeated."""
    server.replies(GOOD[service])

    send(direct(service, server.url), service)

    assert len(server.received) == 1


NO_SUCCESSES = {
    "503": answer(503),
    "400": answer(400),
    "no answer": hang_up,
    # Nothing is written, announced or read
    "a page of a proxy": answer(200, b"<html>Welcome</html>"),
    # The direct request waits for the rest no longer than the client
    "an error without an end": part_of_an_answer_and_silence(
        503, b"<Error>", length=100
    ),
}


@services
@pytest.mark.parametrize("reply", NO_SUCCESSES.values(), ids=NO_SUCCESSES.keys())
def test_the_client_repeats_what_was_no_success(
    server: LoopbackServer, service: str, reply: Reply
) -> None:
    """Its own retries come on top: this is only the first try."""
    server.replies(reply, GOOD[service])

    send(direct(service, server.url), service)

    assert len(server.received) == 2


@services
def test_a_request_with_other_parameters_is_the_client_s(
    server: LoopbackServer, service: str
) -> None:
    """None is left out."""
    server.replies(GOOD[service])
    more: dict[str, dict[str, Any]] = {
        "dynamodb": {"ReturnValues": "ALL_OLD"},
        "sns": {"Subject": "a"},
        "s3": {"PartNumber": 1},
    }

    caller = direct(service, server.url)
    getattr(caller, OPERATIONS[service])(**REQUESTS[service], **more[service])

    [request] = server.received
    assert "amz-sdk-request" in request.headers


def test_an_empty_key_is_no_request_for_its_bucket(server: LoopbackServer) -> None:
    """Its response would be a list of all objects."""
    with pytest.raises(ParamValidationError):
        direct("s3", server.url).get_object(Bucket="uploads", Key="")

    assert server.received == []


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


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("crc32", crc32(PNG).to_bytes(4)),
        ("sha1", sha1(PNG, usedforsecurity=False).digest()),
        ("sha256", sha256(PNG).digest()),
    ],
)
def test_a_damaged_image_is_an_error(
    server: LoopbackServer, algorithm: str, digest: bytes
) -> None:
    """S3 sends the checksum of the upload. The next attempt may read a good image."""
    objects = S3Objects(direct("s3", server.url), max_image_bytes=1_000)
    headers = {
        "ETag": '"e"',
        f"x_amz_checksum_{algorithm}": b64encode(digest).decode(),
    }
    server.replies(answer(200, PNG, **headers))
    image = objects.read(an_upload())
    assert image is not None
    assert b"".join(image.content) == PNG

    server.replies(answer(200, PNG[:-1] + b"!", **headers))

    with pytest.raises(ObjectUnavailable, match="checksum"):
        objects.read(an_upload())


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
