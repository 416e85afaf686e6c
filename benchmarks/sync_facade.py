"""The cost of the façade for synchronous programs, beside the asynchronous store on SQLite."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from sqlalchemy import create_engine

from castore_core.sync import EventLoopThread, SyncEventStore
from castore_sql import SQLEventStorageAdapter
from measuring import Job, Measurement, Target, interleave
from sizes import Measurements, Sizes
from with_castore import OrderStore, make_event, make_store
from workload import make_id, make_payload

ASYNC = "async store"
ASYNC_IN_LOOP = "async store, commits in loop"
FACADE = "façade"
RUN = "asyncio.run for each call"
THREADS = 8
LENGTHS: Mapping[int, int] = {10: 50, 100: 10}
"""How many events are loaded, and how often in a round."""


class Program:
    """A program of each kind, which pushes and loads in a thread that has no event loop."""

    def __init__(self, store: OrderStore) -> None:
        self.store = store
        self._count = 0

    def push(self, count: int) -> None:
        """Push versions of a new aggregate."""
        raise NotImplementedError

    def load(self, aggregate_id: str, count: int) -> None:
        """Load an aggregate again and again."""
        raise NotImplementedError

    def push_at_once(self, count: int) -> None:
        """Push versions of several new aggregates at a time."""
        with ThreadPoolExecutor(THREADS) as pool:
            for each in [pool.submit(self.push, count) for _ in range(THREADS)]:
                each.result()

    def make_id(self) -> str:
        """Return a new id."""
        self._count += 1
        return make_id(f"sync {self._count}")


class Async(Program):
    """One event loop, as in an asynchronous program."""

    def push(self, count: int) -> None:
        """Push versions of a new aggregate."""
        asyncio.run(self._push(self.make_id(), count))

    def push_at_once(self, count: int) -> None:
        """Push from concurrent tasks."""
        asyncio.run(self._push_at_once(count))

    def load(self, aggregate_id: str, count: int) -> None:
        """Load an aggregate again and again."""
        asyncio.run(self._load(aggregate_id, count))

    async def _push(self, aggregate_id: str, count: int) -> None:
        for version in range(1, count + 1):
            await self.store.push_event(make_event(aggregate_id, version, make_payload(version)))

    async def _push_at_once(self, count: int) -> None:
        await asyncio.gather(*(self._push(self.make_id(), count) for _ in range(THREADS)))

    async def _load(self, aggregate_id: str, count: int) -> None:
        for _ in range(count):
            await self.store.get_existing_aggregate(aggregate_id)


class Facade(Program):
    """A façade."""

    def __init__(self, store: OrderStore, event_loop: EventLoopThread) -> None:
        super().__init__(store)
        self._facade = SyncEventStore(store, event_loop=event_loop)

    def push(self, count: int) -> None:
        """Push versions of a new aggregate."""
        aggregate_id = self.make_id()
        for version in range(1, count + 1):
            self._facade.push_event(make_event(aggregate_id, version, make_payload(version)))

    def load(self, aggregate_id: str, count: int) -> None:
        """Load an aggregate again and again."""
        for _ in range(count):
            self._facade.get_existing_aggregate(aggregate_id)


class Run(Program):
    """An event loop for each call."""

    def push(self, count: int) -> None:
        """Push versions of a new aggregate."""
        aggregate_id = self.make_id()
        for version in range(1, count + 1):
            event = make_event(aggregate_id, version, make_payload(version))
            asyncio.run(self.store.push_event(event))

    def load(self, aggregate_id: str, count: int) -> None:
        """Load an aggregate again and again."""
        for _ in range(count):
            asyncio.run(self.store.get_existing_aggregate(aggregate_id))


async def measure_sync(sizes: Sizes) -> Measurements:
    """Push one by one, from threads or tasks at once, and load."""
    async with _opened() as programs:
        pushes, of_one = sizes.pushes, sizes.pushes_of_a_writer
        jobs = {name: _make_job(partial(each.push, pushes)) for name, each in programs.items()}
        seconds = await interleave(jobs, rounds=sizes.rounds, operations=pushes)
        target = Target(FACADE, ASYNC, 1.3)
        yield Measurement("sync", "push, one by one", seconds, _baselines(seconds), [target])

        jobs = {
            name: _make_job(partial(programs[name].push_at_once, of_one))
            for name in (ASYNC, FACADE)
        }
        seconds = await interleave(jobs, rounds=sizes.rounds, operations=THREADS * of_one)
        title = f"push, {THREADS} threads or tasks"
        yield Measurement("sync", title, seconds, _baselines(seconds), is_rate=True)

        for length, times in LENGTHS.items():
            loads: dict[str, Job] = {}
            for name, each in programs.items():
                aggregate_id = each.make_id()
                await asyncio.to_thread(_fill, each.store, aggregate_id, length)
                loads[name] = _make_job(partial(each.load, aggregate_id, times))
            seconds = await interleave(loads, rounds=sizes.rounds, operations=times)
            title = f"load, {length} events"
            yield Measurement("sync", title, seconds, _baselines(seconds))


@asynccontextmanager
async def _opened() -> AsyncGenerator[dict[str, Program]]:
    with TemporaryDirectory(prefix="castore-bench-") as directory, EventLoopThread() as event_loop:
        path = Path(directory)
        engines = [create_engine(f"sqlite:///{path}/{number}.db") for number in range(4)]
        adapters = [
            SQLEventStorageAdapter(each, commits_in_loop=number == 1)
            for number, each in enumerate(engines)
        ]
        for each in adapters:
            await each.create_tables()
        one, two, three, four = map(make_store, adapters)
        yield {
            ASYNC: Async(one),
            ASYNC_IN_LOOP: Async(two),
            FACADE: Facade(three, event_loop),
            RUN: Run(four),
        }
        for engine in engines:
            engine.dispose()


def _make_job(work: Callable[[], None]) -> Job:
    """Return a job that is timed in a thread: no event loop runs there yet."""

    def time() -> float:
        began = perf_counter()
        work()
        return perf_counter() - began

    async def run(_: int) -> float:
        return await asyncio.to_thread(time)

    return run


def _fill(store: OrderStore, aggregate_id: str, length: int) -> None:
    async def fill() -> None:
        for version in range(1, length + 1):
            await store.push_event(make_event(aggregate_id, version, make_payload(version)))

    asyncio.run(fill())


def _baselines(names: Mapping[str, object]) -> dict[str, str]:
    return dict.fromkeys(names, ASYNC)
