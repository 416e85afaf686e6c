"""A way to wake tasks that wait, in any event loop of this process."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress


class Wakeup:
    """Wakes the tasks that wait, from whatever thread.

    It needs no lock, because each operation on its set is atomic. A forked process could find a
    lock taken for ever.
    """

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    @contextmanager
    def listening(self) -> Generator[asyncio.Future[None]]:
        """Give a future that is done as soon as `wake` is called, from now on."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            yield future
        finally:
            self._waiting.discard(future)

    def wake(self) -> None:
        """Wake all that wait now. It costs next to nothing where none do."""
        while self._waiting:
            with suppress(KeyError, RuntimeError):  # another thread's by now; its loop is closed
                future = self._waiting.pop()
                future.get_loop().call_soon_threadsafe(_finish, future)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
