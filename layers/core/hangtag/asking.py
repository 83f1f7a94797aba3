"""
How the API is asked: once, and once more where its answer says how to ask better.

Every call beyond the first has its reason here: a fresh key, no prefix, or the wait that the API
itself asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from hangtag.contract import Answer, Base64Body, Context, Language, RequestBody, UrlBody
from hangtag.failures import HangtagError, KeyNotSent, KeyRefused, PrefixRefused
from hangtag.ports import ApiKeys, Clock, Deadline, StoredImage, Tagger

RESERVE_SECONDS = 3.0
"""Kept at an invocation's end for storing, announcing, burying and handing back."""

API_TIMEOUT_SECONDS = 30.0
"""The longest wait for one answer, also where the invocation would have time for more."""

LEAST_SECONDS = 1.0
"""A call that has less time than this is not begun: it would be paid for and lost."""


class OutOfTime(Exception):
    """There is no time left for a call; nothing was asked and nothing is wrong."""


class Asker:
    """Asks the Tagger API about images."""

    def __init__(self, tagger: Tagger, api_keys: ApiKeys, clock: Clock) -> None:
        self._tagger = tagger
        self._api_keys = api_keys
        self._clock = clock

    def ask_about(
        self,
        image: StoredImage,
        context: Context,
        *,
        language: Language,
        deadline: Deadline,
    ) -> Answer:
        """
        The answer about an image that is sent along.

        Raises:
            HangtagError: As `Tagger.ask` and `ApiKeys.key`.
            OutOfTime: Before anything was asked.
        """

        def body(*, with_prefix: bool) -> RequestBody:
            return Base64Body(image.content, image.media_type, context, with_prefix)

        return self._ask(body, language, deadline)

    def ask_about_url(
        self,
        url: str,
        context: Context,
        *,
        language: Language,
        deadline: Deadline,
    ) -> Answer:
        """The answer about an image that the API fetches from *url*. Raises like `ask_about`."""

        def body(*, with_prefix: bool) -> RequestBody:  # noqa: ARG001 - a URL has none
            return UrlBody(url, context)

        return self._ask(body, language, deadline)

    def _ask(
        self, body: Callable[..., RequestBody], language: Language, deadline: Deadline
    ) -> Answer:
        api_key = self._api_keys.key()
        key_is_fresh = has_waited = False
        with_prefix = True
        while True:
            left = deadline.seconds_left() - RESERVE_SECONDS
            if left < LEAST_SECONDS:
                raise OutOfTime
            try:
                return self._tagger.ask(
                    body(with_prefix=with_prefix),
                    language=language,
                    api_key=api_key,
                    timeout_seconds=min(left, API_TIMEOUT_SECONDS),
                )
            except (KeyRefused, KeyNotSent):
                # It may have been rotated since it was cached; the same key is not asked twice.
                fresh_key = None if key_is_fresh else self._api_keys.fresh_key()
                if fresh_key in (None, api_key):
                    raise
                api_key, key_is_fresh = fresh_key, True
            except PrefixRefused:
                # The API's documentation contradicts itself about the prefix.
                if not with_prefix:
                    raise
                with_prefix = False
            except HangtagError as error:
                wait = error.retry_after_seconds
                if has_waited or wait is None or not _fits(wait, deadline):
                    raise
                self._clock.sleep(wait)
                has_waited = True


def _fits(wait_seconds: float, deadline: Deadline) -> bool:
    """Whether after the wait there is still time for an answer, not just for a call."""
    return (
        wait_seconds + API_TIMEOUT_SECONDS / 2
        < deadline.seconds_left() - RESERVE_SECONDS
    )
