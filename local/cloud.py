"""Runs the local cloud: MiniStack on loopback, with TLS and IAM enforced."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import ssl
import string
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import boto3
import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from local.processes import LocalError, Process, private_directory, write_private

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent  # sam, hangtag
CLOUD_PYTHON = ROOT / ".local/cloud/bin/python"
REGION = "us-east-1"
ARTIFACTS_BUCKET = "hangtag-artifacts"  # as samconfig.toml says for `local`
DEPLOYER = "deployer"  # as in local/launch_cloud.py
READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Access:
    """Endpoint and credentials of a local cloud."""

    endpoint_url: str
    certificate: str
    access_key_id: str
    secret_access_key: str
    region: str = REGION

    def client(self, service: str) -> Any:  # noqa: ANN401  # as `client_of`
        """Return a boto3 client of this cloud; the developer's AWS settings have no effect."""
        return client_of(self, service)

    def get(self, path: str) -> bytes:
        """
        Return the response of MiniStack's own API, which AWS does not have, at `path`.

        The request is signed, and the certificate proves that it is this cloud.

        Raises:
            OSError: MiniStack does not respond, or refuses the request.
        """
        request = AWSRequest("GET", self.endpoint_url + path)
        key = Credentials(self.access_key_id, self.secret_access_key)
        SigV4Auth(key, "ministack", self.region).add_auth(request)
        return self.open(path, dict(request.headers))

    def open(self, path: str, headers: Mapping[str, str]) -> bytes:
        """
        Return the response of a GET with these headers, without a signature.

        Raises:
            OSError: The cloud does not respond, or refuses the request.
        """
        context = ssl.create_default_context(cafile=self.certificate)
        direct = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        # The cloud's own https:// address
        request = Request(self.endpoint_url + path, headers=dict(headers))  # noqa: S310
        with direct.open(request, timeout=5) as response:
            content: bytes = response.read()
            return content

    def variables(self) -> dict[str, str]:
        """Return the environment variables that make a program use only this cloud, no proxy."""
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
        """Return this process's environment with the AWS settings of this cloud only."""
        return own_environment() | self.variables()


