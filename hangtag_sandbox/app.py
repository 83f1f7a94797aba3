"""
The sandbox's HTTP edge.

    POST   /tagger/v2.12/tags         the Tagger API; what it refuses, and in which order: `judge`
    GET    /                          a page with a form to try a picture
    POST   /                          the same page, with what was seen
    GET    /openapi.json              all of this as an OpenAPI 3.1 document
    GET    /healthz                   {"status": "ok"}
    GET    /sandbox/calls             the tag calls, the oldest first; with ?since=, later ones
    DELETE /sandbox/calls             forget them
    GET    /sandbox/faults            the faults in force
    POST   /sandbox/faults            put one in force: `faults.Fault`
    DELETE /sandbox/faults            take all back
    DELETE /sandbox/faults/<sha256>   take that of one image back
    GET    /sandbox/quota             {"left": null}: the successful answers that are left
    PUT    /sandbox/quota             set them
    PUT    /sandbox/keys              {"keys": ["..."]}: admit whoever sends one of them

Everything else is an unknown resource to the Tagger API: 623.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from hangtag.tagger_api import Detection, Language
from hangtag_sandbox.answers import Tagging, answer, refusal, to_json
from hangtag_sandbox.calls import Call, Calls
from hangtag_sandbox.eyes import Eyes
from hangtag_sandbox.faults import Fault, Faults, Step, read_digest
from hangtag_sandbox.fetching import Fetcher
from hangtag_sandbox.judge import (
    Refused,
    http_status,
    judge_detection,
    judge_key,
    judge_language,
    read_document,
    read_image,
    read_request,
)
from hangtag_sandbox.limits import MOST_BODY_BYTES
from hangtag_sandbox.openapi import openapi
from hangtag_sandbox.orders import BadOrder, KeysOrder, read_order
from hangtag_sandbox.page import (
    PAGE_HEADERS,
    page_to_try,
    page_with_answer,
    page_with_refusal,
)
from hangtag_sandbox.paths import CUT_HEADER, SYNTHETIC_HEADER, TAGS_PATH
from hangtag_sandbox.pixels import Pixels
from hangtag_sandbox.quota import Quota, QuotaOrder
from hangtag_sandbox.sightings import look

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)


def create_app(
    keys: Collection[str],
    *,
    fetcher: Fetcher | None = None,
    quota: int | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> WSGIApplication:
    """
    A sandbox that admits whoever sends one of *keys*, with no faults and no calls yet.

    Args:
        keys: The API keys.
        fetcher: Fetches images from their URLs; by default from this machine alone.
        quota: So many pictures are tagged before the answer is 823; None: any number.
        wait: Takes the seconds of a fault's delay.
    """
    return _Sandbox(keys, fetcher or Fetcher(), Quota(quota), wait)


class _Request(Request):
    max_content_length = MOST_BODY_BYTES

    def body(self) -> bytes:
        """
        The body, however often it is asked for.

        Raises:
            Refused: It is too long (809), or does not come whole (824).
        """
        if self._trouble is not None:
            raise self._trouble
        try:
            _judge_length(self.headers.get("Content-Length", "0").strip())
            body = self.get_data()
            # Of a body in chunks that is too long, werkzeug gives the beginning; asked for more,
            # it says so.
            self.stream.read(1)
        except RequestEntityTooLarge as error:
            self._trouble = Refused(
                809, f"The body is longer than {MOST_BODY_BYTES} bytes."
            )
            raise self._trouble from error
        except BadRequest as error:  # the client went away, or is too slow
            self._trouble = Refused(
                824, f"The body does not come whole: {error.description}"
            )
            raise self._trouble from error
        return body

    def is_read(self) -> bool:
        """Take in the body, if nobody has: whether the next request begins behind it."""
        with suppress(Refused):
            self.body()
        return self._trouble is None

    _trouble: Refused | None = None


def _judge_length(length: str) -> None:
    # werkzeug takes 0 for it; the body would then be the next request.
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(f"Content-Length is no number: {length[:40]!r}.")


class _Sandbox:
    def __init__(
        self,
        keys: Collection[str],
        fetcher: Fetcher,
        quota: Quota,
        wait: Callable[[float], None],
    ) -> None:
        self._keys = frozenset(keys)
        self._fetcher = fetcher
        self._quota = quota
        self._wait = wait
        self._faults = Faults()
        self._calls = Calls()
        self._eyes = Eyes()
        self._routes = Map(
            [
                Rule(path, methods=[method], endpoint=endpoint)
                for method, path, endpoint in (
                    ("POST", TAGS_PATH, self._tags),
                    ("GET", "/", self._show_page),
                    ("POST", "/", self._try_picture),
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
            endpoint, values = self._routes.bind_to_environ(request.environ).match()
        except HTTPException:
            endpoint, values = self._unknown, {}
        try:
            response: Response = endpoint(request, **values)
        except BadOrder as error:
            response = _told(400, {"error": str(error)})
        except Refused as refused:
            status = 413 if refused.code == 809 else 400
            response = _told(status, {"error": str(refused)})
        except HTTPException as error:
            response = _told(error.code or 400, {"error": error.description})
        except Exception:
            # A mistake of ours must look like one of the API's, and be seen.
            log.exception("The sandbox failed on %s %s", request.method, request.path)
            response = _refused(Refused(500, "The sandbox itself failed; see its log."))
        # A kept connection would take the rest of a body for the next request.
        if not request.is_read():
            response.headers["Connection"] = "close"
        return response

    # The Tagger API

    def _tags(self, request: _Request) -> Response:
        with self._calls.one() as call:
            try:
                asked = self._read(request, call)
            except Refused as refused:
                response = _refuse(refused, call)
            else:
                response = self._do_as_told(asked, call)
            call.status = response.status_code
            if response.headers.get(CUT_HEADER) in ("closed", "reset"):
                call.status = None
            return response

    def _read(self, request: _Request, call: Call) -> _Asked:
        judge_key(request.headers.get("x-api-key"), self._keys)
        call.language = language = judge_language(
            request.headers.get("accept-language")
        )
        document = read_document(request.body())
        call.context = document.get("context")
        asked = read_request(document)
        content = read_image(asked.image, self._fetcher.fetch)
        call.sha256 = digest = sha256(content).hexdigest()
        detection = (asked.context and asked.context.detection) or ()
        return _Asked(content, digest, language, detection)

    def _do_as_told(self, asked: _Asked, call: Call) -> Response:
        step = self._faults.take(asked.digest)
        if step is None:
            return self._answer(asked, call)
        call.fault = step.in_short()
        self._wait(step.delay_seconds)
        response = _faulty(step, call) if step.answers else self._answer(asked, call)
        if step.retry_after is not None:
            response.headers["Retry-After"] = str(step.retry_after)
        if step.cut is not None:
            response.headers[CUT_HEADER] = step.cut
        return response

    def _answer(self, asked: _Asked, call: Call) -> Response:
        try:
            with self._quota.one():
                tagging = asked.tagging(self._eyes.look_at(asked.content))
        except Refused as refused:
            return _refuse(refused, call)
        response = Response(
            to_json(tagging.body), 201, content_type="application/json; charset=utf-8"
        )
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
        """A try is no call: it needs no key, costs no quota and meets no fault."""
        try:
            request.body()
            file = request.files.get("picture")
            content = file.read() if file else b""
            language = judge_language(request.form.get("language"))
            detection = judge_detection(request.form.getlist("detection"))
            pixels = self._eyes.look_at(content)
        except Refused as refused:
            body = refusal(refused.code, str(refused))
            return _page(page_with_refusal(body))
        asked = _Asked(content, sha256(content).hexdigest(), language, detection)
        return _page(page_with_answer(asked.tagging(pixels), pixels))

    # The sandbox's own

    def _describe(self, _: _Request) -> Response:
        return _told(200, openapi())

    def _health(self, _: _Request) -> Response:
        return _told(200, {"status": "ok"})

    def _list_calls(self, request: _Request) -> Response:
        since = _read_time(request.args.get("since", "0"))
        return Response(self._calls.to_json(since), content_type="application/json")

    def _clear_calls(self, _: _Request) -> Response:
        self._calls.clear()
        return Response(status=204)

    def _list_faults(self, _: _Request) -> Response:
        return _told(200, [fault.document() for fault in self._faults.listing()])

    def _set_fault(self, request: _Request) -> Response:
        fault = read_order(Fault, request.body())
        self._faults.set(fault)
        return _told(201, fault.document())

    def _clear_faults(self, _: _Request) -> Response:
        self._faults.clear()
        return Response(status=204)

    def _clear_fault(self, _: _Request, digest: str) -> Response:
        self._faults.clear(read_digest(digest))
        return Response(status=204)

    def _show_quota(self, _: _Request) -> Response:
        return _told(200, {"left": self._quota.left})

    def _set_quota(self, request: _Request) -> Response:
        self._quota.set(read_order(QuotaOrder, request.body()).left)
        return self._show_quota(request)

    def _set_keys(self, request: _Request) -> Response:
        order = read_order(KeysOrder, request.body())
        self._keys = frozenset(order.keys)
        return _told(200, {"keys": len(order.keys)})


@dataclass(frozen=True, slots=True)
class _Asked:
    """A good request, up to the image in it."""

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
        raise BadOrder(f"since: {text[:100]!r} is no time in seconds")
    return time_


def _told(status: int, document: object) -> Response:
    return Response(
        json.dumps(document, ensure_ascii=False),
        status,
        content_type="application/json; charset=utf-8",
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
        content_type="application/json; charset=utf-8",
    )


def _faulty(step: Step, call: Call) -> Response:
    call.code = step.code
    if step.code is not None:
        message = step.message or f"The sandbox was told to answer {step.code}."
        return _refused(Refused(step.code, message), step.http_status)
    return Response(step.body, step.http_status)
