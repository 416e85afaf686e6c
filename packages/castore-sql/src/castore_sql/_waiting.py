"""Waits for the next event of a log: of this process, or of others."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from castore_sql._wakeup import Wakeup

_FIRST_PAUSE: Final = 0.02  # seconds between two looks, doubled each time
_LONGEST_PAUSE: Final = 0.25


class Listener(Protocol):
    """Hears of the pushes of other processes."""

    async def open(self) -> None:
        """Begin to listen."""
        ...

    def close(self) -> None:
        """End at once."""
        ...


class Waiting:
    """Lets tasks wait, and look again and again for the events of other processes.

    Those who have waited for a while share a listener, if the database has any.

    Args:
        wakeup: wakes at each commit of this process.
        make_listener: returns one that calls back, or ``None``.
    """

    def __init__(
        self, wakeup: Wakeup, make_listener: Callable[[Callable[[], None]], Listener | None]
    ) -> None:
        self._wakeup = wakeup
        self._make_listener = make_listener
        self._listeners: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared]
        self._listeners = WeakKeyDictionary()

    async def wait(self, look: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Wait until a look finds something, a commit wakes, or the time is over."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + seconds, _FIRST_PAUSE
        with ExitStack() as stack:
            woken = stack.enter_context(self._wakeup.listening())  # before: no commit is missed
            while not await look() and (left := end - loop.time()) > 0:
                if (await asyncio.wait([woken], timeout=min(pause, left)))[0]:
                    return
                if pause < _LONGEST_PAUSE <= 2 * pause:
                    await stack.enter_context(self._listening())
                pause = min(2 * pause, _LONGEST_PAUSE)

    @contextmanager
    def _listening(self) -> Generator[Awaitable[None]]:
        """Share the listener of the event loop, which the first opens and the last closes."""
        loop = asyncio.get_running_loop()
        shared = self._listeners.get(loop)
        if shared is None:
            listener = self._make_listener(self._wakeup.wake)
            shared = self._listeners[loop] = _Shared(listener)
        shared.users += 1
        try:
            yield shared.open()
        finally:
            shared.users -= 1
            if shared.users == 0:
                del self._listeners[loop]
                shared.close()


class _Shared:
    """A listener, and how many wait for what it hears."""

    def __init__(self, listener: Listener | None) -> None:
        self.users = 0
        self._listener = listener
        self._is_open = False

    async def open(self) -> None:
        """Open it, unless somebody has: without it, those who wait look again and again."""
        if self._listener is None or self._is_open:
            return
        self._is_open = True
        with suppress(Exception):
            await self._listener.open()

    def close(self) -> None:
        """End it."""
        if self._listener is not None:
            with suppress(Exception):
                self._listener.close()
