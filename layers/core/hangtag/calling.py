"""
How the API is asked: once, and once more where its answer says how to ask better.

Every call is counted by its reason; those beyond the first have theirs here: a fresh key, the
image with a prefix or without, or the wait that the API itself asked for. What is learnt so is
kept for the next images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hangtag.errors import (
    HangtagError,
    KeyNotSent,
    KeyRefused,
    PrefixRefused,
    ResultsUnavailable,
    UrlNotFetched,
)
from hangtag.ports import ApiKeys, CallReason, Clock, Deadline, StoredImage, Tagger
from hangtag.rate_limit import RateLimited
from hangtag.tagger_api import (
    Answer,
    Base64Body,
    Context,
    Language,
    RequestBody,
    UrlBody,
)
from hangtag.time_budget import Timing

API_TIMEOUT_SECONDS = 30.0
"""The longest wait for one answer, also where the invocation would have time for more."""


LONGEST_WAIT_SECONDS = 900.0
"""No invocation has more time; a person who waits without a deadline has not more patience."""

_LINKS_REFUSED_MOST = 2
"""So many links in a row that the API cannot fetch: it cannot reach the bucket, most likely."""

_WITHOUT_LINKS_SECONDS = 900.0
"""Until it is tried again whether the API can reach the bucket."""


class SlotsUnavailable(Exception):
    """The next free slot is not known; no call was made."""

    def __init__(self, error: ResultsUnavailable) -> None:
        super().__init__(str(error))
        self.error = error


class OutOfTime(Exception):
    """There is no time left for a call; nothing is wrong."""


@dataclass(slots=True)
class Asking:
    """What is known of one attempt when it comes to asking, and what comes of it."""

    deadline: Deadline
    wait: Callable[[], None]
    """Waits for the slot of a call. Raises `RateLimited` or `SlotsUnavailable`."""
    reason: CallReason
    """Why its first call is made."""
    calls: Counter[CallReason] = field(default_factory=Counter)
    """The calls that were begun, counted as they are."""
    has_answer: bool = False
    """Whether there is an answer that is stored nowhere yet."""
    refusal: HangtagError | None = None
    """What the last call was refused for, and the next one is to do otherwise."""


class Asker:
    """Asks the Tagger API about images."""

    def __init__(
        self,
        tagger: Tagger,
        api_keys: ApiKeys,
        clock: Clock,
        timing: Timing,
        *,
        called: Callable[[CallReason, float], object] = lambda *_: None,
    ) -> None:
        """*called* is told of each call when it has ended: why it was made, and its seconds."""
        self._tagger = tagger
        self._api_keys = api_keys
        self._clock = clock
        self._timing = timing
        self._called = called
        self._with_prefix = True
        """Whether images are sent with the prefix at first."""
        self._links_refused = 0
        """In a row."""
        self._links_from = 0.0
        """When links may be tried again."""

    @property
    def may_send_links(self) -> bool:
        """Whether the API can fetch images, as far as is known."""
        return self._clock.now() >= self._links_from

    def ask_about(
        self,
        image: StoredImage,
        context: Context,
        *,
        language: Language,
        asking: Asking,
        reason: CallReason | None = None,
    ) -> Answer:
        """
        The answer about an image that is sent along; *reason*, if not the attempt's own.

        Raises:
            HangtagError: As `Tagger.ask` and `ApiKeys.key`.
            OutOfTime: There is no time for a call, or for another one.
            RateLimited, SlotsUnavailable: As `Asking.wait`.
        """
        body, bare = (
            Base64Body(image.content, image.media_type, context, with_prefix)
            for with_prefix in (True, False)
        )
        reason = reason or asking.reason
        return self._ask(body, language, asking, reason, without_prefix=bare)

    def ask_about_url(
        self, url: str, context: Context, *, language: Language, asking: Asking
    ) -> Answer:
        """
        The answer about an image that the API fetches from *url*.

        Raises like `ask_about`, and `UrlNotFetched`: it may be asked to take it sent along.
        """
        try:
            answer = self._ask(UrlBody(url, context), language, asking, asking.reason)
        except UrlNotFetched as error:
            asking.refusal = error
            self._links_refused += 1
            if self._links_refused >= _LINKS_REFUSED_MOST:
                self._links_from = self._clock.now() + _WITHOUT_LINKS_SECONDS
            raise
        self._links_refused = 0
        return answer

    def _ask(
        self,
        body: RequestBody,
        language: Language,
        asking: Asking,
        reason: CallReason,
        *,
        without_prefix: RequestBody | None = None,
    ) -> Answer:
        """Raises like `ask_about`; *without_prefix* is the same question, where it has a prefix."""
        api_key = self._api_keys.key()
        key_is_fresh = False
        waited_for: HangtagError | None = None
        refused: bool | None = None  # the form of it: with the prefix, or without
        while True:
            left = self._seconds_at_its_turn(asking, waited_for)
            # Others may have learnt meanwhile which form is taken
            with_prefix = self._with_prefix if refused is None else not refused
            asking.calls[reason] += 1
            try:
                answer = self._call(
                    body if with_prefix or without_prefix is None else without_prefix,
                    reason,
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
                reason = CallReason.FRESH_KEY
            except PrefixRefused as error:
                # The API's documentation contradicts itself about the prefix.
                if without_prefix is None:
                    raise
                # Kept for the next images, also where this one finds no turn for another call
                self._with_prefix = not with_prefix
                if refused is not None:
                    raise  # in both forms: it is the image
                refused, asking.refusal = with_prefix, error
                reason = CallReason.PREFIX
            except HangtagError as error:
                wait = error.retry_after_seconds
                if (
                    waited_for is not None
                    or wait is None
                    or not self._may_pass(error, wait, asking)
                ):
                    raise
                self._clock.sleep(wait)
                waited_for = error
                reason = CallReason.RETRY
            else:
                asking.has_answer = True
                return answer

    def _call(
        self,
        body: RequestBody,
        reason: CallReason,
        *,
        language: Language,
        api_key: str,
        timeout_seconds: float,
    ) -> Answer:
        began = self._clock.now()
        try:
            return self._tagger.ask(
                body,
                language=language,
                api_key=api_key,
                timeout_seconds=timeout_seconds,
            )
        finally:
            self._called(reason, self._clock.now() - began)

    def _seconds_at_its_turn(
        self, asking: Asking, waited_for: HangtagError | None
    ) -> float:
        """
        Wait for a turn; the seconds that a call may take which begins now.

        Raises:
            HangtagError: What was *waited_for*, if there is no turn or no time any more: that
                call has failed and counts, else it would be made again and again for ever.
            OutOfTime, RateLimited, SlotsUnavailable: As `ask_about`, if nothing was.
        """
        try:
            self._seconds_for_a_call(asking.deadline)
            asking.wait()
            return self._seconds_for_a_call(asking.deadline)
        except (OutOfTime, RateLimited, SlotsUnavailable):
            if waited_for is None:
                raise
            raise waited_for from None

    def _seconds_for_a_call(self, deadline: Deadline) -> float:
        left = deadline.seconds_left() - self._timing.reserve
        if left < self._timing.least_call:
            raise OutOfTime
        return left

    def _may_pass(self, error: HangtagError, wait: float, asking: Asking) -> bool:
        """
        Whether waiting can help.

        Not against a refusal, nor without time for an answer, not just for a call, after the
        wait.
        """
        seconds_left = min(asking.deadline.seconds_left(), LONGEST_WAIT_SECONDS)
        left = seconds_left - self._timing.reserve
        return (
            error.kind in ("transient", "quota")
            and wait + API_TIMEOUT_SECONDS / 2 < left
        )
