"""Message groups: the messages of a group one after the other, groups at the same time."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from castore_core._cancellation import begin

T = TypeVar("T")


class MessageGroups(Generic[T]):
    """Handles messages in the order of their group, each group in a task of its own.

    After a message that was not handled, the rest of its group is given back.

    Args:
        handle: handles a message, and tells whether the next one of its group may follow.
        give_back: gets messages that were not begun.
    """

    def __init__(
        self, handle: Callable[[T], Awaitable[bool]], give_back: Callable[[Iterable[T]], None]
    ) -> None:
        self._handle = handle
        self._give_back = give_back
        self._groups: dict[str, deque[T]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    def add(self, message: T, group_id: str | None = None) -> None:
        """Handle a message, after those of its group, if it has one."""
        if group_id is not None and group_id in self._groups:
            self._groups[group_id].append(message)
            return
        group = deque([message])
        if group_id is not None:
            self._groups[group_id] = group
        task = begin(self._work_off(group, group_id))  # the next message may be of this group
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Begin no further message. Those that were not begun are left to the caller."""
        self._is_stopped = True

    async def wait(self, seconds: float | None) -> None:
        """Wait until all messages are handled, or for so many seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def cancel(self) -> None:
        """End what is left."""
        self.stop()
        for task in self._tasks:
            task.cancel()
        await self.wait(None)

    async def _work_off(self, group: deque[T], group_id: str | None) -> None:
        try:
            while group and not self._is_stopped:
                may_go_on = await self._handle(group[0])
                group.popleft()
                if not may_go_on:
                    break
        finally:
            if group_id is not None:
                del self._groups[group_id]
            if not self._is_stopped:
                self._give_back(group)
