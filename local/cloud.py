"""The local cloud: MiniStack, on loopback and with TLS and IAM enforced."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import ssl
import string
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import boto3
import botocore.session
from botocore.config import Config

from local.processes import LocalError, Process

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent  # sam, hangtag
CLOUD_PYTHON = ROOT / ".local/cloud/bin/python"
REGION = "us-east-1"
ARTIFACTS_BUCKET = "hangtag-artifacts"  # as samconfig.toml says for `local`
READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a local cloud, and as whom."""

    endpoint_url: str
    certificate: str
    access_key_id: str
    secret_access_key: str
    region: str = REGION

    def client(self, service: str) -> Any:  # noqa: ANN401  # as `client_of`
        """A boto3 client of this cloud, whatever AWS settings the developer has."""
        return client_of(self, service)

    def get(self, path: str) -> bytes:
        """
        What MiniStack itself, not a service of AWS, answers at `path`.

        Raises:
            OSError: it does not answer; its certificate proves that it is this cloud.
        """
        context = ssl.create_default_context(cafile=self.certificate)
        direct = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        with direct.open(self.endpoint_url + path, timeout=5) as answer:
            content: bytes = answer.read()
            return content

    def variables(self) -> dict[str, str]:
        """What leads a program to this cloud, and nowhere else, past any proxy."""
        direct = f"127.0.0.1,localhost,{os.environ.get('NO_PROXY', '')}".rstrip(",")
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_CA_BUNDLE": self.certificate,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": direct,
            "no_proxy": direct,
        }

    def environment(self) -> dict[str, str]:
        """This process' environment, with the AWS settings of this cloud alone."""
        return own_environment() | self.variables()


# Any: boto3's types know a client only by the literal name of its service.
@cache
def client_of(access: Access, service: str) -> Any:  # noqa: ANN401
    """A boto3 client, made once per service: that takes long."""
    nothing = (None, None, os.devnull, None)
    core = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": nothing,
            "credentials_file": nothing,
        }
    )
    session = boto3.Session(
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        region_name=access.region,
        botocore_session=core,
    )
    return session.client(  # type: ignore[call-overload]
        service,
        endpoint_url=access.endpoint_url,
        verify=access.certificate,
        config=Config(proxies={}),
    )


def own_environment() -> dict[str, str]:
    """
    This process' environment without what the developer has set for other stacks.

    The programs of this Python come first on the PATH: `sam build` looks there for the
    Python of the function's runtime.
    """
    path = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", os.defpath)])
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "HANGTAG_"))
    }
    return kept | {"PATH": path}


class LocalCloud:
    """A local cloud that keeps everything it writes in `directory`; several can run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._rooms = directory / "ministack"
        self._access_file = directory / "access.json"
        self._process = Process("cloud", directory)

    def start(self, *, port: int = 0, functions_call: str | None = None) -> None:
        """
        Start it on `port` (0: a free one), with a user `deployer` who may do everything.

        `functions_call` is the address that its functions take for AWS, if not its own: that
        of a proxy in front of it, which has the same certificate.

        Raises:
            LocalError: it runs already, or did not start; then nothing of it is left running.
        """
        if self.runs():
            raise LocalError(f"a local cloud runs already in {self._directory}")
        shutil.rmtree(self._rooms, ignore_errors=True)
        for room in ("tmp", "home"):
            (self._rooms / room).mkdir(parents=True)
        port = port or free_port()
        root = Access(
            endpoint_url=f"https://127.0.0.1:{port}",
            certificate=str(self._rooms / "tmp/ministack-tls/server.crt"),
            access_key_id="AKIA" + random_text(string.ascii_uppercase, 16),
            secret_access_key=random_text(string.ascii_letters, 40),
        )
        self._process.start(
            # Isolated (-I), so that nothing in this folder is mistaken for a package.
            [CLOUD_PYTHON, "-I", Path(__file__).with_name("launch_cloud.py")],
            env=self._environment(root, port, functions_call),
        )
        try:
            self._process.wait_until_ready(
                lambda: is_ready(root), seconds=READY_SECONDS
            )
            deployer = create_deployer(root)
            deployer.client("s3").create_bucket(Bucket=ARTIFACTS_BUCKET)
            self._remember(deployer)
        except BaseException:  # Ctrl-C too: what was started is stopped again
            self.stop()
            raise

    @property
    def access(self) -> Access:
        """
        How to reach it.

        Raises:
            LocalError: it does not run.
        """
        if not self.runs():
            raise LocalError("the local cloud does not run; `make up` starts it")
        return Access(**json.loads(self._access_file.read_text()))

    def runs(self) -> bool:
        """Whether it runs, whoever started it."""
        return self._process.pid() is not None

    def pid(self) -> int | None:
        """Its pid, None when it does not run; the functions are children of it."""
        return self._process.pid()

    def stop(self) -> bool:
        """End it, with all it holds; False when it did not run."""
        ran = self._process.stop()
        self._access_file.unlink(missing_ok=True)
        shutil.rmtree(self._rooms, ignore_errors=True)
        return ran

    def _environment(
        self, root: Access, port: int, functions_call: str | None
    ) -> dict[str, str]:
        """
        All that MiniStack and the functions it runs get to see of this machine.

        They inherit it: a developer's own AWS settings or proxies must not be in it.
        """
        rooms = self._rooms
        endpoint = {"AWS_ENDPOINT_URL": functions_call} if functions_call else {}
        return endpoint | {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(rooms / "home"),
            "TMPDIR": str(rooms / "tmp"),
            "STATE_DIR": str(rooms / "state"),
            "S3_DATA_DIR": str(rooms / "s3"),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": root.region,
            "AUTH": "true",
            "USE_SSL": "1",
            # Set here, because MiniStack hands its certificate to the functions only on
            # machines that keep all certificates in one file.
            "AWS_CA_BUNDLE": root.certificate,
            "AWS_ACCESS_KEY_ID": root.access_key_id,
            "AWS_SECRET_ACCESS_KEY": root.secret_access_key,
            "LAMBDA_EXECUTOR": "local",
            # It would look for leftovers of other MiniStacks in a Docker that is here.
            "DOCKER_HOST": f"unix://{rooms / 'no-docker'}",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }

    def _remember(self, access: Access) -> None:
        self._access_file.touch(mode=0o600)
        self._access_file.write_text(json.dumps(asdict(access)))


def is_ready(access: Access) -> bool | None:
    """True when the cloud answers, None until then."""
    try:
        access.get("/_ministack/ready")
    except OSError:  # no certificate yet, nobody listens yet, not ready yet
        return None
    return True


def create_deployer(root: Access) -> Access:
    """A new user who may do everything: IAM checks users, but never the root user."""
    iam = root.client("iam")
    iam.create_user(UserName="deployer")
    iam.attach_user_policy(
        UserName="deployer", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
    )
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    return Access(
        endpoint_url=root.endpoint_url,
        certificate=root.certificate,
        access_key_id=key["AccessKeyId"],
        secret_access_key=key["SecretAccessKey"],
    )


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def random_text(alphabet: str, length: int) -> str:
    """Secret text."""
    return "".join(secrets.choice(alphabet) for _ in range(length))
