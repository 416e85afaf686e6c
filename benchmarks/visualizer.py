"""Times each page of the visualizer on a large store: no page may take more than 100 ms.

Run it with `uv run python benchmarks/visualizer.py`, for SQLite, or with `--postgres`, for which
`scripts/services start` starts a server. The store has 1,000,000 events of 100,000 aggregates, one
of which has 5,000 events and no snapshot. A page is asked for by its path, without a network.
"""

import asyncio
import sys
from argparse import ArgumentParser
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final, NamedTuple, TypedDict
from uuid import uuid4

from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import Event, EventRecord, EventStore, GroupedRecord
from castore_sql import SQLEventStorageAdapter
from castore_visualizer import create_app
from postgres_server import SERVER
from report import describe_environment, print_environment

EVENTS: Final = 1_000_000
LONG: Final = 5_000
EVENTS_OF_AN_AGGREGATE: Final = 10
GROUP: Final = 2_000
ROUNDS: Final = 21
LIMIT: Final = 0.1  # seconds
START: Final = datetime(2024, 1, 1, tzinfo=UTC)
STORE: Final = "ACCOUNTS"
RARE: Final = "BRANCHES"


class Amount(TypedDict):
    """How much money moved."""

    cents: int


class Deposited(Event, type="DEPOSITED"):
    """Money came in."""

    payload: Amount
    metadata: dict[str, str]


class Closed(Event, type="CLOSED"):
    """The account was closed; one event of this rare type is the first of the log."""


@dataclass(frozen=True)
class Account:
    """An account."""

    aggregate_id: str
    version: int
    cents: int = 0


def reduce_account(account: Account | None, event: Deposited | Closed) -> Account:
    """Return the account after the event."""
    account = account or Account(event.aggregate_id, 0)
    cents = event.payload["cents"] if isinstance(event, Deposited) else 0
    return replace(account, version=event.version, cents=account.cents + cents)


def make_store(name: str, adapter: SQLEventStorageAdapter) -> EventStore[Any, Any]:
    """Return an event store."""
    return EventStore(
        name, event_types=[Deposited, Closed], reduce=reduce_account, storage_adapter=adapter
    )


def list_pages(number: int) -> dict[str, str]:
    """Return the addresses of pages; those of one aggregate or moment are in the middle."""
    middle = (number - LONG) // EVENTS_OF_AN_AGGREGATE // 2
    account, request = f"account-{middle}", f"r-{(LONG + middle * EVENTS_OF_AN_AGGREGATE) // 3}"
    day = (START + timedelta(seconds=number // 2)).date()
    days = f"after={day}&before={day + timedelta(days=1)}"
    return {
        "stores": "/",
        "stores, counted": "/counts",
        "rates": "/rates.json",
        "search by id": f"/search?q={account}",
        "aggregates": f"/aggregates?store={STORE}",
        "aggregates, oldest first": f"/aggregates?store={STORE}&order=oldest",
        "aggregates, part of an id": f"/aggregates?store={STORE}&q=nobody-has-it",
        "aggregates of a day": f"/aggregates?store={STORE}&{days}",
        "aggregate": f"/aggregate?store={STORE}&id={account}&version=5",
        "aggregate, 5,000 events": f"/aggregate?store={STORE}&id=long",
        "difference": f"/diff?store={STORE}&id={account}&from=1&to=9",
        "log": "/log",
        "log of a store": f"/log?store={STORE}",
        "log of a rare store": f"/log?store={RARE}",
        "log of a rare type": "/log?type=CLOSED",
        "log of an aggregate": f"/log?id={account}",
        "log before a moment": f"/log?before={day}T12:00",
        "correlation": f"/correlation?id={request}&store={STORE}&aggregate={account}&version=1",
    }


async def fill(adapter: SQLEventStorageAdapter, number: int) -> None:
    """Push a rare event, and then ``number`` others: a long aggregate first, then short ones."""
    opened = EventRecord("first", 1, "CLOSED", START)
    await adapter.push_event(RARE, opened)  # before all others: reading backwards, it is the last
    group: list[GroupedRecord] = []
    for index in range(number):
        if index < LONG:
            aggregate_id, version = "long", index + 1
        else:
            account, place = divmod(index - LONG, EVENTS_OF_AN_AGGREGATE)
            aggregate_id, version = f"account-{account}", place + 1
        moment = START + timedelta(seconds=index)
        metadata = {"correlation_id": f"r-{index // 3}"}
        record = EventRecord(
            aggregate_id, version, "DEPOSITED", moment, {"cents": index}, {**metadata}
        )
        group.append(GroupedRecord(STORE, record, adapter))
        if len(group) == GROUP:
            await adapter.push_event_group(group)
            group.clear()
    if group:
        await adapter.push_event_group(group)


async def measure(app: Any, path: str, rounds: int) -> list[float]:
    """Return the seconds that a page took in each round, after one that does not count."""
    await ask(app, path)
    return [await time_page(app, path) for _ in range(rounds)]


async def time_page(app: Any, path: str) -> float:
    """Return the seconds that a page takes."""
    began = perf_counter()
    status = await ask(app, path)
    seconds = perf_counter() - began
    if status not in {200, 303}:
        raise RuntimeError(f"{path}: {status}")
    return seconds


async def ask(app: Any, address: str) -> int:
    """Ask for a page, and return its status when all of it has come."""
    path, _, query = address.partition("?")
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "server": ("localhost", 80),
    }
    await app(scope, receive, send)
    return statuses[0]


class Database(NamedTuple):
    """A storage, and a function that does the work of autovacuum on a server that has it."""

    adapter: SQLEventStorageAdapter
    analyze: Callable[[], Awaitable[None]]


@asynccontextmanager
async def open_sqlite() -> AsyncGenerator[Database]:
    """Give an empty database of SQLite, which needs no statistics here."""

    async def analyze() -> None:
        """Leave it as it is."""

    with TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'events.db'}")
        yield Database(SQLEventStorageAdapter(engine), analyze)
        engine.dispose()


