"""The Tagger API over HTTP: `HttpTagger` against a server on loopback, and its fake."""

from __future__ import annotations

import gzip
import json
import socket
import time
import traceback
import tracemalloc
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Barrier, Thread

import pytest

from hangtag.adapters.http_tagger import MAX_HEADER_BYTES, HttpTagger
from hangtag.errors import ApiTimeout, ApiUnreachable, BadAnswer, HangtagError
from hangtag.ports import Tagger
from hangtag.tagger_api import (
    MAX_ANSWER_BYTES,
    Answer,
    Context,
    Language,
    RequestBody,
    UrlBody,
    models,
)
from hangtag.tagger_api.errors import (
    ApiRedirected,
    HttpStatus,
    KeyRefused,
    PrefixRefused,
    QuotaExceeded,
    SidesTooSmall,
)
from hangtag.tagger_api.models import TaggingRequest
from hangtag.text import to_json
from tests.builders import (
    API_KEY,
    PNG,
    a_body,
    an_answer,
    answer_document,
    failed_answer_document,
    jacket,
    to_body,
)
from tests.contract.certificates import speak_tls, subject_hash
from tests.contract.loopback import (
    Exchange,
    LoopbackServer,
    Reply,
    answer,
    answer_and_hang_up,
    hang_up,
    loopback_server,
    part_of_an_answer,
    part_of_an_answer_and_silence,
    raw_bytes,
    reset,
    silence,
    trickle,
    unused_port,
)
from tests.fakes import FakeTagger

TAGS = "/tagger/v2.12/tags"
GOOD = to_body(answer_document())
SOON = 0.3
"""Seconds after which the tests give up waiting."""
TRICKLE = 1_000
"""A body that takes far longer than that when sent byte by byte."""
CHUNKED = b"HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIPPED = b"HTTP/1.1 201 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10]
EMPTY_BLOCK = b"\0\0\0\xff\xff"
"""Compressed data that decompresses to none."""
NEW_KEY = "the-new-key-1234"
CONNECT_TIMEOUT = "hangtag.adapters.http_tagger.CONNECT_TIMEOUT_SECONDS"


def ask(
    tagger: Tagger,
    *,
    request: RequestBody | None = None,
    image: bytes = PNG,
    context: Context | None = None,
    with_prefix: bool = True,
    language: Language = "en",
    api_key: str = API_KEY,
    timeout_seconds: float = 10,
) -> Answer:
    """Makes one call with a small image."""
    return tagger.ask(
        request or a_body(image, context=context, with_prefix=with_prefix),
        language=language,
        api_key=api_key,
        timeout_seconds=timeout_seconds,
    )


@contextmanager
def at_most_five_seconds() -> Iterator[None]:
    """Fails if the block takes more than a few seconds."""
    began = time.monotonic()
    try:
        yield
    finally:
        assert time.monotonic() - began < 5


def refusal(code: int, message: str) -> bytes:
    """The body of a refusal."""
    return to_body(failed_answer_document(code, message))


@pytest.fixture
def api() -> Iterator[LoopbackServer]:
    """A Tagger API that tags, unless a test sets another reply."""
    with loopback_server() as server:
        server.replies(answer(201, GOOD))
        yield server


@pytest.fixture
def tagger(api: LoopbackServer) -> HttpTagger:
    """The adapter, with the API's address."""
    return HttpTagger(api.url + TAGS, connections=4)


# ---- the fake and the adapter


@dataclass(frozen=True)
class TaggerUnderTest:
    """A `Tagger`, and how to make it refuse."""

    tagger: Tagger
    takes_only_key: Callable[[str], None]
    refuses_the_prefix: Callable[[], None]


def fake_tagger() -> TaggerUnderTest:
    """The fake of the unit tests."""
    fake = FakeTagger()

    def takes_only_key(key: str) -> None:
        fake.accepted_key = key

    def refuses_the_prefix() -> None:
        fake.refuses_the_prefix = True

    return TaggerUnderTest(fake, takes_only_key, refuses_the_prefix)


