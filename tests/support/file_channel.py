"""A message channel that is a file, which processes fill until they are killed."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from castore_core import MessageRecord
from forked import tell


class FileChannelAdapter:
    """Appends each message to a file, with one system call; says ``READY`` before the first.

    Args:
        path: the file.
        replay: whether each message has to be a replay.
        window: seconds between a publish and its end, in which a kill repeats messages.
    """

    def __init__(self, path: str, *, replay: bool, window: float) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._replay = replay
        self._window = window
        self._is_ready = False

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Append one message."""
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Append messages, and take a moment to say so."""
        assert self._replay == replay
        if not self._is_ready:
            self._is_ready = True
            tell(READY=os.getpid())
        for each in messages:
            line = json.dumps([each.aggregate_id, each.version])
            os.write(self._file, line.encode() + b"\n")
        await asyncio.sleep(self._window)


def read_channel(path: Path) -> list[tuple[str, int]]:
    """Return the aggregates and versions of the messages that arrived."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(aggregate_id, version) for aggregate_id, version in map(json.loads, lines)]
