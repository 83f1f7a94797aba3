"""Any response of the API is an answer or an error with a code; forbidden URLs are not fetched."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hangtag.adapters.http_tagger import HttpTagger
from hangtag.errors import HangtagError
from hangtag.tagger_api import ProbeBody
from hangtag_sandbox.fetching import Fetcher, NotFetched
from tests.builders import answer_document, failed_answer_document, to_body
from tests.contract.loopback import LoopbackServer, answer, loopback_server
from tests.fuzzing import TEXTS, damaged, damaged_bytes, times, to_lenient_json


@pytest.fixture(scope="module")
def api() -> Iterator[LoopbackServer]:
    """One server for all examples."""
    with loopback_server() as server:
        yield server


DOCUMENTS = [answer_document(), failed_answer_document(803)]
BODIES = [to_body(document) for document in DOCUMENTS]
WAITS = st.sampled_from(
    [
        "5",
        "-1",
        "1.5",
        "9" * 400,
        "Wed, 21 Oct 2026 07:28:00 GMT",
        "Wed, 21 Oct 9999 23:59:59 -9999",
        "Wed, 1 Jan 0001 00:00:00 +2400",
        "Wed, 99 Foo 2026",
    ]
)


@pytest.mark.fuzz("hangtag.adapters.http_tagger.HttpTagger.ask")
@times(3)
@given(
    st.sampled_from([200, 201, 302, 400, 401, 429, 500, 503]),
    damaged(DOCUMENTS).map(lambda made: to_lenient_json(made).encode())
    | damaged_bytes([*BODIES, *map(gzip.compress, BODIES)]),
    st.fixed_dictionaries(
        {},
        optional={
            "Retry_After": WAITS
            | st.text(st.characters(min_codepoint=32, max_codepoint=255)),
            "Content_Encoding": st.sampled_from(["gzip", "deflate", "br", "x"]),
            "Content_Type": st.sampled_from(["text/html; charset=x", "image/png", ""]),
            "Location": st.sampled_from(["http://[", "/", "file:///etc/passwd"]),
        },
    ),
)
@example(429, b"", {"Retry_After": "9" * 400})
def test_any_response_is_an_answer_or_an_error_with_a_code(
    api: LoopbackServer, status: int, body: bytes, headers: dict[str, str]
) -> None:
    """The wait that it asks for is a number of seconds that can be slept."""
    api.replies(answer(status, body, **headers))
    tagger = HttpTagger(api.url, connections=1)

    waits = []
    try:
        tagger.ask(ProbeBody(), language="en", api_key="key", timeout_seconds=30)
    except HangtagError as error:
        waits.append(error.retry_after_seconds or 0)

    assert all(0 <= wait < float("inf") for wait in waits)


URLS = TEXTS | st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https", "ftp", "file", ""]),
    # No names, which would be looked up
    st.sampled_from(["127.0.0.1", "[::1]", "0", "1.2.3.4", "[", "", "u:p@127.0.0.1"]),
    st.sampled_from(["", ":0", ":80", ":65536", ":x", ":-1"]),
    TEXTS,
)


@pytest.mark.fuzz("hangtag_sandbox.fetching.Fetcher.fetch")
@times(3)
@given(URLS)
def test_any_url_that_must_not_be_fetched_is_not(url: str) -> None:
    """It comes from whoever asks the sandbox."""
    with pytest.raises(NotFetched):
        Fetcher("none").fetch(url)
