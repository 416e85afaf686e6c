"""Threads for calls that block: of clients of boto3, and of downloads.

They are daemons. The threads of `concurrent.futures` are not, and the interpreter waits for them
before it ends: one call that hangs would keep the process alive.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Lock, Semaphore, Thread
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast
from weakref import WeakKeyDictionary, finalize

T = TypeVar("T")


class _Job(Generic[T]):
    """A call, which keeps its outcome to itself: in debug mode, asyncio logs those of futures."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._result: T | None = None
        self._error: BaseException | None = None

    async def wait(self) -> T:
        """Return what the call returned, or raise what it raised."""
        await self._ended
        if self._error is not None:
            raise self._error
        return cast("T", self._result)

    def drop(self) -> None:
        """Cancel the call if it has not begun."""
        self._ended.cancel()

    def run(self) -> None:
        """Make the call, unless nobody waits for it any more."""
        if self._ended.cancelled():
            return
        try:
            self._result = self._context.run(self._call)
        except StopIteration:  # which no coroutine may raise
            self._error = RuntimeError("the call raised StopIteration")
        except BaseException as error:  # noqa: BLE001 it is raised where the call is awaited
            self._error = error
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


_Jobs: TypeAlias = SimpleQueue[_Job[Any] | None]


class Threads:
    """At most ``size`` threads, begun when they are needed, that end with this object.

    A forked process begins threads of its own.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._start_anew()

    def _start_anew(self) -> None:
        self._process = os.getpid()
        self._lock = Lock()
        self._idle = Semaphore(0)
        self._threads: list[Thread] = []
        self._jobs: _Jobs = SimpleQueue()
        end = finalize(self, _dismiss, self._jobs, self._threads)
        end.atexit = False  # an event loop that ends then still has work for them

    async def run(self, call: Callable[[], T]) -> T:
        """Call something in a thread, with the caller's context variables.

        Cancelling this does not wait for the call. One that has not begun is not made.
        """
        job = _Job(call)
        try:
            self._put(job)
        except RuntimeError:  # the system has no thread to give: no other one may do it later
            job.drop()
            raise
        return await job.wait()

    def _put(self, job: _Job[Any]) -> None:
        if os.getpid() != self._process:
            self._start_anew()
        self._jobs.put(job)
        if not self._idle.acquire(blocking=False):
            with self._lock:
                if len(self._threads) < self._size:
                    self._begin()

    def _begin(self) -> None:
        name = f"{self._name}-{len(self._threads) + 1}"
        thread = Thread(target=_work, args=(self._jobs, self._idle), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)


def _dismiss(jobs: _Jobs, threads: list[Thread]) -> None:
    for _ in threads:
        jobs.put(None)


def _work(jobs: _Jobs, idle: Semaphore) -> None:
    while (job := _get(jobs, idle)) is not None:
        job.run()
        del job  # an idle thread keeps nothing alive


def _get(jobs: _Jobs, idle: Semaphore) -> _Job[Any] | None:
    try:
        return jobs.get_nowait()
    except Empty:
        idle.release()
        return jobs.get()


CALLS: Final = "castore-aws-call"
READS: Final = "castore-aws-read"

# boto3's clients may be used by many threads at once; each call takes a connection of its pool.
_threads: WeakKeyDictionary[Any, dict[str, Threads]] = WeakKeyDictionary()


def get_threads(client: Any, purpose: str) -> Threads:
    """Return the threads of a client for a purpose, one for each connection.

    They end with the client. Bodies that are slow to read hold up no calls.
    """
    kept = _threads.setdefault(client, {})
    if purpose not in kept:
        kept[purpose] = Threads(client.meta.config.max_pool_connections, purpose)
    return kept[purpose]
