"""The sandbox's own endpoints: faults, calls, quota, health and the page."""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from werkzeug.test import Client, TestResponse

from hangtag.tagger_api import DETECTIONS, LANGUAGES
from hangtag_sandbox import create_app
from hangtag_sandbox.access import Access
from hangtag_sandbox.calls import Calls
from hangtag_sandbox.control import InvalidRequest
from hangtag_sandbox.faults import Fault, Faults
from hangtag_sandbox.limits import MOST_CONTEXT_CHARACTERS, MOST_FAULTS

KEY = "test-key"
TOKEN = "token-of-the-tests"
CONTROL = {"Authorization": f"Bearer {TOKEN}"}


class Sandbox:
    """A sandbox without a socket, and the waits that it requested."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._client = Client(
            create_app([KEY], access=Access(TOKEN), wait=self.waits.append)
        )

    def ask(self, method: str, path: str, body: object = None) -> TestResponse:
        """The sandbox's response to a request of any kind."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._client.open(
            path,
            method=method,
            data=data,
            content_type="application/json",
            headers=CONTROL,
        )

    def tag(self, image: bytes, **context: object) -> TestResponse:
        """The response to a valid tagging request for the image, in Korean."""
        content = f"data:image/png;base64,{b64encode(image).decode()}"
        return self._client.post(
            "/tagger/v2.12/tags",
            json={"image": {"type": "base64", "content": content}, "context": context},
            headers={"x-api-key": KEY, "accept-language": "ko"},
        )

    def calls(self, since: float | None = None) -> list[dict[str, Any]]:
        """The calls that the sandbox has recorded."""
        query = "" if since is None else f"?since={since}"
        calls: list[dict[str, Any]] = self.ask(
            "GET", f"/sandbox/calls{query}"
        ).get_json()
        return calls

    def code(self, image: bytes) -> int | None:
        """The error code of that response, or None for a success."""
        document = self.tag(image).get_json()
        code: int | None = document["error"] and document["error"]["code"]
        return code


@pytest.fixture
def sandbox() -> Sandbox:
    """A new sandbox for each test."""
    return Sandbox()


def png(level: int = 0) -> bytes:
    """A picture of a red shape; each level gives another picture."""
    picture = Image.new("RGB", (60, 80), (240, 240, 240))
    picture.paste((200, level, 40), (15, 20, 45, 60))
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def digest(image: bytes) -> str:
    """The image's name in the sandbox."""
    return sha256(image).hexdigest()


def test_the_sandbox_reports_that_it_is_healthy(sandbox: Sandbox) -> None:
    """A program that starts it waits for this response."""
    response = sandbox.ask("GET", "/healthz")

    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})


def test_an_image_fails_with_its_fault_until_the_fault_is_deleted(
    sandbox: Sandbox,
) -> None:
    """The next call after the deletion succeeds."""
    fault = {"sha256": digest(png()), "code": 809, "message": "Too big today."}
    assert sandbox.ask("POST", "/sandbox/faults", fault).status_code == 201

    response = sandbox.tag(png())
    assert response.get_json()["error"] == {"code": 809, "message": "Too big today."}
    assert response.status_code == 400
    assert sandbox.code(png()) == 809
    assert sandbox.code(png(1)) is None

    assert sandbox.ask("DELETE", f"/sandbox/faults/{digest(png())}").status_code == 204
    assert sandbox.code(png()) is None


def test_a_fault_ends_after_its_number_of_calls(sandbox: Sandbox) -> None:
    """A temporary fault tests retries."""
    fault = {"sha256": digest(png()), "code": 500, "times": 2}
    sandbox.ask("POST", "/sandbox/faults", fault)

    assert [sandbox.code(png()) for _ in range(3)] == [500, 500, None]
    assert sandbox.ask("GET", "/sandbox/faults").get_json() == []


