"""The sandbox withstands web pages, other users of the machine and slow clients, over sockets."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image

from hangtag_sandbox import serve
from hangtag_sandbox.access import Access
from hangtag_sandbox.connections import Connections
from hangtag_sandbox.limits import MOST_HEADER_BYTES
from hangtag_sandbox.server import Deadlines

KEY = "contract-key"
TOKEN = "token-of-the-tests"
TAGS = "/tagger/v2.12/tags"
SECONDS = 30.0
"""The deadline of what has to happen soon."""


def picture() -> bytes:
    """A picture of a red shape."""
    image = Image.new("RGB", (60, 80), (235, 235, 235))
    image.paste((200, 30, 40), (15, 20, 45, 60))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


BODY = json.dumps(
    {
        "image": {
            "type": "base64",
            "content": f"data:image/png;base64,{b64encode(picture()).decode()}",
        }
    }
).encode()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The base URL of a sandbox."""
    with serve(port=0, key=KEY, access=Access(TOKEN)) as base:
        yield base


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    """An open connection to the sandbox."""
    address = urlsplit(url)
    with socket.create_connection(
        (str(address.hostname), address.port or 0), SECONDS
    ) as plain:
        yield plain


def everything(plain: socket.socket) -> bytes:
    """All bytes that the sandbox sends until it closes the connection."""
    received = b""
    with suppress(ConnectionError):
        while more := plain.recv(65_536):
            received += more
    return received


def tagged(url: str) -> bool:
    """Whether the sandbox does its main job."""
    response = requests.post(
        url + TAGS, data=BODY, headers={"x-api-key": KEY}, timeout=SECONDS
    )
    return response.status_code == 201


def faults(url: str) -> object:
    """The active faults."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return requests.get(url + "/sandbox/faults", headers=headers, timeout=30).json()


FAULT = '{"code": 500}'
OWN = "Host: {host}"
FOREIGN = "Origin: https://attacker.example"


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("POST /sandbox/faults", ["Host: attacker.example:{port}"]),
        ("POST http://attacker.example:{port}/sandbox/faults", [OWN]),
        ("POST /sandbox/faults", [OWN, "Host: attacker.example:{port}"]),
        ("POST /sandbox/faults", [OWN, FOREIGN, "Content-Type: text/plain"]),
        ("POST /sandbox/faults", [OWN, "Origin: null", "Content-Type: text/plain"]),
        ("POST /sandbox/faults", [OWN, "Sec-Fetch-Site: same-site"]),
        ("POST /sandbox/faults", [OWN]),
        ("POST //sandbox/faults", [OWN]),
        ("POST /sandbox%2Ffaults", [OWN]),
        ("POST /./sandbox/faults", [OWN]),
        ("POST /sandbox/faults", [OWN, "Authorization: Bearer guessed"]),
        (
            "POST /sandbox/faults",
            [OWN, f"Authorization: Bearer {TOKEN}", "Content-Type: text/plain"],
        ),
        (
            "POST /sandbox/faults",
            [OWN, FOREIGN, f"Authorization: Bearer {TOKEN}"],
        ),
        (
            "GET /sandbox/faults",
            [OWN, FOREIGN, "Upgrade: websocket", "Connection: Upgrade"],
        ),
        ("GET /sandbox/calls", [OWN, "Sec-Fetch-Site: cross-site"]),
        (
            "OPTIONS /sandbox/faults",
            [OWN, FOREIGN, "Access-Control-Request-Method: POST"],
        ),
    ],
)
def test_a_page_and_another_user_change_nothing(
    url: str, line: str, headers: list[str]
) -> None:
    """DNS rebinding, forged forms, fetch without CORS, WebSockets, preflights, other spellings."""
    address = urlsplit(url)
    lines = [f"{line} HTTP/1.1", *headers, f"Content-Length: {len(FAULT)}"]
    if not any(each.startswith("Content-Type") for each in headers):
        lines.append("Content-Type: application/json")
    request = "\r\n".join([*lines, "", FAULT])

    with connected(url) as plain:
        plain.sendall(
            request.replace("{host}", address.netloc)
            .replace("{port}", str(address.port))
            .encode()
        )
        plain.shutdown(socket.SHUT_WR)
        answer = everything(plain)

    status = int(answer.split(b" ", 2)[1])
    assert status in (401, 403, 404, 415)
    assert b"access-control-allow" not in answer.lower()
    assert faults(url) == []


def test_programs_of_this_machine_work_as_before(url: str) -> None:
    """They send a Host of loopback, no Origin, and the token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for method in (requests.post, requests.delete):
        response = method(
            url + "/sandbox/faults", json={"code": 500}, headers=headers, timeout=30
        )
        assert response.ok

    assert tagged(url)


