"""The comparison of TagUploads with a plain function (docs/performance.md)."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cpu_parts import PARTS, Parts
from benchmarks.function import beside, medians, parts_table, table_of
from benchmarks.function_bench import (
    Invalid,
    Measured,
    Program,
    Setting,
    Worker,
    check,
    invoke,
)

API = "127.0.0.1:8000"
CLOUD = "127.0.0.1:9000"
TWO = Setting(kilobytes=300, batch=2, memory=0)


class FakeWorker(Worker):
    """A process that measures the same for each invocation."""

    def __init__(self, **measured: Any) -> None:  # noqa: ANN401 - measurements
        self.pid = 1
        self.loaded = {"cpu": 200.0}
        self.events: list[dict[str, Any]] = []
        self._measured = {
            "milliseconds": 500.2,
            "cpu": 8.0,
            "megabytes": 60.0,
            "failed": 0,
            "requests": {API: 2, CLOUD: 10},
            "parts": {},
            **measured,
        }

    def send(self, event: dict[str, Any]) -> None:
        """Keep the event."""
        self.events.append(event)

    def read(self) -> dict[str, Any]:
        """The same as ever."""
        return self._measured

    def log(self) -> str:
        """As if the function had printed it."""
        return ": the log"


def events(number: int) -> list[dict[str, Any]]:
    """That many events, each different."""
    return [{"Records": [index]} for index in range(number)]


def test_a_row_has_the_numbers_of_one_image_after_the_first_invocations() -> None:
    """Each invocation is billed in whole milliseconds, rounded up."""
    workers = [FakeWorker(), FakeWorker(megabytes=70.0)]

    row = invoke(workers, events(6), TWO).row(API)

    assert row == {
        "billed ms": 250.5,
        "CPU ms": 4.0,
        "AWS calls": 5.0,
        "API calls": 1.0,
        "peak MB": 70.0,
        "first batch, CPU ms": 208.0,
    }
    assert [len(worker.events) for worker in workers] == [3, 3]


def test_there_are_no_numbers_if_a_message_failed() -> None:
    """The function's log says why."""
    workers = [FakeWorker(), FakeWorker(failed=1)]

    with pytest.raises(Invalid, match=r"1 messages failed: the log"):
        invoke(workers, events(4), TWO)


def test_there_are_no_numbers_if_a_call_is_missing() -> None:
    """An image that makes no call would be a cheap one."""
    measured = invoke([FakeWorker(requests={API: 1, CLOUD: 10})], events(3), TWO)

    with pytest.raises(Invalid, match="2 calls of the API for 4 images"):
        measured.row(API)


@pytest.mark.parametrize(
    ("calls", "results", "trouble"),
    [
        (9, 10, "hangtag: 9 calls of the API for 10 images"),
        (11, 10, "hangtag: 11 calls of the API for 10 images"),
        (10, 9, "hangtag: 9 results of 10 images"),
    ],
)
def test_there_are_no_numbers_without_a_call_and_a_result_for_each_image(
    calls: int, results: int, trouble: str
) -> None:
    """The API and the table are asked, not the function."""
    with pytest.raises(Invalid, match=trouble):
        check("hangtag", 10, calls=calls, results=results)


def test_each_image_has_a_call_and_a_result() -> None:
    """Then there are numbers."""
    check("peer", 10, calls=10, results=10)


def test_a_run_tags_at_least_as_many_images_as_it_measures() -> None:
    """Two processes, each with a batch to warm up."""
    setting = Setting(kilobytes=100, batch=10, memory=512, measured=2_000)

    assert setting.batches * 2 * setting.batch == 2_000
    assert setting.images == 2_020


def test_a_memory_is_a_share_of_a_processor() -> None:
    """Lambda gives a whole one for 1,769 MB; a process of ours cannot use more."""
    shares = [Setting(300, 10, memory).share for memory in (0, 512, 1769, 3008)]

    assert shares == pytest.approx([1.0, 512 / 1769, 1.0, 1.0])


