"""The base of façades."""

from collections.abc import AsyncIterator, Coroutine, Iterator
from copy import copy
from typing import Any, Generic, Self, TypeVar

from castore_core._sync.event_loop import EventLoopThread, check_timeout, shared_event_loop

T = TypeVar("T")
W = TypeVar("W")


class Facade(Generic[W]):
    """An asynchronous object for synchronous programs: its coroutines run in an event loop thread.

    A package can derive façades of its own objects from it.

    Args:
        target: the asynchronous object.
        event_loop: where its coroutines run; by default in a thread that all façades share.
        timeout: seconds after which a call is cancelled; none by default.

    Raises:
        ValueError: ``timeout`` is not above 0.
    """

    def __init__(
        self,
        target: W,
        *,
        event_loop: EventLoopThread | None = None,
        timeout: float | None = None,
    ) -> None:
        check_timeout(timeout)
        self._target = target
        self._event_loop = event_loop or shared_event_loop
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._target!r})"

    @property
    def event_loop(self) -> EventLoopThread:
        """Where the coroutines run."""
        return self._event_loop

    def with_timeout(self, timeout: float | None) -> Self:
        """Return the same façade with another timeout, in seconds: ``None`` for none.

        After the timeout the coroutine is cancelled. If it returns or raises all the same, so does
        the call; otherwise the call raises `TimeoutError`, and its push may be stored.

        Raises:
            ValueError: ``timeout`` is not above 0.
        """
        check_timeout(timeout)
        facade = copy(self)
        facade._timeout = timeout
        return facade

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._event_loop.run(coroutine, timeout=self._timeout)

    def _iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        return self._event_loop.iterate(items, timeout=self._timeout)

    def _wrap(self, target: W) -> Self:
        """Return a façade of another object, with the same options."""
        facade = copy(self)
        facade._target = target
        return facade
