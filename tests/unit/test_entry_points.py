"""What the functions write besides their own lines."""

from __future__ import annotations

import gc
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from hangtag.entry_points import (
    LambdaHandler,
    index_results,
    replay_failures,
    tag_uploads,
)
from hangtag.errors import HangtagError
from hangtag.operators.replay_request import RequestError
from tests import hostile
from tests.unit.test_settings import COMPLETE, COMPLETE_INDEX

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@dataclass(frozen=True, slots=True)
class Context:
    """Lambda's context of an invocation."""

    aws_request_id: str = "request-1"
    function_name: str = "ReplayFailures"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:x"


@pytest.fixture(autouse=True)
def _own_logger(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gives each test a logger: Powertools keeps one for each service."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", request.node.nodeid)


@pytest.mark.parametrize("entry_point", [tag_uploads, replay_failures, index_results])
def test_a_library_warns_in_the_functions_own_format(
    entry_point: Callable[[dict[str, str]], LambdaHandler],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A warning may repeat a header of the API or a key; Lambda's own handler prints it raw."""
    entry_point({"AWS_LAMBDA_FUNCTION_NAME": "TagUploads"})

    logging.getLogger("urllib3").warning("Failed to parse %s", hostile.TEXT)
    error = ValueError(hostile.TEXT + hostile.BYTES)
    logging.getLogger("botocore").error("A failure", exc_info=error)

    written = capsys.readouterr()
    assert len(written.out.splitlines()) == 2
    assert re.fullmatch("([ -~]*\n)*", written.out)
    assert written.err == ""


def loaded_by(function: str) -> set[str]:
    """All modules that a new process has loaded when Lambda's init phase of a function ends."""
    settings = COMPLETE | COMPLETE_INDEX | {"AWS_LAMBDA_FUNCTION_NAME": "a function"}
    program = (
        "import sys\n"
        f"from hangtag.entry_points import {function}\n"
        f"{function}({settings!r})\n"
        "print(*sorted(sys.modules))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ
        | {"AWS_DEFAULT_REGION": "eu-central-1"}
        | {
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
        },
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


def test_tag_uploads_loads_nothing_of_the_index() -> None:
    """Its cold start is what an upload waits for."""
    loaded = {name for name in loaded_by("tag_uploads") if name.startswith("hangtag.")}

    assert "hangtag.tagging" in loaded
    assert {name for name in loaded if "index" in name or "stream" in name} == set()


@pytest.mark.parametrize(
    ("function", "packages"),
    [
        ("tag_uploads", set()),
        ("index_results", set()),
        ("replay_failures", {"pydantic", "pydantic_core"}),
    ],
)
def test_only_replay_failures_loads_pydantic(function: str, packages: set[str]) -> None:
    """An upload does not wait for it: docs/decisions/0050-no-pydantic.md."""
    assert loaded_by(function) & {"pydantic", "pydantic_core"} == packages


def test_tag_uploads_loads_neither_boto3_nor_what_operators_need() -> None:
    """With all the clients that it makes in Lambda's init phase."""
    environment = COMPLETE | {"AWS_LAMBDA_FUNCTION_NAME": "TagUploads"}
    program = (
        "import sys\n"
        "from hangtag.entry_points import tag_uploads\n"
        f"tag_uploads({environment!r})\n"
        "print(*sorted(sys.modules))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    loaded = done.stdout.split()
    assert "botocore.client" in loaded
    assert [
        name
        for name in loaded
        if name.startswith(("boto3", "s3transfer", "hangtag.operators"))
        or name in ("hangtag.index_wiring", "hangtag.replay_wiring")
    ] == []


def test_the_garbage_collector_pauses_only_while_the_clients_are_made() -> None:
    """Batches make garbage, too."""
    tag_uploads(COMPLETE | {"AWS_LAMBDA_FUNCTION_NAME": "TagUploads"})

    assert gc.isenabled()

    tag_uploads({"AWS_LAMBDA_FUNCTION_NAME": "TagUploads"})  # without settings

    assert gc.isenabled()


def test_an_error_that_lambda_logs_is_printable() -> None:
    """The runtime writes the message of an error as it is."""
    handle = replay_failures({})

    with pytest.raises(Exception, match="Extra inputs are not permitted") as caught:
        handle({hostile.TEXT: 1}, cast("LambdaContext", Context()))

    assert type(caught.value).__name__ == RequestError.__name__
    assert hostile.raw_in(str(caught.value)) == []


@pytest.mark.parametrize(
    "error",
    [
        ValueError(hostile.TEXT),
        KeyError(hostile.TEXT),
        OSError(2, hostile.TEXT, hostile.TEXT),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, hostile.TEXT),
        HangtagError(hostile.TEXT),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_any_class_is_printable(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some classes build the message from other attributes than their arguments."""

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("hangtag.operators.replay_request.read_request", fail)

    with pytest.raises(Exception, match=r"status  TAGGED|No such file") as caught:
        replay_failures({})({}, cast("LambdaContext", Context()))

    assert type(caught.value).__name__ == type(error).__name__
    assert hostile.raw_in(str(caught.value)) == []
    assert "\n" not in str(caught.value)