def test_the_page_can_be_used_as_a_browser_does(url: str) -> None:
    """Its form sends the sandbox's own origin."""
    response = requests.post(
        url + "/",
        files={"picture": ("<b>.png", picture())},
        headers={"Origin": url, "Sec-Fetch-Site": "same-origin"},
        timeout=SECONDS,
    )

    assert response.status_code == 200
    assert "<b>" not in response.text


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\n" + b"x: " + b"a" * 60_000 + b"\r\ny: " + b"a" * 60_000,
        b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: x\r\n" % n for n in range(101)),
        b"GET / HTTP/1.1\r\n" + b"x: " + b"a" * 70_000,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1",
    ],
    ids=["two long headers", "many headers", "a long header", "a long line"],
)
def test_a_long_header_is_refused(url: str, line: bytes) -> None:
    """Its size is bounded as a whole, not for each line alone."""
    with connected(url) as plain:
        plain.sendall(line + b"\r\n\r\n")
        answer = everything(plain)

    assert int(answer.split(b" ", 2)[1]) in (414, 431)
    assert b'"code": 623' in answer


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 0\r\nContent-Length: 30",
        b"Content-Length: 30\r\nContent-Length: 30",
        b"Content-Length : 30",
        b"Content-Length\t: 30",
        b"Content-Type: multipart/form-data; boundary=x\r\n--x--\r\nContent-Length: 30",
        b"X: a\r\n Content-Length: 30",
        b"no header",
    ],
)
def test_a_body_of_doubtful_length_is_refused(url: str, header: bytes) -> None:
    """A proxy may take the body for the next request."""
    host = urlsplit(url).netloc.encode()
    body = b"GET /healthz HTTP/1.1\r\n\r\n    "
    with connected(url) as plain:
        plain.sendall(b"POST %b HTTP/1.1\r\n" % TAGS.encode())
        plain.sendall(b"Host: %b\r\n%b\r\n\r\n%b" % (host, header, body))
        answer = everything(plain)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_an_endless_header_is_not_kept(url: str) -> None:
    """The sandbox stops reading soon after the limit."""
    sent = 0
    with connected(url) as plain, suppress(ConnectionError):
        plain.sendall(b"GET / HTTP/1.1\r\n")
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            plain.sendall(b"x: " + b"a" * 1_000 + b"\r\n")
            sent += 1_005
            if sent > 100 * MOST_HEADER_BYTES:
                plain.settimeout(0.05)
                if b"431" in plain.recv(1_000):
                    break

    assert tagged(url)
    assert time.monotonic() < deadline


