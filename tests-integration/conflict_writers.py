"""A process whose tasks all write one aggregate, once each.

``python conflict_writers.py KIND URL COUNT`` writes the line ``ready``, waits for a line, runs a
command with its default options in each of the tasks, and writes how many attempts each took, as
JSON. A task that fails ends the process with its error.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import create_engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import AggregateCommands, Event, EventDraft, EventStore, command
from castore_sql import SQLEventStorageAdapter

AGGREGATE_ID = "contended"


class Counted(Event, type="COUNTED"):
    """One more."""


@dataclass(frozen=True)
class Counter:
    """How many there are."""

    aggregate_id: str
    version: int


def count(_: Counter | None, event: Counted) -> Counter:
    """Count one more."""
    return Counter(event.aggregate_id, event.version)


Store = EventStore[Counted, Counter]
Write = Callable[[], Awaitable[int]]


def make_aggregate_command(store: Store) -> Write:
    """Return a function that runs one of `AggregateCommands`, and returns its attempts."""

    async def write() -> int:
        attempts = 0
        commands = AggregateCommands(store)

        @commands.handler
        def add(_: Counter | None) -> EventDraft[Counted]:
            nonlocal attempts
            attempts += 1
            return Counted.draft()

        await add(AGGREGATE_ID)
        return attempts

    return write


def make_command(store: Store) -> Write:
    """Return a function that runs a `Command`, and returns its attempts."""

    @command("ADD", required_event_stores=(store,))
    async def add(attempts: list[int], event_stores: tuple[Store]) -> None:
        attempts[0] += 1
        (counters,) = event_stores
        counter = (await counters.get_aggregate(AGGREGATE_ID)).aggregate
        version = counter.version + 1 if counter else 1
        await counters.push_event(Counted(aggregate_id=AGGREGATE_ID, version=version))

    async def write() -> int:
        attempts = [0]
        await add(attempts, (store,))
        return attempts[0]

    return write


KINDS: dict[str, Callable[[Store], Write]] = {
    "aggregate-command": make_aggregate_command,
    "command": make_command,
}


async def run(kind: str, url: str, tasks: int) -> list[int]:
    """Write at the same time as other processes do, and return the attempts of each task."""
    is_async = make_url(url).get_dialect().is_async
    engine: Any = create_async_engine(url) if is_async else create_engine(url)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    store = EventStore("COUNTERS", event_types=[Counted], reduce=count, storage_adapter=adapter)
    write = KINDS[kind](store)
    await store.get_events(AGGREGATE_ID)  # opens a connection
    print("ready", flush=True)  # noqa: T201 the parent reads it
    sys.stdin.readline()
    attempts = await asyncio.gather(*(write() for _ in range(tasks)))
    disposal = engine.dispose()
    if disposal is not None:
        await disposal
    return attempts


if __name__ == "__main__":
    kind, url, tasks = sys.argv[1:]
    print(json.dumps(asyncio.run(run(kind, url, int(tasks)))))  # noqa: T201 the parent reads it
