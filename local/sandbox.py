"""Runs the sandbox Tagger API in the background and controls its behaviour."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from local.cloud import PROGRAMS, own_environment
from local.processes import LocalError, Process, write_private

READY_SECONDS = 30.0
_direct = build_opener(ProxyHandler({}))  # a proxy cannot reach this machine's loopback


class Sandbox:
    """A background sandbox with its log in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._process = Process("sandbox", directory)
        self._token_file = directory / "sandbox.token"

    def start(
        self,
        *,
        key: str,
        certificate: str,
        image_ports: Collection[int],
        port: int = 0,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        """
        Start the sandbox on `port` (0: any free port), with `key` as its API key.

        It accepts requests to `allowed_hosts`, too, such as those of a proxy in front of it.

        It fetches images from the ports `image_ports` of this machine, and trusts the certificates
        in the file `certificate` there. Other commands control it with the token in a file.

        Raises:
            LocalError: The sandbox did not start; no process is left running.
        """
        hangtag = str(PROGRAMS / "hangtag")
        options = {
            "--host": "127.0.0.1",
            "--port": str(port),
            "--ca-file": certificate,
        }
        images = [f"--fetch-loopback-port={each}" for each in image_ports]
        hosts = [f"--allowed-host={each}" for each in allowed_hosts]
        token = secrets.token_urlsafe(24)
        self._process.start(
            [
                hangtag,
                "sandbox",
                *chain.from_iterable(options.items()),
                *images,
                *hosts,
            ],
            # Arguments are readable by every user of the machine.
            env=own_environment()
            | {"HANGTAG_SANDBOX_KEY": key, "HANGTAG_SANDBOX_TOKEN": token},
        )
        write_private(self._token_file, token)
        try:
            self._process.wait_until_ready(self._answers, seconds=READY_SECONDS)
        except BaseException:  # Ctrl-C, too, must leave no process running
            self.stop()
            raise

    @property
    def url(self) -> str:
        """The base URL, which the sandbox prints."""
        return self._process.output().strip()

    @property
    def token(self) -> str:
        """The token for control requests."""
        return self._token_file.read_text()

    @property
    def tagger_api_url(self) -> str:
        """The URL for tagging requests."""
        return f"{self.url}/tagger/v2.12/tags"

    def fail_image(
        self,
        sha256: str,
        *,
        code: int,
        message: str,
        status: int = 201,
        times: int | None = None,
    ) -> None:
        """Refuse the image with this digest `times` times, or until `heal_image`."""
        fault = {
            "sha256": sha256,
            "code": code,
            "message": message,
            "status": status,
            "times": times,
        }
        self._ask("POST", "/sandbox/faults", fault)

    def fail(self, fault: Mapping[str, Any]) -> None:
        """Add a fault; docs/sandbox.md lists the fields."""
        self._ask("POST", "/sandbox/faults", dict(fault))

    def heal(self) -> None:
        """Remove all faults."""
        self._ask("DELETE", "/sandbox/faults")

    def set_quota(self, left: int | None) -> None:
        """Set how many more images the sandbox tags; None: no limit."""
        self._ask("PUT", "/sandbox/quota", {"left": left})

    def set_key(self, key: str) -> None:
        """Accept only the API key `key`."""
        self._ask("PUT", "/sandbox/keys", {"keys": [key]})

    def heal_image(self, sha256: str) -> None:
        """Remove the fault of the image with this digest."""
        self._ask("DELETE", f"/sandbox/faults/{sha256}")

    def calls(self) -> list[dict[str, Any]]:
        """List all tag calls so far; docs/sandbox.md lists their fields."""
        calls: list[dict[str, Any]] = json.loads(self._ask("GET", "/sandbox/calls"))
        return calls

    def runs(self) -> bool:
        """Whether the sandbox is running, also if another command started it."""
        return self._process.pid() is not None

    def stop(self) -> bool:
        """Stop the sandbox; False if it was not running."""
        return self._process.stop()

    def tail(self) -> str:
        """Return the last lines of its log."""
        return self._process.tail()

    def _answers(self) -> bool | None:
        if not self.url:
            return None
        try:
            self._ask("GET", "/healthz")
        except LocalError:
            return None
        return True

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        request = Request(  # noqa: S310  # the sandbox's own http:// address
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self.token}",
            },
        )
        try:
            with _direct.open(request, timeout=10) as answer:
                content: bytes = answer.read()
                return content
        except HTTPError as error:
            reason = error.read().decode(errors="replace")
            raise LocalError(
                f"the sandbox answered {method} {path} with {error.code}: {reason}"
            ) from error
        except OSError as error:
            raise LocalError(
                f"the sandbox does not answer {method} {path}: {error}\n{self.tail()}"
            ) from error
