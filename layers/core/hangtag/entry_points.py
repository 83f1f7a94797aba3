"""
The Lambda handlers of the stack's functions.

The signatures of `tag_uploads`, `replay_failures` and `index_results` never change, because a
handler of another version calls them during a deployment
(docs/decisions/0028-stable-handlers.md).
"""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

from hangtag.adapters.lambda_deadline import LambdaDeadline
from hangtag.batch import Invocation
from hangtag.events import RECONCILE, read_deliveries
from hangtag.ports import Deadline
from hangtag.settings import (
    SettingsError,
    read_index_settings,
    read_replay_settings,
    read_tagging_settings,
)
from hangtag.text import printable, to_log_line

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from hangtag.batch import Pipeline
    from hangtag.operators.replay import ReplayReport
    from hangtag.operators.replay_request import ReplayRequest

_FUNCTION_NAME = "AWS_LAMBDA_FUNCTION_NAME"

LambdaHandler = Callable[[dict[str, Any], "LambdaContext"], dict[str, Any]]


def tag_uploads(environment: Mapping[str, str]) -> LambdaHandler:
    """
    The handler of TagUploads, which returns the messages that SQS has to deliver again.

    It puts an event that did not come through the queue on the queue. The stack's schedule sends
    `RECONCILE`, for the breaker. The handler raises `SettingsError` if a variable of *environment*
    is missing or wrong: the whole batch stays on the queue, and the alarm on errors is sent.
    """
    # Imported here, so that the other functions do not load it
    from hangtag.wiring import tagging_pipeline  # noqa: PLC0415

    logger = _logger(environment)

    @cache
    def pipeline() -> Pipeline:
        return tagging_pipeline(
            read_tagging_settings(environment),
            logger,
            function_name=environment[_FUNCTION_NAME],
        )

    @_handler_with(logger)
    def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        invocation = Invocation(context.aws_request_id, LambdaDeadline(context))
        if event == RECONCILE:
            return {"breaker": pipeline().reconcile(invocation)}
        deliveries = read_deliveries(event)
        if deliveries is None:
            queued = pipeline().enqueue(json.dumps(event), invocation)
            return {"queued": queued}
        handed_back = pipeline().tag(deliveries, invocation)
        return {
            "batchItemFailures": [
                {"itemIdentifier": message_id} for message_id in handed_back
            ]
        }

    if _FUNCTION_NAME in environment:
        # In Lambda's init phase. An error there would make each batch begin with a cold start.
        with _init_phase(), suppress(SettingsError):
            pipeline()
    return handle


def replay_failures(environment: Mapping[str, str]) -> LambdaHandler:
    """
    The handler of ReplayFailures: takes a `ReplayRequest`, returns `ReplayReport.document`.

    It does what `hangtag failures replay` does, for the schedule and for people without a shell.
    The handler raises `SettingsError` like that of `tag_uploads`, and the errors of `read_request`
    and `carry_out`.
    """
    # Imported here, so that the other functions do not load it
    from hangtag.operators.replay_request import read_request  # noqa: PLC0415
    from hangtag.replay_wiring import failure_replayer  # noqa: PLC0415

    logger = _logger(environment)

    @cache
    def replayer() -> Callable[[ReplayRequest, Deadline], ReplayReport]:
        return failure_replayer(read_replay_settings(environment))

    @_handler_with(logger)
    def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        request = read_request(event)
        deadline = LambdaDeadline(context, most_seconds=request.maxSeconds)
        report = replayer()(request, deadline)
        logger.info(
            "replayed",
            extra={
                **report.document(),
                "cameBack": report.came_back,
                "unseen": report.unseen,
                "troubles": list(dict.fromkeys(report.troubles)),
            },
        )
        return report.document()

    return handle


def index_results(environment: Mapping[str, str]) -> LambdaHandler:
    """
    The handler of IndexResults, which Lambda invokes with changes of the table of results.

    It raises every error, so that Lambda repeats the batch, then halves of it. The answer is for
    people who invoke it by hand. It raises `SettingsError` like the handler of `tag_uploads`.
    """
    # Imported here, so that the other functions do not load it
    from hangtag.index_wiring import StreamIndexer, stream_indexer  # noqa: PLC0415

    logger = _logger(environment)

    @cache
    def indexer() -> StreamIndexer:
        return stream_indexer(read_index_settings(environment))

    @_handler_with(logger)
    def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        done = indexer()(event, LambdaDeadline(context))
        logger.info("indexed", extra=done)
        return done

    if _FUNCTION_NAME in environment:
        with _init_phase(), suppress(SettingsError):
            indexer()
    return handle


@contextmanager
def _init_phase() -> Iterator[None]:
    """
    Pause the garbage collector.

    Clients are many objects that stay. The collector would search them again and again, and find
    nothing (docs/decisions/0051-aws-clients.md).
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # it never searches them later, either
        gc.enable()


def _logger(environment: Mapping[str, str]) -> Logger:
    """The logger of the function; in Lambda, it writes the warnings of libraries, too."""
    # Imported here, because an installation of the command has no Powertools
    from aws_lambda_powertools import Logger  # noqa: PLC0415

    logger = Logger(json_serializer=to_log_line)
    if _FUNCTION_NAME in environment:
        # The handler that Lambda installs writes all but ASCII as it is
        logging.getLogger().handlers = [logger.registered_handler]
        logging.getLogger(logger.service).propagate = False
    return logger


def _handler_with(logger: Logger) -> Callable[[LambdaHandler], LambdaHandler]:
    """Decorate a handler: its lines have the request id, its errors printable messages."""

    def decorated(handle: LambdaHandler) -> LambdaHandler:
        in_context = logger.inject_lambda_context(handle)

        @wraps(handle)
        def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
            try:
                answer: dict[str, Any] = in_context(event, context)
            except Exception as error:
                # Lambda logs the name of the class, and the message as it is
                message = printable(str(error))
                if message == str(error):
                    raise
                # Not the same class: OSError and others build their message from attributes
                shown: Exception = type(type(error).__name__, (Exception,), {})(message)
                raise shown.with_traceback(error.__traceback__) from None
            return answer

        return handler

    return decorated
