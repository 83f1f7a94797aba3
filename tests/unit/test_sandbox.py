"""The sandbox's own endpoints: faults, calls and health."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from io import BytesIO

import pytest
from PIL import Image
from werkzeug.test import Client, TestResponse

from hangtag_sandbox import create_app
from hangtag_sandbox.calls import Call, Calls

KEY = "test-key"


class Sandbox:
    """A sandbox without a socket, and the waits it was asked for."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._client = Client(create_app([KEY], wait=self.waits.append))

    def ask(self, method: str, path: str, body: object = None) -> TestResponse:
        """What the sandbox answers to a request of any kind."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._client.open(path, method=method, data=data)

    def tag(self, image: bytes, **context: object) -> TestResponse:
        """What it answers to a good request to tag the image, in Korean."""
        content = f"data:image/png;base64,{b64encode(image).decode()}"
        return self._client.post(
            "/tagger/v2.12/tags",
            json={"image": {"type": "base64", "content": content}, "context": context},
            headers={"x-api-key": KEY, "accept-language": "ko"},
        )

    def code(self, image: bytes) -> int | None:
        """The error code of that answer, None for a good one."""
        document = self.tag(image).get_json()
        code: int | None = document["error"] and document["error"]["code"]
        return code


@pytest.fixture
def sandbox() -> Sandbox:
    """A sandbox of the test's own."""
    return Sandbox()


def png(level: int = 0) -> bytes:
    """An image of a red thing; another one for each level."""
    picture = Image.new("RGB", (60, 80), (240, 240, 240))
    picture.paste((200, level, 40), (15, 20, 45, 60))
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def digest(image: bytes) -> str:
    """The image's name in the sandbox."""
    return sha256(image).hexdigest()


def test_it_says_that_it_is_well(sandbox: Sandbox) -> None:
    """Whoever starts it waits for this."""
    response = sandbox.ask("GET", "/healthz")

    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})


def test_an_image_fails_as_told_until_it_is_taken_back(sandbox: Sandbox) -> None:
    """A cause can be made and removed."""
    order = {"sha256": digest(png()), "code": 809, "message": "Too big today."}
    assert sandbox.ask("POST", "/sandbox/faults", order).status_code == 201

    response = sandbox.tag(png())
    assert response.get_json()["error"] == {"code": 809, "message": "Too big today."}
    assert response.status_code == 400
    assert sandbox.code(png()) == 809
    assert sandbox.code(png(1)) is None

    assert sandbox.ask("DELETE", f"/sandbox/faults/{digest(png())}").status_code == 204
    assert sandbox.code(png()) is None


def test_a_fault_ends_after_its_times(sandbox: Sandbox) -> None:
    """What fails for a while tests retries."""
    order = {"sha256": digest(png()), "code": 500, "times": 2}
    sandbox.ask("POST", "/sandbox/faults", order)

    assert [sandbox.code(png()) for _ in range(3)] == [500, 500, None]
    assert sandbox.ask("GET", "/sandbox/faults").get_json() == []


def test_a_fault_may_hide_behind_a_good_status(sandbox: Sandbox) -> None:
    """No source tells the HTTP status of a failure, so any can be tried."""
    order = {"sha256": digest(png()), "code": 805, "status": 201}
    sandbox.ask("POST", "/sandbox/faults", order)

    response = sandbox.tag(png())

    assert (response.status_code, response.get_json()["status"]) == (201, "fail")


def test_a_fault_may_be_any_text(sandbox: Sandbox) -> None:
    """Gateways answer with HTML, or with nothing."""
    for body in ("<html>Bad gateway</html>", ""):
        order = {"sha256": digest(png()), "status": 502, "body": body}
        sandbox.ask("POST", "/sandbox/faults", order)

        response = sandbox.tag(png())

        assert (502, body) == (response.status_code, response.get_data(as_text=True))


def test_a_delay_alone_leaves_the_answer_as_it_is(sandbox: Sandbox) -> None:
    """Slow is not wrong."""
    order = {"sha256": digest(png()), "delaySeconds": 2.5}
    sandbox.ask("POST", "/sandbox/faults", order)

    assert sandbox.code(png()) is None
    assert sandbox.waits == [2.5]


def test_faults_are_listed_with_the_times_left(sandbox: Sandbox) -> None:
    """Whoever comes later sees why an image fails."""
    order = {"sha256": digest(png()).upper(), "code": 823, "times": 3}
    sandbox.ask("POST", "/sandbox/faults", order)
    sandbox.tag(png())

    assert [
        {
            "sha256": digest(png()),
            "code": 823,
            "message": None,
            "status": None,
            "times": 2,
            "delaySeconds": 0.0,
            "body": None,
        }
    ] == sandbox.ask("GET", "/sandbox/faults").get_json()


