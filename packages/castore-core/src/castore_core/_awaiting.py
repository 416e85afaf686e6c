"""Functions of the user's that have to be async."""

from collections.abc import Awaitable
from inspect import isawaitable
from typing import TypeVar

T = TypeVar("T")


def check_awaitable(answer: Awaitable[T] | object, what: str) -> Awaitable[T]:
    """Return an answer that can be awaited.

    Raises:
        TypeError: ``what`` gave the answer, and is no coroutine function.
    """
    if isawaitable(answer):
        return answer
    raise TypeError(f"{what} is not async: declare it with `async def`")
