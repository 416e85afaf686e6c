"""Handlers as users give them: coroutine functions, and plain functions, which run in threads."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from castore_core._workers.threads import DaemonThreads


class HandlerFunction:
    """Calls a handler: a coroutine function in the event loop, any other one in a thread.

    An awaitable result is awaited.

    Raises:
        TypeError: the handler could never handle a message.
    """

    def __init__(self, handler: Callable[..., object]) -> None:
        _check(handler)
        self._handler = handler
        self._threads = (
            None if _is_coroutine_function(handler) else DaemonThreads("castore-handler")
        )

    @property
    def runs_in_threads(self) -> bool:
        """Whether a call may go on after it was cancelled."""
        return self._threads is not None

    async def call(self, *arguments: object) -> object:
        """Call the handler, and return what it returns, which may be awaitable."""
        call = partial(self._handler, *arguments)
        return call() if self._threads is None else await self._threads.run(call)

    @staticmethod
    async def await_result(result: object) -> None:
        """Await what a handler returned, and what that returns, until it is no awaitable.

        Raises:
            TypeError: the handler returned a generator, whose body never ran.
        """
        while inspect.isawaitable(result):
            result = await result
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise TypeError("the handler returned a generator, whose body never ran")

    def close(self) -> None:
        """Let the threads end."""
        if self._threads is not None:
            self._threads.close()


def _check(handler: object) -> None:
    if inspect.isclass(handler):
        name = handler.__qualname__
        raise TypeError(f"the handler is the class {name}: give an instance of it, or a function")
    if not callable(handler):
        raise TypeError(f"the handler cannot be called: it is a {type(handler).__qualname__}")
    function = _find_function(handler)
    name = (
        function.__qualname__ if hasattr(function, "__qualname__") else type(handler).__qualname__
    )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"the handler is a generator, whose body would never run: {name}")
    if not _takes_both(handler):
        raise TypeError(f"the handler does not take a message and its context: {name}")


def _takes_both(handler: Callable[..., object]) -> bool:
    try:
        signature = inspect.signature(handler, follow_wrapped=False)
    except Exception:  # noqa: BLE001 functions written in C may have none, and annotations fail
        return True
    try:
        signature.bind("message", "context")
    except TypeError:
        return False
    return True


def _is_coroutine_function(handler: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        _find_function(handler)
    )


def _find_function(handler: Any) -> Any:
    """Return the function that a call runs: that of a partial, or the method of an object."""
    while isinstance(handler, partial):
        handler = handler.func
    return handler if inspect.isroutine(handler) else type(handler).__call__
