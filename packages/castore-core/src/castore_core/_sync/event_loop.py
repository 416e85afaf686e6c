"""An event loop in a thread of its own, for programs that have none."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from inspect import iscoroutine
from threading import TIMEOUT_MAX, RLock, Thread, current_thread
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar
from weakref import finalize

from castore_core._sync.call import LONGEST_END, Call

T = TypeVar("T")

LoopFactory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]


class EventLoopThread:
    """Runs coroutines in an event loop that has a thread of its own.

    The thread begins with the first call. A forked process begins its own. Any number of threads
    may call at the same time. The interpreter closes it at its exit, if nothing else did::

        with EventLoopThread() as event_loop:
            engine = create_async_engine(url)
            pokemons = SyncEventStore(store, event_loop=event_loop)
            ...
            event_loop.run(engine.dispose())

    Args:
        name: names the thread.
        loop_factory: makes the event loop, such as ``uvloop.new_event_loop``.
    """

    def __init__(
        self, *, name: str = "castore-sync", loop_factory: LoopFactory | None = None
    ) -> None:
        self._name = name
        self._loop_factory = loop_factory or asyncio.new_event_loop
        self._is_closed = False
        self._loops: dict[int, _Loop] = {}  # by process: that of a parent is left alone
        finalize(self, _close_own, self._loops)  # at the exit of the interpreter, at the latest

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self._name!r})"

    def run(self, coroutine: Coroutine[Any, Any, T], *, timeout: float | None = None) -> T:
        """Run a coroutine in the event loop, and return its result.

        It sees the context variables of the caller. Ctrl-C cancels it, waits for its end, and is
        raised then; a second Ctrl-C is raised at once.

        Args:
            coroutine: the call of a coroutine function.
            timeout: seconds, above 0, after which the coroutine is cancelled. If it returns or
                raises all the same, so does this.

        Raises:
            TimeoutError: it was cancelled after ``timeout`` seconds. A push may be stored.
            RuntimeError: an event loop runs in this thread, where you can ``await``; or this is
                closed. Nothing ran.
            TypeError: it is no coroutine.
            ValueError: ``timeout`` is not above 0.
            RuntimeError: this was closed meanwhile. A push may be stored.
        """
        _check_coroutine(coroutine)
        try:
            check_timeout(timeout)
            _refuse_event_loop()
            call = self._get_loop().make_call(coroutine)
        except BaseException:
            coroutine.close()  # or Python would warn that nobody has awaited it
            raise
        return call.run(timeout)

    def iterate(self, items: AsyncIterator[T], *, timeout: float | None = None) -> Iterator[T]:
        """Walk an asynchronous iterator, with a call for each item.

        ``timeout`` applies to each call: see `run`.
        """

        async def get_next() -> tuple[T] | None:
            try:
                return (await anext(items),)
            except StopAsyncIteration:
                return None

        while (found := self.run(get_next(), timeout=timeout)) is not None:
            yield found[0]

    def close(self) -> None:
        """Cancel the calls that run, wait for their end, and close the event loop.

        Later calls are refused. A call that does not end within 30 seconds is left alone.

        Raises:
            RuntimeError: this thread is that of the event loop.
        """
        loop = self._loops.get(os.getpid())
        if loop is not None and loop.is_current():
            raise RuntimeError("the event loop cannot wait for its own end: close it elsewhere")
        self._is_closed = True
        _close_own(self._loops)

    def __enter__(self) -> Self:
        """Return itself. The thread begins with the first call."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _get_loop(self) -> "_Loop":
        pid = os.getpid()
        loop = self._loops.get(pid)
        if loop is None:
            # Several threads may come here at once: all of them get the first one.
            loop = self._loops.setdefault(pid, _Loop(self._name, self._loop_factory))
            if self._is_closed:
                loop.close()
        return loop


class _Loop:
    """An event loop, its thread, and the calls that run in it, in one process."""

    def __init__(self, name: str, factory: LoopFactory) -> None:
        self._factory = factory
        # A signal handler, or a `__del__`, may call while its own thread has the lock.
        self._lock = RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=self._serve, name=name, daemon=True)
        self._calls: set[Call[Any]] = set()
        self._is_closing = False

    def make_call(self, coroutine: Coroutine[Any, Any, T]) -> Call[T]:
        """Return a call, once the thread has begun."""
        with self._lock:
            self._refuse_when_closed()
            loop = self._loop or self._start()
        return Call(coroutine, loop, self._calls, self._begin)

    def _begin(self, call: Call[Any]) -> None:
        with self._lock:  # what is accepted comes before the end of the loop
            if self._is_closing:
                call.abandon()
            self._refuse_when_closed()
            self._calls.add(call)
            self._get_loop().call_soon_threadsafe(call.start)

    def _refuse_when_closed(self) -> None:
        if self._is_closing:
            raise RuntimeError("the event loop is closed")

    def close(self) -> None:
        """Cancel all, and wait for the end, except in its own thread."""
        with self._lock:
            was_closing, self._is_closing = self._is_closing, True
            if self._loop is not None and not was_closing:
                for each in self._calls.copy():
                    each.shut()
                self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread.is_alive() and not self.is_current():
            self._thread.join(LONGEST_END)

    def is_current(self) -> bool:
        """Tell whether this runs in its thread."""
        return current_thread() is self._thread

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = self._factory()
        self._loop = loop
        try:
            self._thread.start()
        except BaseException:
            self._loop = None
            loop.close()
            raise
        return loop

    def _serve(self) -> None:
        runner = asyncio.Runner(loop_factory=self._get_loop)
        loop = runner.get_loop()
        try:
            while not self._is_closing:
                with suppress(SystemExit, KeyboardInterrupt):  # of a coroutine: its caller's
                    loop.run_forever()
        finally:
            # At the exit, Python 3.12 starts no thread that waits for those of `asyncio.to_thread`.
            with suppress(RuntimeError):
                runner.close()
            for each in self._calls.copy():
                each.abandon()

    def _get_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None  # noqa: S101 the thread has begun
        return self._loop


def run(coroutine: Coroutine[Any, Any, T], *, timeout: float | None = None) -> T:
    """Run a coroutine in the event loop that façades share: see `EventLoopThread.run`.

    Use it for objects that belong to an event loop, and for coroutines that have no façade::

        run(adapter.create_tables())
    """
    return shared_event_loop.run(coroutine, timeout=timeout)


def _check_coroutine(coroutine: object) -> None:
    if not iscoroutine(coroutine):
        raise TypeError(f"not the call of a coroutine function: {type(coroutine).__qualname__}")


def _refuse_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "an event loop runs in this thread, which a synchronous call would block: `await` the "
        "asynchronous object instead, as you can in a notebook, too"
    )


def check_timeout(timeout: float | None) -> None:
    """Refuse a timeout that is no number of seconds.

    Raises:
        ValueError: it is not above 0, or more than `threading.TIMEOUT_MAX`.
    """
    if timeout is not None and not 0 < timeout < TIMEOUT_MAX:
        raise ValueError(f"timeout is a number of seconds above 0, and not {timeout!r}")


def _close_own(loops: dict[int, _Loop]) -> None:
    """Close the loop of this process."""
    if (loop := loops.get(os.getpid())) is not None:
        loop.close()


shared_event_loop: Final = EventLoopThread()
"""The one that façades share, unless they are given another one."""
