"""A connection that is lost, at whatever moment, loses no push, and repeats none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import (
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    StorageError,
)
from castore_sql import SQLEventStorageAdapter
from sql_servers import MARIADB_KINDS, POSTGRES_KINDS, Kind, ServerDatabase, dispose
from tcp_proxy import Fault, TCPProxy, tcp_proxy

pytestmark = pytest.mark.parametrize(
    "kind", [*POSTGRES_KINDS, *MARIADB_KINDS, "asyncmy-mysql"], indirect=True
)

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
MOST_REQUESTS = 200
LOST = [Fault.BEFORE_REQUEST, Fault.AFTER_REQUEST, Fault.IN_ANSWER]
numbers = count()


def make_record(aggregate_id: str, version: int = 1) -> EventRecord:
    """Return an event that is like no other."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT, {"number": next(numbers)})


class Setting(NamedTuple):
    """An adapter behind a proxy, and one that reaches the same table without it."""

    proxy: TCPProxy
    engine: Engine | AsyncEngine
    adapter: SQLEventStorageAdapter
    direct: SQLEventStorageAdapter


@pytest.fixture
def proxy(database: ServerDatabase) -> Iterator[TCPProxy]:
    """Give a proxy to the server."""
    url = database.get_url("driver")
    with tcp_proxy(url.host or "", url.port or 0) as proxy:
        yield proxy


@pytest.fixture
async def setting(
    kind: Kind, database: ServerDatabase, proxy: TCPProxy, engine: Engine | AsyncEngine
) -> AsyncIterator[Setting]:
    """Give a table, and two ways to it."""
    direct = SQLEventStorageAdapter(engine)
    await direct.create_tables()
    proxied = database.make_engine(kind, port=proxy.port)
    yield Setting(proxy, proxied, SQLEventStorageAdapter(proxied), direct)
    proxy.disarm()
    await dispose(proxied)


Push = Callable[[SQLEventStorageAdapter, str], Awaitable[list[EventRecord]]]


async def push_one(adapter: SQLEventStorageAdapter, name: str) -> list[EventRecord]:
    """Push one event."""
    record = make_record(name)
    await adapter.push_event("STORE", record)
    return [record]


async def push_next(adapter: SQLEventStorageAdapter, name: str) -> list[EventRecord]:
    """Push the event that follows another."""
    return [*await push_one(adapter, name), *await push_version(adapter, name, 2)]


async def push_version(
    adapter: SQLEventStorageAdapter, name: str, version: int
) -> list[EventRecord]:
    """Push an event of a version."""
    record = make_record(name, version)
    await adapter.push_event("STORE", record)
    return [record]


async def push_by_force(adapter: SQLEventStorageAdapter, name: str) -> list[EventRecord]:
    """Push an event, and replace it."""
    await push_one(adapter, name)
    record = make_record(name)
    await adapter.push_event("STORE", record, force=True)
    return [record]


async def push_group(adapter: SQLEventStorageAdapter, name: str) -> list[EventRecord]:
    """Push a group."""
    records = [make_record(name), make_record(name, 2), make_record(f"{name} too")]
    await adapter.push_event_group([GroupedRecord("STORE", each, adapter) for each in records])
    return records


async def push_and_assert(adapter: SQLEventStorageAdapter, name: str) -> list[EventRecord]:
    """Push a group that asserts the version of another aggregate."""
    record = make_record(name)
    await adapter.push_event_group(
        [GroupedRecord("STORE", record, adapter)],
        asserted=[AssertedVersion("STORE", f"nobody beside {name}", 0, adapter)],
    )
    return [record]


async def push_many(adapter: SQLEventStorageAdapter, name: str) -> list[EventRecord]:
    """Push twenty times at once: events, groups, and a group with an assertion."""
    found = await asyncio.gather(
        *(push_one(adapter, f"{name} {number}") for number in range(16)),
        *(push_group(adapter, f"{name} {number} and more") for number in range(3)),
        push_and_assert(adapter, f"{name} and nobody"),
    )
    return [each for records in found for each in records]


PUSHES: dict[str, Push] = {
    "one": push_one,
    "next": push_next,
    "by force": push_by_force,
    "group": push_group,
    "assertion": push_and_assert,
    "many": push_many,
}


async def read_all(
    adapter: SQLEventStorageAdapter, records: list[EventRecord]
) -> list[EventRecord]:
    """Return what is stored of the aggregates of some events."""
    ids = {each.aggregate_id for each in records}
    return [event for each in ids for event in await adapter.get_events("STORE", each)]


