"""Runs a proxy between the functions and the local cloud that injects faults by rules."""

from __future__ import annotations

import json
import secrets
import ssl
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.cloud import Access, own_environment
from local.processes import LocalError, Process

READY_SECONDS = 30.0
MOST_FIRED = 2_000
CONTROL_HEADER = "X-Hangtag-Token"  # as in local/launch_faults.py
Rule = Mapping[str, Any]
"""
A rule of microburst.

Which calls: `service`, `operation`, `resource` (for S3: a part of the path), `body` (a JMESPath
that must be true), `times`, `probability`. Which fault: `error` (`code`, `status`), `latency`
(milliseconds; then the call is executed), `timeout_ms` (the call is not executed), `reset`,
`response` (`abort_bytes` or `bandwidth_kbps`: the call is executed, its response is cut or slow).
"""


@dataclass(frozen=True, slots=True)
class Fired:
    """A call into which a fault was injected."""

    at: float
    """Epoch seconds."""
    rule: int
    """The id of the rule, as returned by `Faults.set`."""
    operation: str
    port: int | None
    """The caller's port on 127.0.0.1."""


class Faults:
    """
    The proxy in front of a local cloud, with its log in `directory`.

    Start it before the cloud's functions, and give them `url` as their AWS endpoint. It injects no
    faults until `set` is called.
    """

    def __init__(self, directory: Path, *, port: int) -> None:
        self._process = Process("faults", directory)
        self._port = port
        self._certificate = ""
        self._token = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """The URL of the proxy."""
        return f"https://127.0.0.1:{self._port}"

    def start(self, access: Access) -> None:
        """
        Start the proxy in front of the cloud of `access`, with the same certificate.

        Raises:
            LocalError: The proxy did not start; no process is left running.
        """
        self._certificate = access.certificate
        launcher = Path(__file__).with_name("launch_faults.py")
        self._process.start(
            [
                # -I, so that Python does not import the modules in this folder as packages.
                sys.executable,
                "-I",
                launcher,
                str(self._port),
                access.endpoint_url,
                access.certificate,
                str(Path(access.certificate).with_name("server.key")),
            ],
            env=own_environment() | {"HANGTAG_FAULTS_TOKEN": self._token},
        )
        try:
            self._process.wait_until_ready(self._answers, seconds=READY_SECONDS)
            self._warm_up(access)
        except BaseException:  # Ctrl-C, too, must leave no process running
            self.stop()
            raise

    def stop(self) -> bool:
        """Stop the proxy; False if it was not running."""
        return self._process.stop()

    def set(self, rules: Sequence[Rule]) -> list[int]:
        """
        Replace the rules, and return their ids; the first rule that matches a call applies.

        It also empties the list of `fired`.
        """
        self._ask("DELETE", "fired")
        stored = json.loads(self._ask("POST", "rules", list(rules)))
        if not isinstance(stored, list):
            raise LocalError(f"the fault proxy rejected the rules: {stored}")
        return [rule["id"] for rule in stored]

    def clear(self) -> None:
        """Remove all rules; calls that are delayed at the moment stay delayed."""
        self._ask("POST", "rules", [])

    def fired(self) -> list[Fired]:
        """List the last 2,000 calls with an injected fault, oldest first."""
        events = json.loads(self._ask("GET", f"fired?limit={MOST_FIRED}"))
        return [
            Fired(
                at=event["ts"],
                rule=event["rule_id"],
                operation=event["operation"] or "",
                port=int(event["note"]) if str(event["note"]).isdigit() else None,
            )
            for event in events
        ]

    def _warm_up(self, access: Access) -> None:
        """
        Make a call to each service, because the proxy takes seconds for the first one.

        The calls name resources that do not exist, and their responses are ignored.
        """
        session = boto3.Session(
            aws_access_key_id=access.access_key_id,
            aws_secret_access_key=access.secret_access_key,
            region_name=access.region,
        )
        calls: list[tuple[str, str, dict[str, Any]]] = [
            ("s3", "get_object", {"Bucket": "nowhere", "Key": "nothing"}),
            ("secretsmanager", "get_secret_value", {"SecretId": "nothing"}),
            ("dynamodb", "describe_table", {"TableName": "nothing"}),
            ("sns", "get_topic_attributes", {"TopicArn": "arn:aws:sns:::nothing"}),
            ("sqs", "get_queue_url", {"QueueName": "nothing"}),
            ("lambda", "get_function", {"FunctionName": "nothing"}),
        ]
        for service, call, arguments in calls:
            # boto3's types need the literal name of the service
            client: Any = session.client(  # type: ignore[call-overload]
                service,
                endpoint_url=self.url,
                verify=access.certificate,
                config=Config(proxies={}, read_timeout=30),
            )
            try:
                getattr(client, call)(**arguments)
            except ClientError:
                continue

    def _answers(self) -> bool | None:
        try:
            self._ask("GET", "health")
        except LocalError:
            return None
        return True

    def _ask(self, method: str, path: str, body: object = None) -> bytes:
        context = ssl.create_default_context(cafile=self._certificate)
        direct = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        request = Request(  # noqa: S310  # the proxy's own https:// address
            f"{self.url}/_microburst/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", CONTROL_HEADER: self._token},
        )
        try:
            with direct.open(request, timeout=10) as response:
                content: bytes = response.read()
                return content
        except HTTPError as error:
            reason = error.read().decode(errors="replace")
            raise LocalError(
                f"the fault proxy answered {method} {path} with {error.code}: {reason}"
            ) from error
        except OSError as error:
            raise LocalError(
                f"the fault proxy does not answer {method} {path}: {error}\n"
                f"{self._process.tail()}"
            ) from error
