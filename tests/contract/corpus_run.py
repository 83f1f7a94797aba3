"""
Tags the corpus and the monsters in a process of its own, with limits, and prints the outcomes.

`python -m tests.contract.corpus_run function` answers each request with the same tags, and
`sandbox` with the sandbox's. Each line is a JSON object: see `Outcome`.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hangtag.errors import HangtagError
from hangtag.tagger_api import Answer, Language, RequestBody, read_answer
from tests.builders import API_KEY, REPOSITORY, an_answer
from tests.fakes.world import World, upload_of

if TYPE_CHECKING:
    from werkzeug.test import Client

CORPUS = REPOSITORY / ".local/corpus/pillow.tar.gz"
"""The sources of Pillow, whose test images are the corpus; `make` fetches them."""

CPU_SECONDS = 400
"""The process is killed after that."""

MEMORY_BYTES = {"function": 512 * 1024 * 1024, "sandbox": 6 * 1024**3}
"""The limit of the address space: that of the function's default size, or a safety net."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an image."""

    name: str
    ended: str | None
    """TAGGED, FAILED, the reason of a skip, or None for an upload that is still open."""
    code: str | None
    message: str
    asked: int
    """Requests to the API."""
    direct: str | None
    """The sandbox's code for an image that the function refused; None if it was not asked."""
    peak_mb: float
    """The most memory that the process has held until now, in MB."""
    cpu_seconds: float


def images(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The name and the content of each image of the corpus, and of each file in the *folder*."""
    with tarfile.open(CORPUS) as archive:
        for member in archive:
            if "/Tests/images/" in member.name and member.isfile():
                file = archive.extractfile(member)
                assert file is not None
                yield member.name.partition("/Tests/images/")[2], file.read()
    for path in sorted(folder.iterdir()):
        yield path.name, path.read_bytes()


class Api:
    """`Tagger` that counts, with one answer for all or with the sandbox's."""

    def __init__(self, client: Client | None) -> None:
        self._client = client
        self.asked = 0

    def ask(
        self,
        request: RequestBody,
        *,
        language: Language,
        api_key: str,
        timeout_seconds: float,  # noqa: ARG002 - the port's
    ) -> Answer:
        """As `Tagger.ask`."""
        self.asked += 1
        if self._client is None:
            assert sum(map(len, request)) == len(request)
            return an_answer()
        response = self._client.post(
            "/tagger/v2.12/tags",
            data=b"".join(request),
            headers={"x-api-key": API_KEY, "accept-language": language},
        )
        return read_answer(
            response.get_data(), http_status=response.status_code, secrets=[api_key]
        )


def outcome(name: str, content: bytes, client: Client | None) -> Outcome:
    """Upload an image, and tag it in one invocation."""
    began = time.process_time()
    world, api = World(max_attempts=1), Api(client)
    world.tagger = api  # type: ignore[assignment]  # the pipeline needs no more of it
    delivery = world.upload("image", content)
    world.instance(lambda port, _: port).tag([delivery], world.invocation())
    direct = None
    if client is not None and not api.asked:
        direct = _asked_directly(content, client)
    letter = next(iter(world.dead_letters.letters), None)
    return Outcome(
        name,
        world.ended_as(upload_of(delivery)),
        letter.failure.code if letter is not None else None,
        letter.failure.message if letter is not None else "",
        api.asked,
        direct,
        _peak_mb(),
        time.process_time() - began,
    )


def _peak_mb() -> float:
    # Not getrusage, whose maximum begins with that of the process that started this one
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = re.search(r"VmHWM:\s+(\d+)", status)
    assert kilobytes is not None
    return int(kilobytes[1]) / 1024


def _asked_directly(content: bytes, client: Client) -> str | None:
    from tests.builders import a_body  # noqa: PLC0415 - for this alone

    request = a_body(content, "image/jpeg")
    try:
        Api(client).ask(request, language="en", api_key=API_KEY, timeout_seconds=1)
    except HangtagError as error:
        return error.code
    return "TAGGED"


def main() -> None:
    """Run with the mode and the folder of the monsters as arguments."""
    mode, folder = sys.argv[1], Path(sys.argv[2])
    client = None
    if mode == "sandbox":
        from werkzeug.test import Client  # noqa: PLC0415 - large, and not the function's

        from hangtag_sandbox import create_app  # noqa: PLC0415 - same

        client = Client(create_app([API_KEY]))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES[mode],) * 2)
    for name, content in images(folder):
        print(json.dumps(asdict(outcome(name, content, client))))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