LATE = 300.0
"""A deadline in seconds that no test waits for."""
POSTING = b"POST / HTTP/1.1\r\nHost: %(host)s\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    ("beginning", "and_more", "deadlines"),
    [
        (b"", False, Deadlines(idle=0.6, header=LATE, request=LATE)),
        (b"G", False, Deadlines(idle=0.6, header=LATE, request=LATE)),
        (POSTING, False, Deadlines(idle=0.6, header=LATE, request=LATE)),
        (b"G", False, Deadlines(idle=LATE, header=0.6, request=LATE)),
        (b"G", True, Deadlines(idle=LATE, header=0.6, request=LATE)),
        (b"GET / HTTP/1.1\r\n", True, Deadlines(idle=LATE, header=0.6, request=LATE)),
        (POSTING, False, Deadlines(idle=LATE, header=LATE, request=1.0)),
        (POSTING, True, Deadlines(idle=LATE, header=LATE, request=1.0)),
    ],
    ids=[
        "silent",
        "silent after a byte",
        "silent in the body",
        "no more than a byte",
        "the first line",
        "a header",
        "no body",
        "a body",
    ],
)
def test_a_slow_client_is_disconnected(
    beginning: bytes,
    and_more: bool,  # noqa: FBT001  of the table above
    deadlines: Deadlines,
) -> None:
    """A byte now and then does not extend the deadline."""
    with serve(port=0, key=KEY, deadlines=deadlines) as url, connected(url) as plain:
        plain.settimeout(0.05)
        plain.sendall(beginning % {b"host": urlsplit(url).netloc.encode()})
        deadline = time.monotonic() + SECONDS
        closed = False
        while not closed and time.monotonic() < deadline:
            try:
                if and_more:
                    plain.send(b"a")
                closed = not plain.recv(1_000)
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True

    assert closed


SLOW = Deadlines(idle=LATE, header=LATE, request=LATE)


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a",
        b"POST / HTTP/1.1\r\nHost: %(host)s\r\nContent-Length: 1000\r\n\r\n ",
        b"GET /healthz HTTP/1.1\r\nHost: %(host)s\r\n\r\n",
    ],
    ids=["silent", "half a header", "half a body", "idle after a request"],
)
def test_many_slow_clients_do_not_keep_others_out(beginning: bytes) -> None:
    """The connection that made no progress for longest is closed; deadlines are no help here."""
    most = 10
    with (
        serve(
            port=0, key=KEY, deadlines=SLOW, connections=Connections(most=most)
        ) as url,
        ExitStack() as slow,
    ):
        attackers = [slow.enter_context(connected(url)) for _ in range(3 * most)]
        for plain in attackers:
            with suppress(ConnectionError):  # it is closed already
                plain.sendall(beginning % {b"host": urlsplit(url).netloc.encode()})

        assert all(tagged(url) for _ in range(3))

        for plain in attackers[:most]:
            everything(plain)  # ends because the sandbox has closed it


def test_too_many_busy_clients_get_503() -> None:
    """No request that is being worked on is interrupted, and the sandbox goes on afterwards."""
    most = 4
    headers = {"Authorization": f"Bearer {TOKEN}"}
    connections = Connections(most=most)
    with serve(port=0, key=KEY, access=Access(TOKEN), connections=connections) as url:
        requests.post(
            url + "/sandbox/faults",
            json={"delaySeconds": 2, "times": most},
            headers={**headers, "Connection": "close"},
            timeout=SECONDS,
        )
        with ThreadPoolExecutor(most) as callers:
            busy = [callers.submit(tagged, url) for _ in range(most)]
            deadline = time.monotonic() + SECONDS
            seen = 0
            while seen < 20:  # between two reads, a connection looks busy, too
                assert time.monotonic() < deadline
                seen = seen + 1 if connections.busy() == most else 0
                time.sleep(0.01)
            with connected(url) as plain:
                answer = everything(plain)

            assert answer.startswith(b"HTTP/1.1 503 ")
            assert all(one.result(SECONDS) for one in busy)
        assert tagged(url)


