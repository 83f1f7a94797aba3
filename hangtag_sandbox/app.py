"""
The sandbox's HTTP edge.

    POST   /tagger/v2.12/tags         the Tagger API; what it refuses, and in which order: `judge`
    GET    /healthz                   {"status": "ok"}
    GET    /sandbox/calls             the tag calls so far, the oldest first
    DELETE /sandbox/calls             forget them
    GET    /sandbox/faults            the faults in force
    POST   /sandbox/faults            put one in force: `faults.Fault`
    DELETE /sandbox/faults            take all back
    DELETE /sandbox/faults/<sha256>   take one back

Everything else is an unknown resource to the Tagger API: 623.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable
from hashlib import sha256
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from hangtag_sandbox.answers import answer, refusal, to_json
from hangtag_sandbox.calls import Call, Calls
from hangtag_sandbox.faults import BadFault, Fault, Faults, read_digest, read_fault
from hangtag_sandbox.judge import (
    Refused,
    http_status,
    judge_key,
    judge_language,
    look_at,
    open_image,
    read_document,
    read_image,
    read_request,
)
from hangtag_sandbox.limits import MOST_BODY_BYTES
from hangtag_sandbox.sightings import Sighting, look

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TAGS_PATH = "/tagger/v2.12/tags"
SYNTHETIC_HEADER = "x-sandbox-synthetic"

log = logging.getLogger(__name__)


def create_app(
    keys: Collection[str], *, wait: Callable[[float], None] = time.sleep
) -> WSGIApplication:
    """
    A sandbox that admits whoever sends one of *keys*, with no faults and no calls yet.

    *wait* takes the seconds of a fault's delay.
    """
    return _Sandbox(keys, wait)


class _Request(Request):
    max_content_length = MOST_BODY_BYTES


class _Sandbox:
    def __init__(self, keys: Collection[str], wait: Callable[[float], None]) -> None:
        self._keys = frozenset(keys)
        self._wait = wait
        self._faults = Faults()
        self._calls = Calls()
        # A picture of 10,000 x 10,000 pixels takes some hundred megabytes while it is decoded.
        self._eyes = BoundedSemaphore(os.cpu_count() or 1)
        self._routes = Map(
            [
                Rule(TAGS_PATH, methods=["POST"], endpoint=self._tags),
                Rule("/healthz", methods=["GET"], endpoint=self._health),
                Rule("/sandbox/calls", methods=["GET"], endpoint=self._list_calls),
                Rule("/sandbox/calls", methods=["DELETE"], endpoint=self._clear_calls),
                Rule("/sandbox/faults", methods=["GET"], endpoint=self._list_faults),
                Rule("/sandbox/faults", methods=["POST"], endpoint=self._set_fault),
                Rule(
                    "/sandbox/faults", methods=["DELETE"], endpoint=self._clear_faults
                ),
                Rule(
                    "/sandbox/faults/<digest>",
                    methods=["DELETE"],
                    endpoint=self._clear_fault,
                ),
            ],
            strict_slashes=True,
            merge_slashes=False,
        )

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        return self._respond(_Request(environ))(environ, start_response)

    def _respond(self, request: _Request) -> Response:
        try:
            endpoint, values = self._routes.bind_to_environ(request.environ).match()
        except HTTPException:
            # Read all the same, or a connection that is kept alive would take it for a request.
            endpoint, values = self._unknown, {}
        try:
            request.get_data()
            response: Response = endpoint(request, **values)
        except RequestEntityTooLarge:
            response = self._too_long(endpoint)
        except HTTPException as error:  # the client went away while it was sending
            response = _told(error.code or 400, {"error": error.description})
            response.headers["Connection"] = "close"
        except BadFault as error:
            response = _told(400, {"error": str(error)})
        except Exception:
            # A mistake of ours must look like one of the API's, and be seen.
            log.exception("The sandbox failed on %s %s", request.method, request.path)
            response = _refused(Refused(500, "The sandbox itself failed; see its log."))
        return response

    # The Tagger API

    def _tags(self, request: _Request) -> Response:
        call = Call()
        try:
            response = self._tag(request, call)
        except Refused as refused:
            call.code = refused.code
            response = _refused(refused)
        call.status = response.status_code
        self._calls.add(call)
        return response

    def _tag(self, request: _Request, call: Call) -> Response:
        judge_key(request.headers.get("x-api-key"), self._keys)
        call.language = language = judge_language(
            request.headers.get("accept-language")
        )
        document = read_document(request.get_data())
        call.context = document.get("context")
        asked = read_request(document)
        content = read_image(asked.image)
        call.sha256 = digest = sha256(content).hexdigest()

        fault = self._faults.take(digest)
        if fault is not None:
            self._wait(fault.delay_seconds)
            if fault.answers:
                call.code = fault.code
                return _faulty(fault)

        tagging = answer(
            self._look(content),
            digest,
            language=language,
            detection=(asked.context and asked.context.detection) or (),
        )
        response = Response(
            to_json(tagging.body), 201, content_type="application/json; charset=utf-8"
        )
        if tagging.synthetic:
            response.headers[SYNTHETIC_HEADER] = ",".join(tagging.synthetic)
        return response

    def _look(self, content: bytes) -> list[Sighting]:
        image = open_image(content)
        with self._eyes:
            return look(look_at(image))

    def _too_long(self, endpoint: Callable[..., Response]) -> Response:
        trouble = f"The body is longer than {MOST_BODY_BYTES} bytes."
        if endpoint == self._tags:
            self._calls.add(Call(status=http_status(809), code=809))
            response = _refused(Refused(809, trouble))
        else:
            response = _told(413, {"error": trouble})
        response.headers["Connection"] = "close"  # the rest of it is not read
        return response

    def _unknown(self, request: _Request) -> Response:
        return _refused(
            Refused(623, f"There is no {request.method} {request.path} here.")
        )

    # The sandbox's own

    def _health(self, _: _Request) -> Response:
        return _told(200, {"status": "ok"})

    def _list_calls(self, _: _Request) -> Response:
        return Response(self._calls.to_json(), content_type="application/json")

    def _clear_calls(self, _: _Request) -> Response:
        self._calls.clear()
        return Response(status=204)

    def _list_faults(self, _: _Request) -> Response:
        return _told(200, [fault.document() for fault in self._faults.listing()])

    def _set_fault(self, request: _Request) -> Response:
        fault = read_fault(request.get_data())
        self._faults.set(fault)
        return _told(201, fault.document())

    def _clear_faults(self, _: _Request) -> Response:
        self._faults.clear()
        return Response(status=204)

    def _clear_fault(self, _: _Request, digest: str) -> Response:
        self._faults.clear(read_digest(digest))
        return Response(status=204)


def _told(status: int, document: object) -> Response:
    return Response(
        json.dumps(document, ensure_ascii=False),
        status,
        content_type="application/json; charset=utf-8",
    )


def _refused(refused: Refused, status: int | None = None) -> Response:
    return Response(
        to_json(refusal(refused.code, str(refused))),
        status or http_status(refused.code),
        content_type="application/json; charset=utf-8",
    )


def _faulty(fault: Fault) -> Response:
    if fault.code is not None:
        message = fault.message or f"The sandbox was told to answer {fault.code}."
        return _refused(Refused(fault.code, message), fault.http_status)
    return Response(fault.body, fault.http_status)
