"""The sandbox answers any request, also to its control endpoints, and never with a defect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.test import Client

from hangtag_sandbox import create_app
from hangtag_sandbox.access import Access
from hangtag_sandbox.control import InvalidRequest, KeysDocument, parse_control
from hangtag_sandbox.faults import Fault, read_digest
from hangtag_sandbox.fetching import Fetcher
from hangtag_sandbox.quota import QuotaDocument
from tests.fuzzing import damaged, damaged_bytes, times, to_lenient_json

KEY = "key-1"
TOKEN = "token-of-the-tests"
CONTROL = {
    "authorization": f"Bearer {TOKEN}",
    "content-type": "application/json",
}
TAGS = {
    "image": {"type": "base64", "content": "data:image/png;base64,iVBORw0KGgo="},
    "context": {"detection": ["TOP"], "price": 5, "id": "1"},
}
FAULT = {
    "code": 500,
    "message": "no",
    "status": 503,
    "retryAfter": 5,
    "times": 2,
    "rate": 0.5,
}
SEQUENCE = {
    "sha256": "0" * 64,
    "sequence": [{"code": 500}, {"body": "x", "cut": "half"}],
}
FORM = (
    b'--b\r\ncontent-disposition: form-data; name="picture"; filename="a"\r\n\r\nGIF89a'
    b'\r\n--b\r\ncontent-disposition: form-data; name="detection"\r\n\r\nTOP\r\n--b--\r\n'
)
DOCUMENTS = [TAGS, FAULT, SEQUENCE, {"left": 5}, {"keys": [KEY]}]

ROUTES = st.sampled_from(
    [
        ("POST", "/tagger/v2.12/tags"),
        ("POST", "/"),
        ("GET", "/sandbox/calls"),
        ("POST", "/sandbox/faults"),
        ("DELETE", "/sandbox/faults/x"),
        ("PUT", "/sandbox/quota"),
        ("PUT", "/sandbox/keys"),
        ("PATCH", "/%ff/%00"),
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from(["accept-language", "x-api-key", "content-type", "origin", "host"]),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30)
    | st.sampled_from([KEY, "ko", "multipart/form-data; boundary=b"]),
)


@pytest.mark.fuzz("hangtag_sandbox.create_app")
@times(5)
@given(
    ROUTES,
    HEADERS,
    damaged(DOCUMENTS).map(lambda made: to_lenient_json(made).encode())
    | damaged_bytes([FORM, *(json.dumps(made).encode() for made in DOCUMENTS)]),
    st.sampled_from(["", "since=1e999", "since=%ff", "since=5"]),
)
@example(("PUT", "/sandbox/quota"), {}, b'{"left": ' + b"9" * 5_000 + b', "x": 1}', "")
@example(("PUT", "/sandbox/keys"), {}, b'{"keys": ' + b"9" * 5_000 + b"}", "")
def test_any_request_gets_an_answer(
    route: tuple[str, str], headers: Mapping[str, str], body: bytes, query: str
) -> None:
    """Error 500 would mean a defect of the sandbox."""
    method, path = route
    client = Client(
        create_app(
            [KEY], access=Access(TOKEN), fetcher=Fetcher("none"), wait=lambda _: None
        )
    )

    response = client.open(
        path,
        method=method,
        data=body,
        query_string=query,
        headers={"x-api-key": KEY, **CONTROL, **headers},
    )

    assert response.status_code < 500, response.get_data()
    assert client.get("/sandbox/calls", headers=CONTROL).status_code == 200
    assert client.get("/sandbox/faults", headers=CONTROL).status_code == 200


@pytest.mark.fuzz(
    "hangtag_sandbox.control.parse_control", "hangtag_sandbox.faults.read_digest"
)
@times(3)
@given(damaged(DOCUMENTS), st.sampled_from([Fault, KeysDocument, QuotaDocument]))
def test_any_control_document_is_valid_or_names_the_field(
    document: object, kind: type[Fault | KeysDocument | QuotaDocument]
) -> None:
    """Also if a number in it is too long to be printed."""
    body = to_lenient_json(document).encode()

    with suppress(InvalidRequest):
        parse_control(kind, body)
    with suppress(InvalidRequest):
        read_digest(body.decode())
