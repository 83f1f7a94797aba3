"""The local cloud admits only its own keys: other users and web pages have no access."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import (
    BaseSigner,
    HmacV1Auth,
    HmacV1QueryAuth,
    S3SigV4Auth,
    S3SigV4QueryAuth,
    SigV4Auth,
    SigV4QueryAuth,
)
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local.cloud import (
    ARTIFACTS_BUCKET,
    CLOUD_PYTHON,
    ROOT,
    Access,
    LocalCloud,
    check_closed,
    free_port,
)
from local.processes import LocalError
from local.workers import LOOPBACK
from tests.stack.requests_by_hand import Answer, ask

LISTENING = "0A"  # a state, as /proc/net/tcp writes it
SERVICES = {
    "sts": "get_caller_identity",
    "s3": "list_buckets",
    "lambda": "list_functions",
    "dynamodb": "list_tables",
}
UNSIGNED = [
    ("GET", "/"),
    ("GET", f"/{ARTIFACTS_BUCKET}"),
    ("PUT", f"/{ARTIFACTS_BUCKET}/object"),
    ("POST", f"/{ARTIFACTS_BUCKET}"),
    ("OPTIONS", "/"),
    ("GET", "/health"),
    ("GET", "/_localstack/health"),
    ("GET", "/_localstack/anything"),
    ("GET", "/_ministack/health"),
    ("GET", "/_ministack/ready"),
    ("POST", "/_ministack/reset"),
    ("POST", "/_ministack/config"),
    ("GET", "/_ministack/sqs/messages"),
    ("GET", "/_ministack/sns/sms-messages"),
    ("GET", "/_ministack/ses/messages"),
    ("GET", "/_ministack/lambda-code/function"),
    ("GET", "/_ministack/lambda-layers/layer/1"),
    ("GET", "/_ministack/iot/ca.pem"),
    ("GET", "/_ministack/transfer/sftp-ports"),
    ("POST", "/_ministack/rds/iam-auth"),
    ("PUT", "/_ministack/cfn-response/token"),
    ("PUT", "/_ministack/cfn-signal/token"),
    ("POST", "/_ministack/eks-auth/clusters"),
    ("GET", "/oauth2/authorize"),
    ("POST", "/oauth2/token"),
    ("POST", "/login"),
    ("GET", "/logout"),
    ("GET", "/pool/.well-known/jwks.json"),
    ("GET", "/_aws/execute-api/api/stage"),
    ("POST", "/?Action=AssumeRoleWithWebIdentity&Version=2011-06-15"),
    ("POST", "/?Action=ConfirmSubscription&Token=x"),
    ("GET", "/latest/meta-data/iam/security-credentials/"),
    ("GET", "/v20180820/tags/bucket"),
    ("POST", "/2015-03-31/functions/function/invocations"),
    ("POST", "/2018-06-01/runtime/init/error"),
]
DATA_PLANES = [
    "function.lambda-url.us-east-1.on.aws",
    "api.execute-api.localhost",
    "bucket.s3.localhost",
    "bucket.s3-website.localhost",
    "pool.auth.us-east-1.amazoncognito.com",
    "distribution.cloudfront.net",
    "balancer.elb.localhost",
]


def signed(
    access: Access,
    path: str,
    *,
    method: str = "GET",
    service: str = "s3",
    host: str | None = None,
    signer: type[BaseSigner] = S3SigV4Auth,
    seconds: int = 60,
) -> AWSRequest:
    """A signed request to a path."""
    netloc = host or urlsplit(access.endpoint_url).netloc
    request = AWSRequest(method, f"https://{netloc}{path}")
    key = Credentials(access.access_key_id, access.secret_access_key)
    if signer in (HmacV1Auth, HmacV1QueryAuth):
        auth: Any = signer(key)
    elif issubclass(signer, SigV4QueryAuth):
        auth = signer(key, service, access.region, expires=seconds)
    else:
        auth = signer(key, service, access.region)  # type: ignore[call-arg]
    auth.add_auth(request)
    return request


def send(access: Access, request: AWSRequest, **changes: Any) -> Answer:  # noqa: ANN401  # of `ask`
    """Send a signed request, with the path and query that the signer made."""
    url = urlsplit(request.prepare().url)
    path = url.path + (f"?{url.query}" if url.query else "")
    headers = dict(request.headers) | changes.pop("headers", {})
    return ask(access, changes.pop("method", request.method), path, headers, **changes)


def call(access: Access, service: str, *, token: str | None = None) -> None:
    """Make a harmless call of a service with boto3; the keys are those of `access`."""
    session = boto3.Session(
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        aws_session_token=token,
        region_name=access.region,
    )
    client: Any = session.client(  # type: ignore[call-overload]
        service,
        endpoint_url=access.endpoint_url,
        verify=access.certificate,
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )
    getattr(client, SERVICES[service])()


def refusal(access: Access, service: str, *, token: str | None = None) -> str:
    """The error code with which the cloud refuses a call."""
    with pytest.raises(ClientError) as raised:
        call(access, service, token=token)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return str(raised.value.response["Error"]["Code"])


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """An empty local cloud, without the stack."""
    started = LocalCloud(tmp_path_factory.mktemp("cloud"))
    started.start()
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def access(cloud: LocalCloud) -> Access:
    """The deployer's access to the cloud."""
    return cloud.access