@asynccontextmanager
async def open_postgres() -> AsyncGenerator[Database]:
    """Give an empty table of PostgreSQL."""
    engine = create_async_engine(make_url(SERVER).set(drivername="postgresql+asyncpg"))
    table = f"visualizer_{uuid4().hex[:8]}"

    async def analyze() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("ANALYZE"))

    yield Database(SQLEventStorageAdapter(engine, table_name=table), analyze)
    async with engine.begin() as connection:
        await connection.execute(text(f"DROP TABLE {table}"))
    await engine.dispose()


async def run(*, is_postgres: bool, number: int, rounds: int, console: Console) -> bool:
    """Measure all pages, print them, and tell whether all are fast enough."""
    opened = open_postgres() if is_postgres else open_sqlite()
    async with opened as (adapter, analyze):
        await adapter.create_tables()
        began = perf_counter()
        await fill(adapter, number)
        await analyze()
        console.print(f"{number:,} events, pushed in {perf_counter() - began:.0f} s")
        app = create_app([make_store(each, adapter) for each in (STORE, RARE)])
        began = perf_counter()
        await ask(app, "/counts")
        console.print(f"first count: {(perf_counter() - began) * 1000:.0f} ms")
        pages = list_pages(number)
        found = {name: await measure(app, path, rounds) for name, path in pages.items()}
    table = Table("page", "median", "9 of 10", title="PostgreSQL" if is_postgres else "SQLite")
    for name, seconds in found.items():
        table.add_row(
            name, *(f"{each * 1000:.1f} ms" for each in (median(seconds), _ninth(seconds)))
        )
    console.print(table)
    return all(median(each) <= LIMIT for each in found.values())


def _ninth(seconds: list[float]) -> float:
    return quantiles(seconds, n=10)[-1]


def main() -> int:
    """Run, and return the exit code: 1 if a page is too slow."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL, and not on SQLite")
    parser.add_argument("--events", type=int, default=EVENTS, help="10,000 or more")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    console = Console(width=100)
    print_environment(console, describe_environment())
    is_fast = asyncio.run(
        run(
            is_postgres=arguments.postgres,
            number=arguments.events,
            rounds=arguments.rounds,
            console=console,
        )
    )
    return 0 if is_fast else 1


if __name__ == "__main__":
    sys.exit(main())
