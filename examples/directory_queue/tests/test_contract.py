"""The adapter keeps the contract of message channels."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from castore_core import MessageQueue
from castore_test_tools import MessageChannelAdapterTests, ReceivedMessage
from directory_queue import DirectoryMessageQueueAdapter, handle_messages


class Harness:
    """An adapter, and a worker that keeps what it is told."""

    def __init__(self, queue: MessageQueue[Any], directory: Path) -> None:
        self.adapter = DirectoryMessageQueueAdapter(directory)
        self._queue = queue
        self._directory = directory
        self._received: list[ReceivedMessage] = []

    async def receive(self, _: int) -> Sequence[ReceivedMessage]:
        """Handle what waits, and return all that was handled."""
        await handle_messages(self._queue, self._directory, self._keep)
        return self._received

    async def _keep(self, message: Any, replay: bool) -> None:
        self._received.append(ReceivedMessage(self._queue.message_to_record(message).body, replay))


class TestDirectoryQueue(MessageChannelAdapterTests):
    """Every rule, on a directory."""

    largest_payload = 900_000

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Callable[[MessageQueue[Any]], Harness]:
        """Connect a queue with the directory."""
        return lambda queue: Harness(queue, tmp_path)

    @pytest.fixture
    def connect_again(self, tmp_path: Path) -> Callable[[object], DirectoryMessageQueueAdapter]:
        """Make more adapters on the directory."""
        return lambda _: DirectoryMessageQueueAdapter(tmp_path)

    @pytest.fixture
    def break_backend(self, tmp_path: Path) -> Callable[[], None]:
        """Take the directory away."""
        return lambda: shutil.rmtree(tmp_path)
