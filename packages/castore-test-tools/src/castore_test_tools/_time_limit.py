"""A test of a suite ends in time, also where an adapter never returns.

Three things hang all the same: an adapter that blocks the thread of the event loop, one whose own
threads never end, and a fixture. A coroutine that catches even `GeneratorExit` hangs afterwards.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutine, iscoroutinefunction
from time import monotonic
from types import CodeType
from typing import Any, Final, NamedTuple, TypeVar

T = TypeVar("T")

_GRACE = 0.5
_MOST_AWAITS = 100


class TimeLimitError(BaseException):
    """A test of a contract did not end in time.

    It is no `Exception`, so that neither an adapter nor hypothesis catches it and tries again.
    """


class _Limit(NamedTuple):
    rule: str
    seconds: float
    deadline: float


_limit: Final = ContextVar[_Limit | None]("_limit", default=None)


def with_time_limit(test: Any) -> Any:
    """Return a test that fails when it takes longer than the ``time_limit`` of its suite.

    Of a property, each example has that time. A test that is not async is returned as it is.
    """
    if hypothesis := getattr(test, "hypothesis", None):
        hypothesis.inner_test = with_time_limit(hypothesis.inner_test)
        return test
    if not iscoroutinefunction(test) or hasattr(test, "_has_time_limit"):
        return test
    sentence, _, _ = (test.__doc__ or "").partition("\n")
    rule = f"{test.__name__} ({sentence})"

    @wraps(test)
    async def limited(self: Any, *args: Any, **kwargs: Any) -> object:
        __tracebackhide__ = True
        limit = _Limit(rule, self.time_limit, monotonic() + self.time_limit)
        return await _run(test(self, *args, **kwargs), limit)

    limited.__dict__["_has_time_limit"] = True
    return limited


def run_in_new_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in an event loop of its own, in the time that the test has left."""
    limit = _limit.get()
    return asyncio.run(_run(work(), limit) if limit else work())


async def _run(work: Coroutine[Any, Any, T], limit: _Limit) -> T:
    """Return what work returns.

    Raises:
        TimeLimitError: it has not ended in time. It is cancelled, and ended if it goes on.
    """
    __tracebackhide__ = True
    before = asyncio.all_tasks()
    _limit.set(limit)
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=limit.deadline - monotonic())
    if task.done():
        return task.result()
    place = _find_place(task)
    await _end(asyncio.all_tasks() - before)
    raise TimeLimitError(
        f"{limit.rule} has not ended after {limit.seconds:g} s, and waits in {place}. "
        "A suite on a slow backend declares a longer `time_limit`."
    )


def _find_place(task: asyncio.Task[Any]) -> str:
    """Name the function that a task waits in, rather than that of asyncio which it calls."""
    coroutine: Any = task.get_coro()
    while iscoroutine(inner := coroutine.cr_await) and not _is_of_asyncio(inner.cr_code):
        coroutine = inner
    code: CodeType = coroutine.cr_code
    return f"{code.co_qualname} ({code.co_filename}:{coroutine.cr_frame.f_lineno})"


def _is_of_asyncio(code: CodeType) -> bool:
    return code.co_filename.startswith(asyncio.__path__[0])


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and close the coroutines of those that go on."""
    for each in tasks:
        each.cancel()
    ended, stubborn = await asyncio.wait(tasks, timeout=_GRACE)
    for each in stubborn:
        _close(each.get_coro())
        each.cancel()  # wakes it
    if stubborn:
        closed, _ = await asyncio.wait(stubborn, timeout=_GRACE)
        ended |= closed
    for each in ended:
        if not each.cancelled():
            each.exception()  # asyncio logs an error that nobody has asked for


def _close(coroutine: Any) -> None:
    """Leave a coroutine, at whatever it awaits, and again at what it awaits on its way out."""
    for _ in range(_MOST_AWAITS):
        with suppress(RuntimeError):  # it awaits once more
            coroutine.close()
            return
