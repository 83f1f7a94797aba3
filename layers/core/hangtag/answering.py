"""From a claimed upload to the API's answer about it: read the object, call, make the result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from hangtag.attempt import Attempt
from hangtag.calling import Caller
from hangtag.errors import ConfigError
from hangtag.lifecycle import CallReason
from hangtag.policy import Policy, Ports
from hangtag.ports import ImageHead, StoredImage
from hangtag.results import Document, tagged_result
from hangtag.tagger_api import Answer, Context, Language, read_metadata
from hangtag.telemetry import Called
from hangtag.text import to_timestamp


class Answering:
    """Gets answers; threads may share it."""

    def __init__(self, ports: Ports, policy: Policy) -> None:
        self._ports = ports
        self._policy = policy
        self._caller = Caller(
            ports.tagger,
            ports.api_keys,
            ports.clock,
            policy.budget,
            ports.rate_limiter,
            called=lambda why, took: ports.telemetry.emit(Called(why, took)),
        )

    def result(self, attempt: Attempt) -> Document | None:
        """
        The result that the API's answer makes, or None if the object is gone.

        Raises:
            HangtagError: The object cannot be read or sent, or the call failed.
            RateLimited: No slot is free in time, and nothing was called.
        """
        if attempt.arrived.error is not None:
            raise attempt.arrived.error
        found = None if attempt.arrived.is_gone else self._answer(attempt)
        if found is None:
            return None
        language, context, answer = found
        attempt.next_call = CallReason.UNSTORED
        attempt.batch.breaker.succeeded()
        return tagged_result(
            attempt.upload,
            answer,
            language=language,
            context=context,
            tagged_at=to_timestamp(self._ports.clock.now()),
        )

    def _answer(self, attempt: Attempt) -> tuple[Language, Context, Answer] | None:
        is_second_form = False
        if self._sends_urls(attempt):
            found = self._answer_by_url(attempt)
            if found is None or found[2] is not None:
                return found  # type: ignore[return-value]  # it has an answer
            is_second_form = True
        image = self._ports.objects.read(attempt.upload)
        attempt.stopwatch.end("read")
        if image is None:
            return None
        with closing(image):
            attempt.upload = attempt.upload.read_as(etag=image.etag, size=image.size)
            language, context = self._context(image)
            with _call_about(image, attempt):
                answer = self._caller.call_with_image(
                    image,
                    context,
                    language=language,
                    calling=attempt.calling,
                    is_second_form=is_second_form,
                )
        return language, context, answer

    def _sends_urls(self, attempt: Attempt) -> bool:
        is_meant = self._policy.image_transport == "url" and self._caller.sends_urls
        # A URL names no etag: without versions it may lead to a later object
        return is_meant and attempt.upload.version_id is not None

    def _answer_by_url(
        self, attempt: Attempt
    ) -> tuple[Language, Context, Answer | None] | None:
        """None if the object is gone; no answer if the API could not fetch it."""
        upload = attempt.upload
        head = self._ports.objects.peek(upload)
        attempt.stopwatch.end("read")
        if head is None:
            return None
        attempt.upload = attempt.upload.read_as(etag=head.etag, size=head.size)
        language, context = self._context(head)
        url = self._ports.objects.link(upload, seconds=self._policy.lease_seconds)
        with _call_about(head, attempt):
            answer = self._caller.call_with_url(
                url, context, language=language, calling=attempt.calling
            )
        return language, context, answer

    def _context(self, image: StoredImage | ImageHead) -> tuple[Language, Context]:
        return read_metadata(
            image.metadata,
            language=self._policy.language,
            detection=self._policy.detection,
        )


@contextmanager
def _call_about(image: StoredImage | ImageHead, attempt: Attempt) -> Iterator[None]:
    """Measure a call, and tell errors that the upload itself causes from the stack's."""
    try:
        yield
    except ConfigError as error:
        error.blame_upload(image.metadata)
        raise
    finally:
        attempt.stopwatch.end("call")
