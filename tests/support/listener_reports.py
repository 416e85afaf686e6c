"""Reports and messages that a listener of a bus is given."""

import asyncio
from typing import Any, TypeVar

import anyio

from castore_core import NotificationMessage

T = TypeVar("T")
PATIENCE = 30  # seconds


class Reports:
    """The reports of a listener."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._changed = asyncio.Event()

    def tell(self, report: object) -> None:
        """Keep a report."""
        self.all.append(report)
        self._changed.set()

    async def wait_for(self, kind: type[T], count: int = 1) -> T:
        """Return the last report of a kind, once there are so many."""
        with anyio.fail_after(PATIENCE):
            while len(found := [each for each in self.all if isinstance(each, kind)]) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]


async def receive(messages: Any) -> str:
    """Return the id of the aggregate of the next message."""
    with anyio.fail_after(PATIENCE):
        message: NotificationMessage[Any] = await anext(messages)
    return message.event.aggregate_id
