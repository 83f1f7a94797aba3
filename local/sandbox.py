"""The sandbox Tagger API, run in the background and told how to behave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from local.cloud import PROGRAMS, own_environment
from local.processes import LocalError, Process

READY_SECONDS = 30.0
_direct = build_opener(
    ProxyHandler({})
)  # a developer's proxy does not know our loopback


class Sandbox:
    """A sandbox that keeps its log in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._process = Process("sandbox", directory)

    def start(self, *, key: str, certificate: str, port: int = 0) -> None:
        """
        Start it on `port` (0: a free one); it admits whoever sends `key`.

        It fetches images from servers that prove themselves by `certificate`, a file.

        Raises:
            LocalError: it did not start; nothing of it is left running.
        """
        hangtag = str(PROGRAMS / "hangtag")
        options = {
            "--host": "127.0.0.1",
            "--port": str(port),
            "--key": key,
            "--ca-file": certificate,
        }
        self._process.start(
            [hangtag, "sandbox", *chain.from_iterable(options.items())],
            env=own_environment(),
        )
        try:
            self._process.wait_until_ready(self._answers, seconds=READY_SECONDS)
        except BaseException:  # Ctrl-C too: what was started is stopped again
            self.stop()
            raise

    @property
    def url(self) -> str:
        """Its base URL, which is the line it prints."""
        return self._process.output().strip()

    @property
    def tagger_api_url(self) -> str:
        """Where it takes tagging requests."""
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
        """Refuse the image with these bytes, so many `times`, or until `heal_image`."""
        fault = {
            "sha256": sha256,
            "code": code,
            "message": message,
            "status": status,
            "times": times,
        }
        self._ask("POST", "/sandbox/faults", fault)

    def fail(self, fault: Mapping[str, Any]) -> None:
        """Go wrong as docs/sandbox.md says, for the image `sha256` names or for every call."""
        self._ask("POST", "/sandbox/faults", dict(fault))

    def heal(self) -> None:
        """Go wrong no longer."""
        self._ask("DELETE", "/sandbox/faults")

    def set_quota(self, left: int | None) -> None:
        """Let so many more images be tagged; None: any number."""
        self._ask("PUT", "/sandbox/quota", {"left": left})

    def set_key(self, key: str) -> None:
        """Admit whoever sends `key`, and nobody else."""
        self._ask("PUT", "/sandbox/keys", {"keys": [key]})

    def heal_image(self, sha256: str) -> None:
        """Refuse the image with these bytes no longer."""
        self._ask("DELETE", f"/sandbox/faults/{sha256}")

    def calls(self) -> list[dict[str, Any]]:
        """All tag calls so far, each `{"sha256", "status", "code"}`."""
        calls: list[dict[str, Any]] = json.loads(self._ask("GET", "/sandbox/calls"))
        return calls

    def runs(self) -> bool:
        """Whether it runs, whoever started it."""
        return self._process.pid() is not None

    def stop(self) -> bool:
        """End it; False when it did not run."""
        return self._process.stop()

    def tail(self) -> str:
        """The end of its log."""
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
            headers={"Content-Type": "application/json"},
        )
        try:
            with _direct.open(request, timeout=10) as answer:
                content: bytes = answer.read()
                return content
        except HTTPError as error:
            said = error.read().decode(errors="replace")
            raise LocalError(
                f"the sandbox answered {method} {path} with {error.code}: {said}"
            ) from error
        except OSError as error:
            raise LocalError(
                f"the sandbox does not answer {method} {path}: {error}\n{self.tail()}"
            ) from error