def sort(records: list[EventRecord]) -> list[EventRecord]:
    """Sort by aggregates and versions."""
    return sorted(records, key=lambda each: each[:2])


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: fault.name)
@pytest.mark.parametrize("push", PUSHES.values(), ids=list(PUSHES))
async def test_a_push_is_stored_once(setting: Setting, push: Push, fault: Fault) -> None:
    """Whichever request of a push is lost, the push returns, and its events are there once."""
    await push(setting.adapter, "the first")
    for skip in range(0, MOST_REQUESTS, 7 if push is push_many else 1):
        await setting.adapter.get_events("STORE", "the first")  # a connection is open
        setting.proxy.arm(fault, skip=skip)
        records = await push(setting.adapter, f"number {skip}")
        assert sort(records) == sort(await read_all(setting.direct, records))
        if not setting.proxy.fired.is_set():
            break
    else:
        pytest.fail("the push has no end")
    assert skip > 0
    assert records == await read_all(setting.adapter, records[:1]) or len(records) > 1


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: fault.name)
async def test_a_read_is_repeated(setting: Setting, fault: Fault) -> None:
    """Whichever request of a read is lost, the read returns what is there."""
    adapter = setting.adapter
    (record,) = await push_one(adapter, "a")
    position = await adapter.find_position("STORE", "a", 1)
    for skip in range(MOST_REQUESTS):
        await adapter.get_events("STORE", "a")  # a connection is open
        setting.proxy.arm(fault, skip=skip)
        assert [record] == await adapter.get_events("STORE", "a")
        assert ["a"] == [
            each.aggregate_id for each in (await adapter.list_aggregate_ids("STORE")).aggregates
        ]
        assert position == await adapter.find_position("STORE", "a", 1)
        if not setting.proxy.fired.is_set():
            break
    else:
        pytest.fail("the read has no end")
    assert skip > 0


async def test_a_conflict_is_told(setting: Setting) -> None:
    """Where somebody else takes the version while the connection is lost, the push fails."""
    await push_one(setting.adapter, "the first")
    for name, push in PUSHES.items():
        if "by force" in name or name == "many":
            continue
        await setting.adapter.get_events("STORE", "the first")  # a connection is open
        setting.proxy.arm(Fault.NO_REQUEST)
        pushing = asyncio.ensure_future(push(setting.adapter, name))
        await asyncio.to_thread(setting.proxy.fired.wait, 10)
        (record,) = await push_one(setting.direct, name)
        setting.proxy.cut()

        with pytest.raises(EventAlreadyExistsError):
            await pushing

        assert [record] == await read_all(setting.direct, [record])


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: fault.name)
async def test_a_push_inside_a_transaction_is_not_repeated(setting: Setting, fault: Fault) -> None:
    """It raises, and takes along all that the transaction has written."""
    await push_one(setting.adapter, "the first")
    for skip in range(MOST_REQUESTS):
        failures: list[Exception] = []
        name = f"number {skip}"
        if isinstance(setting.engine, AsyncEngine):
            async with setting.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
                setting.proxy.arm(fault, skip=skip)
                failures += await try_inside(setting.adapter.within(connection), name)
                setting.proxy.disarm()
                if not failures:
                    await connection.commit()
        else:
            with setting.engine.connect() as sync_connection:
                sync_connection.execute(text("SELECT 1"))
                setting.proxy.arm(fault, skip=skip)
                failures += await try_inside(setting.adapter.within(sync_connection), name)
                setting.proxy.disarm()
                if not failures:
                    sync_connection.commit()
        stored = await setting.direct.get_events("STORE", name)
        if not failures:
            assert 2 == len(stored)
            break
        assert [StorageError] == [type(each) for each in failures]
        assert [] == stored
        await push_one(setting.adapter, f"{name} afterwards")
    else:
        pytest.fail("the push has no end")
    assert skip > 0


async def try_inside(adapter: SQLEventStorageAdapter, name: str) -> list[Exception]:
    """Push inside a transaction, and return what was raised."""
    try:
        await push_group(adapter, name)
    except Exception as error:  # noqa: BLE001 whatever it is
        return [error]
    return []


async def test_stale_connections(setting: Setting) -> None:
    """All the connections of a pool are closed at once: pushes and reads go on, and none fails."""
    await fill_pool(setting.engine, 15)
    setting.proxy.cut()
    (record,) = await push_one(setting.adapter, "a")
    await fill_pool(setting.engine, 15)
    setting.proxy.cut()

    assert [record] == await setting.adapter.get_events("STORE", "a")


async def fill_pool(engine: Engine | AsyncEngine, size: int) -> None:
    """Open so many connections at a time, of which the pool keeps what it has room for."""
    if isinstance(engine, AsyncEngine):
        connections = [await engine.connect() for _ in range(size)]
        for each in connections:
            await each.close()
    else:
        for opened in [engine.connect() for _ in range(size)]:
            opened.close()
