"""Dead letters: keeping the last of them, and telling the hook of each."""

import asyncio
from collections.abc import Callable
from contextvars import Context

from castore_core import drop_frames
from castore_in_memory._delivery import DeadLetter, DeadLetterHook
from castore_in_memory._log import DeliveryLog
from castore_in_memory._tasks import call, get_outcome


class DeadLetterOffice:
    """Keeps dead letters, up to a number of them, and drops the oldest of more."""

    def __init__(self, most: int, hook: DeadLetterHook | None, log: DeliveryLog) -> None:
        self.letters: list[DeadLetter] = []
        self.dropped = 0
        self.tasks: set[asyncio.Task[BaseException | None]] = set()
        self._most = most
        self._hook = hook
        self._log = log

    async def take(self, dead_letter: DeadLetter, context: Context) -> None:
        """Keep a dead letter, and wait until the hook is told.

        Its error has its frames until then.
        """
        try:
            self._keep(dead_letter)
            self._log.dead_letter(dead_letter)
            if self._hook is not None:
                await self._tell(self._hook, dead_letter, context)
        finally:
            drop_frames(dead_letter.error)

    def cancel(self) -> None:
        """Cancel the hook."""
        for each in self.tasks:
            each.cancel()

    def _keep(self, dead_letter: DeadLetter) -> None:
        if self._most == 0:
            return
        self.letters.append(dead_letter)
        while len(self.letters) > self._most:
            self.dropped += 1
            self._log.dropped(self.letters.pop(0), self._most)

    async def _tell(
        self, hook: Callable[[DeadLetter], object], dead_letter: DeadLetter, context: Context
    ) -> None:
        loop = asyncio.get_running_loop()
        task = context.run(loop.create_task, call(hook, dead_letter))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        error = await get_outcome(task)
        if error is not None:
            self._log.hook_failure(dead_letter.message, error)
