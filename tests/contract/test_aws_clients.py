"""The clients of the functions: cheaper than botocore makes them, and the same on the wire."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from urllib.parse import parse_qsl

import botocore
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import (
    ClientError,
    DataNotFoundError,
    ParamValidationError,
    UnknownServiceError,
)
from botocore.loaders import Loader
from botocore.session import Session

from hangtag.adapters.aws_clients import AwsClients, new_session
from hangtag.time_budget import TimeBudget
from tests.contract.loopback import (
    LoopbackServer,
    Received,
    answer,
    loopback_server,
)
from tests.environment import REGION

SERVICES = ("dynamodb", "lambda", "s3", "secretsmanager", "sns", "sqs")
PUBLISHED = b"""<PublishResponse>
<PublishResult><MessageId>1</MessageId></PublishResult>
</PublishResponse>"""
TOPIC = f"arn:aws:sns:{REGION}:123456789012:results"
MESSAGE = '{"subject": "s3://uploads/재킷 +&=%.jpg"}'


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """AWS, as far as the clients of `clients` know."""
    with loopback_server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        server.replies(answer(200, PUBLISHED))
        yield server


def clients(session: Session | None = None) -> AwsClients:
    """The clients of a function."""
    return AwsClients(TimeBudget.of(60), session=session)


def publish(client: Any) -> None:  # noqa: ANN401 - a client of SNS
    """Publishes a message with an attribute."""
    client.publish(
        TopicArn=TOPIC,
        Message=MESSAGE,
        MessageAttributes={"type": {"DataType": "String", "StringValue": "a b"}},
    )


# ---- the descriptions of AWS


def loader() -> Loader:
    """The loader of a new session."""
    loader: Loader = new_session().get_component("data_loader")
    return loader


@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1", "paginators-1"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_described_as_by_botocore(service: str, kind: str) -> None:
    """In the same sequence, too: botocore's own dictionaries are ordered."""
    expected = Loader().load_service_model(service, kind)

    found = loader().load_service_model(service, kind)

    assert json.dumps(expected) == json.dumps(found)


@pytest.mark.parametrize("name", ["endpoints", "partitions", "_retry"])
def test_other_data_are_those_of_botocore(name: str) -> None:
    """Regions and retries are no services."""
    assert json.dumps(Loader().load_data(name)) == json.dumps(loader().load_data(name))


def test_a_description_that_botocore_does_not_have_is_unknown() -> None:
    """Botocore asks for some descriptions only to see whether there is one."""
    with pytest.raises(UnknownServiceError):
        loader().load_service_model("sts", "waiters-2")


def test_a_service_that_does_not_exist_is_unknown() -> None:
    """The error is botocore's."""
    with pytest.raises(UnknownServiceError, match="tagger"):
        loader().load_service_model("tagger", "service-2")
    with pytest.raises(DataNotFoundError):
        loader().load_data("tagger")


def describe(folder: Path, service: str, content: bytes, extension: str) -> None:
    """Writes the description of a service into a folder for `AWS_DATA_PATH`."""
    version = folder / service / "2026-11-30"
    version.mkdir(parents=True)
    (version / f"service-2{extension}").write_bytes(content)


def test_descriptions_of_the_environments_own_folder_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Botocore reads them from `AWS_DATA_PATH`."""
    describe(tmp_path, "tagger", b'{"metadata": {}}', ".json")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))

    assert loader().load_service_model("tagger", "service-2") == {"metadata": {}}


def test_a_file_that_only_botocore_can_read_is_read_by_botocore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda may have any version of botocore; here gzip in two members."""
    content = gzip.compress(b'{"metadata"') + gzip.compress(b": {}}")
    describe(tmp_path, "tagger", content, ".json.gz")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))

    assert loader().load_service_model("tagger", "service-2") == {"metadata": {}}


# ---- one client of each service


class CountingSession(Session):
    """Counts the clients that are made."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []

    def create_client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - botocore's
        """A client of a service."""
        self.made.append(service_name)
        return super().create_client(service_name, *args, **kwargs)


def test_ten_threads_that_need_a_client_at_once_share_it(
    server: LoopbackServer,
) -> None:
    """The uploads of a batch fail at the same moment, and each sends a dead letter."""
    session = CountingSession()
    queues = clients(session).lazy("sqs")
    server.replies(answer(200, b"{}"))
    together = Barrier(10)

    def send() -> None:
        together.wait(10)
        queues.send_message(QueueUrl=f"{server.url}/1/letters", MessageBody="{}")

    assert session.made == []
    threads = [Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert session.made == ["sqs"]
    assert len(server.received) == 10


# ---- requests


def test_requests_name_hangtag_and_the_version_of_botocore(
    server: LoopbackServer,
) -> None:
    """CloudTrail and the access logs of buckets show it."""
    publish(clients().client("sns"))

    [request] = server.received
    # Powertools may add itself
    named = request.headers["user-agent"].split()[:2]
    assert named == ["hangtag", f"botocore/{botocore.__version__}"]


def signature_of(request: Received, url: str) -> str:
    """The signature that AWS expects, by what it received."""
    authorization = dict(
        part.split("=", 1)
        for part in request.headers["authorization"].split(" ", 1)[1].split(", ")
    )
    signer = SigV4Auth(Credentials("testing", "testing"), "sns", REGION)
    signed = AWSRequest(
        method=request.method,
        url=url + request.path,
        headers={
            name: request.headers[name]
            for name in authorization["SignedHeaders"].split(";")
        },
        data=request.body,
    )
    signed.context["timestamp"] = request.headers["x-amz-date"]
    canonical = signer.canonical_request(signed)
    signature: str = signer.signature(signer.string_to_sign(signed, canonical), signed)
    assert authorization["Signature"]
    return f"{authorization['Signature']} {signature}"


def test_an_announcement_is_encoded_as_by_botocore(server: LoopbackServer) -> None:
    """With the same headers, and a signature of what is sent."""
    publish(Session().create_client("sns"))

    publish(clients().client("sns"))

    botocores, ours = server.received
    assert botocores.body == ours.body
    assert ("Message", MESSAGE) in parse_qsl(ours.body.decode())
    for name in ("content-type", "content-length", "host"):
        assert botocores.headers[name] == ours.headers[name]
    sent, expected = signature_of(ours, server.url).split()
    assert sent == expected


def test_an_announcement_that_is_sent_again_is_the_same(server: LoopbackServer) -> None:
    """Botocore makes a new request for each attempt."""
    server.replies(answer(500), answer(200, PUBLISHED))

    publish(clients().client("sns"))

    first, second = server.received
    assert first.body == second.body
    sent, expected = signature_of(second, server.url).split()
    assert sent == expected


def test_an_empty_key_is_no_request_for_its_bucket(server: LoopbackServer) -> None:
    """Without botocore's validation, deleting such an object would delete the bucket."""
    objects = clients().client("s3")

    for request in (objects.get_object, objects.delete_object):
        with pytest.raises(ParamValidationError):
            request(Bucket="uploads", Key="")

    assert server.received == []


def test_dynamodb_itself_refuses_wrong_parameters(server: LoopbackServer) -> None:
    """Botocore does not look for them, which would take a third of the time of a write."""
    server.replies(answer(400, b'{"__type": "SerializationException"}'))
    table = clients().client("dynamodb")

    with pytest.raises(ClientError, match="SerializationException"):
        table.get_item(TableName="results", Key={"uri": {"S": 1}})