def test_all_faults_can_be_taken_back(sandbox: Sandbox) -> None:
    """One order cleans up after a test."""
    for level in range(3):
        order = {"sha256": digest(png(level)), "code": 500}
        sandbox.ask("POST", "/sandbox/faults", order)

    assert sandbox.ask("DELETE", "/sandbox/faults").status_code == 204
    assert sandbox.ask("GET", "/sandbox/faults").get_json() == []


def test_taking_back_what_is_not_there_is_no_error(sandbox: Sandbox) -> None:
    """A fault may have ended by itself."""
    path = f"/sandbox/faults/{digest(png())}"

    assert sandbox.ask("DELETE", path).status_code == 204


DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("order", "trouble"),
    [
        (b"{", "fault: Invalid JSON"),
        ([], "fault: "),
        ({}, "sha256: Field required"),
        ({"sha256": "abc"}, "sha256: .*'abc'"),
        ({"sha256": DIGEST, "times": 0}, "times: .*greater than or equal to 1.*'0'"),
        ({"sha256": DIGEST, "code": "809"}, "code: .*integer.*'809'"),
        ({"sha256": DIGEST, "delaySeconds": 301}, "delaySeconds: .*300"),
        ({"sha256": DIGEST, "delay": 1}, "delay: Extra inputs"),
        ({"sha256": DIGEST, "code": 500, "body": "x"}, "not both"),
        ({"sha256": DIGEST, "status": 503}, "status 503 needs a code or a body"),
        ({"sha256": DIGEST, "status": 700, "body": ""}, "status: .*599"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_the_reason(
    sandbox: Sandbox, order: object, trouble: str
) -> None:
    """A typo in a test must not pass for a fault that never shows."""
    response = sandbox.ask("POST", "/sandbox/faults", order)

    assert response.status_code == 400
    with pytest.raises(ValueError, match=trouble):
        raise ValueError(response.get_json()["error"])
    assert sandbox.ask("GET", "/sandbox/faults").get_json() == []


def test_a_digest_in_a_path_must_be_one(sandbox: Sandbox) -> None:
    """The error names what came."""
    response = sandbox.ask("DELETE", "/sandbox/faults/abc")

    assert response.status_code == 400
    assert "'abc' is no SHA-256" in response.get_json()["error"]


def test_calls_are_remembered(sandbox: Sandbox) -> None:
    """Tests count what was paid for, and see what was sent."""
    sandbox.tag(png(), id="A111", price=299.99)
    sandbox.tag(b"no image")
    sandbox.ask("POST", "/tagger/v2.12/tags", {})

    assert [
        {
            "sha256": digest(png()),
            "status": 201,
            "code": None,
            "language": "ko",
            "context": {"id": "A111", "price": 299.99},
        },
        {
            "sha256": digest(b"no image"),
            "status": 400,
            "code": 805,
            "language": "ko",
            "context": {},
        },
        {
            "sha256": None,
            "status": 401,
            "code": 612,
            "language": None,
            "context": None,
        },
    ] == sandbox.ask("GET", "/sandbox/calls").get_json()


def test_calls_that_were_told_to_fail_are_remembered_with_their_code(
    sandbox: Sandbox,
) -> None:
    """A fault is a call like any other."""
    sandbox.ask("POST", "/sandbox/faults", {"sha256": digest(png()), "code": 823})
    sandbox.tag(png())

    (call,) = sandbox.ask("GET", "/sandbox/calls").get_json()

    assert (call["status"], call["code"]) == (429, 823)


def test_calls_can_be_forgotten(sandbox: Sandbox) -> None:
    """Each test counts from zero."""
    sandbox.tag(png())

    assert sandbox.ask("DELETE", "/sandbox/calls").status_code == 204
    assert sandbox.ask("GET", "/sandbox/calls").get_json() == []


def test_only_the_newest_calls_are_kept() -> None:
    """A long soak does not fill the memory, neither by number nor by length."""
    few, short = Calls(most=2), Calls(most_bytes=300)
    for status in range(5):
        few.add(Call(status=status))
        short.add(Call(status=status, context="x" * 60))

    assert [call["status"] for call in json.loads(few.to_json())] == [3, 4]
    assert [call["status"] for call in json.loads(short.to_json())] == [3, 4]


@pytest.mark.parametrize("path", ["/", "/sandbox", "/sandbox/calls/", "/healthz/"])
def test_unknown_paths_are_unknown_resources(sandbox: Sandbox, path: str) -> None:
    """There is one answer for what is not there."""
    response = sandbox.ask("GET", path)

    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == 623