def test_a_fault_may_have_a_successful_status(sandbox: Sandbox) -> None:
    """No source documents the status of a failure, so a test can set any."""
    fault = {"sha256": digest(png()), "code": 805, "status": 201}
    sandbox.ask("POST", "/sandbox/faults", fault)

    response = sandbox.tag(png())

    assert (response.status_code, response.get_json()["status"]) == (201, "fail")


def test_a_fault_may_be_any_text(sandbox: Sandbox) -> None:
    """Gateways answer with HTML or an empty body."""
    for body in ("<html>Bad gateway</html>", ""):
        fault = {"sha256": digest(png()), "status": 502, "body": body}
        sandbox.ask("POST", "/sandbox/faults", fault)

        response = sandbox.tag(png())

        assert (502, body) == (response.status_code, response.get_data(as_text=True))


def test_a_delay_alone_does_not_change_the_answer(sandbox: Sandbox) -> None:
    """The answer is late, but correct."""
    fault = {"sha256": digest(png()), "delaySeconds": 2.5}
    sandbox.ask("POST", "/sandbox/faults", fault)

    assert sandbox.code(png()) is None
    assert sandbox.waits == [2.5]


def test_faults_are_listed_with_their_remaining_calls(sandbox: Sandbox) -> None:
    """The list explains why an image fails."""
    fault = {"sha256": digest(png()).upper(), "code": 823, "times": 3}
    sandbox.ask("POST", "/sandbox/faults", fault)
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


def test_all_faults_can_be_deleted(sandbox: Sandbox) -> None:
    """One request cleans up after a test."""
    for level in range(3):
        fault = {"sha256": digest(png(level)), "code": 500}
        sandbox.ask("POST", "/sandbox/faults", fault)

    assert sandbox.ask("DELETE", "/sandbox/faults").status_code == 204
    assert sandbox.ask("GET", "/sandbox/faults").get_json() == []


def test_deleting_a_missing_fault_succeeds(sandbox: Sandbox) -> None:
    """A fault may have ended already."""
    path = f"/sandbox/faults/{digest(png())}"

    assert sandbox.ask("DELETE", path).status_code == 204


def codes(sandbox: Sandbox, count: int, image: bytes | None = None) -> list[int | None]:
    """The error codes of that many consecutive calls."""
    return [sandbox.code(image or png()) for _ in range(count)]


def test_a_fault_may_affect_every_call(sandbox: Sandbox) -> None:
    """An outage affects all images."""
    sandbox.ask("POST", "/sandbox/faults", {"code": 500, "times": 2})

    assert [500, 500, None] == [sandbox.code(png(level)) for level in range(3)]


def test_calls_fail_by_rate_evenly(sandbox: Sandbox) -> None:
    """A rate of one in four fails every fourth call, so tests are reproducible."""
    sandbox.ask("POST", "/sandbox/faults", {"rate": 0.25, "code": 500})

    assert [None, None, None, 500] * 3 == codes(sandbox, 12)


def test_any_rate_is_exact_over_many_calls(sandbox: Sandbox) -> None:
    """A rate of 0.3 fails three in ten calls."""
    sandbox.ask("POST", "/sandbox/faults", {"rate": 0.3, "code": 500})

    assert codes(sandbox, 20).count(500) == 6


def test_a_fault_may_start_after_a_number_of_calls(sandbox: Sandbox) -> None:
    """An outage can begin in the middle of a batch."""
    fault = {"after": 2, "code": 500, "times": 1}
    sandbox.ask("POST", "/sandbox/faults", fault)

    assert [None, None, 500, None] == codes(sandbox, 4)


def test_a_fault_may_be_a_sequence_of_steps(sandbox: Sandbox) -> None:
    """Each call takes one step; an empty step is a successful call."""
    sequence = [{"code": 500}, {}, {"body": "<html>", "status": 502}, {"code": 823}]
    sandbox.ask("POST", "/sandbox/faults", {"sequence": sequence})

    answers = [sandbox.tag(png()) for _ in range(5)]

    assert [500, 201, 502, 429, 201] == [answer.status_code for answer in answers]
    assert sandbox.ask("GET", "/sandbox/faults").get_json() == []


