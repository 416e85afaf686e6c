"""A server whose queue never ends: it hands out the same messages, and keeps nothing.

It runs in a process of its own, and prints its URL when it listens. The messages are a file.
"""

import asyncio
import json
import re
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

MOST_ENTRIES = 10
_MOST = re.compile(rb'"MaxNumberOfMessages": ?(\d+)')


def to_response(answer: object) -> bytes:
    """Return an answer as it is sent."""
    body = json.dumps(answer).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


def to_message(number: int, body: str) -> dict[str, object]:
    """Return a message as it is received."""
    return {
        "MessageId": f"9503b899-409e-4b7d-9f93-db20a7dc{number:04}",
        "ReceiptHandle": f"{number}AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a" + 12 * "CqVOo6uiwVTTTHmF",
        "MD5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "Body": body,
        "Attributes": {"ApproximateReceiveCount": "1"},
    }


class Stub:
    """Answers requests for messages and requests to delete them."""

    def __init__(self, bodies: Sequence[str]) -> None:
        messages = [to_message(number, body) for number, body in enumerate(bodies)]
        self._received = [to_response({"Messages": messages[:n]}) for n in range(MOST_ENTRIES + 1)]
        self._deleted = [
            to_response({"Successful": [{"Id": str(each)} for each in range(n)]})
            for n in range(MOST_ENTRIES + 1)
        ]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection until it ends."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, _, rest = head.lower().partition(b"\r\ncontent-length:")
                body = await reader.readexactly(int(rest.partition(b"\r\n")[0]))
                if most := _MOST.search(body):
                    writer.write(self._received[int(most[1])])
                else:
                    writer.write(self._deleted[body.count(b'"ReceiptHandle"')])
        except asyncio.IncompleteReadError:
            writer.close()


async def serve(bodies: Sequence[str]) -> None:
    """Listen until the process is ended."""
    server = await asyncio.start_server(Stub(bodies).answer, "127.0.0.1", limit=2**21)
    print("http://{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await server.serve_forever()


@asynccontextmanager
async def running(bodies: Sequence[str]) -> AsyncGenerator[str, None]:
    """Run the server in a process while the context lasts, and give its URL."""
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(bodies, file)
        file.flush()
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__)), file.name, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            yield (await process.stdout.readline()).decode().strip()
        finally:
            process.terminate()
            await process.wait()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
