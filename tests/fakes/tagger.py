from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hangtag.tagger_api import Answer, Language, RequestBody
from hangtag.tagger_api.errors import KeyRefused, PrefixRefused
from hangtag.tagger_api.models import TaggingRequest
from tests.builders import an_answer
from tests.fakes.failing import CanFail


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the API."""

    request: TaggingRequest
    language: str
    api_key: str
    timeout_seconds: float


class FakeTagger(CanFail):
    """`Tagger` with one answer for all requests, or failures on request."""

    def __init__(self, answer: Answer | None = None) -> None:
        super().__init__()
        self.answer = answer or an_answer()
        self.calls: list[Call] = []
        self.answered: list[Call] = []
        """The calls that returned tags, which are paid."""
        self.accepted_key: str | None = None
        """The only accepted key; None accepts any key."""
        self.refuses_the_prefix = False
        self.before_answering: Callable[[Call], object] = lambda _: None
        """Called before each answer."""

    def ask(
        self,
        request: RequestBody,
        *,
        language: Language,
        api_key: str,
        timeout_seconds: float,
    ) -> Answer:
        call = Call(
            TaggingRequest.model_validate_json(b"".join(request)),
            language,
            api_key,
            timeout_seconds,
        )
        self.calls.append(call)
        self.before_answering(call)
        self._may_fail("ask")
        if self.accepted_key not in (None, api_key):
            raise KeyRefused("Wrong key.")
        if self.refuses_the_prefix and call.request.image.content.startswith("data:"):
            raise PrefixRefused("Remove the header.")
        self.answered.append(call)
        return self.answer