def test_the_fault_of_an_image_precedes_faults_of_all_images(sandbox: Sandbox) -> None:
    """The general fault does not count such a call."""
    sandbox.ask("POST", "/sandbox/faults", {"code": 500, "times": 1})
    fault = {"sha256": digest(png()), "code": 805, "times": 1}
    sandbox.ask("POST", "/sandbox/faults", fault)

    assert [805, 500, None] == codes(sandbox, 3)


def test_a_fault_may_set_retry_after(sandbox: Sandbox) -> None:
    """The header has the given value, in seconds or as a date."""
    for retry_after in (7, "Sun, 22 Nov 2026 12:00:00 GMT"):
        fault = {"code": 823, "retryAfter": retry_after, "times": 1}
        sandbox.ask("POST", "/sandbox/faults", fault)

        response = sandbox.tag(png())

        assert (429, str(retry_after)) == (
            response.status_code,
            response.headers["Retry-After"],
        )


def test_a_fault_with_only_a_delay_delays_a_refusal(sandbox: Sandbox) -> None:
    """It delays any answer."""
    sandbox.ask("POST", "/sandbox/faults", {"delaySeconds": 3, "retryAfter": 1})

    response = sandbox.tag(b"no image")

    assert response.get_json()["error"]["code"] == 805
    assert response.headers["Retry-After"] == "1"
    assert sandbox.waits == [3]


@pytest.mark.parametrize(
    ("cut", "status"), [("closed", None), ("reset", None), ("half", 201)]
)
def test_a_call_without_an_answer_has_no_status(
    sandbox: Sandbox, cut: str, status: int | None
) -> None:
    """The connection ends before a status is sent."""
    sandbox.ask("POST", "/sandbox/faults", {"cut": cut})

    response = sandbox.tag(png())

    assert cut == response.headers["x-sandbox-cut"]
    (call,) = sandbox.ask("GET", "/sandbox/calls").get_json()
    assert status == call["status"]


def test_a_listed_fault_shows_what_remains_of_it(sandbox: Sandbox) -> None:
    """It has the remaining calls and steps."""
    first = {"after": 3, "code": 500, "times": 2, "rate": 0.5}
    second = {"sequence": [{"code": 500}, {"code": 501}]}
    sandbox.ask("POST", "/sandbox/faults", first)
    sandbox.ask("POST", "/sandbox/faults", second)
    sandbox.tag(png())

    waiting, stepping = sandbox.ask("GET", "/sandbox/faults").get_json()

    assert {"after": 2, "code": 500, "times": 2, "rate": 0.5}.items() <= waiting.items()
    assert [501] == [step["code"] for step in stepping["sequence"]]


def test_the_number_of_faults_is_limited() -> None:
    """A test that never deletes its faults does not exhaust the memory."""
    faults = Faults()
    for _ in range(MOST_FAULTS):
        faults.set(Fault.model_validate({"code": 500}))

    with pytest.raises(InvalidRequest, match="active; remove some"):
        faults.set(Fault.model_validate({"code": 500}))


def test_a_used_up_quota_returns_823(sandbox: Sandbox) -> None:
    """Only tagged images use the quota; refusals are free."""
    response = sandbox.ask("PUT", "/sandbox/quota", {"left": 2})
    assert (response.status_code, response.get_json()) == (200, {"left": 2})

    found = [sandbox.code(image) for image in (png(), b"no image", png(), png())]

    assert [None, 805, None, 823] == found
    assert sandbox.ask("GET", "/sandbox/quota").get_json() == {"left": 0}

    sandbox.ask("PUT", "/sandbox/quota", {"left": None})
    assert sandbox.code(png()) is None