@pytest.fixture(scope="module")
def root(cloud: LocalCloud) -> Access:
    """The launcher's access: only the cloud's own process has its key."""
    environment = Path(f"/proc/{cloud.pid()}/environ").read_text().split("\0")
    variables = dict(one.partition("=")[::2] for one in environment if one)
    return replace(
        cloud.access,
        access_key_id=variables["AWS_ACCESS_KEY_ID"],
        secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


def test_the_cloud_listens_on_one_port_of_loopback(
    cloud: LocalCloud, access: Access
) -> None:
    """Not for other machines, and at no second door beside the gate."""
    process = Path(f"/proc/{cloud.pid()}")
    own = {str(one.readlink()) for one in (process / "fd").iterdir()}
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in (process / "net" / table).read_text().splitlines()[1:]:
            _, address, _, state, *_, inode = line.split()[:10]
            if state == LISTENING and f"socket:[{inode}]" in own:
                listening.add(address)

    assert listening == {f"{LOOPBACK}:{urlsplit(access.endpoint_url).port:04X}"}


@pytest.mark.parametrize("service", SERVICES)
def test_the_keys_of_the_deployer_and_the_launcher_are_admitted(
    access: Access, root: Access, service: str
) -> None:
    """Correctly signed requests are answered."""
    call(access, service)
    call(root, service)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("key", ["test", "000000000000", "123456789012", "AKIANOBODY"])
def test_a_well_known_key_is_refused(
    access: Access, root: Access, key: str, service: str
) -> None:
    """MiniStack alone takes `test` and any twelve digits as root."""
    for secret in ("test", root.secret_access_key):
        known = replace(access, access_key_id=key, secret_access_key=secret)
        assert refusal(known, service) == "AccessDenied"


@pytest.mark.parametrize("service", SERVICES)
def test_a_right_key_with_a_wrong_secret_is_refused(
    access: Access, root: Access, service: str
) -> None:
    """The signatures of the launcher's key are checked, too."""
    for known in (access, root):
        guess = replace(known, secret_access_key="test")
        assert refusal(guess, service) == "AccessDenied"


@pytest.mark.parametrize("key", ["", "test", "000000000000"])
def test_a_header_with_such_a_key_and_any_signature_is_refused(
    access: Access, key: str
) -> None:
    """No key at all is root for MiniStack alone; boto3 cannot send it."""
    stamp = signed(access, "/").headers["X-Amz-Date"]
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={key}/{stamp[:8]}/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=" + 64 * "0"
    )
    for headers in (
        {"Authorization": authorization, "X-Amz-Date": stamp},
        {"Authorization": f"AWS {key}:c2lnbmF0dXJl", "Date": stamp},
    ):
        assert ask(access, "GET", "/", headers).status == 403
        announced = {**headers, "Content-Length": "1000"}
        assert ask(access, "PUT", "/", announced).status == 403  # without the body


def test_a_body_of_a_known_key_is_read_to_a_limit(access: Access) -> None:
    """The signature, which may be wrong, can only be checked after it."""
    request = signed(access, "/a-bucket/key", method="PUT")
    size = 64 * 1024 * 1024 + 1
    headers = {**dict(request.headers), "Content-Length": str(size)}
    body = chain(repeat(bytes(1024 * 1024), 64), [b"x"])

    answer = ask(access, "PUT", "/a-bucket/key", headers, body=body)

    assert (answer.status, "too long" in answer.body) == (403, True)


@pytest.mark.parametrize(("method", "path"), UNSIGNED)
def test_a_request_without_a_signature_is_refused(
    access: Access, method: str, path: str
) -> None:
    """Nobody without a key gets an answer, whatever the path."""
    answer = ask(access, method, path)

    assert (answer.status, "not signed" in answer.body) == (403, True)


@pytest.mark.parametrize("host", DATA_PLANES)
def test_the_host_of_another_service_is_refused(access: Access, host: str) -> None:
    """Function URLs, APIs, websites and load balancers are closed, also for signed requests."""
    assert ask(access, "GET", "/", host=host).status == 403
    assert send(access, signed(access, "/", host=host), host=host).status == 403


