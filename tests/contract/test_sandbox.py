"""
The sandbox implements the Tagger API's published contract.

The tests use HTTP, a client without knowledge of the sandbox, and the product's own reader.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from click.testing import CliRunner
from PIL import Image

from hangtag.errors import HangtagError
from hangtag.tagger_api import (
    LANGUAGES,
    MEDIA_TYPES,
    Answer,
    media_type,
    read_answer,
)
from hangtag.tagger_api.errors import QuotaExceeded
from hangtag_cli.main import cli
from hangtag_sandbox import serve
from hangtag_sandbox.access import Access
from hangtag_sandbox.fetching import Fetcher
from hangtag_sandbox.limits import MOST_BODY_BYTES, MOST_IMAGE_BYTES
from hangtag_sandbox.perception import delta_e_2000, to_lab
from hangtag_sandbox.server import Deadlines
from local.garments import Garment, draw_garments
from tests.builders import a_body
from tests.contract.loopback import LoopbackServer, loopback_server
from tests.contract.loopback import answer as loopback_answer

KEY = "contract-key"
TOKEN = "token-of-the-tests"
TAGS = "/tagger/v2.12/tags"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The base URL of a sandbox."""
    with serve(port=0, key=KEY, access=Access(TOKEN)) as base:
        yield base


@pytest.fixture(scope="module")
def garments(tmp_path_factory: pytest.TempPathFactory) -> list[Garment]:
    """The images of the demonstration."""
    return draw_garments(tmp_path_factory.mktemp("garments"))


def picture(
    size: tuple[int, int] = (90, 120), kind: str = "PNG", blue: int = 0
) -> bytes:
    """A picture with a red shape in its upper left."""
    image = Image.new("RGB", size, (235, 235, 235))
    width, height = size
    image.paste((200, 30, blue), (width // 4, height // 4, width // 2, height // 2))
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def data_uri(image: bytes, media_type: str = "image/png") -> str:
    """The image as `image.content`."""
    return f"data:{media_type};base64,{b64encode(image).decode()}"


def body(image: bytes, **context: object) -> dict[str, Any]:
    """A valid request."""
    return {
        "image": {"type": "base64", "content": data_uri(image)},
        "context": context,
    }


def post(
    url: str,
    document: object,
    *,
    key: str | None = KEY,
    language: str | None = None,
    path: str = TAGS,
) -> requests.Response:
    """The sandbox's response."""
    headers = {"x-api-key": key, "accept-language": language}
    return requests.post(
        url + path,
        data=document if isinstance(document, bytes) else json.dumps(document),
        headers={name: value for name, value in headers.items() if value is not None},
        timeout=30,
    )


def connected(url: str) -> http.client.HTTPConnection:
    """An open connection to the sandbox."""
    address = urllib.parse.urlsplit(url)
    assert address.hostname is not None
    return http.client.HTTPConnection(address.hostname, address.port, timeout=30)


def raw_exchange(url: str, request: str) -> bytes:
    """All bytes that come back on a connection after *request* is sent."""
    address = urllib.parse.urlsplit(url)
    with socket.create_connection((address.hostname, address.port or 0), 30) as plain:
        with_host = request.replace("\r\n", f"\r\nHost: {address.netloc}\r\n", 1)
        plain.sendall(with_host.encode())
        plain.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: plain.recv(65_536), b""))


def answered(response: requests.Response) -> Answer:
    """The answer in a successful response, as the product reads it."""
    assert response.status_code == 201
    return read_answer(response.content, http_status=response.status_code)


def only_tag(answer: Answer) -> dict[str, Any]:
    """The tag of the only garment."""
    (found,) = answer.objects
    (tag,) = found["tags"]
    assert isinstance(tag, dict)
    return tag