def http_tagger(api: LoopbackServer) -> TaggerUnderTest:
    """The adapter, and an API on loopback that checks its requests."""

    def takes_only_key(key: str) -> None:
        def reply(exchange: Exchange) -> None:
            right = exchange.headers["x-api-key"] == key
            (answer(201, GOOD) if right else answer(401, refusal(609, "Wrong key.")))(
                exchange
            )

        api.replies(reply)

    def refuses_the_prefix() -> None:
        def reply(exchange: Exchange) -> None:
            document = json.loads(api.received[-1].body)
            has_prefix = document["image"]["content"].startswith("data:")
            (answer(400, refusal(801, "No.")) if has_prefix else answer(201, GOOD))(
                exchange
            )

        api.replies(reply)

    return TaggerUnderTest(
        HttpTagger(api.url + TAGS, connections=1), takes_only_key, refuses_the_prefix
    )


@pytest.fixture(params=["fake", "http"])
def tested(request: pytest.FixtureRequest, api: LoopbackServer) -> TaggerUnderTest:
    """The fake, then the adapter."""
    return fake_tagger() if request.param == "fake" else http_tagger(api)


def test_a_request_gets_an_answer(tested: TaggerUnderTest) -> None:
    """It is the API's answer."""
    assert ask(tested.tagger) == an_answer()


def test_a_refused_key_has_its_own_error(tested: TaggerUnderTest) -> None:
    """The pipeline fetches a fresh key then."""
    tested.takes_only_key("another-key")

    with pytest.raises(KeyRefused):
        ask(tested.tagger)

    assert ask(tested.tagger, api_key="another-key") == an_answer()


def test_a_refused_prefix_has_its_own_error(tested: TaggerUnderTest) -> None:
    """The pipeline sends the image without it then."""
    tested.refuses_the_prefix()

    with pytest.raises(PrefixRefused):
        ask(tested.tagger)

    assert ask(tested.tagger, with_prefix=False) == an_answer()


# ---- requests