def test_a_line_of_the_table_has_both_numbers_and_their_ratio() -> None:
    """A ratio below one as a fraction; none if a number is 0."""
    rows = [{"ms": 60.0}, {"ms": 70.0}, {"ms": 900.0}]

    lines = list(
        table_of([("an image", {"hangtag": medians(rows), "peer": {"ms": 560.0}})])
    )

    alone = list(table_of([("an image", {"hangtag": {"ms": 70.0}})]))

    assert lines[-1] == "| an image | 70 / 560 (1/8.0) |"
    assert alone[-1] == "| an image | 70 |"
    assert beside(5.1, 3.0) == "5.1 / 3 (1.7)"
    assert beside(0.0, 3.0) == "0 / 3"
    assert beside(387.2, 1_134.0) == "387 / 1,134 (1/2.9)"


def test_the_parts_are_shares_of_all_cpu_time() -> None:
    """What no part has is the rest."""
    measured = Measured(cpu=40.0, images=10, parts=Counter({"b": 10.0, "a": 20.0}))

    assert list(parts_table([measured]))[1:] == [
        "| a | 2.00 | 50% |",
        "| b | 1.00 | 25% |",
        "| the rest | 1.00 | 25% |",
        "| all | 4.00 | 100% |",
    ]


def test_a_part_does_not_count_the_parts_inside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a clock that each call moves by one second."""
    seconds = iter(range(100))
    monkeypatch.setattr("time.thread_time", lambda: next(seconds))
    parts = Parts()
    inside = parts.measured("inside", lambda: "result")
    outside = parts.measured("outside", inside)

    assert outside() == "result"
    assert parts.milliseconds == {"inside": 1_000, "outside": 2_000}


def test_every_part_names_a_function_that_exists() -> None:
    """Otherwise the benchmark would end with an error after a rename."""
    for place in PARTS:
        module, _, path = place.partition(":")
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)

        assert callable(found), place


def handler_in(folder: Path, text: str) -> Program:
    """A function of some lines."""
    (folder / "handler.py").write_text(text)
    return Program("peer", "handler", (folder,), {})


def test_a_worker_counts_the_requests_of_each_invocation(tmp_path: Path) -> None:
    """And the messages that the handler hands back; what it prints is not in the way."""
    program = handler_in(
        tmp_path,
        "import http.client\n"
        "def lambda_handler(event, context):\n"
        "    print('a line')\n"
        "    for host in event['hosts']:\n"
        "        http.client.HTTPConnection(host, 1).putrequest('GET', '/')\n"
        "    return {'batchItemFailures': event['failed']}\n",
    )
    worker = Worker(program, tmp_path / "log", python=Path(sys.executable))
    try:
        worker.send({"hosts": ["aws", "api", "aws"], "failed": ["one"]})
        first = worker.read()
        worker.send({"hosts": ["api"], "failed": []})
        second = worker.read()
    finally:
        worker.close()

    assert worker.loaded["cpu"] > 0
    assert (first["failed"], second["failed"]) == (1, 0)
    assert first["requests"] == {"aws:1": 2, "api:1": 1}
    assert second["requests"] == {"api:1": 1}
    assert "a line" in worker.log()


def test_there_are_no_numbers_if_a_function_cannot_be_loaded(tmp_path: Path) -> None:
    """Python's message is on stderr, what it printed in the error."""
    program = handler_in(tmp_path, "print('not today')\nraise SystemExit(1)\n")

    with pytest.raises(Invalid, match="not today"):
        Worker(program, tmp_path / "log", python=Path(sys.executable))


def test_there_are_no_numbers_if_a_function_crashes(tmp_path: Path) -> None:
    """Whether it is noticed when its measurements are read, or at the next event."""
    program = handler_in(
        tmp_path,
        "import os\n"
        "def lambda_handler(event, context):\n"
        "    os.write(1, b'out of memory')\n"
        "    os._exit(1)\n",
    )
    worker = Worker(program, tmp_path / "log", python=Path(sys.executable))
    try:
        worker.send({})
        with pytest.raises(Invalid, match="the function ended:\nout of memory"):
            worker.read()
        with pytest.raises(Invalid, match="the function ended:\nout of memory"):
            worker.send({"large": "x" * 1_000_000})
    finally:
        worker.close()