def test_a_web_page_is_refused(access: Access) -> None:
    """Neither another Host (DNS rebinding) nor an Origin gets an answer, even if signed."""
    port = urlsplit(access.endpoint_url).port
    for host in (f"rebound.example:{port}", "127.0.0.1", "127.0.0.1:1"):
        request = signed(access, "/", host=host)
        assert "Host" in send(access, request, host=host).body
    request = signed(access, "/")
    origin = {"Origin": access.endpoint_url}
    assert "web pages" in send(access, request, headers=origin).body
    assert send(access, request).status == 200


def test_a_web_socket_is_refused(access: Access) -> None:
    """MiniStack alone accepts sockets of an API from everybody."""
    gateway = access.client("apigatewayv2")
    api = gateway.create_api(
        Name="sockets",
        ProtocolType="WEBSOCKET",
        RouteSelectionExpression="$request.body.action",
    )["ApiId"]
    gateway.create_stage(ApiId=api, StageName="stage")
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    for path in ("/mqtt", f"/_aws/execute-api/{api}/stage"):
        assert ask(access, "GET", path, upgrade).status == 403


@pytest.mark.parametrize(
    ("signer", "path"),
    [
        (HmacV1Auth, f"/{ARTIFACTS_BUCKET}"),
        (HmacV1QueryAuth, f"/{ARTIFACTS_BUCKET}"),
        (SigV4QueryAuth, "/?Action=GetCallerIdentity&Version=2011-06-15"),
    ],
)
def test_another_way_to_sign_is_refused(
    access: Access, root: Access, signer: type[BaseSigner], path: str
) -> None:
    """SigV2, and presigned URLs of services other than S3, are not needed."""
    for known in (access, root):
        request = signed(known, path, signer=signer, service="sts")
        assert send(access, request).status == 403


def test_a_request_with_two_credentials_is_refused(access: Access) -> None:
    """The gate and MiniStack would take different ones for the caller."""
    for query in (
        "AWSAccessKeyId=test",
        "X-Amz-Credential=test%2F20260101%2Fus-east-1%2Fs3%2Faws4_request",
        "x-amz-credential=test",
    ):
        assert send(access, signed(access, f"/?{query}")).status == 403


def test_a_presigned_url_reads_its_object_only(access: Access, root: Access) -> None:
    """With ImageTransport=url the API fetches images by such URLs."""
    s3 = access.client("s3")
    for key in ("an image.png", "another.png"):
        s3.put_object(Bucket=ARTIFACTS_BUCKET, Key=key, Body=key.encode())
    for known in (access, root):
        path = f"/{ARTIFACTS_BUCKET}/an%20image.png"
        request = signed(known, path, signer=S3SigV4QueryAuth)

        assert send(access, request) == Answer(200, "an image.png")
        deletion = signed(known, path, method="DELETE", signer=S3SigV4QueryAuth)
        assert send(access, deletion).status == 403
        changed = AWSRequest(
            "GET", request.prepare().url.replace("an%20image", "another")
        )
        assert send(access, changed).status == 403
        wrong = replace(known, secret_access_key="test")
        guess = signed(wrong, path, signer=S3SigV4QueryAuth)
        assert send(access, guess).status == 403


class Old:
    """Signs a request as of some years ago."""

    def add_auth(self: Any, request: AWSRequest) -> None:
        """Do what botocore does, with another time."""
        request.context["timestamp"] = "20200101T000000Z"
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))


class OldSignature(Old, S3SigV4Auth):
    """In the header."""


class OldUrl(Old, S3SigV4QueryAuth):
    """In the query."""


def test_a_presigned_url_expires(access: Access) -> None:
    """It lasts a week at most, and not longer than it says."""
    path = f"/{ARTIFACTS_BUCKET}/an%20image.png"
    for signer, seconds in (
        (S3SigV4QueryAuth, 0),
        (S3SigV4QueryAuth, 8 * 24 * 3600),
        (OldUrl, 60),
    ):
        answer = send(access, signed(access, path, signer=signer, seconds=seconds))
        assert answer.status == 403
        assert "The local cloud refuses" in answer.body  # and not only MiniStack's S3


def test_a_signature_expires(access: Access) -> None:
    """A request that was read somewhere cannot be sent again for long."""
    answer = send(access, signed(access, f"/{ARTIFACTS_BUCKET}", signer=OldSignature))

    assert answer.status == 403
    assert "has expired" in answer.body


def test_a_changed_request_is_refused(access: Access) -> None:
    """The signature covers the method and the time."""
    request = signed(access, f"/{ARTIFACTS_BUCKET}")
    assert send(access, request).status == 200
    assert send(access, request, method="DELETE").status == 403
    early = {"X-Amz-Date": "20200101T000000Z"}
    assert send(access, request, headers=early).status == 403