def test_the_request_is_the_documented_one(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """Method, path, headers, and a body with an exact length that reads as a request."""
    context = Context(id="셔츠-1", detection=("TOP", "SHOES"))

    ask(tagger, image=PNG * 10_000, context=context, language="ko")

    (request,) = api.received
    headers = request.headers
    assert (request.method, request.path) == ("POST", TAGS)
    assert headers["x-api-key"] == API_KEY
    assert headers["accept-language"] == "ko"
    assert headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "gzip"
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == str(len(request.body))
    assert "transfer-encoding" not in headers
    body = a_body(PNG * 10_000, context=context)
    assert request.body == b"".join(body)
    context_received = TaggingRequest.model_validate_json(request.body).context
    assert context_received == models.Context.model_validate(
        {"id": "셔츠-1", "detection": ["TOP", "SHOES"]}
    )


def test_a_connection_is_reused(api: LoopbackServer, tagger: HttpTagger) -> None:
    """A TLS handshake for every image costs time."""
    for _ in range(3):
        ask(tagger)

    assert len({request.client_port for request in api.received}) == 1


def test_a_connection_is_reused_after_a_refusal(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """The whole body of a refusal is read, too."""
    api.replies(answer(400, refusal(807, "Too small.")), answer(201, GOOD))
    with pytest.raises(SidesTooSmall):
        ask(tagger)

    ask(tagger)

    assert len({request.client_port for request in api.received}) == 1


def test_a_connection_closed_while_idle_does_not_fail_the_next_call(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """Servers close idle connections without notice; the next call opens another one."""
    api.replies(answer_and_hang_up(201, GOOD), answer(201, GOOD))
    ask(tagger)
    assert api.hung_up.wait(10)

    ask(tagger)

    assert len({request.client_port for request in api.received}) == 2


def test_threads_call_at_the_same_time(api: LoopbackServer, tagger: HttpTagger) -> None:
    """Each answer waits for all requests, so sequential calls would get none."""
    together = Barrier(4)

    def reply(exchange: Exchange) -> None:
        together.wait(10)
        answer(201, GOOD)(exchange)

    api.replies(reply)
    answers: list[Answer] = []
    threads = [
        Thread(target=lambda: answers.append(ask(tagger)))
        for _ in range(together.parties)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [an_answer()] * together.parties


def test_the_proxy_of_the_environment_is_used(
    api: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some networks have no other way out."""
    monkeypatch.setenv("http_proxy", api.url)
    url = f"http://tagger.invalid{TAGS}"

    ask(HttpTagger(url, connections=1))

    assert [request.path for request in api.received] == [url]


def test_a_proxy_may_need_a_password(
    api: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands in its address, and only the proxy gets it."""
    proxy = api.url.replace("http://", "http://user:pass%20word@")
    monkeypatch.setenv("http_proxy", proxy)

    ask(HttpTagger(f"http://tagger.invalid{TAGS}", connections=1))

    sent = api.received[0].headers["proxy-authorization"]
    assert b64decode(sent.removeprefix("Basic ")) == b"user:pass word"


def test_a_proxy_may_be_named_without_a_scheme(
    api: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many people write it that way; and one variable may be for all schemes."""
    monkeypatch.setenv("all_proxy", api.url.removeprefix("http://"))

    ask(HttpTagger(f"http://tagger.invalid{TAGS}", connections=1))

    assert len(api.received) == 1


def test_an_address_may_be_excepted_from_the_proxy(
    api: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens where the proxy should be."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")

    ask(HttpTagger(api.url + TAGS, connections=1))

    assert [request.path for request in api.received] == [TAGS]


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "http://[", "ftp://x", "http://user:s3cr3t/@x"]
)
def test_a_proxy_that_cannot_be_used_is_an_error(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """The API is not called without it instead. A password is not shown."""
    monkeypatch.setenv("https_proxy", proxy)

    with pytest.raises(ApiUnreachable, match="proxy") as caught:
        HttpTagger(f"https://tagger.invalid{TAGS}", connections=1)

    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


# ---- certificate authorities


@pytest.fixture
def authority(api: LoopbackServer, tmp_path: Path) -> Path:
    """The certificate of the API, which now speaks TLS; no known authority has signed it."""
    return speak_tls(api, tmp_path)


def test_an_unknown_authority_is_not_trusted(
    api: LoopbackServer, authority: Path
) -> None:
    """Neither the key nor the image is sent."""
    assert authority.exists()
    tagger = HttpTagger(api.url.replace("http:", "https:") + TAGS, connections=1)

    with pytest.raises(ApiUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        ask(tagger)

    assert api.received == []


def test_another_host_s_certificate_is_not_trusted(
    api: LoopbackServer, authority: Path
) -> None:
    """The certificate is for 127.0.0.1, and its authority is trusted."""
    url = api.url.replace("http://127.0.0.1", "https://localhost") + TAGS
    tagger = HttpTagger(url, connections=1, ca_bundle=str(authority))

    with pytest.raises(ApiUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        ask(tagger)

    assert api.received == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_named_authority_is_trusted(
    api: LoopbackServer, authority: Path, kind: str
) -> None:
    """A company's proxy may sign for all names."""
    if kind == "folder":
        # OpenSSL finds a certificate in a folder by the hash of its subject
        hashed = authority.with_name(f"{subject_hash(authority)}.0")
        hashed.symlink_to(authority)
    ca_bundle = authority if kind == "file" else authority.parent
    url = api.url.replace("http:", "https:") + TAGS

    tagger = HttpTagger(url, connections=2, ca_bundle=str(ca_bundle))

    assert [ask(tagger) for _ in range(2)] == [an_answer()] * 2


def test_authorities_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    """The API is not called without them."""
    with pytest.raises(ApiUnreachable, match="cannot be read"):
        HttpTagger(
            f"https://tagger.invalid{TAGS}",
            connections=1,
            ca_bundle=str(tmp_path / "missing.pem"),
        )


# ---- answers


def test_the_digits_of_an_answer_are_kept(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """Numbers are not rounded."""
    tag = jacket()
    api.replies(answer(201, to_body(answer_document(tag))))

    assert ask(tagger).objects[0]["tags"] == [tag]


def test_a_compressed_answer_is_read(api: LoopbackServer, tagger: HttpTagger) -> None:
    """Requests accept gzip."""
    api.replies(answer(201, gzip.compress(GOOD), Content_Encoding="gzip"))

    assert ask(tagger) == an_answer()


def test_an_answer_in_chunks_is_read(api: LoopbackServer, tagger: HttpTagger) -> None:
    """Proxies may remove the Content-Length."""

    def reply(exchange: Exchange) -> None:
        exchange.send_response(201)
        exchange.send_header("Transfer-Encoding", "chunked")
        exchange.end_headers()
        for piece in (GOOD[:10], GOOD[10:]):
            exchange.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        exchange.wfile.write(b"0\r\n\r\n")

    api.replies(reply)

    assert ask(tagger) == an_answer()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, refusal(609, "Wrong key."), "609"),
        (400, refusal(802, "Unreadable."), "802"),
        (429, refusal(823, "Used up."), "823"),
        (500, refusal(500, "Sorry."), "500"),
        (201, refusal(807, "Too small."), "807"),
        (200, refusal(609, "Wrong key."), "609"),
        (400, b"no", "HTTP_400"),
        (403, b"<html>", "HTTP_403"),
        (413, b"", "HTTP_413"),
        (429, b"slow down", "HTTP_429"),
        (500, b"", "HTTP_500"),
        (503, b'{"message": "no"}', "HTTP_503"),
        (201, b"<html>hello</html>", "BAD_ANSWER"),
        (200, b"", "BAD_ANSWER"),
        (201, b"[]", "BAD_ANSWER"),
        (201, b'{"status": "ok"}', "BAD_ANSWER"),
        (204, b"", "BAD_ANSWER"),
    ],
)
def test_a_failed_call_has_a_code(
    api: LoopbackServer,
    tagger: HttpTagger,
    status: int,
    body: bytes,
    code: str,
) -> None:
    """The number in the body, if any, precedes the HTTP status."""
    api.replies(answer(status, body))

    with pytest.raises(HangtagError) as caught:
        ask(tagger)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("\u0663", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2035 00:00:00 +9999", None),
    ],
)
def test_retry_after_is_a_number_a_date_or_ignored(
    api: LoopbackServer, tagger: HttpTagger, said: str, seconds: float | None
) -> None:
    """An invalid value is ignored."""
    # http.server writes headers as Latin-1
    value = said.encode().decode("latin-1")
    api.replies(answer(429, b"slow down", Retry_After=value))

    with pytest.raises(HttpStatus) as caught:
        ask(tagger)

    assert caught.value.retry_after_seconds == seconds


def test_retry_after_as_a_date_is_converted_to_seconds(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """Counted from now, by the clock of this machine."""
    later = datetime.now(UTC) + timedelta(hours=1)
    api.replies(
        answer(503, b"", Retry_After=format_datetime(later, usegmt=True)),
    )

    with pytest.raises(HttpStatus) as caught:
        ask(tagger)

    asked_for = caught.value.retry_after_seconds
    assert asked_for is not None
    assert 3_000 < asked_for <= 3_600


def test_retry_after_applies_to_the_apis_own_codes(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """The answer to a used-up quota may say when it is renewed."""
    api.replies(answer(429, refusal(823, "Used up."), Retry_After="60"))

    with pytest.raises(QuotaExceeded) as caught:
        ask(tagger)

    assert caught.value.retry_after_seconds == 60.0


# ---- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    api: LoopbackServer, tagger: HttpTagger, status: int
) -> None:
    """The key goes to the configured address and nowhere else."""
    with loopback_server() as elsewhere:
        elsewhere.replies(answer(201, GOOD))
        api.replies(answer(status, b"moved", Location=elsewhere.url + TAGS))

        with pytest.raises(ApiRedirected) as caught:
            ask(tagger)

        assert elsewhere.received == []
    assert f"HTTP {status}" in str(caught.value)
    assert len(api.received) == 1


@pytest.mark.parametrize("location", ["http://[", "\xff\xfe", "", "//", "?"])
def test_a_redirect_to_an_invalid_address_is_still_a_redirect(
    api: LoopbackServer, tagger: HttpTagger, location: str
) -> None:
    """The address is not parsed."""
    api.replies(answer(302, b"moved", Location=location))

    with pytest.raises(ApiRedirected, match="HTTP 302"):
        ask(tagger)


# ---- no answer


def test_a_missing_api_is_unreachable() -> None:
    """The connection is refused."""
    tagger = HttpTagger(f"http://127.0.0.1:{unused_port()}{TAGS}", connections=1)

    with pytest.raises(ApiUnreachable) as caught:
        ask(tagger)

    assert caught.value.__cause__ is not None


def test_an_api_that_accepts_no_connection_is_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full backlog does not even refuse; the call ends long before its deadline."""
    monkeypatch.setattr(CONNECT_TIMEOUT, SOON)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for caller in waiting:
            caller.settimeout(0)
            caller.connect_ex(address)
        tagger = HttpTagger(f"http://127.0.0.1:{address[1]}{TAGS}", connections=1)

        with (
            pytest.raises(ApiUnreachable, match="no connection"),
            at_most_five_seconds(),
        ):
            ask(tagger, timeout_seconds=10)

        for caller in waiting:
            caller.close()


@pytest.mark.parametrize(
    "reply",
    [
        hang_up,
        reset,
        part_of_an_answer(201, GOOD[:20], length=len(GOOD)),
        part_of_an_answer(201, b"", length=len(GOOD)),
        lambda exchange: exchange.wfile.write(b"no HTTP at all\r\n\r\n"),
    ],
    ids=["hangs up", "resets", "half an answer", "only headers", "no HTTP"],
)
def test_a_broken_connection_is_unreachable(
    api: LoopbackServer, tagger: HttpTagger, reply: Reply
) -> None:
    """Half an answer is not used, and requests does not retry by itself."""
    api.replies(reply)

    with pytest.raises(ApiUnreachable) as caught:
        ask(tagger, timeout_seconds=SOON)

    assert caught.value.__cause__ is not None
    assert len(api.received) == 1


@pytest.mark.parametrize(
    "reply",
    [
        silence,
        part_of_an_answer_and_silence(201, GOOD[:20], length=len(GOOD)),
        trickle(201, b" " * TRICKLE, seconds=0.01),
        trickle(500, b" " * TRICKLE, seconds=0.01),
        trickle(302, b" " * TRICKLE, seconds=0.01),
        raw_bytes(*[b"H"] * TRICKLE, seconds=0.01),
        raw_bytes(b"HTTP/1.1 201 OK\r\n", *[b"x: y\r\n"] * TRICKLE, seconds=0.01),
        raw_bytes(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * TRICKLE, seconds=0.01),
        raw_bytes(CHUNKED, *[b"1\r\n \r\n"] * TRICKLE, seconds=0.01),
        raw_bytes(CHUNKED, b"1", *[b";x"] * TRICKLE, seconds=0.01),
        raw_bytes(GZIPPED, *[EMPTY_BLOCK] * TRICKLE, seconds=0.01),
    ],
    ids=[
        "silence",
        "half",
        "trickle",
        "trickling refusal",
        "trickling redirect",
        "trickling status",
        "trickling headers",
        "trickling interim answers",
        "trickling chunks",
        "trickling size of a chunk",
        "trickling compression",
    ],
)
def test_an_answer_that_takes_too_long_is_a_timeout(
    api: LoopbackServer, tagger: HttpTagger, reply: Reply
) -> None:
    """The timeout applies to the whole answer with its headers, not to each byte."""
    api.replies(reply)

    with pytest.raises(ApiTimeout, match="no answer") as caught, at_most_five_seconds():
        ask(tagger, timeout_seconds=SOON)

    assert caught.value.__cause__ is not None
    assert api.trickled < TRICKLE


def test_a_byte_just_before_the_deadline_does_not_extend_it(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """A socket's own timeout would start again with it."""
    api.replies(raw_bytes(b"H", b"T", seconds=2.7))

    with pytest.raises(ApiTimeout), at_most_five_seconds():
        ask(tagger, timeout_seconds=3)


def test_an_api_that_does_not_read_the_request_is_unreachable() -> None:
    """It accepts the connection; no buffer is large enough for the image."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        tagger = HttpTagger(f"http://127.0.0.1:{deaf.getsockname()[1]}", connections=1)

        with pytest.raises(ApiUnreachable) as caught, at_most_five_seconds():
            ask(tagger, image=PNG * 200_000, timeout_seconds=SOON)

    assert caught.value.__cause__ is not None


def test_an_api_that_reads_the_request_too_slowly_is_a_timeout() -> None:
    """The timeout applies to the whole request, not to each part."""
    with socket.create_server(("127.0.0.1", 0)) as slow:
        received = 0

        def read_slowly() -> None:
            nonlocal received
            connection, _ = slow.accept()
            with connection, suppress(ConnectionError):
                while chunk := connection.recv(64 * 1024):
                    received += len(chunk)
                    time.sleep(0.01)

        reader = Thread(target=read_slowly)
        reader.start()
        tagger = HttpTagger(f"http://127.0.0.1:{slow.getsockname()[1]}", connections=1)
        image = PNG * 200_000

        with pytest.raises(ApiTimeout), at_most_five_seconds():
            ask(tagger, image=image, timeout_seconds=SOON)

        reader.join()
    assert received < len(image)


def test_an_api_that_never_finishes_the_tls_handshake_is_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It accepts the connection and is silent; the call ends long before its deadline."""
    monkeypatch.setattr(CONNECT_TIMEOUT, SOON)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        tagger = HttpTagger(f"https://127.0.0.1:{mute.getsockname()[1]}", connections=1)

        with pytest.raises(ApiTimeout), at_most_five_seconds():
            ask(tagger, timeout_seconds=10)


def test_an_api_that_does_not_speak_tls_is_unreachable(api: LoopbackServer) -> None:
    """No request is sent without TLS instead."""
    tagger = HttpTagger(api.url.replace("http:", "https:") + TAGS, connections=1)

    with pytest.raises(ApiUnreachable, match="SSL"):
        ask(tagger)

    assert api.received == []


def test_a_host_name_that_cannot_be_resolved_is_unreachable() -> None:
    """The domain .invalid has no names."""
    tagger = HttpTagger(f"https://tagger.invalid{TAGS}", connections=1)

    with pytest.raises(ApiUnreachable, match="resolve"):
        ask(tagger)


def test_after_a_timeout_the_next_call_gets_its_own_answer(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """The connection of a late answer is not reused."""
    api.replies(
        part_of_an_answer_and_silence(201, GOOD[:20], length=len(GOOD)),
        answer(201, GOOD),
    )
    with pytest.raises(ApiTimeout):
        ask(tagger, timeout_seconds=SOON)

    assert ask(tagger) == an_answer()
    assert len({request.client_port for request in api.received}) == 2


def test_an_answer_that_is_too_long_is_refused(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """It would fill the memory."""
    api.replies(answer(201, b" " * (MAX_ANSWER_BYTES + 1)))

    with pytest.raises(BadAnswer) as caught:
        ask(tagger)

    assert "longer than" in str(caught.value)


def test_an_answer_that_is_too_long_when_decompressed_is_refused(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """The limit counts decompressed bytes."""
    packed = gzip.compress(b" " * (MAX_ANSWER_BYTES + 1))
    api.replies(answer(201, packed, Content_Encoding="gzip"))

    with pytest.raises(BadAnswer) as caught:
        ask(tagger)

    assert "longer than" in str(caught.value)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip", "br"])
@pytest.mark.parametrize("status", [201, 503])
def test_an_answer_that_becomes_huge_takes_little_memory(
    api: LoopbackServer, tagger: HttpTagger, encoding: str, status: int
) -> None:
    """A few kilobytes may decompress to many megabytes."""
    pack = zlib.compress if encoding == "deflate" else gzip.compress
    packed = pack(b"[]," * (8 * MAX_ANSWER_BYTES))
    if encoding == "gzip, gzip":
        packed = gzip.compress(packed)
    api.replies(answer(status, packed, Content_Encoding=encoding))

    tracemalloc.start()
    try:
        with pytest.raises((BadAnswer, HttpStatus)) as caught:
            ask(tagger)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.code == {201: "BAD_ANSWER", 503: "HTTP_503"}[status]
    assert peak < 16 * MAX_ANSWER_BYTES


def test_a_refusal_that_is_too_long_has_the_code_of_its_status(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """The wait that it asks for is kept."""
    api.replies(answer(503, b"x" * (2 * MAX_ANSWER_BYTES), Retry_After="7"))

    with pytest.raises(HttpStatus) as caught:
        ask(tagger)

    assert (caught.value.code, caught.value.retry_after_seconds) == ("HTTP_503", 7)


HEADER = b"x: " + b"y" * 1_000 + b"\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 201 OK\r\n", *[HEADER] * 90],
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * 10_000,
        [b"HTTP/1.1 100 Continue\r\n", HEADER, b"\r\n"] * 100,
        [CHUNKED, *[b"1;" + b"x" * 1_000 + b"\r\n \r\n"] * 2_000],
    ],
    ids=["headers", "interim answers", "headers of interim answers", "chunks"],
)
def test_headers_that_are_too_long_are_refused(
    api: LoopbackServer, tagger: HttpTagger, pieces: list[bytes]
) -> None:
    """They are read before the body, and count in time and memory, too."""
    assert MAX_HEADER_BYTES < 90 * len(HEADER)
    api.replies(raw_bytes(b"".join(pieces)))

    with pytest.raises(BadAnswer, match="too long"), at_most_five_seconds():
        ask(tagger)


def test_an_answer_in_tiny_chunks_is_read(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """Each byte has five more around it."""
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD)
    api.replies(raw_bytes(CHUNKED, chunks, b"0\r\n\r\n"))

    assert ask(tagger) == an_answer()


def test_an_answer_that_cannot_be_decompressed_is_refused(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """It is not in the encoding that its header names."""
    api.replies(answer(201, GOOD, Content_Encoding="gzip"))

    with pytest.raises(BadAnswer):
        ask(tagger)


# ---- the key


@pytest.mark.parametrize(
    "reply",
    [
        hang_up,
        reset,
        silence,
        answer(401, refusal(609, "Wrong key.")),
        answer(401, refusal(609, f"Wrong key: {API_KEY}.")),
        answer(403, f"<html>{API_KEY}".encode()),
        answer(200, b" " * 190 + API_KEY.encode()),
        answer(302, b"", Location="http://127.0.0.1/"),
        answer(201, b"<html>"),
        part_of_an_answer(201, GOOD[:20], length=len(GOOD)),
    ],
    ids=[
        "hang up",
        "reset",
        "silence",
        "609",
        "609 that echoes",
        "status that echoes",
        "echo where it is cut",
        "redirect",
        "no JSON",
        "half",
    ],
)
def test_the_key_is_in_no_error_message(
    api: LoopbackServer, tagger: HttpTagger, reply: Reply
) -> None:
    """Errors and their causes are logged, dead-lettered and shown."""
    api.replies(reply)

    with pytest.raises(HangtagError) as caught:
        ask(tagger, timeout_seconds=SOON)

    assert API_KEY not in "".join(traceback.format_exception_only(caught.value))
    assert API_KEY not in _texts(caught.value)


def echo_of(secret: str) -> list[Reply]:
    """Replies that repeat a secret: in an error, an answer, a header, a status line, a chunk."""
    good = answer_document()
    good["debug"] = {"x-api-key": secret, secret: [f"?{secret}&x"]}
    line = secret.encode()
    return [
        answer(201, to_body(good)),
        answer(201, gzip.compress(to_body(good)), Content_Encoding="gzip"),
        answer(401, refusal(609, f"Wrong: {secret}")),
        answer(500, f"<html>{secret}".encode()),
        raw_bytes(b"HTTP/1.1 " + line + b" what\r\n\r\n"),
        raw_bytes(line + b"\r\n\r\n"),
        raw_bytes(b"HTTP/1.1 201 OK\r\nContent-Length: " + line + b"\r\n\r\n"),
        raw_bytes(b"HTTP/1.1 201 OK\r\nContent-Encoding: " + line + b"\r\n\r\n"),
        raw_bytes(CHUNKED, line + b"\r\n"),
        raw_bytes(b"HTTP/1.1 302 Go\r\nLocation: http://" + line + b"\r\n\r\n"),
        raw_bytes(b"HTTP/1.1 503 No\r\nRetry-After: " + line + b"\r\n\r\n"),
    ]


@pytest.mark.parametrize("number", range(len(echo_of(""))))
def test_an_echoed_key_is_hidden_wherever_it_comes(
    api: LoopbackServer, tagger: HttpTagger, number: int
) -> None:
    """The key of the call, and the one before it, which the API knows as well."""
    for secret in (API_KEY, NEW_KEY):
        api.replies(answer(201, GOOD), echo_of(secret)[number])
        ask(tagger)
        said = outcome(lambda: ask(tagger, api_key=NEW_KEY, timeout_seconds=SOON))

        assert secret not in said


@pytest.mark.parametrize("number", range(len(echo_of(""))))
def test_an_echoed_url_is_hidden_wherever_it_comes(
    api: LoopbackServer, tagger: HttpTagger, number: int
) -> None:
    """Who has it can read the image."""
    signature = "0123456789abcdef" * 4
    url = f"https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature={signature}"
    request = UrlBody(url, Context())
    api.replies(echo_of(url.partition("//")[2])[number])

    said = outcome(lambda: ask(tagger, request=request, timeout_seconds=SOON))

    assert signature not in said


def outcome(call: Callable[[], Answer]) -> str:
    """The answer as it is stored, or the error as Python prints it, with its causes."""
    try:
        return to_json(call().document())
    except HangtagError as error:
        return "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    "key", ["secret\r\nx-more: 1", " secret", "secret\n", "secret \ud0a4"]
)
def test_an_invalid_key_is_neither_sent_nor_shown(
    api: LoopbackServer, tagger: HttpTagger, key: str
) -> None:
    """It could add a header to the request."""
    with pytest.raises(HangtagError) as caught:
        ask(tagger, api_key=key)

    assert "secret" not in str(caught.value)
    assert api.received == []


def test_the_image_is_in_no_error_message(
    api: LoopbackServer, tagger: HttpTagger
) -> None:
    """A server at a wrong address may echo the request."""

    def echo(exchange: Exchange) -> None:
        answer(200, api.received[-1].body)(exchange)

    api.replies(echo)

    with pytest.raises(BadAnswer) as caught:
        ask(tagger)

    assert '"data:image/png;base64,..."' in str(caught.value)


def _texts(error: BaseException | None) -> str:
    """The messages of an error and its causes."""
    texts = ""
    while error is not None:
        texts += str(error)
        error = error.__cause__ or error.__context__
    return texts