def test_a_picture_is_tagged(url: str) -> None:
    """The response is HTTP 201 with the contract's fields and what the picture shows."""
    response = post(url, body(picture()))

    tag = only_tag(answered(response))
    assert tag["colors"][0]["name"] == "red"
    assert tag["prints"][0]["name"] == "solid"
    assert pytest.approx((0.375, 0.375), abs=0.02) == (
        float(tag["position"]["x"]),
        float(tag["position"]["y"]),
    )
    assert {"category", "item", "looks", "textures"} <= set(tag)
    assert "category" in response.headers["x-sandbox-synthetic"].split(",")
    assert "colors" not in response.headers["x-sandbox-synthetic"].split(",")


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_each_of_the_six_formats_is_accepted(url: str, kind: str) -> None:
    """The request has the prefix that the product sends."""
    image = picture(kind=kind)
    pieces = a_body(image, f"image/{kind.lower()}")

    tag = only_tag(answered(post(url, b"".join(pieces))))

    assert tag["colors"][0]["name"] == "red"


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_are_in_the_requested_language(url: str, language: str) -> None:
    """Ids do not depend on the language."""
    red = {"en": "red", "ko": "레드", "zh": "红色", "ja": "レッド"}

    tag = only_tag(answered(post(url, body(picture()), language=language)))
    english = only_tag(answered(post(url, body(picture()))))

    assert red[language] == tag["colors"][0]["name"]
    assert english["colors"][0]["id"] == tag["colors"][0]["id"]
    assert english["category"]["id"] == tag["category"]["id"]


def test_detection_selects_the_objects(url: str) -> None:
    """Other objects are listed beside them."""
    words = ["TOP", "BOTTOM", "WHOLEBODY", "SWIMWEAR"]

    answers = [answered(post(url, body(picture(), detection=[word]))) for word in words]

    assert sum(len(answer.objects) for answer in answers) == 1
    assert sum(len(answer.not_matched_object) for answer in answers) == 3
    everything = answered(post(url, body(picture(), detection=[])))
    assert (len(everything.objects), everything.not_matched_object) == (1, [])


def test_the_same_picture_has_the_same_answer(url: str) -> None:
    """The bodies are equal byte for byte."""
    first, second = (post(url, body(picture())).content for _ in range(2))

    assert first == second


def test_different_pictures_have_different_answers(url: str) -> None:
    """They differ even if the pictures look alike."""
    answers = {post(url, body(picture(blue=blue))).content for blue in range(6)}

    assert len(answers) == 6


def test_an_empty_picture_has_no_objects(url: str) -> None:
    """The type is NODETC, without gender and invented values."""
    buffer = BytesIO()
    Image.new("RGB", (60, 60), (120, 130, 140)).save(buffer, "PNG")

    response = post(url, body(buffer.getvalue()))

    answer = answered(response)
    assert answer.objects == [{"type": "NODETC", "tags": []}]
    assert answer.gender_info is None
    assert "x-sandbox-synthetic" not in response.headers


WHOLE = picture()


