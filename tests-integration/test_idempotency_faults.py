"""Commands with keys have one effect each, whatever fails."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from aiobotocore.config import AioConfig
from sqlalchemy import create_engine

from castore_core import EventStorageAdapter
from castore_dynamodb import DynamoDBEventStorageAdapter, create_table, table_definition
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from deposits import (
    find_effects,
    insist,
    make_commands,
    make_deposit,
    make_store,
    send_all,
)
from faulty_storage import FaultyStorage, Point
from sql_servers import KINDS, ServerDatabase, dispose, using_servers
from tcp_proxy import Fault, tcp_proxy

COMMANDS = 1000
CLIENTS = 16
ACCOUNTS = 8
RATE = 0.1

ACCOUNT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}

FindServer = Callable[[str], str]


@asynccontextmanager
async def open_memory(*_: object) -> AsyncGenerator[EventStorageAdapter]:
    """Open a storage in memory."""
    yield InMemoryEventStorageAdapter()


@asynccontextmanager
async def open_sqlite(path: Path, _: FindServer) -> AsyncGenerator[EventStorageAdapter]:
    """Open a file of SQLite."""
    engine = create_engine(f"sqlite:///{path}/events.db")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    yield adapter
    engine.dispose()


@asynccontextmanager
async def open_postgresql(_: Path, find_server: FindServer) -> AsyncGenerator[EventStorageAdapter]:
    """Open a schema of PostgreSQL."""
    with using_servers(alone=False):
        database = ServerDatabase("postgres", find_server("postgres"))
        database.create()
        engine = database.make_engine(KINDS["asyncpg"])
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        yield adapter
        await dispose(engine)
        database.drop()


@asynccontextmanager
async def open_dynamodb(_: Path, find_server: FindServer) -> AsyncGenerator[EventStorageAdapter]:
    """Open a table of DynamoDB."""
    client: Any = boto3.client(
        "dynamodb",
        endpoint_url=find_server("ministack"),
        config=AioConfig(max_pool_connections=CLIENTS),
        **ACCOUNT,
    )
    name = f"events-{uuid4()}"
    await create_table(client, table_definition(name))
    yield DynamoDBEventStorageAdapter(client, name)
    await asyncio.to_thread(client.delete_table, TableName=name)
    client.close()


PLACES = {
    "memory": open_memory,
    "sqlite": open_sqlite,
    "postgresql": open_postgresql,
    "dynamodb": open_dynamodb,
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_thousand_commands_have_a_thousand_effects(
    place: str, tmp_path: Path, find_server: FindServer
) -> None:
    """At every point one call in ten fails, and clients try again until they have an answer."""
    async with PLACES[place](tmp_path, find_server) as adapter:
        faulty = FaultyStorage(adapter, RATE)

        requests = await send_all(make_store(faulty), COMMANDS, CLIENTS, ACCOUNTS)

        assert sorted(requests) == await find_effects(adapter, ACCOUNTS)
        assert all(faulty.faults[each] > COMMANDS / 50 for each in Point), faulty.faults


async def test_without_keys_effects_are_doubled() -> None:
    """The same clients leave more effects than requests: nothing is lost, and some come twice."""
    adapter = InMemoryEventStorageAdapter()

    requests = await send_all(
        make_store(FaultyStorage(adapter, RATE)), COMMANDS, CLIENTS, ACCOUNTS, is_keyed=False
    )

    effects = await find_effects(adapter, ACCOUNTS)
    assert {*requests} == {*effects}
    assert len(requests) * 1.1 < len(effects)


@pytest.mark.parametrize("place", PLACES)
async def test_sixteen_runs_at_once_with_one_key(
    place: str, tmp_path: Path, find_server: FindServer
) -> None:
    """One has an effect, and all return what it returned."""
    async with PLACES[place](tmp_path, find_server) as adapter:
        store = make_store(adapter)
        deposit = make_deposit(store).with_idempotency_key("key")
        commands = make_commands(store).with_idempotency_key("key")

        answers = await asyncio.gather(
            *(deposit("request", (store,), "account 0") for _ in range(16))
        )
        aggregates = await asyncio.gather(
            *(commands.run("deposit", "account 1", request="other") for _ in range(16))
        )

        assert 1 == len({*answers})
        assert 1 == len({*aggregates})
        assert ["other", "request"] == await find_effects(adapter, 2)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("skip", range(6))
async def test_a_connection_that_breaks(fault: Fault, skip: int, find_server: FindServer) -> None:
    """PostgreSQL's answer is lost at any request of the command, which comes again: one effect."""
    with using_servers(alone=False):
        database = ServerDatabase("postgres", find_server("postgres"))
        database.create()
        upstream = database.get_url("postgresql")
        assert upstream.host is not None
        with tcp_proxy(upstream.host, upstream.port or 5432) as proxy:
            engine = database.make_engine(KINDS["asyncpg"], port=proxy.port)
            adapter = SQLEventStorageAdapter(engine, busy_timeout=1)
            await adapter.create_tables()
            store = make_store(adapter)
            deposit = make_deposit(store)
            first = await deposit.with_idempotency_key("1")("1", (store,), "account 0")
            proxy.arm(fault, skip=skip)
            keyed = deposit.with_idempotency_key("2")

            second = await insist(lambda: keyed("2", (store,), "account 0"), 5)

            proxy.disarm()
            assert second == await keyed("2", (store,), "account 0")
            assert first == await deposit.with_idempotency_key("1")("1", (store,), "account 0")
            assert ["1", "2"] == await find_effects(adapter, 1)
            await dispose(engine)
        database.drop()
