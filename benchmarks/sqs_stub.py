"""A server that takes every batch of messages and keeps none, so that it costs next to nothing.

It runs in a process of its own, and prints its URL when it listens.
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

MOST_ENTRIES = 10


def make_answer(entries: int) -> bytes:
    """Return the answer to a batch that was taken as a whole."""
    taken = [
        {
            "Id": str(number),
            "MessageId": "9503b899-409e-4b7d-9f93-db20a7dc0083",
            "MD5OfMessageBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "MD5OfMessageAttributes": "00484c68ee1c8a4b7d9f93db20a7dc00",
        }
        for number in range(entries)
    ]
    body = json.dumps({"Successful": taken}).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


ANSWERS = [make_answer(each) for each in range(MOST_ENTRIES + 1)]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of a connection until it ends."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            _, _, rest = head.lower().partition(b"\r\ncontent-length:")
            body = await reader.readexactly(int(rest.partition(b"\r\n")[0]))
            writer.write(ANSWERS[body.count(b'"MessageBody"')])
    except asyncio.IncompleteReadError:
        writer.close()


async def serve() -> None:
    """Listen until the process is ended."""
    server = await asyncio.start_server(answer, "127.0.0.1", limit=2**21)
    print("http://{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await server.serve_forever()


@asynccontextmanager
async def running() -> AsyncGenerator[str]:
    """Run the server in a process while the context lasts, and give its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(serve())