# Any: boto3's types need the literal name of the service.
@cache
def client_of(access: Access, service: str) -> Any:  # noqa: ANN401
    """Return a boto3 client; cached, because its creation is slow."""
    no_file = (None, None, os.devnull, None)
    core = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": no_file,
            "credentials_file": no_file,
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
    Return this process's environment without the developer's AWS and Hangtag variables.

    The programs of this Python come first on the PATH, because `sam build` looks there for the
    Python of the function's runtime. The variables of a `make` that runs this process are left out,
    too, because `sam build` runs another one.
    """
    path = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", os.defpath)])
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "HANGTAG_", "MAKE"))
    }
    return kept | {"PATH": path}


class LocalCloud:
    """A local cloud with all its files in `directory`; several can run at the same time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folder = directory / "ministack"
        self._access_file = directory / "access.json"
        self._process = Process("cloud", directory)

    def start(self, *, port: int = 0, functions_endpoint: str | None = None) -> None:
        """
        Start it on `port` (0: any free port), with an IAM user `deployer` with all permissions.

        `functions_endpoint` is the AWS endpoint of its functions, if it is not the cloud itself but
        a proxy in front of it, which has the same certificate.

        Raises:
            LocalError: It is running already, or did not start; no process is left running.
        """
        if self.runs():
            raise LocalError(f"a local cloud is running already in {self._directory}")
        shutil.rmtree(self._folder, ignore_errors=True)
        private_directory(self._directory)
        for name in ("tmp", "home"):
            private_directory(self._folder / name)
        if port:
            require_free(port)
        port = port or free_port()
        root = Access(
            endpoint_url=f"https://127.0.0.1:{port}",
            certificate=str(self._folder / "tmp/ministack-tls/server.crt"),
            access_key_id="AKIA" + random_text(string.ascii_uppercase, 16),
            secret_access_key=random_text(string.ascii_letters, 40),
        )
        self._process.start(
            # -I, so that Python does not import the modules in this folder as packages.
            [CLOUD_PYTHON, "-I", Path(__file__).with_name("launch_cloud.py")],
            env=self._environment(root, port, functions_endpoint),
        )
        try:
            self._process.wait_until_ready(
                lambda: is_ready(root), seconds=READY_SECONDS
            )
            check_closed(root)
            deployer = create_deployer(root)
            deployer.client("s3").create_bucket(Bucket=ARTIFACTS_BUCKET)
            self._save_access(deployer)
        except BaseException:  # Ctrl-C, too, must leave no process running
            self.stop()
            raise

    @property
    def access(self) -> Access:
        """
        Endpoint and credentials.

        Raises:
            LocalError: The cloud is not running.
        """
        if not self.runs():
            raise LocalError("the local cloud is not running; `make up` starts it")
        return Access(**json.loads(self._access_file.read_text()))

    def runs(self) -> bool:
        """Whether the cloud is running, also if another command started it."""
        return self._process.pid() is not None

    def pid(self) -> int | None:
        """Return the cloud's pid, or None if it is not running; its functions are its children."""
        return self._process.pid()

    def stop(self) -> bool:
        """Stop the cloud and delete its data; False if it was not running."""
        ran = self._process.stop()
        self._access_file.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        return ran

    def _environment(
        self, root: Access, port: int, functions_endpoint: str | None
    ) -> dict[str, str]:
        """
        Return the complete environment of MiniStack and its functions.

        It must not contain the developer's AWS settings or proxies, because the functions inherit
        it.
        """
        folder = self._folder
        endpoint = (
            {"AWS_ENDPOINT_URL": functions_endpoint} if functions_endpoint else {}
        )
        return endpoint | {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "STATE_DIR": str(folder / "state"),
            "S3_DATA_DIR": str(folder / "s3"),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": root.region,
            "AUTH": "true",
            "USE_SSL": "1",
            # MiniStack passes its certificate to the functions only on machines that keep all
            # certificates in one file.
            "AWS_CA_BUNDLE": root.certificate,
            "AWS_ACCESS_KEY_ID": root.access_key_id,
            "AWS_SECRET_ACCESS_KEY": root.secret_access_key,
            "LAMBDA_EXECUTOR": "local",
            # Without this, MiniStack looks for old containers in the machine's Docker.
            "DOCKER_HOST": f"unix://{folder / 'no-docker'}",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }

    def _save_access(self, access: Access) -> None:
        write_private(self._access_file, json.dumps(asdict(access)))


def is_ready(access: Access) -> bool | None:
    """Return True if the cloud is ready, otherwise None."""
    try:
        access.get("/_ministack/ready")
    except OSError:  # no certificate yet, no listener yet, or not ready yet
        return None
    return True


def check_closed(access: Access) -> None:
    """
    Check that the gate of local/launch_cloud.py is in front of the cloud.

    Raises:
        LocalError: The cloud answers a request without a signature.
    """
    try:
        access.open("/_ministack/ready", {})
    except HTTPError as error:
        if error.code == 403:
            return
    raise LocalError(
        "the local cloud answers requests that are not signed; "
        "review local/launch_cloud.py for this version of MiniStack"
    )


def create_deployer(root: Access) -> Access:
    """Create an IAM user with all permissions, because IAM does not check the root user."""
    iam = root.client("iam")
    iam.create_user(UserName=DEPLOYER)
    iam.attach_user_policy(
        UserName=DEPLOYER, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
    )
    key = iam.create_access_key(UserName=DEPLOYER)["AccessKey"]
    return Access(
        endpoint_url=root.endpoint_url,
        certificate=root.certificate,
        access_key_id=key["AccessKeyId"],
        secret_access_key=key["SecretAccessKey"],
    )


def free_port() -> int:
    """Find a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int) -> None:
    """
    Check that no program listens on a port of 127.0.0.1.

    Raises:
        LocalError: One does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LocalError(
                f"port {port} cannot be used ({error.strerror}): choose another, or 0 for a "
                "free one"
            ) from error


def random_text(alphabet: str, length: int) -> str:
    """Return a cryptographically random text of these letters."""
    return "".join(secrets.choice(alphabet) for _ in range(length))
