"""
Call the Tagger API about an image, and again where its answer says how.

Every call is counted by its reason. A further call in one attempt is made only with a fresh key,
with the image sent along instead of its URL, or with or without the data-URI prefix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hangtag.errors import OutOfTime
from hangtag.lifecycle import CallReason
from hangtag.ports import ApiKeys, Clock, Deadline, StoredImage, Tagger
from hangtag.rate_limit import RateLimited, RateLimiter
from hangtag.tagger_api import (
    Answer,
    Base64Body,
    Context,
    Language,
    RequestBody,
    UrlBody,
)
from hangtag.tagger_api.errors import (
    KeyNotSent,
    KeyRefused,
    PrefixRefused,
    UrlNotFetched,
)
from hangtag.time_budget import TimeBudget

API_TIMEOUT_SECONDS = 30.0
"""The longest wait for one answer, also where the invocation would have time for more."""


@dataclass(slots=True)
class Calling:
    """The calls of one attempt."""

    deadline: Deadline
    reason: CallReason
    """Why the first of them is made."""
    prefix: str = ""
    """`Upload.prefix`; "" for a file that is no upload."""
    calls: Counter[CallReason] = field(default_factory=Counter)
    """Calls that were begun, by reason."""


class Caller:
    """
    Calls the Tagger API.

    Remembers which form of an image the API took, and starts with it for the next image.
    """

    def __init__(
        self,
        tagger: Tagger,
        api_keys: ApiKeys,
        clock: Clock,
        budget: TimeBudget,
        rate_limiter: RateLimiter,
        *,
        called: Callable[[CallReason, float], object] = lambda *_: None,
    ) -> None:
        """*called* gets the reason and the seconds of each call when it has ended."""
        self._tagger = tagger
        self._api_keys = api_keys
        self._clock = clock
        self._budget = budget
        self._rate_limiter = rate_limiter
        self._called = called
        self._sends_prefix = True
        self.sends_urls = True
        """Whether the API can fetch images by URL, as far as is known."""

    def call_with_image(
        self,
        image: StoredImage,
        context: Context,
        *,
        language: Language,
        calling: Calling,
        is_second_form: bool = False,
    ) -> Answer:
        """
        The answer about an image that is sent along.

        *is_second_form*: the API could not fetch it by its URL.

        Raises:
            HangtagError: As `Tagger.ask`, `ApiKeys.key`; `OutOfTime`, `ResultsUnavailable`.
            RateLimited: No slot is free in time, and nothing was called.
        """
        reason = CallReason.AS_BASE64 if is_second_form else calling.reason
        prefix = self._sends_prefix
        body = Base64Body(image.content, image.size, image.media_type, context, prefix)
        try:
            answer = self._call(body, language, calling, reason)
        except PrefixRefused:
            # The API's documentation contradicts itself about the prefix.
            body = replace(body, with_prefix=not prefix)
            answer = self._call(body, language, calling, CallReason.PREFIX)
            self._sends_prefix = not prefix
        if is_second_form:
            self.sends_urls = False
        return answer

    def call_with_url(
        self, url: str, context: Context, *, language: Language, calling: Calling
    ) -> Answer | None:
        """
        The answer about an image that the API fetches from *url*; None if it cannot.

        Raises like `call_with_image`.
        """
        body = UrlBody(url, context)
        try:
            return self._call(body, language, calling, calling.reason)
        except UrlNotFetched:
            return None

    def _call(
        self,
        body: RequestBody,
        language: Language,
        calling: Calling,
        reason: CallReason,
    ) -> Answer:
        """With the cached key, and once more with a fresh one if it was changed meanwhile."""
        key = self._api_keys.key()
        try:
            return self._call_once(body, language, calling, reason, key)
        except (KeyRefused, KeyNotSent):
            fresh_key = self._api_keys.fresh_key()
            if fresh_key == key:
                raise
            reason = CallReason.FRESH_KEY
            return self._call_once(body, language, calling, reason, fresh_key)

    def _call_once(
        self,
        body: RequestBody,
        language: Language,
        calling: Calling,
        reason: CallReason,
        key: str,
    ) -> Answer:
        seconds = self._wait_for_slot(calling)
        calling.calls[reason] += 1
        began = self._clock.now()
        try:
            return self._tagger.ask(
                body,
                language=language,
                api_key=key,
                timeout_seconds=min(seconds, API_TIMEOUT_SECONDS),
            )
        finally:
            self._called(reason, self._clock.now() - began)

    def _wait_for_slot(self, calling: Calling) -> float:
        """The seconds that a call may take which begins now."""
        latest = self._clock.now() + self._seconds_to_begin(calling)
        try:
            self._rate_limiter.wait(latest, calling.prefix)
        except RateLimited as limit:
            if not calling.calls:
                raise
            # Handed back without counting, the first call would be repeated for ever
            raise OutOfTime("no slot for a second call in time") from limit
        return self._seconds_to_begin(calling) + self._budget.least_call

    def _seconds_to_begin(self, calling: Calling) -> float:
        """Until a call has to begin at the latest."""
        left = calling.deadline.seconds_left() - self._budget.reserve
        if left < self._budget.least_call:
            raise OutOfTime(
                f"{max(0.0, left):.1f} s are left for a call, which needs "
                f"{self._budget.least_call:.1f} s"
            )
        return left - self._budget.least_call
