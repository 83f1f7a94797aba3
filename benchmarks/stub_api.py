"""
A Tagger API that gives the same answer to every request, some time after it has read the request.

    python -m benchmarks.stub_api PORT MILLISECONDS

It takes little CPU, unlike the sandbox, which looks at the images. `GET /calls` says how many
requests it has answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "events/examples/tagged.json"
_PIECE_BYTES = 256 * 1024


def answer() -> bytes:
    """Return the body of an answer with the objects of the example announcement."""
    result = json.loads(EXAMPLE.read_text("utf-8"))["data"]
    names = ("objects", "notMatchedObject", "genderInfo", "imageInfo")
    data = {name: result[name] for name in names if name in result}
    return json.dumps({"status": "ok", "data": data, "error": None}).encode()


class StubApi:
    """Counts its answers."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answer = answer()
        self.calls = 0

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer the requests of a connection until it is closed."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /calls "):
                    status, body = b"200 OK", str(self.calls).encode()
                else:
                    await self._read_body(head, reader)
                    await asyncio.sleep(self._seconds)
                    self.calls += 1
                    status, body = b"201 Created", self._answer
                writer.write(
                    b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%b" % (status, len(body), body)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done
        finally:
            writer.close()

    async def _read_body(self, head: bytes, reader: asyncio.StreamReader) -> None:
        left = next(
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        while left:
            piece = await reader.read(min(left, _PIECE_BYTES))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)


async def main(port: int, milliseconds: float) -> None:
    """Serve on this port of the loopback address until the process is stopped."""
    stub = StubApi(milliseconds / 1000)
    server = await asyncio.start_server(
        stub.serve, "127.0.0.1", port, limit=_PIECE_BYTES
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
