"""Connections that were idle for too long are not reused, neither for the API nor for AWS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Barrier, Thread
from typing import Any

import boto3
import pytest
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from botocore.session import Session
from urllib3 import HTTPConnectionPool, PoolManager

from hangtag import wiring
from hangtag.adapters.http_tagger import HttpTagger
from hangtag.adapters.idle_connections import (
    MAX_IDLE_SECONDS,
    limit_idle_time,
    with_idle_limit,
)
from hangtag.batch import Invocation
from hangtag.index_wiring import stream_indexer
from hangtag.replay_wiring import failure_replayer
from hangtag.settings import (
    read_index_settings,
    read_replay_settings,
    read_tagging_settings,
)
from hangtag.wiring import tagging_pipeline
from tests.builders import API_KEY, a_body, an_upload, answer_document, to_body
from tests.contract.aws_parts import ONCE
from tests.contract.loopback import (
    Exchange,
    LoopbackServer,
    answer,
    answer_unless_idle,
    loopback_server,
)
from tests.environment import REGION
from tests.fakes import FakeClock, FakeDeadline
from tests.unit.test_settings import COMPLETE, COMPLETE_INDEX

GOOD = to_body(answer_document())
MAX_IDLE = 0.2
"""The limit, in seconds."""
SERVER_MAX_IDLE = 0.3
"""Seconds after which the server resets an idle connection."""
PAUSE = 0.5
"""Longer than both."""

Call = Callable[[], object]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """A server that resets a connection on which a request comes after a pause."""
    with loopback_server() as server:
        server.replies(answer_unless_idle(201, GOOD, seconds=SERVER_MAX_IDLE))
        yield server


def ports(server: LoopbackServer) -> list[int]:
    """The connections of the requests, each by its port, in sequence."""
    return [request.client_port for request in server.received]


# ---- the limit


def test_the_limit_is_shorter_than_the_patience_of_the_other_side() -> None:
    """S3 and load balancers keep an idle connection for a minute or less."""
    assert 15 <= MAX_IDLE_SECONDS <= 25


def tagger_call(url: str, *, max_idle: float = MAX_IDLE) -> Call:
    """A call of the Tagger API by its adapter."""
    tagger = HttpTagger(url, connections=4, max_idle_seconds=max_idle)
    body = a_body()
    return lambda: tagger.ask(body, language="en", api_key=API_KEY, timeout_seconds=10)


def aws_call(
    url: str, *, max_idle: float = MAX_IDLE, proxies: dict[str, str] | None = None
) -> Call:
    """A request to AWS by a client that makes no retries."""
    client = boto3.Session("key", "secret", region_name=REGION).client(
        "s3", endpoint_url=url, config=ONCE.merge(Config(proxies=proxies))
    )
    limit_idle_time(client, max_idle_seconds=max_idle)

    def call() -> None:
        client.get_object(Bucket="uploads", Key="a.jpg")["Body"].read()

    return call


EACH = pytest.mark.parametrize("call_of", [tagger_call, aws_call])


@EACH
def test_the_first_call_after_a_pause_succeeds(
    server: LoopbackServer, call_of: Callable[..., Call]
) -> None:
    """The function was frozen, and the other side has given up the connection."""
    call = call_of(server.url)
    call()
    time.sleep(PAUSE)

    call()

    assert server.resets == 0
    assert len(set(ports(server))) == 2


@EACH
def test_a_connection_is_reused_within_the_limit(
    server: LoopbackServer, call_of: Callable[..., Call]
) -> None:
    """A new one costs a few round trips."""
    call = call_of(server.url, max_idle=20.0)

    for _ in range(3):
        call()

    assert len(set(ports(server))) == 1


@EACH
def test_each_connection_has_the_limit_for_itself(
    server: LoopbackServer, call_of: Callable[..., Call]
) -> None:
    """After a batch of three, single uploads use one connection; the others stay idle."""
    call = call_of(server.url)
    three_at_once(server, call)
    time.sleep(PAUSE)
    call()
    call()

    three_at_once(server, call)

    assert server.resets == 0
    assert ports(server)[3] == ports(server)[4]


def three_at_once(server: LoopbackServer, call: Call) -> None:
    """Three calls at the same time, so that each has a connection."""
    together = Barrier(3)
    reply = answer_unless_idle(201, GOOD, seconds=SERVER_MAX_IDLE)

    def reply_together(exchange: Exchange) -> None:
        together.wait(10)
        reply(exchange)

    server.replies(reply_together)
    threads = [Thread(target=call) for _ in range(together.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.replies(reply)


def test_connections_to_a_proxy_have_the_limit(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Tagger API's calls may go through one."""
    monkeypatch.setenv("http_proxy", server.url)
    call = tagger_call("http://tagger.invalid")
    call()
    time.sleep(PAUSE)

    call()

    assert server.resets == 0
    assert len(ports(server)) == 2


