"""
How the API is asked: once, and once more where its answer says how to ask better.

Every call beyond the first has its reason here: a fresh key, no prefix, or the wait that the API
itself asked for.
"""

from __future__ import annotations

from hangtag.contract import Answer, Base64Body, Context, Language, RequestBody, UrlBody
from hangtag.failures import HangtagError, KeyNotSent, KeyRefused, PrefixRefused
from hangtag.ports import ApiKeys, Clock, Deadline, StoredImage, Tagger

RESERVE_SECONDS = 3.0
"""Kept at an invocation's end for storing, announcing, burying and handing back."""

API_TIMEOUT_SECONDS = 30.0
"""The longest wait for one answer, also where the invocation would have time for more."""

LEAST_SECONDS = 1.0
"""A call that has less time than this is not begun: it would be paid for and lost."""


LONGEST_WAIT_SECONDS = 900.0
"""No invocation has more time; a person who waits without a deadline has not more patience."""


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
        body, bare = (
            Base64Body(image.content, image.media_type, context, with_prefix)
            for with_prefix in (True, False)
        )
        return self._ask(body, language, deadline, without_prefix=bare)

    def ask_about_url(
        self,
        url: str,
        context: Context,
        *,
        language: Language,
        deadline: Deadline,
    ) -> Answer:
        """The answer about an image that the API fetches from *url*. Raises like `ask_about`."""
        return self._ask(UrlBody(url, context), language, deadline)

    def _ask(
        self,
        body: RequestBody,
        language: Language,
        deadline: Deadline,
        *,
        without_prefix: RequestBody | None = None,
    ) -> Answer:
        """Raises like `ask_about`; *without_prefix* is the same question, where it has a prefix."""
        api_key = self._api_keys.key()
        key_is_fresh = has_waited = False
        while True:
            left = deadline.seconds_left() - RESERVE_SECONDS
            if left < LEAST_SECONDS:
                raise OutOfTime
            try:
                return self._tagger.ask(
                    body,
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
                if without_prefix is None:
                    raise
                body, without_prefix = without_prefix, None
            except HangtagError as error:
                wait = error.retry_after_seconds
                if has_waited or wait is None or not _may_pass(error, wait, deadline):
                    raise
                self._clock.sleep(wait)
                has_waited = True


def _may_pass(error: HangtagError, wait_seconds: float, deadline: Deadline) -> bool:
    """
    Whether waiting can help.

    Not against a refusal, nor without time for an answer, not just for a call, after the wait.
    """
    left = min(deadline.seconds_left(), LONGEST_WAIT_SECONDS) - RESERVE_SECONDS
    return (
        error.kind in ("transient", "quota")
        and wait_seconds + API_TIMEOUT_SECONDS / 2 < left
    )
