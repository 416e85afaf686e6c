"""Daemon threads for functions that block."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutine
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeAlias, TypeVar, cast
from weakref import finalize

T = TypeVar("T")


class DaemonThreads:
    """Runs each call in a thread of its own, and keeps the thread for a later call.

    Callers bound how many calls run at once. A call that never returns keeps its thread, and does
    not keep the process from ending: the threads are daemons. Idle ones end with this object.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[_Worker] = []
        self._is_closed = False

    async def run(self, call: Callable[[], T]) -> T:
        """Call something in a thread, with the caller's context variables.

        Cancelling this does not end the call: it goes on, and its result is dropped.
        """
        loop = asyncio.get_running_loop()
        worker = self._take_idle() or _Worker(self._name)
        job = _Job(call, copy_context(), loop, loop.create_future(), partial(self._release, worker))
        worker.start(job)
        await job.ended
        return job.get_result()

    def close(self) -> None:
        """Let the threads end, those that are busy after their call."""
        self._is_closed = True
        self._idle.clear()

    def _take_idle(self) -> "_Worker | None":
        with suppress(IndexError):
            while True:
                worker = self._idle.pop()
                if worker.is_alive:  # a forked process has none of the threads
                    return worker
        return None

    def _release(self, worker: "_Worker") -> None:
        if not self._is_closed:
            self._idle.append(worker)


@dataclass(eq=False, slots=True, repr=False)
class _Job(Generic[T]):
    """A call, which keeps its outcome to itself: asyncio's debug mode shows that of futures."""

    call: Callable[[], T]
    context: Context
    loop: asyncio.AbstractEventLoop
    ended: asyncio.Future[None]
    release: Callable[[], None]
    result: T | None = None
    error: BaseException | None = None

    def run(self) -> None:
        """Make the call, and tell the event loop, unless that is closed."""
        try:
            self.result = self.context.run(self.call)
        except StopIteration:  # no coroutine may raise it
            self.error = RuntimeError("the function raised StopIteration")
        except BaseException as error:  # noqa: BLE001 it is raised where the call is awaited
            self.error = error
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.end)

    def end(self) -> None:
        """Give the thread back, and tell the caller."""
        self.release()
        if not self.ended.done():
            self.ended.set_result(None)
        elif iscoroutine(self.result):
            self.result.close()  # nobody will await it

    def get_result(self) -> T:
        """Return what the call returned, or raise its error."""
        if self.error is not None:
            raise self.error
        return cast("T", self.result)


class _Worker:
    """A thread, which does one job after the other, and ends when nobody knows this object."""

    def __init__(self, name: str) -> None:
        self._jobs: _Jobs = SimpleQueue()
        self._thread = Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
        self._thread.start()
        end = finalize(self, self._jobs.put, None)
        end.atexit = False  # an event loop that ends then still has work for it

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs, in this process."""
        return self._thread.is_alive()

    def start(self, job: _Job[Any]) -> None:
        """Do a job."""
        self._jobs.put(job)


_Jobs: TypeAlias = "SimpleQueue[_Job[Any] | None]"


def _work(jobs: _Jobs) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job  # an idle thread keeps nothing alive