@pytest.mark.parametrize(
    ("code", "document", "options"),
    [
        (609, body(WHOLE), {"key": "wrong"}),
        (612, body(WHOLE), {"key": None}),
        (623, body(WHOLE), {"path": "/tagger/v2.11/tags"}),
        (623, body(WHOLE), {"path": "/tagger/v2.12/tags/"}),
        (801, {"image": {"type": "base64", "content": "iVBORw0KGgo="}}, {}),
        (801, {"image": {"type": "base64"}}, {}),
        (802, {"image": {"type": "base64", "content": data_uri(WHOLE)[:-1]}}, {}),
        (803, {"image": {"type": "url", "content": "https://10.0.0.1/a.png"}}, {}),
        (804, {"image": {"type": "file", "content": data_uri(WHOLE)}}, {}),
        (805, body(b"this is a text"), {}),
        (805, body(WHOLE[: len(WHOLE) // 2]), {}),
        (806, body(picture((1_100, 100))), {}),
        (807, body(picture((15, 90))), {}),
        (808, body(picture((10_001, 1_001))), {}),
        (809, body(WHOLE + b"\0" * MOST_IMAGE_BYTES), {}),
        (824, b"{", {}),
        (825, body(WHOLE, detection=["SOCKS"]), {}),
        (826, body(WHOLE), {"language": "fr"}),
    ],
)
def test_every_published_error_can_be_caused(
    url: str, code: int, document: object, options: dict[str, Any]
) -> None:
    """The product reads it as the leaf with this code."""
    response = post(url, document, **options)

    with pytest.raises(HangtagError) as error:
        read_answer(response.content, http_status=response.status_code)
    assert str(code) == error.value.code
    assert str(error.value)
    assert {"data": {}, "status": "fail"}.items() <= response.json().items()


CONTROL = {"Authorization": f"Bearer {TOKEN}"}


def control(
    url: str, method: str, path: str, document: object = None
) -> requests.Response:
    """The sandbox's response to a control request."""
    response = requests.request(
        method, url + path, json=document, headers=CONTROL, timeout=30
    )
    assert response.ok, response.text
    return response


def test_a_used_up_quota_is_error_823(url: str) -> None:
    """Refused pictures use no quota; the product reads the error as its leaf."""
    control(url, "PUT", "/sandbox/quota", {"left": 1})
    try:
        assert post(url, body(b"no image")).json()["error"]["code"] == 805
        assert len(answered(post(url, body(picture()))).objects) == 1

        response = post(url, body(picture()))
    finally:
        control(url, "PUT", "/sandbox/quota", {"left": None})

    with pytest.raises(QuotaExceeded):
        read_answer(response.content, http_status=response.status_code)
    assert response.status_code == 429


@pytest.fixture(scope="module")
def images() -> Iterator[LoopbackServer]:
    """A server of images on this machine."""
    with loopback_server() as server:
        yield server


@pytest.fixture(scope="module")
def fetching(images: LoopbackServer) -> Iterator[str]:
    """The base URL of a sandbox that may fetch from that server."""
    fetcher = Fetcher(loopback_ports=frozenset({images.server_port}))
    with serve(port=0, key=KEY, fetcher=fetcher) as base:
        yield base


def test_a_picture_at_a_url_is_tagged_like_one_in_the_request(
    fetching: str, images: LoopbackServer
) -> None:
    """The same bytes have the same answer."""
    images.replies(loopback_answer(200, picture()))
    document = {"image": {"type": "url", "content": f"{images.url}/red.png"}}

    fetched = post(fetching, document)

    assert fetched.content == post(fetching, body(picture())).content


@pytest.mark.parametrize(
    ("status", "content", "code"),
    [
        (404, b"", 803),
        (200, b"this is a text", 805),
        (200, picture((15, 90)), 807),
        (200, WHOLE + b"\0" * MOST_IMAGE_BYTES, 809),
    ],
)
def test_an_image_at_a_url_is_validated(
    fetching: str, images: LoopbackServer, status: int, content: bytes, code: int
) -> None:
    """Error 803 means only that it cannot be fetched; other errors are those of sent images."""
    images.replies(loopback_answer(status, content))

    response = post(fetching, {"image": {"type": "url", "content": images.url}})

    assert code == response.json()["error"]["code"]


def outfit() -> bytes:
    """A blue shirt over a red skirt, and a pair of brown shoes."""
    image = Image.new("RGB", (300, 400), (235, 235, 235))
    image.paste((30, 60, 160), (100, 20, 200, 140))
    image.paste((200, 30, 40), (90, 170, 210, 300))
    for left in (60, 170):
        image.paste((110, 66, 38), (left, 340, left + 70, 380))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_several_objects_in_one_picture_are_tagged_one_by_one(url: str) -> None:
    """Each has its own position and colour; shoes are tagged if requested."""
    everything = ["TOP", "BOTTOM", "WHOLEBODY", "SWIMWEAR", "SHOES"]

    clothes = answered(post(url, body(outfit()))).objects
    with_shoes = answered(post(url, body(outfit(), detection=everything))).objects
    shoes_alone = answered(post(url, body(outfit(), detection=["SHOES"])))

    assert {"red", "blue"} == {
        tag["colors"][0]["name"] for found in clothes for tag in found["tags"]
    }
    assert clothes == with_shoes[:2] == shoes_alone.not_matched_object
    assert shoes_alone.objects == with_shoes[2:]
    assert ["SHOES", "SHOES"] == [found["type"] for found in shoes_alone.objects]
    for found in shoes_alone.objects:
        (tag,) = found["tags"]
        assert {"pairIndex", "heelHeight", "toeType", "heelShape", "soleType"} <= set(
            tag
        )
        assert (tag["pairIndex"], tag["colors"][0]["name"]) == (0, "brown")


@pytest.mark.parametrize(
    ("cut", "trouble"),
    [
        ("closed", http.client.RemoteDisconnected),
        ("reset", ConnectionResetError),
        ("half", http.client.IncompleteRead),
    ],
)
def test_a_fault_may_cut_the_connection(
    url: str, cut: str, trouble: type[Exception]
) -> None:
    """
    It ends before or in the middle of the answer, with or without a reset; the next call succeeds.
    """
    control(url, "POST", "/sandbox/faults", {"cut": cut, "times": 1})
    connection = connected(url)
    document = json.dumps(body(picture())).encode()

    connection.request("POST", TAGS, document, {"x-api-key": KEY})
    with pytest.raises(trouble):
        connection.getresponse().read()

    connection.close()
    assert len(answered(post(url, body(picture()))).objects) == 1


def test_a_fault_may_ask_for_a_delay(url: str) -> None:
    """The response is HTTP 429 with Retry-After and no Tagger answer."""
    fault = {"status": 429, "body": "slow down", "retryAfter": 3, "times": 1}
    control(url, "POST", "/sandbox/faults", fault)

    response = post(url, body(picture()))

    assert (429, "3", "slow down") == (
        response.status_code,
        response.headers["Retry-After"],
        response.text,
    )


def test_the_page_accepts_a_picture(url: str) -> None:
    """The request is that of a browser."""
    page = requests.post(
        url + "/",
        files={"picture": ("a.png", picture())},
        data={"language": "ja"},
        timeout=30,
    )

    assert page.status_code == 200
    assert "レッド" in page.text


def test_faults_can_cause_the_other_codes(url: str) -> None:
    """No image causes 500 or 823."""
    for code in (500, 823):
        image = picture(blue=code % 256)
        fault = {"sha256": sha256(image).hexdigest(), "code": code, "times": 1}
        control(url, "POST", "/sandbox/faults", fault)

        response = post(url, body(image))
        with pytest.raises(HangtagError) as error:
            read_answer(response.content, http_status=response.status_code)

        assert str(code) == error.value.code
        assert len(answered(post(url, body(image))).objects) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS", "DELETE"])
def test_tags_can_only_be_requested_with_post(url: str, method: str) -> None:
    """Another method is an unknown resource."""
    response = requests.request(method, url + TAGS, data=b"{}", timeout=30)

    assert response.status_code == 404
    if method != "HEAD":
        assert response.json()["error"]["code"] == 623


def test_a_connection_serves_many_requests(url: str) -> None:
    """Valid, refused and unknown requests need no new handshake."""
    connection = connected(url)
    connection.connect()
    first_socket = connection.sock

    codes = []
    for path, key in ((TAGS, KEY), (TAGS, "wrong"), ("/nowhere", KEY), (TAGS, KEY)):
        connection.request(
            "POST", path, json.dumps(body(picture())), {"x-api-key": key}
        )
        response = connection.getresponse()
        codes.append(
            (response.status, (json.load(response)["error"] or {}).get("code"))
        )

    assert codes == [(201, None), (401, 609), (404, 623), (201, None)]
    assert first_socket is connection.sock
    connection.close()


def test_a_chunked_body_is_read(url: str) -> None:
    """Clients need not know its length."""
    pieces = a_body(picture())

    response = requests.post(
        url + TAGS, data=iter(pieces), headers={"x-api-key": KEY}, timeout=30
    )

    assert len(answered(response).objects) == 1


def test_a_body_that_is_far_too_long_is_refused_unread(url: str) -> None:
    """The answer is sent while the client still writes."""
    connection = connected(url)
    connection.putrequest("POST", TAGS)
    connection.putheader("x-api-key", KEY)
    connection.putheader("Content-Length", str(MOST_BODY_BYTES + 1))
    connection.endheaders(b'{"image":')

    response = connection.getresponse()

    assert json.load(response)["error"]["code"] == 809
    assert response.getheader("Connection") == "close"
    connection.close()


def test_a_chunked_body_that_is_far_too_long_is_refused(url: str) -> None:
    """Its beginning must not be taken for the whole."""
    connection = connected(url)
    chunks = (b" " * 1024**2 for _ in range(MOST_BODY_BYTES // 1024**2 + 1))

    connection.request("POST", TAGS, chunks, {"x-api-key": KEY}, encode_chunked=True)
    response = connection.getresponse()

    assert json.load(response)["error"]["code"] == 809
    assert response.getheader("Connection") == "close"
    connection.close()


@pytest.mark.parametrize(
    "framing",
    ["Content-Length: many", "Content-Length: -1", "Transfer-Encoding: chunked"],
)
def test_an_incomplete_body_is_824_and_never_the_next_request(
    url: str, framing: str
) -> None:
    """The rest of it is not read as a request."""
    answers = raw_exchange(
        url, f"POST {TAGS} HTTP/1.1\r\nx-api-key: {KEY}\r\n{framing}\r\n\r\n{{}}"
    )

    assert answers.count(b"HTTP/1.1 ") == 1
    assert b'"code": 824' in answers


@pytest.mark.parametrize(
    "request_line",
    ["no HTTP at all", f"GET /{'a' * 70_000} HTTP/1.1", "GET / HTTP/9.9"],
)
def test_invalid_http_is_an_unknown_resource(url: str, request_line: str) -> None:
    """Every response has the API's format."""
    answer = raw_exchange(url, f"{request_line}\r\n\r\n")

    assert b'"code": 623' in answer


def test_the_key_is_checked_before_the_body(url: str) -> None:
    """This holds for a body that is too long to be read, too."""
    length = f"Content-Length: {MOST_BODY_BYTES + 1}"

    answer = raw_exchange(url, f"POST {TAGS} HTTP/1.1\r\n{length}\r\n\r\n")

    assert b'"code": 612' in answer


def test_a_body_that_arrives_too_slowly_is_given_up() -> None:
    """A timeout applies to the whole body."""
    deadlines = Deadlines(request=0.5)
    with serve(port=0, key=KEY, deadlines=deadlines) as url:
        connection = connected(url)
        connection.putrequest("POST", TAGS)
        connection.putheader("x-api-key", KEY)
        connection.putheader("Content-Length", "1000")
        connection.endheaders()
        for _ in range(10):
            connection.send(b" ")
            time.sleep(0.1)

        response = connection.getresponse()

        assert json.load(response)["error"]["code"] == 824
        assert response.getheader("Connection") == "close"
        connection.close()


def test_every_call_is_recorded_once(url: str) -> None:
    """Concurrent calls succeed, are late, or are cut off."""
    steps = [{"cut": "closed"}, {"cut": "half"}, {"delaySeconds": 0.1}, {"code": 500}]
    control(url, "DELETE", "/sandbox/calls")
    control(url, "POST", "/sandbox/faults", {"sequence": [*steps, {}] * 12})
    document = body(picture())

    def call(_: int) -> None:
        with suppress(requests.RequestException):
            post(url, document)

    with ThreadPoolExecutor(12) as callers:
        list(callers.map(call, range(60)))

    calls = control(url, "GET", "/sandbox/calls").json()
    assert [12] * 5 == [
        sum(call["fault"] == fault for call in calls) for fault in (*steps, None)
    ]
    assert len(calls) == len({call["at"] for call in calls}) == 60
    assert sorted(call["at"] for call in calls) == [call["at"] for call in calls]
    assert control(url, "GET", "/sandbox/faults").json() == []


def test_a_client_that_disconnects_does_no_harm(url: str) -> None:
    """The next client is served."""
    connection = connected(url)
    connection.putrequest("POST", TAGS)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"half")
    connection.close()

    assert len(answered(post(url, body(picture()))).objects) == 1


@pytest.mark.parametrize(
    "program",
    [
        ("-m", "hangtag_sandbox"),
        ("-c", "from hangtag_cli.main import cli; cli()", "sandbox"),
    ],
    ids=["python -m hangtag_sandbox", "hangtag sandbox"],
)
def test_the_command_serves_until_it_is_stopped(program: tuple[str, ...]) -> None:
    """It prints the base URL on stdout and messages on stderr, and exits cleanly."""
    options = ["--port", "0", "--key", KEY, "--quota", "5", "--fetch", "none"]
    process = subprocess.Popen(
        [sys.executable, *program, *options],
        env={**os.environ, "HANGTAG_SANDBOX_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        base = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", base)
        health = requests.get(base + "/healthz", timeout=30).json()
        quota = control(base, "GET", "/sandbox/quota").json()
        unfetched = post(base, {"image": {"type": "url", "content": base}}).json()

        process.send_signal(signal.SIGTERM)
        rest, talk = process.communicate(timeout=30)

    assert (health, quota) == ({"status": "ok"}, {"left": 5})
    assert "--fetch none does not allow" in unfetched["error"]["message"]
    assert (process.returncode, rest) == (0, "")
    assert "x-api-key: the key of --key or HANGTAG_SANDBOX_KEY" in talk
    assert KEY not in talk
    assert TOKEN not in talk


def test_a_file_without_certificates_is_wrong_usage(tmp_path: Path) -> None:
    """The command reports it at the start, not with the first image."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")

    result = CliRunner().invoke(cli, ["sandbox", "--port", "0", "--ca-file", str(file)])

    assert result.exit_code == 2
    assert "contains no PEM certificates" in result.output


@dataclass(frozen=True)
class Painted:
    """What a person would say about a drawn garment."""

    color: str
    print: str
    centre: tuple[float, float]


PAINTED = {
    "Yellow T-shirt": Painted("yellow", "solid", (0.500, 0.526)),
    "Striped shirt": Painted("white", "stripe", (0.500, 0.511)),
    "Checked skirt": Painted("red", "check", (0.560, 0.524)),
    "Lavender dress": Painted("lavender", "solid", (0.460, 0.547)),
    "Camel coat": Painted("beige", "solid", (0.517, 0.526)),
    "Blue jeans": Painted("blue", "solid", (0.573, 0.527)),
    "Cable-knit sweater": Painted("wine", "solid", (0.500, 0.532)),
    "Mint swimsuit": Painted("mint", "solid", (0.420, 0.502)),
}


def test_the_drawn_garments_are_recognised(url: str, garments: list[Garment]) -> None:
    """Colour, print and position are those that were drawn."""
    seen = {}
    for garment in garments:
        tag = only_tag(answered(post(url, body(garment.path.read_bytes()))))
        position = tag["position"]
        seen[garment.title] = Painted(
            tag["colors"][0]["name"],
            tag["prints"][0]["name"],
            (float(position["x"]), float(position["y"])),
        )

    assert {title: (one.color, one.print) for title, one in PAINTED.items()} == {
        title: (one.color, one.print) for title, one in seen.items()
    }
    for title, painted in PAINTED.items():
        assert pytest.approx(painted.centre, abs=0.01) == seen[title].centre


def test_the_drawn_garments_have_their_drawn_colours(
    url: str, garments: list[Garment]
) -> None:
    """For half of them the difference is hardly visible."""
    off = []
    for garment in garments:
        tag = only_tag(answered(post(url, body(garment.path.read_bytes()))))
        codes = [detail["code"] for detail in tag["colorDetails"]]
        seen = [list(bytes.fromhex(code.removeprefix("#"))) for code in codes]
        for color in garment.colors:
            painted = to_lab(np.array(color, dtype=np.uint8))
            found = delta_e_2000(to_lab(np.array(seen, dtype=np.uint8)), painted)
            off.append(float(found.min()))

    assert np.median(off) < 2
    assert max(off) < 6


def test_the_drawn_garments_use_all_six_formats(garments: list[Garment]) -> None:
    """There are eight pictures, with blanks and Korean in names, and valid metadata."""
    kinds = {media_type(garment.path.read_bytes()) for garment in garments}
    names = [garment.path.name for garment in garments]

    assert set(MEDIA_TYPES) == kinds
    assert len(set(names)) == 8
    assert all(" " in name for name in names)
    assert any(not name.isascii() for name in names)


def test_the_drawn_garments_are_reproducible(
    tmp_path: Path, garments: list[Garment]
) -> None:
    """They are equal byte for byte, so digests and invented values stay the same."""
    again = draw_garments(tmp_path, count=2)

    assert [garment.path.read_bytes() for garment in garments[:2]] == [
        garment.path.read_bytes() for garment in again
    ]