def test_a_quota_can_be_set_at_the_start() -> None:
    """`hangtag sandbox --quota 1` sets it."""
    client = Client(create_app([KEY], access=Access(TOKEN), quota=1))

    assert client.get("/sandbox/quota", headers=CONTROL).get_json() == {"left": 1}


@pytest.mark.parametrize("quota", [{}, {"left": -1}, {"left": "2"}, {"right": 1}, []])
def test_an_invalid_quota_is_refused(sandbox: Sandbox, quota: object) -> None:
    """The previous quota stays."""
    response = sandbox.ask("PUT", "/sandbox/quota", quota)

    assert response.status_code == 400
    assert sandbox.ask("GET", "/sandbox/quota").get_json() == {"left": None}


def test_the_page_has_a_form(sandbox: Sandbox) -> None:
    """A person can try a picture in a browser."""
    response = sandbox.ask("GET", "/")

    html = response.get_data(as_text=True)
    assert response.content_type == "text/html; charset=utf-8"
    assert '<input type="file" name="picture"' in html
    assert all(f'value="{word}"' in html for word in (*LANGUAGES, *DETECTIONS))


def test_the_page_loads_no_other_resources(sandbox: Sandbox) -> None:
    """It works offline and sends no data to third parties."""
    response = sandbox.ask("GET", "/")

    links = re.findall(
        r'(?:src|href|action)="([^"]*)"', response.get_data(as_text=True)
    )
    assert links
    assert all(link.startswith("/") for link in links)
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


class Page(Sandbox):
    """The sandbox as a browser uses it."""

    def try_out(self, image: bytes, name: str = "it.png", **fields: object) -> str:
        """The page after the upload of a picture."""
        data = {"picture": (BytesIO(image), name), **fields}
        response = self._client.post("/", data=data)
        assert response.status_code == 200
        return response.get_data(as_text=True)


def test_the_page_marks_which_tags_come_from_pixels_and_which_are_invented() -> None:
    """It shows the picture with a mark on the garment."""
    html = Page().try_out(png(), language="en")

    assert 'src="data:image/png;base64,' in html
    assert "left: 50.00%; top: 50.00%" in html
    assert re.search(r"<dt>colors</dt><dd>red", html)
    assert re.search(r'<dt>textures</dt><dd class="invented">', html)


def test_the_page_separates_objects_outside_the_detection() -> None:
    """They are in `notMatchedObject` of the answer, too."""
    html = Page().try_out(png(), language="en", detection=["SHOES", "BAG"])

    assert "CLOTHING, not requested" in html


def test_the_page_shows_why_a_picture_is_refused() -> None:
    """It shows the code that a program would get."""
    page = Page()

    assert "Refused with 805" in page.try_out(b"no image")
    assert "Refused with 826" in page.try_out(png(), language="fr")
    assert "Refused with 825" in page.try_out(png(), detection=["SOCKS"])


def test_values_from_the_form_are_escaped() -> None:
    """A value is shown as text, not as HTML."""
    attack = "<script>alert(1)</script>"

    shown = Page().try_out(png(), language=attack)
    word = Page().try_out(png(), detection=[attack])
    name = Page().try_out(png(), name=f"{attack}.png")

    assert "&lt;script&gt;" in shown
    assert all("<script" not in html for html in (shown, word, name))


def test_a_picture_on_the_page_is_no_call() -> None:
    """It needs no key, meets no fault and uses no quota."""
    page = Page()
    page.ask("POST", "/sandbox/faults", {"code": 500})
    page.ask("PUT", "/sandbox/quota", {"left": 0})

    assert "<dt>colors</dt>" in page.try_out(png())
    assert page.ask("GET", "/sandbox/calls").get_json() == []


DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (b"{", "fault: Invalid JSON"),
        ([], "fault: "),
        ({}, "the fault changes nothing"),
        ({"rate": 0.5, "times": 3}, "the fault changes nothing"),
        ({"rate": 0, "code": 500}, "rate: .*greater than 0.*'0'"),
        ({"rate": 1.5, "code": 500}, "rate: .*less than or equal to 1"),
        ({"after": 0, "code": 500}, "after: .*greater than or equal to 1"),
        ({"cut": "slowly"}, "cut: .*'closed', 'reset' or 'half'.*'slowly'"),
        ({"code": 429, "retryAfter": -1}, "retryAfter is less than 0"),
        ({"code": 429, "retryAfter": "1\r\nx: y"}, "not valid in a header"),
        ({"sequence": []}, "sequence: .*at least 1"),
        ({"sequence": [{"codes": 500}]}, "sequence.0.codes: Extra inputs"),
        ({"sequence": [{}], "code": 500}, "leave out code"),
        ({"sequence": [{}], "times": 2}, "leave out times"),
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
def test_an_invalid_fault_is_refused_with_the_reason(
    sandbox: Sandbox, fault: object, trouble: str
) -> None:
    """A test with a typo must not run without its fault."""
    response = sandbox.ask("POST", "/sandbox/faults", fault)

    assert response.status_code == 400
    with pytest.raises(ValueError, match=trouble):
        raise ValueError(response.get_json()["error"])
    assert sandbox.ask("GET", "/sandbox/faults").get_json() == []


def test_an_invalid_digest_in_a_path_is_refused(sandbox: Sandbox) -> None:
    """The error repeats the value."""
    response = sandbox.ask("DELETE", "/sandbox/faults/abc")

    assert response.status_code == 400
    assert "'abc' is not a SHA-256" in response.get_json()["error"]


def test_calls_are_recorded(sandbox: Sandbox) -> None:
    """Tests count paid calls and check what was sent."""
    began = time.time()
    sandbox.tag(png(), id="A111", price=299.99)
    sandbox.tag(b"no image")
    sandbox.ask("POST", "/tagger/v2.12/tags", {})

    calls = sandbox.calls()

    times = [began, *(call.pop("at") for call in calls), time.time()]
    assert sorted(times) == times
    assert all(0 <= call.pop("seconds") < 60 for call in calls)
    assert [
        {
            "sha256": digest(png()),
            "status": 201,
            "code": None,
            "fault": None,
            "language": "ko",
            "context": {"id": "A111", "price": 299.99},
        },
        {
            "sha256": digest(b"no image"),
            "status": 400,
            "code": 805,
            "fault": None,
            "language": "ko",
            "context": {},
        },
        {
            "sha256": None,
            "status": 401,
            "code": 612,
            "fault": None,
            "language": None,
            "context": None,
        },
    ] == calls


def test_a_call_records_the_fault_that_it_met(sandbox: Sandbox) -> None:
    """A failed test can then be explained; a long body is cut."""
    steps = [
        {"status": 429, "body": "", "retryAfter": 2},
        {},
        {"delaySeconds": 1.5, "cut": "closed"},
        {"status": 502, "body": "x" * 1_000},
    ]
    sandbox.ask("POST", "/sandbox/faults", {"sequence": steps})
    for _ in steps:
        sandbox.tag(png())

    faults = [call["fault"] for call in sandbox.calls()]

    assert faults[:3] == [steps[0], None, steps[2]]
    assert faults[3] == {"status": 502, "body": "x" * 100}


def test_calls_can_be_listed_from_a_time_on(sandbox: Sandbox) -> None:
    """Repeated requests return each call once."""
    for level in range(3):
        sandbox.tag(png(level))
    first, second, third = sandbox.calls()

    assert [second, third] == sandbox.calls(since=first["at"])
    assert sandbox.calls(since=third["at"]) == []


@pytest.mark.parametrize("since", ["yesterday", "", "nan", "1e999"])
def test_an_invalid_time_is_refused(sandbox: Sandbox, since: str) -> None:
    """A typo must not look like an API without calls."""
    response = sandbox.ask("GET", f"/sandbox/calls?since={since}")

    assert response.status_code == 400
    assert "not a time in seconds" in response.get_json()["error"]


