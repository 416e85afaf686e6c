"""A process whose tasks write events to a server, some of them in transactions that stay open.

``python log_writers.py NAME URL CONNECT_ARGS TRANSACTIONS`` writes the line ``ready``, waits for a
line, runs so many transactions in `WRITERS` tasks, and writes a `Report` as JSON. NAME is part of
the ids of its aggregates.
"""

import asyncio
import json
import sys
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    StorageError,
    VersionGapError,
)
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
STORES = ("LEFT", "RIGHT")
SHARED = [f"shared-{number}" for number in range(4)]
WRITERS = 8  # half of them in transactions of their own
LONG_HOLD = 0.2  # seconds, once a process, in which others write a lot
HOLD = 0.005


class RollBack(Exception):  # noqa: N818 no error
    """Ends a transaction without a commit."""


@dataclass
class Report:
    """What a process has done."""

    committed: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])
    transactions: int = 0
    rolled_back: int = 0
    held: int = 0
    conflicts: int = 0
    failed: int = 0


class Writer:
    """Writes to aggregates of its own, and to some that all writers share."""

    def __init__(self, name: str, engine: AsyncEngine, report: Report) -> None:
        self.name = name
        self._engine = engine
        self._adapter = SQLEventStorageAdapter(engine)
        self._report = report
        self._versions: dict[tuple[str, str], int] = {}

    async def push_plainly(self, numbers: list[int]) -> None:
        """Push without a transaction, so that pushes share commits; every fourth is a group."""
        for number in numbers:
            if number % 8 == 3:
                places = await self._push_shared(self._adapter, number)
            elif number % 4 == 0:
                places = [self._get_next(store, number) for store in STORES]
                await self._adapter.push_event_group(
                    [
                        GroupedRecord(store, to_record(aggregate_id, version), self._adapter)
                        for store, aggregate_id, version in places
                    ]
                )
            else:
                places = [self._get_next("LEFT", number)]
                await push(self._adapter, places[0])
            self._commit(places)
            self._report.transactions += 1

    async def push_inside(self, numbers: list[int], first_hold: float) -> None:
        """Push in transactions: every 50th is held open, and every 100th rolls back."""
        for count, number in enumerate(numbers):
            self._report.transactions += 1
            hold = first_hold if count == 0 else HOLD if count % 50 == 10 else 0.0
            try:
                places = await self._transact(number, hold, rolls_back=count % 100 == 60)
            except RollBack:
                self._report.rolled_back += 1
            except StorageError as error:  # a deadlock, say
                print(error, file=sys.stderr)  # noqa: T201 the test shows it
                self._report.failed += 1
            else:
                self._commit(places)

    async def _transact(
        self, number: int, hold: float, *, rolls_back: bool
    ) -> list[tuple[str, str, int]]:
        async with self._engine.begin() as connection:
            inner = self._adapter.within(connection)
            places = [self._get_next("RIGHT", number)]
            await push(inner, places[0])
            if number % 5 == 0:
                places.append(self._get_next("LEFT", number))
                await push(inner, places[1])
            if hold:
                self._report.held += 1
                await asyncio.sleep(hold)
            if number % 3 == 0:
                places += await self._push_shared(inner, number)
            if rolls_back:
                raise RollBack
        return places

    async def _push_shared(
        self, adapter: SQLEventStorageAdapter, number: int
    ) -> list[tuple[str, str, int]]:
        """Push the next version of an aggregate, unless somebody else does."""
        aggregate_id = SHARED[number % len(SHARED)]
        last = await adapter.get_events("LEFT", aggregate_id, reverse=True, limit=1)
        place = ("LEFT", aggregate_id, last[0].version + 1 if last else 1)
        try:
            await push(adapter, place)
        except (EventAlreadyExistsError, VersionGapError):
            self._report.conflicts += 1
            return []
        return [place]

    def _get_next(self, store: str, number: int) -> tuple[str, str, int]:
        aggregate_id = f"{self.name}-{number % 3}"
        return store, aggregate_id, self._versions.get((store, aggregate_id), 0) + 1

    def _commit(self, places: list[tuple[str, str, int]]) -> None:
        self._report.committed += places
        for store, aggregate_id, version in places:
            self._versions[store, aggregate_id] = version


def to_record(aggregate_id: str, version: int) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT)


async def push(adapter: SQLEventStorageAdapter, place: tuple[str, str, int]) -> None:
    """Push one event."""
    store, aggregate_id, version = place
    await adapter.push_event(store, to_record(aggregate_id, version))


async def write(name: str, url: str, connect_args: dict[str, Any], transactions: int) -> Report:
    """Run all writers of this process, when a line was read."""
    engine = create_async_engine(url, connect_args=connect_args, pool_size=2 * WRITERS)
    report = Report()
    numbers = list(range(transactions))
    writes: list[Coroutine[Any, Any, None]] = []
    for writer in range(WRITERS):
        each = Writer(f"{name}-{writer}", engine, report)
        own = numbers[writer::WRITERS]
        if writer % 2:
            writes.append(each.push_plainly(own))
        else:
            writes.append(each.push_inside(own, LONG_HOLD if writer == 0 else 0.0))
    async with engine.connect():  # everything is imported
        print("ready", flush=True)  # noqa: T201 the protocol
        await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*writes)
    await engine.dispose()
    return report


def main(name: str, url: str, connect_args: str, transactions: str) -> None:
    """Be a process of writers."""
    report = asyncio.run(write(name, url, json.loads(connect_args), int(transactions)))
    print(json.dumps(asdict(report)))  # noqa: T201 the protocol


if __name__ == "__main__":
    main(*sys.argv[1:])
