"""A server is killed and started again in the middle of a load: nothing is lost or repeated.

``CASTORE_KILLS=20`` kills each server so many times.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Protocol

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    StorageError,
    UnknownOutcomeError,
)
from castore_sql import SQLEventStorageAdapter
from private_mysql import private_mysql_server
from private_postgresql import private_postgresql
from sql_servers import SYNC_DRIVERS, dispose

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
WRITERS = 16
KILLS = {"postgres": 3, "mariadb": 2, "mysql": 2}
numbers = random.Random(7)


class Server(Protocol):
    """A server that may be killed."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        ...

    def kill(self) -> None:
        """Kill it."""
        ...


DRIVERS = {
    "asyncpg": ("postgres", "postgresql+asyncpg"),
    "psycopg": ("postgres", "postgresql+psycopg"),
    "psycopg-sync": ("postgres", "postgresql+psycopg"),
    "asyncmy": ("mariadb", "mysql+asyncmy"),
    "pymysql": ("mariadb", "mysql+pymysql"),
    "asyncmy-mysql": ("mysql", "mysql+asyncmy"),
}


@pytest.fixture(scope="module")
def open_server() -> Generator[Callable[[str], tuple[Server, str]]]:
    """Give a function that returns a running server and its URL; all tests share it."""
    with ExitStack() as stack:
        opened: dict[str, tuple[Server, str]] = {}

        def open_one(name: str) -> tuple[Server, str]:
            if name not in opened:
                if name == "postgres":
                    postgres = stack.enter_context(private_postgresql())
                    opened[name] = (postgres, postgres.get_url().render_as_string())
                else:
                    mysql = stack.enter_context(private_mysql_server(name))
                    opened[name] = (mysql, mysql.url)
            return opened[name]

        yield open_one


class Load:
    """Writers, each with aggregates of its own, and what they were told."""

    def __init__(self, adapter: SQLEventStorageAdapter, run: str) -> None:
        self.acknowledged: dict[tuple[str, int], str] = {}
        self.open: dict[tuple[str, int], set[str]] = {}
        self.errors: Counter[str] = Counter()
        self.is_over = False
        self._adapter = adapter
        self._run = run

    async def write(self, number: int) -> None:
        """Push event after event, and groups; each is like no other."""
        names = [f"{self._run} {number} {each}" for each in "ab"]
        version = 1
        while not self.is_over:
            records = [
                EventRecord(name, version, "PUSHED", MOMENT, f"{numbers.getrandbits(60)}")
                for name in (names if number % 2 else names[:1])
            ]
            if await self._push(records):
                version += 1
            await asyncio.sleep(0)

    async def _push(self, records: list[EventRecord]) -> bool:
        keys = [(each.aggregate_id, each.version) for each in records]
        payloads = [str(each.payload) for each in records]
        try:
            if len(records) == 1:
                await self._adapter.push_event("STORE", records[0])
            else:
                await self._adapter.push_event_group(
                    [GroupedRecord("STORE", each, self._adapter) for each in records]
                )
        except UnknownOutcomeError:
            self.errors["unknown"] += 1
            for key, payload in zip(keys, payloads, strict=True):
                self.open.setdefault(key, set()).add(payload)
            return False
        except EventAlreadyExistsError:
            # Only a push whose outcome was unknown can be in the way.
            assert any(self.open.get(key) for key in keys)
            return True
        except StorageError as error:
            self.errors[str(error)] += 1
            await asyncio.sleep(0.02)
            return False
        self.acknowledged.update(zip(keys, payloads, strict=True))
        return True


@pytest.fixture
async def engine(
    driver: str, open_server: Callable[[str], tuple[Server, str]]
) -> AsyncIterator[Engine | AsyncEngine]:
    """Give an engine on a server that may be killed."""
    name, drivername = DRIVERS[driver]
    _, url = await asyncio.to_thread(open_server, name)
    make = create_engine if driver in {"psycopg-sync", "pymysql"} else create_async_engine
    engine = make(make_url(url).set(drivername=drivername))
    yield engine
    await dispose(engine)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_server_is_killed(
    driver: str,
    open_server: Callable[[str], tuple[Server, str]],
    engine: Engine | AsyncEngine,
) -> None:
    """All that was acknowledged is there, once, and the adapter goes on by itself."""
    name, _ = DRIVERS[driver]
    server, url = await asyncio.to_thread(open_server, name)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    load = Load(adapter, driver)
    writers = [asyncio.create_task(load.write(number)) for number in range(WRITERS)]
    for _ in range(int(os.environ.get("CASTORE_KILLS", KILLS[name]))):
        await asyncio.sleep(0.2 + numbers.random() / 2)
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(numbers.random() / 5)
        await asyncio.to_thread(server.start)
        before = len(load.acknowledged)
        async with asyncio.timeout(30):
            while len(load.acknowledged) < before + 2 * WRITERS:
                assert not any(each.done() for each in writers), writers
                await asyncio.sleep(0.01)
    load.is_over = True
    await asyncio.gather(*writers)

    stored = read_rows(name, url, driver)
    assert {} == {
        key: count for key, count in Counter(key for key, _ in stored).items() if count > 1
    }
    found = dict(stored)
    lost = {key: payload for key, payload in load.acknowledged.items() if found.get(key) != payload}
    assert {} == lost
    strange = {
        key
        for key, payload in stored
        if load.acknowledged.get(key) != payload and payload not in load.open.get(key, set())
    }
    assert set() == strange
    print(driver, len(stored), dict(load.errors))  # noqa: T201 for who runs it by hand


def read_rows(name: str, url: str, run: str) -> list[tuple[tuple[str, int], str]]:
    """Return all the rows of a run, as they are in the table."""
    engine = create_engine(make_url(url).set(drivername=SYNC_DRIVERS[name]))
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT aggregate_id, version, data FROM event WHERE aggregate_name = 'STORE'")
        ).all()
    engine.dispose()
    return [
        ((aggregate_id, version), str(data).strip('"'))
        for aggregate_id, version, data in rows
        if aggregate_id.startswith(f"{run} ")
    ]
