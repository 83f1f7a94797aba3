"""`hangtag key check` tests a key without a paid call."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from hangtag.operators.key_check import check_key
from hangtag.tagger_api import Answer, Language, RequestBody
from hangtag_cli.main import cli
from hangtag_sandbox.server import serve
from tests.builders import an_answer, answer_document, failed_answer_document, to_body
from tests.contract.loopback import LoopbackServer, answer, loopback_server

GOOD = "the-good-key"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS in memory; calls on loopback are real."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with mock_aws():
        yield


def deploy(url: str, secret: str | None) -> None:
    """Deploys a stack with this API address and secret."""
    secrets = boto3.client("secretsmanager")
    arn = secrets.create_secret(Name="api-key")["ARN"]
    if secret is not None:
        secrets.put_secret_value(SecretId=arn, SecretString=secret)
    template = {
        "Parameters": {"TaggerApiUrl": {"Type": "String"}},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"ApiKeySecretArn": {"Value": arn}},
    }
    boto3.client("cloudformation").create_stack(
        StackName="hangtag",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": "TaggerApiUrl", "ParameterValue": url}],
    )


def check(*arguments: str, typed: str | None = None) -> Result:
    """Runs the command in this process."""
    runner = CliRunner(mix_stderr=False)
    return runner.invoke(cli, ["--json", "key", "check", *arguments], input=typed)


@pytest.fixture
def sandbox(cloud: None) -> Iterator[str]:  # noqa: ARG001 - AWS is needed first
    """A sandbox that accepts the good key."""
    with serve("127.0.0.1", 0, GOOD) as url:
        yield f"{url}/tagger/v2.12/tags"


@pytest.mark.parametrize(
    ("secret", "verdict", "code", "status"),
    [
        (GOOD, "good", "804", 0),
        (json.dumps({"apiKey": GOOD}), "good", "804", 0),
        ("another-key", "bad", "609", 1),
    ],
)
def test_the_stacks_key_is_checked(
    sandbox: str, secret: str, verdict: str, code: str, status: int
) -> None:
    """With a good key the API refuses the request, with a bad key the key."""
    deploy(sandbox, secret)

    done = check()

    report = json.loads(done.stdout)
    assert (report["key"], report["code"], done.exit_code) == (verdict, code, status)
    assert secret not in done.stdout + done.stderr
    assert GOOD not in done.stdout + done.stderr


def test_a_key_on_stdin_is_checked_instead(sandbox: str) -> None:
    """The operator can check it before storing it."""
    deploy(sandbox, "another-key")

    done = check("--stdin", typed=GOOD + "\n")

    assert json.loads(done.stdout)["key"] == "good"
    assert done.exit_code == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://api.omnious.com/tagger/v2.12/tags",
        "https://api.omnious.com@evil.example/tags",
        "ftp://127.0.0.1/tags",
    ],
)
def test_the_key_is_not_sent_where_the_function_would_not_send_it(
    cloud: None,  # noqa: ARG001 - AWS is needed first
    url: str,
) -> None:
    """A stack that was made with another template may name any URL."""
    deploy(url, GOOD)

    done = check()

    assert (done.exit_code, done.stdout) == (1, "")
    assert "TaggerApiUrl cannot be used" in done.stderr
    assert GOOD not in done.stderr


@pytest.mark.parametrize("secret", [None, "  "])
def test_a_secret_without_a_key_is_reported(sandbox: str, secret: str | None) -> None:
    """The API is not called."""
    deploy(sandbox, secret)

    done = check()

    assert (done.exit_code, done.stdout) == (1, "")
    assert "hangtag key set" in done.stderr


@pytest.fixture
def api(cloud: None) -> Iterator[LoopbackServer]:  # noqa: ARG001 - AWS is needed first
    """An API with replies that a test sets."""
    with loopback_server() as server:
        yield server


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, to_body(failed_answer_document(500)), "500"),
        (404, to_body(failed_answer_document(623)), "623"),
        (502, b"<html>", "HTTP_502"),
        (201, to_body(answer_document()), None),
        (200, b"hello", "BAD_ANSWER"),
    ],
)
def test_an_error_unrelated_to_the_key_leaves_it_unknown(
    api: LoopbackServer, status: int, body: bytes, code: str | None
) -> None:
    """An answer alone does not prove that the key is good."""
    api.replies(answer(status, body))
    deploy(f"{api.url}/tags", GOOD)

    done = check()

    report = json.loads(done.stdout)
    assert (report["key"], report["code"], done.exit_code) == ("unknown", code, 1)


class Recording:
    """A `Tagger` that records the requests and tags them."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def ask(
        self,
        request: RequestBody,
        *,
        language: Language,  # noqa: ARG002 - the port's
        api_key: str,  # noqa: ARG002 - the port's
        timeout_seconds: float,  # noqa: ARG002 - the port's
    ) -> Answer:
        """Records the request."""
        self.requests.append(b"".join(request))
        assert len(request) == len(self.requests[-1])
        return an_answer()


def test_the_request_contains_no_image() -> None:
    """The API therefore charges no call."""
    tagger = Recording()

    verdict = check_key(tagger, GOOD)

    [request] = tagger.requests
    assert json.loads(request) == {"image": {"type": "none", "content": ""}}
    assert verdict.is_good is None
