"""Opening the value of an address: functions are called, contexts entered."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final, cast

from castore_cli.errors import UsageError

_MOST_STEPS: Final = 10  # of functions that return functions


async def unwrap(
    address: str, value: object, is_wanted: Callable[[object], bool], stack: AsyncExitStack
) -> object:
    """Go from a value to one that is wanted, or to one from which nothing leads further.

    A function is called, a coroutine awaited, a context entered until the ``stack`` is closed. A
    generator, of either kind, is a context too: it yields once. From an object of castore nothing
    leads further: the context of a projection would run it, and a command would be called.

    Raises:
        UsageError: a function takes arguments.
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
    if _is_of_castore(value):
        return value
    if inspect.isawaitable(value):
        return await cast("Awaitable[object]", value)
    context = _to_context(value)
    if hasattr(context, "__aenter__"):
        return await stack.enter_async_context(context)
    if hasattr(context, "__enter__"):
        return stack.enter_context(context)
    if callable(value) and not isinstance(value, type):
        return _call(address, value)
    return value


def _is_of_castore(value: object) -> bool:
    return any(each.__module__.startswith("castore_") for each in type(value).__mro__)


def _to_context(value: Any) -> Any:
    if isinstance(value, type):
        return None
    if inspect.isasyncgen(value):
        return asynccontextmanager(lambda: cast("AsyncGenerator[object]", value))()
    if inspect.isgenerator(value):
        return contextmanager(lambda: cast("Generator[object]", value))()
    return value


def _call(address: str, function: Callable[[], object]) -> object:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        raise UsageError(
            f"{address!r} takes arguments: name a function without any, or an object"
        ) from None
    return function()
