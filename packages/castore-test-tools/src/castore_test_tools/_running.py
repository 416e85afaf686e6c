"""How contract suites run things at once, in pieces and elsewhere."""

import asyncio
import pickle
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from inspect import isawaitable
from typing import Any, Final, TypeVar, cast

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    EventStorageAdapter,
    JSONValue,
    VersionGapError,
)
from castore_test_tools._time_limit import run_in_new_loop
from castore_test_tools._values import make_record

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

CANCELLED_AFTER: Final = [0, 1, 2, 4, 20]
"""After how many turns of other tasks pushes are cancelled."""

_AT_ONCE = 50
_LOOPS = 3
_MOST_READS = 12
_MOST_ATTEMPTS = 500


async def push_all(
    adapter: EventStorageAdapter,
    event_store_id: str,
    records: Sequence[EventRecord],
    *,
    force: bool = False,
) -> None:
    """Push events, many at a time and in no order. Several versions of an aggregate need force."""
    for start in range(0, len(records), _AT_ONCE):
        batch = records[start : start + _AT_ONCE]
        await asyncio.gather(
            *(adapter.push_event(event_store_id, each, force=force) for each in batch)
        )


async def push_in_order(
    adapter: EventStorageAdapter,
    event_store_id: str,
    records: Iterable[EventRecord],
    *,
    force: bool = False,
) -> None:
    """Push events one after the other. Versions in another order than theirs need force."""
    for each in records:
        await adapter.push_event(event_store_id, each, force=force)


async def try_push(push: Awaitable[None]) -> EventAlreadyExistsError | None:
    """Wait for a push, and return the conflict that it raised, if it did."""
    try:
        await push
    except EventAlreadyExistsError as conflict:
        return conflict
    return None


async def try_version(
    push: Awaitable[None],
) -> EventAlreadyExistsError | VersionGapError | None:
    """Wait for a push, and return the error about its version that it raised, if it did."""
    try:
        return await try_push(push)
    except VersionGapError as gap:
        return gap


async def try_versions_at_once(
    pushes: Iterable[Coroutine[Any, Any, None]],
) -> list[EventAlreadyExistsError | VersionGapError | None]:
    """Run pushes at once, and return the error about the version of each, if it had one."""
    return await asyncio.gather(*(try_version(each) for each in pushes))


async def push_at_once(
    pushes: Iterable[Coroutine[Any, Any, None]],
) -> list[EventAlreadyExistsError | None]:
    """Run pushes at once, and return the conflict of each, if it had one."""
    return await asyncio.gather(*(try_push(each) for each in pushes))


async def append(
    adapter: EventStorageAdapter,
    event_store_id: str,
    aggregate_id: str,
    payload: JSONValue,
    *,
    pause: int = 0,
) -> EventRecord:
    """Push an event as the next version, again and again until no other writer is faster.

    ``pause`` lets other tasks run so many times between reading and writing.
    """
    for _ in range(_MOST_ATTEMPTS):
        last = await adapter.get_events(event_store_id, aggregate_id, reverse=True, limit=1)
        for _ in range(pause):
            await asyncio.sleep(0)
        record = make_record(aggregate_id, last[0].version + 1 if last else 1, payload, payload)
        if await try_push(adapter.push_event(event_store_id, record)) is None:
            return record
    raise AssertionError(f"a writer had {_MOST_ATTEMPTS} conflicts, one after the other")


async def run_elsewhere(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in an event loop of its own, in another thread, and wait for it."""
    return await asyncio.to_thread(run_in_new_loop, work)


async def run_in_several_loops(work: Callable[[int], Coroutine[Any, Any, T]]) -> list[T]:
    """Run a coroutine in several event loops at a time, each with its number, in threads."""
    return await asyncio.gather(*(run_elsewhere(partial(work, each)) for each in range(_LOOPS)))


def thaw(error: E) -> E:
    """Return an error as another process gets it."""
    try:
        return cast("E", pickle.loads(pickle.dumps(error)))  # noqa: S301 our own
    except Exception as reason:
        raise AssertionError(
            f"{type(error).__name__} does not pickle: let it give all its arguments, which are "
            "positional, to super().__init__()"
        ) from reason


async def call(hook: Callable[..., Any], *arguments: Any) -> Any:
    """Call what a fixture of an adapter's suite returned, be it a coroutine function or not."""
    result = hook(*arguments)
    return await result if isawaitable(result) else result


async def close(adapter: Any) -> None:
    """Do to an adapter what its users may do at the end: leave its context, and close it."""
    if hasattr(adapter, "__aexit__"):
        await call(adapter.__aexit__, None, None, None)
    if hasattr(adapter, "aclose"):
        await call(adapter.aclose)
    if hasattr(adapter, "close"):
        await call(adapter.close)


async def delay(work: Coroutine[Any, Any, T], steps: int) -> T:
    """Run work after other tasks had so many turns."""
    for _ in range(steps):
        await asyncio.sleep(0)
    return await work


async def change_meanwhile(
    calls: Iterable[Coroutine[Any, Any, Any]], values: Iterable[dict[str, Any]]
) -> None:
    """Begin calls, change what they were given in all its depth, and wait for them."""
    begun = asyncio.gather(*calls)
    await asyncio.sleep(0)
    for each in values:
        for inner in each.values():
            inner.clear()
        each["new"] = True
    await begun


async def cancel_after(push: Coroutine[Any, Any, None], steps: int) -> bool:
    """Start a push, cancel it after other tasks had so many turns, and tell whether it returned."""
    task = asyncio.ensure_future(push)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    error = None if task.cancelled() else task.exception()
    assert not isinstance(error, EventAlreadyExistsError), "the cancelled push met no conflict"
    return not task.cancelled() and error is None


async def cancel_read(read: Coroutine[Any, Any, Any], steps: int) -> None:
    """Start a read, cancel it after other tasks had so many turns, and assert that it ends so."""
    task = asyncio.ensure_future(read)
    for _ in range(steps):
        await asyncio.sleep(0)
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), "a cancelled read went on"


async def read_at_each_turn(
    work: "asyncio.Future[Any]", reads: Sequence[Callable[[], Coroutine[Any, Any, T]]]
) -> list[T]:
    """Start reads at each turn of the event loop until work is done, and return what they read.

    So one of them reads between any two steps of the work. A few are under way at a time.
    """
    started: list[asyncio.Task[T]] = []
    while not work.done():
        if sum(not each.done() for each in started[-_MOST_READS:]) < _MOST_READS:
            started += [asyncio.ensure_future(read()) for read in reads]
        await asyncio.sleep(0)
    await work
    return await asyncio.gather(*started)


async def read_while(work: "asyncio.Future[Any]", read: Callable[[], Awaitable[T]]) -> list[T]:
    """Read again and again until work is done, and return all that was read."""
    reads: list[T] = []
    while not work.done():
        reads.append(await read())
        await asyncio.sleep(0)
    await work
    return reads
