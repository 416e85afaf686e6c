"""From what an address names to what a command uses: functions are called, contexts entered."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final, cast

from castore_cli.errors import CommandError

_MOST_STEPS: Final = 10  # of functions that return functions


async def unwrap(
    address: str, value: object, is_wanted: Callable[[object], bool], stack: AsyncExitStack
) -> object:
    """Go from a value to one that is wanted, or to one from which nothing leads further.

    A function is called, a coroutine awaited, a context entered until the ``stack`` is closed. A
    generator, of either kind, is a context too: it yields once.

    Raises:
        CommandError: a function takes arguments.
    """
    for _ in range(_MOST_STEPS):
        if is_wanted(value):
            return value
        following = await _follow(address, value, stack)
        if following is value:
            return value
        value = following
    return value


async def _follow(address: str, value: Any, stack: AsyncExitStack) -> object:
    if isinstance(value, type):
        return value
    if inspect.isawaitable(value):
        return await cast("Awaitable[object]", value)
    if inspect.isasyncgen(value):
        return await stack.enter_async_context(_as_async_context(value))
    if inspect.isgenerator(value):
        return stack.enter_context(_as_context(value))
    if hasattr(value, "__aenter__"):
        return await stack.enter_async_context(value)
    if hasattr(value, "__enter__"):
        return stack.enter_context(value)
    if callable(value):
        return _call(address, value)
    return value


def _as_async_context(generator: AsyncGenerator[object]) -> Any:
    return asynccontextmanager(lambda: generator)()


def _as_context(generator: Generator[object]) -> Any:
    return contextmanager(lambda: generator)()


def _call(address: str, function: Callable[[], object]) -> object:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        raise CommandError(
            f"{address!r} takes arguments: name a function without any, or an object"
        ) from None
    return function()
