"""A channel adapter in one file: a queue that is a directory, with a file for each message."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from castore_core import MessagePublishError, MessageQueue, MessageRecord
from castore_core.workers import handling

M = TypeVar("M")


class DirectoryMessageQueueAdapter:
    """Publishes to a directory, from which `handle_messages` takes the messages one by one.

    The directory must exist. Any number of processes of one machine can publish to it. A message
    was taken when its file is on the disk; its name is the time, so that files sort as they came.
    A message that takes more than ``max_bytes`` is refused.
    """

    def __init__(self, directory: Path, *, max_bytes: int = 1_000_000) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._last_time = 0

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Write a message to a file."""
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Write each message to a file of its own; a failure does not stop those that follow."""
        contents = [json.dumps({"replay": replay, "body": each.body}).encode() for each in messages]
        names = [self._make_name() for _ in messages]
        reasons = await asyncio.to_thread(lambda: list(map(self._try_write, names, contents)))
        outcomes = zip(messages, reasons, strict=True)
        if failures := [(message, reason) for message, reason in outcomes if reason is not None]:
            raise MessagePublishError(failures)

    def _make_name(self) -> str:
        self._last_time = max(time.time_ns(), self._last_time + 1)  # a clock may stand, or go back
        return f"{self._last_time:020}-{uuid4().hex}"

    def _try_write(self, name: str, content: bytes) -> str | None:
        """Return why a message could not be written, if so."""
        if len(content) > self._max_bytes:
            return f"its {len(content)} bytes are more than {self._max_bytes}"
        try:
            self._write(name, content)
        except OSError as error:
            return str(error)
        return None

    def _write(self, name: str, content: bytes) -> None:
        part = self._directory / f"{name}.part"
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.rename(self._directory / f"{name}.json")  # consumers see it as a whole
        finally:
            part.unlink(missing_ok=True)
        _sync(self._directory)


async def handle_messages(
    queue: MessageQueue[M], directory: Path, worker: Callable[[M, bool], Awaitable[None]]
) -> None:
    """Call ``worker(message, replay)`` for each message that waits, one after the other.

    A message is deleted when the worker returns. When it raises, or the process dies, the message
    stays, and is the first of the next call. A directory has one consumer at a time.
    """
    for path in await asyncio.to_thread(lambda: sorted(directory.glob("*.json"))):
        content = json.loads(await asyncio.to_thread(path.read_bytes))
        message = queue.parse_received_message(content["body"])
        if message is not None:  # of an event whose type the queue skips
            with handling(message):
                await worker(message, content["replay"])
        await asyncio.to_thread(path.unlink)


def _sync(directory: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
