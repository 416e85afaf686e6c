"""An event loop in a thread of its own runs coroutines for synchronous programs."""

import asyncio
import gc
import signal
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar

import pytest

from castore_core import CallingThread, find_calling_thread
from castore_core.sync import EventLoopThread, run

user: ContextVar[str] = ContextVar("user", default="nobody")


@pytest.fixture
def event_loop() -> Iterator[EventLoopThread]:
    """Give an event loop, and close it."""
    with EventLoopThread() as event_loop:
        yield event_loop


async def double(number: int) -> int:
    """Return twice as much, a little later."""
    await asyncio.sleep(0)
    return 2 * number


async def fail(error: BaseException) -> None:
    """Raise an error."""
    await asyncio.sleep(0)
    raise error


def in_thread(function: Callable[[], object]) -> threading.Thread:
    """Call a function in another thread."""
    thread = threading.Thread(target=function)
    thread.start()
    return thread


class Job:
    """A coroutine that waits, and says how it ended."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.ending = ""

    async def work(self, *, rest: float = 0.0, ignores: bool = False) -> str:
        """Wait for a cancellation, and take some time to end."""
        self.has_begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(rest)
            self.ending = "cancelled"
            if not ignores:
                raise
        return "done"


def test_results_and_errors(event_loop: EventLoopThread) -> None:
    """A call returns the result of its coroutine, or raises its error."""
    assert 4 == event_loop.run(double(2))
    with pytest.raises(ZeroDivisionError):
        event_loop.run(fail(ZeroDivisionError()))
    assert 6 == event_loop.run(double(3))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_errors_that_end_programs(event_loop: EventLoopThread, error: BaseException) -> None:
    """Errors that end programs reach the caller, and the event loop goes on."""
    with pytest.raises(type(error)):
        event_loop.run(fail(error))

    assert 4 == event_loop.run(double(2))


def test_one_loop_for_all_calls(event_loop: EventLoopThread) -> None:
    """Calls share the event loop, so that objects which are bound to it can be used again."""

    async def get_loop() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
        return asyncio.get_running_loop(), threading.current_thread()

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(lambda: event_loop.run(get_loop())) for _ in range(20)]
    found = {each.result() for each in jobs}
    found.add(event_loop.run(get_loop()))

    assert 1 == len(found)
    assert threading.current_thread() not in {thread for _, thread in found}


def test_a_loop_of_ones_own_making() -> None:
    """A factory may make the event loop."""
    made: list[asyncio.AbstractEventLoop] = []

    def make() -> asyncio.AbstractEventLoop:
        made.append(asyncio.new_event_loop())
        return made[0]

    async def get_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    with EventLoopThread(loop_factory=make) as event_loop:
        assert event_loop.run(get_loop()) is made[0]
    assert made[0].is_closed()


def test_calls_of_several_threads_run_at_once(event_loop: EventLoopThread) -> None:
    """No call waits for another."""
    barrier = asyncio.Barrier(3)

    async def meet() -> None:
        await barrier.wait()

    threads = [in_thread(lambda: event_loop.run(meet(), timeout=20)) for _ in range(3)]
    for each in threads:
        each.join(20)

    assert not any(each.is_alive() for each in threads)


def test_context_variables(event_loop: EventLoopThread) -> None:
    """A coroutine sees those of its caller, and so do its tasks; what it sets stays there."""

    async def get_user() -> str:
        return user.get()

    async def get_users() -> tuple[str, str]:
        found = user.get(), await asyncio.create_task(get_user())
        user.set("somebody")
        return found

    token = user.set("Ada")
    try:
        assert ("Ada", "Ada") == event_loop.run(get_users())
        assert "Ada" == user.get()
    finally:
        user.reset(token)


async def test_a_running_loop_is_refused(event_loop: EventLoopThread) -> None:
    """Inside an event loop, a call would block it: nothing runs, and the error names the way."""
    coroutine = double(2)
    with pytest.raises(RuntimeError, match="`await` the asynchronous object instead"):
        event_loop.run(coroutine)

    with pytest.raises(RuntimeError, match="cannot reuse"):
        await coroutine  # it was closed: Python warns of nothing


def test_its_own_thread_is_refused(event_loop: EventLoopThread) -> None:
    """A coroutine cannot call its event loop synchronously, or close it."""

    async def call() -> None:
        with pytest.raises(RuntimeError, match="an event loop runs in this thread"):
            event_loop.run(double(2))
        with pytest.raises(RuntimeError, match="cannot wait for its own end"):
            event_loop.close()

    event_loop.run(call())
    assert 4 == event_loop.run(double(2))


def test_a_thread_of_a_coroutine_may_call(event_loop: EventLoopThread) -> None:
    """Calls may be nested, where another thread makes the inner one."""

    async def call() -> int:
        return await asyncio.to_thread(lambda: event_loop.run(double(2)))

    assert 4 == event_loop.run(call())


def test_what_is_no_coroutine(event_loop: EventLoopThread) -> None:
    """An object that is no coroutine is refused, and so is a bad timeout."""
    with pytest.raises(TypeError, match="not the call of a coroutine function: int"):
        event_loop.run(4)  # type: ignore[arg-type]
    for each in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="above 0"):
            event_loop.run(double(2), timeout=each)


def test_timeout(event_loop: EventLoopThread) -> None:
    """A timeout cancels the coroutine, and is raised when that has ended."""
    job = Job()
    with pytest.raises(TimeoutError, match=r"took longer than 0\.05 s, and was cancelled"):
        event_loop.run(job.work(rest=0.1), timeout=0.05)

    assert "cancelled" == job.ending
    assert 4 == event_loop.run(double(2), timeout=10)


def test_timeout_of_what_was_decided(event_loop: EventLoopThread) -> None:
    """The result or error of a coroutine that ends in spite of its cancellation is not lost."""
    assert "done" == event_loop.run(Job().work(ignores=True), timeout=0.05)

    async def refuse() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("refused") from None

    with pytest.raises(ValueError, match="refused"):
        event_loop.run(refuse(), timeout=0.05)


class Alarm(BaseException):
    """Raised by a handler of a signal."""


Interrupt = Callable[..., None]


@pytest.fixture
def interrupt_after() -> Iterator[Interrupt]:
    """Give a function that interrupts this thread, each time after some seconds."""
    threads: list[threading.Thread] = []

    def interrupt(*_: object) -> None:
        raise Alarm

    def interrupt_after(*pauses: float) -> None:
        def send() -> None:
            for each in pauses:
                time.sleep(each)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

        threads.append(in_thread(send))

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield interrupt_after
    for each in threads:
        each.join()
    signal.signal(signal.SIGUSR1, before)


def test_an_interruption(event_loop: EventLoopThread, interrupt_after: Interrupt) -> None:
    """An error of a signal handler cancels the coroutine, and is raised when that has ended."""
    job = Job()
    interrupt_after(0.2)
    with pytest.raises(Alarm):
        event_loop.run(job.work(rest=0.05))

    assert "cancelled" == job.ending
    assert 4 == event_loop.run(double(2))


def test_an_interruption_of_what_was_decided(
    event_loop: EventLoopThread, interrupt_after: Interrupt
) -> None:
    """A note on the interruption tells how the call ended."""
    interrupt_after(0.2)
    with pytest.raises(Alarm) as caught:
        event_loop.run(Job().work(ignores=True))

    assert ["the call returned all the same"] == caught.value.__notes__


def test_a_second_interruption(event_loop: EventLoopThread, interrupt_after: Interrupt) -> None:
    """A second interruption does not wait for the coroutine, and the event loop goes on."""
    job = Job()
    interrupt_after(0.1, 0.2)
    began = time.monotonic()
    with pytest.raises(Alarm):
        event_loop.run(job.work(rest=1))

    assert "" == job.ending
    assert time.monotonic() - began < 0.9
    assert 4 == event_loop.run(double(2))


def test_an_interruption_while_the_loop_stands_still(
    event_loop: EventLoopThread, interrupt_after: Interrupt
) -> None:
    """A second interruption ends a call even if its coroutine blocks the event loop."""

    async def block() -> None:
        time.sleep(1)  # noqa: ASYNC251 as a careless handler does

    interrupt_after(0.1, 0.2)
    began = time.monotonic()
    with pytest.raises(Alarm):
        event_loop.run(block())

    assert time.monotonic() - began < 0.9
    assert 4 == event_loop.run(double(2))


def test_close_while_calls_run() -> None:
    """Closing cancels the calls that run, and their callers and later ones get an error."""
    event_loop = EventLoopThread()
    job = Job()
    errors: list[Exception] = []

    def call() -> None:
        try:
            event_loop.run(job.work(rest=0.1))
        except RuntimeError as error:
            errors.append(error)

    thread = in_thread(call)
    assert job.has_begun.wait(20)
    event_loop.close()
    thread.join(20)
    event_loop.close()

    assert ["the event loop was closed, and the call cancelled"] == [
        str(each).partition(":")[0] for each in errors
    ]
    assert "cancelled" == job.ending
    with pytest.raises(RuntimeError, match="the event loop is closed"):
        event_loop.run(double(2))


def test_close_before_the_first_call() -> None:
    """A call after the close begins no thread."""
    with EventLoopThread(name="never") as event_loop:
        assert "EventLoopThread(name='never')" == repr(event_loop)
    with pytest.raises(RuntimeError, match="the event loop is closed"):
        event_loop.run(double(2))

    assert "never" not in {each.name for each in threading.enumerate()}


def test_calls_while_it_is_closed() -> None:
    """Each of many calls returns, or is refused: none waits for ever."""
    for _ in range(20):
        event_loop = EventLoopThread()

        def call(event_loop: EventLoopThread = event_loop) -> None:
            with suppress(RuntimeError):
                while True:
                    event_loop.run(double(2))

        threads = [in_thread(call) for _ in range(4)]
        time.sleep(0.005)
        event_loop.close()
        for each in threads:
            each.join(20)

        assert not any(each.is_alive() for each in threads)


def test_a_forgotten_one_ends() -> None:
    """The thread does not outlive the object."""
    event_loop = EventLoopThread(name="forgotten")
    event_loop.run(double(2))
    reference = weakref.ref(event_loop)
    del event_loop
    gc.collect()

    assert reference() is None
    assert "forgotten" not in {each.name for each in threading.enumerate()}


def test_nothing_is_kept_alive(event_loop: EventLoopThread) -> None:
    """Results and errors are freed with the last reference, without a collection."""

    class Value:
        pass

    class ValueHeldError(Exception):
        pass

    async def make() -> Value:
        return Value()

    gc.disable()
    try:
        value = weakref.ref(event_loop.run(make()))
        error: ValueHeldError | None = ValueHeldError()
        reference = weakref.ref(error)
        with pytest.raises(ValueHeldError):
            event_loop.run(fail(error))
        event_loop.run(double(2))
        del error
        assert value() is None
        gc.enable()
        gc.collect()
        assert reference() is None
    finally:
        gc.enable()


async def count(most: int, closed: list[int]) -> AsyncIterator[int]:
    """Count up."""
    try:
        for each in range(most):
            await asyncio.sleep(0)
            yield each
    finally:
        closed.append(most)


def test_iterate(event_loop: EventLoopThread) -> None:
    """An asynchronous iterator is walked as far as it is asked for."""
    closed: list[int] = []
    assert [0, 1, 2] == list(event_loop.iterate(count(3, closed)))

    items = event_loop.iterate(count(5, closed))
    assert 0 == next(items)
    assert 1 == next(items)
    assert [3] == closed


def test_the_shared_one() -> None:
    """The function `run` uses the shared event loop."""
    assert 4 == run(double(2), timeout=10)


def test_the_calling_thread_serves(event_loop: EventLoopThread) -> None:
    """A coroutine lets its caller's thread call functions, in their order."""

    async def call() -> list[object]:
        caller = find_calling_thread()
        assert caller is not None
        assert caller.is_alone
        with pytest.raises(ZeroDivisionError):
            await caller.run(lambda: 1 / 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await caller.run(lambda: next(iter(())))
        return await asyncio.gather(*[caller.run(threading.current_thread) for _ in range(3)])

    assert [threading.current_thread()] * 3 == event_loop.run(call())
    assert find_calling_thread() is None


def test_the_calling_thread_may_call(event_loop: EventLoopThread) -> None:
    """A function that the calling thread serves may call the event loop itself."""

    async def call() -> int:
        caller = find_calling_thread()
        assert caller is not None
        return await caller.run(lambda: event_loop.run(double(2)))

    assert 4 == event_loop.run(call())


def test_the_calling_thread_serves_a_coroutine_that_ends(event_loop: EventLoopThread) -> None:
    """A coroutine that was cancelled may still use it to clean up."""
    done: list[str] = []

    async def call() -> None:
        caller = find_calling_thread()
        assert caller is not None
        try:
            await asyncio.sleep(60)
        finally:
            await caller.run(lambda: done.append("rolled back"))

    with pytest.raises(TimeoutError):
        event_loop.run(call(), timeout=0.05)

    assert ["rolled back"] == done


def test_an_interruption_of_the_calling_thread(event_loop: EventLoopThread) -> None:
    """An interruption of a served function ends the call, and is raised."""
    endings: list[str] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def call() -> None:
        caller = find_calling_thread()
        assert caller is not None
        try:
            await caller.run(interrupt)
        except asyncio.CancelledError:
            endings.append("cancelled")
            raise

    with pytest.raises(KeyboardInterrupt):
        event_loop.run(call())

    assert ["cancelled"] == endings


def test_the_calling_thread_leaves(event_loop: EventLoopThread) -> None:
    """A task that outlives the call is told that nobody serves it any more."""
    tasks: list[asyncio.Task[object]] = []
    callers: list[CallingThread] = []

    async def outlive() -> object:
        caller = find_calling_thread()
        assert caller is not None
        callers.append(caller)
        await asyncio.sleep(0.05)
        assert not caller.is_alone
        return await caller.run(threading.current_thread)

    async def call() -> None:
        tasks.append(asyncio.create_task(outlive()))
        await asyncio.sleep(0)

    async def join() -> None:
        with pytest.raises(RuntimeError, match="does not wait any more"):
            await tasks[0]

    event_loop.run(call())
    assert [False] == [each.is_waiting for each in callers]
    event_loop.run(join())

    assert [threading.current_thread()] == [each.thread for each in callers]


def test_the_calling_thread_of_another_loop(event_loop: EventLoopThread) -> None:
    """Another event loop in a thread of a coroutine has no calling thread."""

    async def find() -> CallingThread | None:
        return find_calling_thread()

    async def call() -> CallingThread | None:
        return await asyncio.to_thread(lambda: asyncio.run(find()))

    assert event_loop.run(call()) is None


def test_several_callers_are_not_alone(event_loop: EventLoopThread) -> None:
    """A coroutine knows whether others wait for the event loop."""
    job = Job()

    async def is_alone() -> bool:
        caller = find_calling_thread()
        assert caller is not None
        return caller.is_alone

    def call() -> None:
        with pytest.raises(TimeoutError):
            event_loop.run(job.work(), timeout=1)

    thread = in_thread(call)
    assert job.has_begun.wait(20)
    assert not event_loop.run(is_alone())
    thread.join(20)
    assert event_loop.run(is_alone())