def test_administrative_paths_are_for_the_deployer_or_off(access: Access) -> None:
    """`local` reads the queues by one of them; nobody resets or configures the cloud."""
    iam = access.client("iam")
    iam.create_user(UserName="operator")
    key = iam.create_access_key(UserName="operator")["AccessKey"]
    operator = replace(
        access,
        access_key_id=key["AccessKeyId"],
        secret_access_key=key["SecretAccessKey"],
    )
    messages = "/_ministack/sqs/messages"

    def status(known: Access, method: str, path: str) -> int:
        request = signed(known, path, method=method, signer=SigV4Auth, service="x")
        return send(known, request).status

    assert status(access, "GET", messages) == 200
    assert status(operator, "GET", messages) == 403
    for method, path in UNSIGNED:
        is_used = path in ("/_ministack/ready", messages)
        if path.startswith(("/_", "/health")) and not path.startswith("/_aws"):
            assert status(access, method, path) == (200 if is_used else 403)


def test_the_credentials_of_a_function_cannot_be_guessed(access: Access) -> None:
    """MiniStack alone computes them from the names of the function and its role."""
    trust = {"Version": "2012-10-17", "Statement": []}
    role = access.client("iam").create_role(
        RoleName="guessed", AssumeRolePolicyDocument=json.dumps(trust)
    )["Role"]["Arn"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr(
            "handler.py",
            "import os\ndef handle(*_):\n"
            "    names = ('ACCESS_KEY_ID', 'SECRET_ACCESS_KEY', 'SESSION_TOKEN')\n"
            "    return [os.environ['AWS_' + name] for name in names]\n",
        )
    functions = access.client("lambda")
    function = functions.create_function(
        FunctionName="guessed",
        Role=role,
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="handler.handle",
        Code={"ZipFile": archive.getvalue()},
    )["FunctionArn"]
    functions.get_waiter("function_active_v2").wait(FunctionName="guessed")
    payload = functions.invoke(FunctionName="guessed")["Payload"]
    key, secret, token = json.loads(payload.read())
    own = replace(access, access_key_id=key, secret_access_key=secret)
    digest = hashlib.sha256(f"{function}:{role}".encode()).hexdigest()
    guess = replace(
        access,
        access_key_id=f"ASIA{digest[:16].upper()}",
        secret_access_key=hashlib.sha256(f"secret:{digest}".encode()).hexdigest(),
    )
    guessed_token = hashlib.sha256(f"token:{digest}".encode()).hexdigest()

    call(own, "sts", token=token)
    assert refusal(own, "sts") == "AccessDenied"  # without its token
    assert refusal(own, "sts", token="another") == "AccessDenied"
    assert refusal(guess, "sts", token=guessed_token) == "AccessDenied"
    assert refusal(own, "dynamodb", token=token)  # its role allows nothing


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("del lambda_svc._sqs_esm_concurrency", "has no _sqs_esm_concurrency"),
        ("del lambda_runtime.execution_credentials", "has no execution_credentials"),
        ("metadata.version = lambda _: '1.5.34'", "it needs MiniStack 1.5.33"),
    ],
)
def test_another_ministack_does_not_start(
    tmp_path: Path, change: str, reason: str
) -> None:
    """A patch whose function is missing, or another version, ends the start with the reason."""
    program = (
        "import runpy\nfrom importlib import metadata\n"
        "from ministack.services import lambda_svc, sts\n"
        "from ministack.core import lambda_runtime\n"
        f"{change}\n"
        f"runpy.run_path({str(ROOT / 'local/launch_cloud.py')!r}, run_name='__main__')"
    )
    environment = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "GATEWAY_PORT": str(free_port()),
        "BIND_HOST": "127.0.0.1",
        "TMPDIR": str(tmp_path),
    }

    done = subprocess.run(
        [CLOUD_PYTHON, "-I", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert reason in done.stderr
    assert "review local/launch_cloud.py" in done.stderr


def test_a_cloud_without_the_gate_does_not_stay_up(access: Access) -> None:
    """`LocalCloud.start` makes sure that an unsigned request is refused."""

    class OpenCloud(Access):
        def open(self, *_: object) -> bytes:
            return b"{}"

    check_closed(access)
    with pytest.raises(LocalError, match="answers requests that are not signed"):
        check_closed(OpenCloud("https://127.0.0.1:1", "", "", ""))


def test_the_files_of_a_cloud_are_for_their_owner_only(
    access: Access,
) -> None:
    """The folder of everything is private, and the key's file from its creation."""
    directory = Path(access.certificate).parent.parent.parent.parent

    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "access.json").stat().st_mode & 0o777 == 0o600
    assert Path(access.certificate).with_name("server.key").stat().st_mode & 0o077 == 0


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """Before the cloud has started, so that nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(LocalError, match=f"port {port} cannot be used"):
            LocalCloud(tmp_path).start(port=port)
