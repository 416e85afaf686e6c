"""Tasks wait until something wakes them, whatever thread it comes from."""

import asyncio
import gc
import threading
import time
import weakref

from castore_sql._wakeup import Wakeup

TIMEOUT = 30


async def wait(wakeup: Wakeup) -> None:
    """Wait until something wakes."""
    with wakeup.listening() as woken:
        await asyncio.wait_for(woken, TIMEOUT)


async def test_nobody_waits() -> None:
    """Then there is nobody to wake, and nobody who comes later is woken for it."""
    wakeup = Wakeup()
    wakeup.wake()
    with wakeup.listening() as woken:
        await asyncio.sleep(0.01)
        assert not woken.done()


async def test_all_that_wait_are_woken() -> None:
    """One call wakes them all, once."""
    wakeup = Wakeup()
    with wakeup.listening() as first, wakeup.listening() as second:
        wakeup.wake()
        wakeup.wake()
        await asyncio.wait_for(asyncio.gather(first, second), TIMEOUT)


async def test_a_wake_before_the_wait_counts() -> None:
    """Whoever listens, and then does something else first, misses nothing."""
    wakeup = Wakeup()
    with wakeup.listening() as woken:
        wakeup.wake()
        await asyncio.sleep(0.01)
        assert woken.done()


async def test_nobody_listens_any_more() -> None:
    """After the context a future is left alone, and kept by nobody."""
    wakeup = Wakeup()
    with wakeup.listening() as woken:
        left = weakref.ref(woken)
    wakeup.wake()
    await asyncio.sleep(0.01)
    assert not woken.done()

    del woken
    gc.collect()
    assert left() is None


async def test_a_task_that_is_cancelled_is_not_woken() -> None:
    """A future that is done already, in whatever way, is no error."""
    wakeup = Wakeup()
    with wakeup.listening() as woken:
        wakeup.wake()
        woken.cancel()
        await asyncio.sleep(0.01)
        assert woken.cancelled()


def test_event_loops_of_other_threads() -> None:
    """A call in one thread wakes the event loops of all the others."""
    wakeup = Wakeup()
    barrier = threading.Barrier(5)

    async def wait_together() -> None:
        with wakeup.listening() as woken:
            barrier.wait(TIMEOUT)
            await asyncio.wait_for(woken, TIMEOUT)

    threads = [threading.Thread(target=lambda: asyncio.run(wait_together())) for _ in range(4)]
    for each in threads:
        each.start()
    barrier.wait(TIMEOUT)
    wakeup.wake()
    for each in threads:
        each.join(TIMEOUT)

    assert [False] * 4 == [each.is_alive() for each in threads]


def test_an_event_loop_that_was_closed() -> None:
    """It is passed over, and the others are woken."""
    wakeup = Wakeup()
    listening = wakeup.listening()

    async def listen_for_ever() -> None:
        listening.__enter__()

    async def wake() -> None:
        others = [asyncio.ensure_future(wait(wakeup)) for _ in range(3)]
        await asyncio.sleep(0.01)
        wakeup.wake()
        await asyncio.gather(*others)

    asyncio.run(listen_for_ever())
    asyncio.run(wake())
    listening.__exit__(None, None, None)


def test_many_threads_wake() -> None:
    """Threads that wake at the same time are no error, and nobody sleeps on."""
    wakeup = Wakeup()
    is_over = threading.Event()

    def wake() -> None:
        while not is_over.is_set():
            wakeup.wake()
            time.sleep(0)  # or else the event loop has to fight for its turn

    async def wait_many_times() -> None:
        for _ in range(200):
            await asyncio.gather(*(wait(wakeup) for _ in range(5)))

    threads = [threading.Thread(target=wake) for _ in range(3)]
    for each in threads:
        each.start()
    try:
        asyncio.run(wait_many_times())
    finally:
        is_over.set()
        for each in threads:
            each.join()