def test_a_running_call_is_listed() -> None:
    """A client that gives up on a late answer has made a call."""
    seen = []
    client = Client(
        create_app(
            [KEY],
            access=Access(TOKEN),
            wait=lambda _: seen.append(
                client.get("/sandbox/calls", headers=CONTROL).get_json()
            ),
        )
    )
    client.post("/sandbox/faults", json={"delaySeconds": 20}, headers=CONTROL)
    content = f"data:image/png;base64,{b64encode(png()).decode()}"

    client.post(
        "/tagger/v2.12/tags",
        json={"image": {"type": "base64", "content": content}},
        headers={"x-api-key": KEY},
    )

    ((call,),) = seen
    assert (call["sha256"], call["fault"]) == (digest(png()), {"delaySeconds": 20})
    assert (call["status"], call["seconds"]) == (None, None)
    (ended,) = client.get("/sandbox/calls", headers=CONTROL).get_json()
    assert (ended["at"], ended["status"]) == (call["at"], 201)
    assert ended["seconds"] >= 0


def test_a_running_call_that_was_deleted_is_not_listed_when_it_ends() -> None:
    """A late call of one test must not count in the next test."""
    calls = Calls()
    with calls.one():
        calls.clear()

    assert json.loads(calls.to_json()) == []


def test_calls_have_increasing_arrival_times() -> None:
    """Their sequence holds even if the clock is set back."""
    times = iter([100.0, 100.0, 99.0, 200.0])
    calls = Calls(clock=lambda: next(times))
    for _ in range(4):
        with calls.one():
            pass

    assert [100.0, 100.000001, 100.000002, 200.0] == [
        call["at"] for call in json.loads(calls.to_json())
    ]


def test_a_call_that_crashes_the_sandbox_is_recorded() -> None:
    """Its status is 500, as in the response."""
    calls = Calls()
    with pytest.raises(ZeroDivisionError), calls.one():
        raise ZeroDivisionError

    (call,) = json.loads(calls.to_json())
    assert (call["status"], call["code"]) == (500, 500)


def test_a_call_with_a_fault_is_recorded_with_its_code(
    sandbox: Sandbox,
) -> None:
    """Calls with and without a fault are listed alike."""
    sandbox.ask("POST", "/sandbox/faults", {"sha256": digest(png()), "code": 823})
    sandbox.tag(png())

    (call,) = sandbox.ask("GET", "/sandbox/calls").get_json()

    assert (call["status"], call["code"]) == (429, 823)


def test_calls_can_be_deleted(sandbox: Sandbox) -> None:
    """Each test counts from zero."""
    sandbox.tag(png())

    assert sandbox.ask("DELETE", "/sandbox/calls").status_code == 204
    assert sandbox.ask("GET", "/sandbox/calls").get_json() == []


def test_only_the_latest_calls_are_kept() -> None:
    """A long soak exhausts the memory neither by the number nor by the length of calls."""
    few, short = Calls(most=2), Calls(most_bytes=500)
    for status in range(5):
        for calls in (few, short):
            with calls.one() as call:
                call.status, call.context = status, "x" * 60

    assert [call["status"] for call in json.loads(few.to_json())] == [3, 4]
    assert [call["status"] for call in json.loads(short.to_json())] == [3, 4]


def test_a_long_context_is_not_recorded(sandbox: Sandbox) -> None:
    """The call is listed without it; otherwise it would displace the other calls."""
    sandbox.tag(png())
    sandbox.tag(png(), keywords="x" * MOST_CONTEXT_CHARACTERS)

    assert [{}, None] == [call["context"] for call in sandbox.calls()]


@pytest.mark.parametrize(
    "path", ["/index.html", "/sandbox", "/sandbox/calls/", "/healthz/"]
)
def test_an_unknown_path_is_an_unknown_resource(sandbox: Sandbox, path: str) -> None:
    """Every unknown path has the same response."""
    response = sandbox.ask("GET", path)

    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == 623