def test_connections_of_aws_to_a_proxy_have_the_limit(server: LoopbackServer) -> None:
    """So may requests to AWS."""
    call = aws_call("http://s3.invalid", proxies={"http": server.url})
    call()
    time.sleep(PAUSE)

    call()

    assert server.resets == 0
    assert len(ports(server)) == 2


@pytest.mark.parametrize("clock_that_runs", [0, 1], ids=["wall", "monotonic"])
def test_one_of_the_two_clocks_is_enough(
    server: LoopbackServer, clock_that_runs: int
) -> None:
    """While a function is frozen, the monotonic clock may stop; the wall clock may be set back."""
    now = [1_000.0, 1_000.0]
    manager = PoolManager()
    manager.pool_classes_by_scheme = with_idle_limit(
        {"http": HTTPConnectionPool},
        max_idle_seconds=20.0,
        clocks=(lambda: now[0], lambda: now[1]),
    )
    server.replies(answer(200))
    manager.request("GET", server.url)
    now[1 - clock_that_runs] -= 3_600
    manager.request("GET", server.url)
    now[clock_that_runs] += 20.1

    manager.request("GET", server.url)

    first, second, third = ports(server)
    assert first == second != third


def test_a_client_whose_pools_are_not_found_is_returned_unchanged() -> None:
    """The function must run with every version of botocore that Lambda may have."""
    client = object()

    assert limit_idle_time(client, max_idle_seconds=MAX_IDLE) is client


# ---- the clients of the functions

PROBES: dict[str, tuple[str, dict[str, Any]]] = {
    "dynamodb": ("list_tables", {}),
    "lambda": ("list_functions", {}),
    "s3": ("list_buckets", {}),
    "secretsmanager": ("list_secrets", {}),
    "sns": ("list_topics", {}),
    "sqs": ("list_queues", {}),
}
"""A request of each service."""


class RecordingSession(Session):
    """Remembers the clients that are made."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[str, Any] = {}

    def create_client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - botocore's
        """A client of a service."""
        self.made[service_name] = super().create_client(service_name, *args, **kwargs)
        return self.made[service_name]


def clients_of_tag_uploads(session: RecordingSession) -> None:
    """Makes all clients of TagUploads."""
    pipeline = tagging_pipeline(
        read_tagging_settings(COMPLETE),
        Logger(service="test"),
        function_name="TagUploads",
        session=session,
        max_idle_seconds=MAX_IDLE,
    )
    # The clients of Lambda and SQS are made when they are first used
    invocation = Invocation("request-1", FakeDeadline(60, FakeClock()))
    pipeline.reconcile(invocation)
    pipeline.enqueue(an_upload("summer/a.jpg").notification(), invocation)


def test_the_wired_tagger_has_the_limit(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting reaches the adapter, whose connections are not boto3's."""
    made: list[float] = []

    class Recorded(HttpTagger):
        """Notes the limit."""

        def __init__(self, url: str, **limits: Any) -> None:  # noqa: ANN401 - the adapter's
            made.append(limits["max_idle_seconds"])
            super().__init__(url, **limits)

    monkeypatch.setattr(wiring, "HttpTagger", Recorded)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    server.replies(answer(200, b'{"Items": [], "EventSourceMappings": []}'))

    clients_of_tag_uploads(RecordingSession())

    assert made == [MAX_IDLE]


def clients_of_replay_failures(session: RecordingSession) -> None:
    """Makes all clients of ReplayFailures."""
    failure_replayer(
        read_replay_settings(COMPLETE), session=session, max_idle_seconds=MAX_IDLE
    )


def clients_of_index_results(session: RecordingSession) -> None:
    """Makes all clients of IndexResults."""
    stream_indexer(
        read_index_settings(COMPLETE_INDEX),
        session=session,
        max_idle_seconds=MAX_IDLE,
    )


@pytest.mark.parametrize(
    ("make", "services"),
    [
        (clients_of_tag_uploads, set(PROBES)),
        (clients_of_replay_failures, {"dynamodb", "sqs"}),
        (clients_of_index_results, {"dynamodb", "s3", "sns"}),
    ],
)
def test_every_client_of_the_functions_has_the_limit(
    server: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[RecordingSession], None],
    services: set[str],
) -> None:
    """A retry of botocore would hide one dead connection, but not two."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    server.replies(answer(200, b'{"Items": [], "EventSourceMappings": []}'))
    session = RecordingSession()
    make(session)
    server.replies(answer_unless_idle(400, seconds=SERVER_MAX_IDLE))

    for pause in (0, PAUSE):
        time.sleep(pause)
        for service, client in session.made.items():
            operation, parameters = PROBES[service]
            with suppress(ClientError, ResponseParserError):  # only connections matter
                getattr(client, operation)(**parameters)

    assert services == set(session.made)
    assert server.resets == 0
