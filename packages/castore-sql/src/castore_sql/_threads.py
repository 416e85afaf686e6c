"""Threads that run work for an event loop.

They do what an executor of `concurrent.futures` does, in half the time: a push and a load are
short enough for that to show.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, NamedTuple, TypeAlias, TypeVar, TypeVarTuple
from weakref import finalize

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Job(NamedTuple):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


_Jobs: TypeAlias = SimpleQueue[_Job | None]


class Threads:
    """At most ``size`` threads, begun when they are needed, that end with this object."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._start_anew()

    def _start_anew(self) -> None:
        self._pid = os.getpid()
        self._lock = Lock()
        self._threads: list[Thread] = []
        self._jobs: _Jobs = SimpleQueue()
        end = finalize(self, _dismiss, self._jobs, self._threads)
        end.atexit = False  # an event loop that ends then still has work for them

    def run(self, function: Callable[[*Ts], T], *arguments: *Ts) -> asyncio.Future[T]:
        """Call a function in one of the threads, as soon as one is free, in the order of the calls.

        Cancelling the future stops a call that has not begun.
        """
        if os.getpid() != self._pid:  # a forked process has the queue, and none of the threads
            self._start_anew()
        if len(self._threads) < self._size:
            self._begin()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(function, arguments, future, loop))
        return future

    def _begin(self) -> None:
        # Daemons, because the interpreter would else wait for them before it lets them end.
        thread = Thread(target=_run_jobs, args=(self._jobs,), name=self._name, daemon=True)
        with self._lock:
            if len(self._threads) < self._size:
                thread.start()
                self._threads.append(thread)


def _dismiss(jobs: _Jobs, threads: list[Thread]) -> None:
    for _ in threads:
        jobs.put(None)


def _run_jobs(jobs: _Jobs) -> None:
    while (job := jobs.get()) is not None:
        _run_job(job)
        del job  # an idle thread keeps nothing alive


def _run_job(job: _Job) -> None:
    function, arguments, future, loop = job
    if future.cancelled():
        return
    answer: Callable[[Any], None]
    try:
        answer, value = future.set_result, function(*arguments)
    except StopIteration as error:  # which no future can raise
        answer, value = future.set_exception, RuntimeError(repr(error))
    except BaseException as error:  # noqa: BLE001 it is the outcome of the job
        answer, value = future.set_exception, error
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_answer, future, answer, value)


def _answer(future: asyncio.Future[Any], answer: Callable[[Any], None], value: Any) -> None:
    if not future.done():  # nor cancelled, nor left by who waited
        answer(value)
