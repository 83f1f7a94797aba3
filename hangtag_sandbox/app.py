"""
The sandbox's HTTP endpoints.

    POST   /tagger/v2.12/tags         the Tagger API; `validation` lists its checks in sequence
    GET    /                          a page with a form to try an image
    POST   /                          the same page with the answer for that image
    GET    /openapi.json              an OpenAPI 3.1 document of all endpoints
    GET    /healthz                   {"status": "ok"}
    GET    /sandbox/calls             the tag calls, oldest first; ?since= leaves out older ones
    DELETE /sandbox/calls             clear the list of calls
    GET    /sandbox/faults            the active faults
    POST   /sandbox/faults            add a fault: `faults.Fault`
    DELETE /sandbox/faults            remove all faults
    DELETE /sandbox/faults/<sha256>   remove the fault of one image
    GET    /sandbox/quota             {"left": null}: how many successful answers are left
    PUT    /sandbox/quota             set that number
    PUT    /sandbox/keys              {"keys": ["..."]}: accept these API keys only

Any other path or method gets the Tagger API's error 623. So does a request for another host or by a
page of another site. `/sandbox/...` needs the control token: `access` has the rules.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from hangtag.tagger_api import Detection, Language
from hangtag_sandbox.access import Access, ForeignSite
from hangtag_sandbox.answers import Tagging, answer, refusal, to_json
from hangtag_sandbox.calls import Call, Calls
from hangtag_sandbox.control import InvalidRequest, KeysDocument, parse_control
from hangtag_sandbox.decoding import ImageDecoder
from hangtag_sandbox.faults import Fault, Faults, Step, read_digest
from hangtag_sandbox.fetching import Fetcher
from hangtag_sandbox.limits import MOST_BODY_BYTES, MOST_UNREAD_BYTES
from hangtag_sandbox.openapi import openapi
from hangtag_sandbox.page import (
    PAGE_HEADERS,
    SECURITY_HEADERS,
    page_to_try,
    page_with_answer,
    page_with_refusal,
)
from hangtag_sandbox.paths import (
    CONTROL_PREFIX,
    CUT_HEADER,
    JSON,
    SYNTHETIC_HEADER,
    TAGS_PATH,
)
from hangtag_sandbox.pixels import Pixels
from hangtag_sandbox.quota import Quota, QuotaDocument
from hangtag_sandbox.sightings import look
from hangtag_sandbox.validation import (
    Refused,
    http_status,
    read_document,
    read_image,
    read_request,
    validate_detection,
    validate_key,
    validate_language,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)


def create_app(
    keys: Collection[str],
    *,
    access: Access | None = None,
    fetcher: Fetcher | None = None,
    quota: int | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> WSGIApplication:
    """
    Create a sandbox without faults and without recorded calls.

    Args:
        keys: The accepted API keys.
        access: Which requests it accepts; by default none to control it.
        fetcher: Fetches images from their URLs; by default from nowhere.
        quota: How many images to tag before the answer is 823; None: no limit.
        wait: Sleeps for a fault's delay, in seconds.
    """
    return _Sandbox(keys, access or Access(), fetcher or Fetcher(), Quota(quota), wait)


class _Request(Request):
    max_content_length = MOST_BODY_BYTES

    def body(self) -> bytes:
        """
        Read the body; repeated calls return the same bytes or raise the same error.

        Raises:
            Refused: The body is too long (809) or incomplete (824).
        """
        if self._body_error is not None:
            raise self._body_error
        self._is_body_read = True
        try:
            _validate_length(self.headers.get("Content-Length", "0").strip())
            body = self.get_data()
            # werkzeug truncates a chunked body that is too long, and only the next read raises.
            self.stream.read(1)
        except RequestEntityTooLarge as error:
            self._body_error = Refused(
                809, f"The body is longer than {MOST_BODY_BYTES} bytes."
            )
            raise self._body_error from error
        except BadRequest as error:  # the client disconnected or is too slow
            self._body_error = Refused(
                824, f"The body is incomplete: {error.description}"
            )
            raise self._body_error from error
        return body

    def is_read(self) -> bool:
        """Read a short rest of the body; True if the connection is ready for the next request."""
        is_long = (self.content_length or 0) > MOST_UNREAD_BYTES
        if not self._is_body_read and (is_long or "Transfer-Encoding" in self.headers):
            return False
        with suppress(Refused):
            self.body()
        return self._body_error is None

    _is_body_read = False
    _body_error: Refused | None = None


def _validate_length(length: str) -> None:
    # werkzeug treats an invalid length as 0 and would read the body as the next request.
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(f"Content-Length is not a number: {length[:40]!r}.")


class _Sandbox:
    def __init__(
        self,
        keys: Collection[str],
        access: Access,
        fetcher: Fetcher,
        quota: Quota,
        wait: Callable[[float], None],
    ) -> None:
        self._keys = frozenset(keys)
        self._access = access
        self._fetcher = fetcher
        self._quota = quota
        self._wait = wait
        self._faults = Faults()
        self._calls = Calls()
        self._decoder = ImageDecoder()
        page = [] if access.beyond_loopback else [
            ("GET", "/", self._show_page),
            ("POST", "/", self._try_picture),
        ]  # fmt: skip
        self._routes = Map(
            [
                Rule(path, methods=[method], endpoint=endpoint)
                for method, path, endpoint in (
                    ("POST", TAGS_PATH, self._tags),
                    *page,
                    ("GET", "/openapi.json", self._describe),
                    ("GET", "/healthz", self._health),
                    ("GET", "/sandbox/calls", self._list_calls),
                    ("DELETE", "/sandbox/calls", self._clear_calls),
                    ("GET", "/sandbox/faults", self._list_faults),
                    ("POST", "/sandbox/faults", self._set_fault),
                    ("DELETE", "/sandbox/faults", self._clear_faults),
                    ("DELETE", "/sandbox/faults/<digest>", self._clear_fault),
                    ("GET", "/sandbox/quota", self._show_quota),
                    ("PUT", "/sandbox/quota", self._set_quota),
                    ("PUT", "/sandbox/keys", self._set_keys),
                )
            ],
            strict_slashes=True,
            merge_slashes=False,
        )

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        request = _Request(environ)
        with request:
            return self._respond(request)(environ, start_response)

    def _respond(self, request: _Request) -> Response:
        try:
            self._access.check_site(request)
            endpoint, values = self._route(request)
            if request.path.startswith(CONTROL_PREFIX):
                self._access.check_control(request)
            response: Response = endpoint(request, **values)
        except ForeignSite as error:
            response = _refused(Refused(623, str(error)), 403)
        except InvalidRequest as error:
            response = _json_response(400, {"error": str(error)})
        except Refused as refused:
            status = 413 if refused.code == 809 else 400
            response = _json_response(status, {"error": str(refused)})
        except HTTPException as error:
            response = _json_response(error.code or 400, {"error": error.description})
            if error.code == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
        except Exception:
            # Clients must get an API error even for a defect of the sandbox.
            log.exception("The sandbox failed on %r %r", request.method, request.path)
            response = _refused(Refused(500, "The sandbox itself failed; see its log."))
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        # On a kept-alive connection, unread bytes would be parsed as the next request.
        if not request.is_read():
            response.headers["Connection"] = "close"
        return response

    def _route(
        self, request: _Request
    ) -> tuple[Callable[..., Response], Mapping[str, Any]]:
        try:
            return self._routes.bind_to_environ(request.environ).match()
        except HTTPException:
            return self._unknown, {}

    # The Tagger API

    def _tags(self, request: _Request) -> Response:
        with self._calls.one() as call:
            try:
                tag_request = self._read(request, call)
            except Refused as refused:
                response = _refuse(refused, call)
            else:
                response = self._apply_fault(tag_request, call)
            call.status = response.status_code
            if response.headers.get(CUT_HEADER) in ("closed", "reset"):
                call.status = None
            return response

    def _read(self, request: _Request, call: Call) -> _TagRequest:
        validate_key(request.headers.get("x-api-key"), self._keys)
        call.language = language = validate_language(
            request.headers.get("accept-language")
        )
        document = read_document(request.body())
        call.context = document.get("context")
        parsed = read_request(document)
        content = read_image(parsed.image, self._fetcher.fetch)
        call.sha256 = digest = sha256(content).hexdigest()
        detection = (parsed.context and parsed.context.detection) or ()
        return _TagRequest(content, digest, language, detection)

    def _apply_fault(self, tag_request: _TagRequest, call: Call) -> Response:
        step = self._faults.next_step(tag_request.digest)
        if step is None:
            return self._answer(tag_request, call)
        call.fault = step.summary()
        self._wait(step.delay_seconds)
        response = (
            _faulty(step, call) if step.answers else self._answer(tag_request, call)
        )
        if step.retry_after is not None:
            response.headers["Retry-After"] = str(step.retry_after)
        if step.cut is not None:
            response.headers[CUT_HEADER] = step.cut
        return response

    def _answer(self, tag_request: _TagRequest, call: Call) -> Response:
        try:
            with self._quota.one():
                tagging = tag_request.tagging(self._decoder.decode(tag_request.content))
        except Refused as refused:
            return _refuse(refused, call)
        response = Response(to_json(tagging.body), 201, content_type=JSON)
        if tagging.synthetic:
            response.headers[SYNTHETIC_HEADER] = ",".join(tagging.synthetic)
        return response

    def _unknown(self, request: _Request) -> Response:
        return _refused(
            Refused(623, f"There is no {request.method} {request.path} here.")
        )

    # The page

    def _show_page(self, _: _Request) -> Response:
        return _page(page_to_try())

    def _try_picture(self, request: _Request) -> Response:
        """Tag an image from the form, without key, quota, faults or an entry in the calls."""
        try:
            request.body()
            file = request.files.get("picture")
            content = file.read() if file else b""
            language = validate_language(request.form.get("language"))
            detection = validate_detection(request.form.getlist("detection"))
            pixels = self._decoder.decode(content)
        except Refused as refused:
            body = refusal(refused.code, str(refused))
            return _page(page_with_refusal(body))
        tag_request = _TagRequest(
            content, sha256(content).hexdigest(), language, detection
        )
        return _page(page_with_answer(tag_request.tagging(pixels), pixels))

    # The control endpoints

    def _describe(self, _: _Request) -> Response:
        return _json_response(200, openapi())

    def _health(self, _: _Request) -> Response:
        return _json_response(200, {"status": "ok"})

    def _list_calls(self, request: _Request) -> Response:
        since = _read_time(request.args.get("since", "0"))
        return Response(self._calls.to_json(since), content_type="application/json")

    def _clear_calls(self, _: _Request) -> Response:
        self._calls.clear()
        return Response(status=204)

    def _list_faults(self, _: _Request) -> Response:
        return _json_response(
            200, [fault.document() for fault in self._faults.listing()]
        )

    def _set_fault(self, request: _Request) -> Response:
        fault = parse_control(Fault, request.body())
        self._faults.set(fault)
        return _json_response(201, fault.document())

    def _clear_faults(self, _: _Request) -> Response:
        self._faults.clear()
        return Response(status=204)

    def _clear_fault(self, _: _Request, digest: str) -> Response:
        self._faults.clear(read_digest(digest))
        return Response(status=204)

    def _show_quota(self, _: _Request) -> Response:
        return _json_response(200, {"left": self._quota.left})

    def _set_quota(self, request: _Request) -> Response:
        self._quota.set(parse_control(QuotaDocument, request.body()).left)
        return self._show_quota(request)

    def _set_keys(self, request: _Request) -> Response:
        document = parse_control(KeysDocument, request.body())
        self._keys = frozenset(document.keys)
        return _json_response(200, {"keys": len(document.keys)})


@dataclass(frozen=True, slots=True)
class _TagRequest:
    """A valid tagging request with its image."""

    content: bytes
    digest: str
    language: Language
    detection: tuple[Detection, ...]

    def tagging(self, pixels: Pixels) -> Tagging:
        return answer(
            look(pixels), self.digest, language=self.language, detection=self.detection
        )


def _read_time(text: str) -> float:
    try:
        time_ = float(text)
    except ValueError:
        time_ = math.nan
    if not math.isfinite(time_):
        raise InvalidRequest(f"since: {text[:100]!r} is not a time in seconds")
    return time_


def _json_response(status: int, document: object) -> Response:
    return Response(
        json.dumps(document, ensure_ascii=False),
        status,
        content_type=JSON,
    )


def _page(html: str) -> Response:
    return Response(html, content_type="text/html; charset=utf-8", headers=PAGE_HEADERS)


def _refuse(refused: Refused, call: Call) -> Response:
    call.code = refused.code
    return _refused(refused)


def _refused(refused: Refused, status: int | None = None) -> Response:
    return Response(
        to_json(refusal(refused.code, str(refused))),
        status or http_status(refused.code),
        content_type=JSON,
    )


def _faulty(step: Step, call: Call) -> Response:
    call.code = step.code
    if step.code is not None:
        message = step.message or f"A fault of the sandbox answers {step.code}."
        return _refused(Refused(step.code, message), step.http_status)
    return Response(step.body, step.http_status)
