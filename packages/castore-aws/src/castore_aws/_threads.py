"""The threads in which clients of boto3 are called."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

# boto3's clients may be used by many threads at once; each call takes a connection of its pool.
_executors: WeakKeyDictionary[Any, tuple[int, ThreadPoolExecutor]] = WeakKeyDictionary()


def get_threads(client: Any) -> ThreadPoolExecutor:
    """Return the threads of a client, one for each connection. They end with the client."""
    process, executor = _executors.get(client, (None, None))
    if executor is None or process != os.getpid():  # a forked process has none of the threads
        size = client.meta.config.max_pool_connections
        executor = ThreadPoolExecutor(size, thread_name_prefix="castore-aws")
        _executors[client] = os.getpid(), executor
    return executor


async def run_in_thread(threads: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    """Call something in one of the threads, and return or raise what it does.

    It is `asyncio.loop.run_in_executor` at half the price: that chains two futures. A call that is
    cancelled before it begins is not made.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = copy_context()  # for whoever traces calls of boto3

    def run() -> None:
        if future.cancelled():
            return
        try:
            result = context.run(call)
        except BaseException as error:  # noqa: BLE001 it is raised where the call is awaited
            loop.call_soon_threadsafe(_fail, future, error)
        else:
            loop.call_soon_threadsafe(_succeed, future, result)

    threads.submit(run)
    return await future


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if future.done():
        return
    if isinstance(error, StopIteration):  # which no future takes, and nobody would be told
        future.set_exception(RuntimeError(f"the call raised {error!r}"))
    else:
        future.set_exception(error)
