"""Calls of a pool that go on where the task that waits for them is cancelled.

SQLAlchemy before 2.1.9 may lose a connection that is opened, or closed, in a task which is
cancelled meanwhile: it stays checked out, or open on the server.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import sqlalchemy
from greenlet import getcurrent, greenlet
from sqlalchemy.util import await_only

T = TypeVar("T")

_VERSION: Final = [int(each) for each in re.findall(r"\d+", sqlalchemy.__version__)[:3]]
MAY_LOSE_CONNECTIONS: Final = _VERSION < [2, 1, 9]
"""Whether SQLAlchemy may lose one where it is opened: to `complete` takes some microseconds."""


def complete(function: Callable[[], T]) -> T:
    """Run a function that may await, in a thread or in a greenlet of SQLAlchemy's.

    It runs at once up to its first await, where it has any. A task of its own does the rest, and
    goes on where the caller is cancelled.
    """
    caller = getcurrent()
    if not getattr(caller, "__sqlalchemy_greenlet_provider__", False):
        return function()
    inner = _Greenlet(function)
    inner.gr_context = caller.gr_context
    result: T = inner.switch()
    if not inner.dead:  # then it has switched to here with what it awaits
        result = await_only(_wait(asyncio.create_task(_go_on(inner, result))))
    return result


class _Greenlet(greenlet):
    """A greenlet that SQLAlchemy awaits in."""

    __sqlalchemy_greenlet_provider__ = True


async def _go_on(inner: greenlet, result: Any) -> Any:
    """Await what a greenlet wants, until it has a result, as `greenlet_spawn` does."""
    while not inner.dead:
        error, value = None, None
        try:
            value = await result
        except BaseException as raised:  # noqa: BLE001 the greenlet raises it again, or goes on
            error = raised
        inner.parent = getcurrent()  # which is another one at the first step of an eager task
        result = inner.switch(value) if error is None else inner.throw(error)
    return result


async def _wait(task: asyncio.Task[T]) -> T:
    _tasks.add(task)
    task.add_done_callback(_end)
    await asyncio.wait([task])  # it leaves the task alone where this one is cancelled
    return task.result()


def _end(task: asyncio.Task[Any]) -> None:
    _tasks.discard(task)
    if not task.cancelled():
        task.exception()  # if nobody waits any more, nobody needs to know


_tasks: set[asyncio.Task[Any]] = set()