def test_large_bodies_that_arrive_at_once_are_bounded_together() -> None:
    """The request that began first is dropped; the API's main job goes on."""
    size, most = 1_000_000, 4_000_000
    connections = Connections(most_bytes=most)
    with (
        serve(port=0, key=KEY, deadlines=SLOW, connections=connections) as url,
        ExitStack() as slow,
    ):
        host = urlsplit(url).netloc
        head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {2 * size}\r\n\r\n"
        attackers = [slow.enter_context(connected(url)) for _ in range(8)]
        for plain in attackers:
            with suppress(ConnectionError):
                plain.sendall(head.encode() + b"x" * size)

        assert tagged(url)
        assert everything(attackers[0]) == b""


def test_an_unread_body_is_not_kept(url: str) -> None:
    """A refused request may announce any length, and its sender gets the answer at once."""
    host = urlsplit(url).netloc
    for length in ("Content-Length: 60000000", "Transfer-Encoding: chunked"):
        with connected(url) as plain:
            plain.sendall(
                f"POST {TAGS} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n\r\n1".encode()
            )

            answer = everything(plain)

        assert b'"code": 612' in answer
        assert b"Connection: close" in answer


@pytest.mark.parametrize(
    "program",
    [
        ("-m", "hangtag_sandbox"),
        ("-c", "from hangtag_cli.main import cli; cli()", "sandbox"),
    ],
    ids=["python -m hangtag_sandbox", "hangtag sandbox"],
)
class TestStart:
    """How the command starts."""

    def run(
        self, program: tuple[str, ...], *options: str, **environment: str
    ) -> tuple[int, str, str]:
        """Run the command until it ends or has printed its address: status, stdout, stderr."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith("HANGTAG_")}
        process = subprocess.Popen(
            [sys.executable, *program, "--port", "0", *options],
            env={**kept, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            address = process.stdout.readline()
            if address:
                local = address.strip().replace("0.0.0.0", "127.0.0.1")  # noqa: S104
                assert requests.get(f"{local}/healthz", timeout=SECONDS).ok
                process.send_signal(signal.SIGTERM)
            _, talk = process.communicate(timeout=SECONDS)
        return process.returncode, address.strip(), talk

    def test_it_does_not_start_beyond_loopback_without_secrets(
        self, program: tuple[str, ...]
    ) -> None:
        """It names both variables, and exits as for any wrong usage."""
        beyond = ("--host", "0.0.0.0")  # noqa: S104  it is refused

        status, address, talk = self.run(program, *beyond, HANGTAG_SANDBOX_TOKEN=TOKEN)

        assert (status, address) == (2, "")
        assert "HANGTAG_SANDBOX_KEY" in talk
        assert "HANGTAG_SANDBOX_TOKEN" in talk

    def test_it_warns_beyond_loopback(self, program: tuple[str, ...]) -> None:
        """It repeats neither secret."""
        status, address, talk = self.run(
            program,
            "--host",
            "0.0.0.0",  # noqa: S104  for a moment, with secrets
            HANGTAG_SANDBOX_KEY=KEY,
            HANGTAG_SANDBOX_TOKEN=TOKEN,
        )

        assert status == 0
        assert address.startswith("http://0.0.0.0:")
        assert "Warning: other machines can reach this sandbox" in talk
        assert KEY not in talk
        assert TOKEN not in talk

    def test_it_prints_a_token_of_its_own(self, program: tuple[str, ...]) -> None:
        """Only on stderr: stdout is the address alone."""
        status, address, talk = self.run(program)

        assert status == 0
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
        assert re.search(r"Authorization: Bearer [\w-]{32}\n", talk)
        assert "x-api-key: sandbox-key" in talk
        assert "Warning" not in talk


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_attack_leaves_no_connection_open() -> None:
    """All descriptors are closed afterwards."""
    before = descriptors()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = min(200, soft // 4)
    with serve(port=0, key=KEY, connections=Connections(most=20)) as url:
        with ExitStack() as slow:
            for _ in range(many):
                slow.enter_context(connected(url))
        assert tagged(url)

    deadline = time.monotonic() + SECONDS
    while descriptors() > before + 5:
        assert time.monotonic() < deadline
        time.sleep(0.05)
