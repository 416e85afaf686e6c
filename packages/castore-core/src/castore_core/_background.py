"""Jobs in the background of an event loop: nobody waits for them, and none is forgotten."""

import asyncio
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable, Coroutine, Hashable
from contextvars import Context, copy_context
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

Job: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""It raises nothing but what ends its task."""

_AT_ONCE: Final = 4
_MOST_WAITING: Final = 1000


class BackgroundJobs:
    """Runs jobs in the event loops that they are started in, each loop for itself.

    A loop runs a few at a time. Of the jobs of one key that wait, the last one counts.
    """

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[AbstractEventLoop, _LoopJobs] = WeakKeyDictionary()

    def start(self, key: Hashable, job: Job) -> bool:
        """Run a job soon; tell whether there was room for it."""
        return self._get_jobs().start(key, job)

    def launch(self, job: Job) -> Task[None]:
        """Run a job now. Wait for it with `asyncio.wait`, and it goes on if you are cancelled."""
        return self._get_jobs().launch(job, copy_context())

    async def drain(self) -> None:
        """Wait until no job of this event loop is left."""
        jobs = self._get_jobs()
        while jobs.running:
            await asyncio.wait(jobs.running)

    def _get_jobs(self) -> "_LoopJobs":
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            for each in [each for each in list(self._loops) if each.is_closed()]:
                del self._loops[each]  # it ended without a word to its tasks
            self._loops[loop] = _LoopJobs()
        return self._loops[loop]


class _LoopJobs:
    def __init__(self) -> None:
        self.running: set[Task[None]] = set()  # an event loop holds its tasks weakly
        self._waiting: dict[Hashable, tuple[Job, Context]] = {}

    def start(self, key: Hashable, job: Job) -> bool:
        if key not in self._waiting and len(self._waiting) >= _MOST_WAITING:
            return False
        self._waiting[key] = (job, copy_context())
        self._fill()
        return True

    def launch(self, job: Job, context: Context) -> Task[None]:
        task = asyncio.get_running_loop().create_task(job(), context=context)
        self.running.add(task)
        task.add_done_callback(self._end)
        return task

    def _fill(self) -> None:
        while self._waiting and len(self.running) < _AT_ONCE:
            key = next(iter(self._waiting))
            self.launch(*self._waiting.pop(key))

    def _end(self, task: Task[None]) -> None:
        self.running.discard(task)
        if task.cancelled():  # as the end of the event loop does with all its tasks
            self._waiting.clear()
            return
        task.exception()  # or asyncio would log that nobody looked
        self._fill()
