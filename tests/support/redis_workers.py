"""A process that handles the messages of a stream, until it is killed.

Its arguments are the URL of the server, the stream, and a file. Each message that was handled is
a line of the file, ``AGGREGATE VERSION``, written in one system call: not even a kill tears it.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from castore_core import NotificationMessage, NotificationMessageQueue
from castore_redis import RedisMessageContext, RedisMessageQueueAdapter, RedisWorker
from pokemon import pokemons

CONCURRENCY = 20


def make_client(url: str) -> Any:
    """Return a client that leaves it to the worker, and to the test, to try again."""
    from_url = cast("Callable[..., Any]", cast("Any", Redis).from_url)
    return from_url(url, retry=Retry(NoBackoff(), 0))


def make_queue(client: Any, stream: str) -> NotificationMessageQueue[Any]:
    """Return the queue on a stream."""
    return NotificationMessageQueue(
        "QUEUE",
        source_event_stores=(pokemons,),
        message_channel_adapter=RedisMessageQueueAdapter(client, stream=stream),
    )


async def work(url: str, stream: str, path: str) -> None:
    """Handle messages."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handle(message: NotificationMessage[Any], _: RedisMessageContext) -> None:
        await asyncio.sleep(0.001)
        os.write(file, f"{message.event.aggregate_id} {message.event.version}\n".encode())

    worker = RedisWorker(
        *(make_queue(make_client(url), stream), handle),
        concurrency=CONCURRENCY,
        visibility_timeout=1.0,
        wait_time=0.5,
        max_attempts=None,
    )
    await worker.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(work(*sys.argv[1:]))
