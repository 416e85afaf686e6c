"""Rules over several aggregates hold, whoever else writes them, on every kind of storage."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import (
    AggregateNotFoundError,
    Event,
    EventDraft,
    EventStorageAdapter,
    EventStore,
    InvalidEventGroupError,
    group_command,
    one_existing,
    several_existing,
)
from castore_dynamodb import DynamoDBEventStorageAdapter, create_table, table_definition
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from sql_servers import KINDS, ServerDatabase, dispose, using_servers

WRITERS = 16
TURNS = 4  # of each writer
NAMES = [f"a{each}" for each in range(4)]


class Moved(Event, type="MOVED"):
    """Money came in, or went out."""

    payload: int


@dataclass(frozen=True)
class Account:
    """Somebody's money."""

    aggregate_id: str
    version: int
    balance: int


def reduce_account(account: Account | None, event: Moved) -> Account:
    """Add what came in."""
    before = account.balance if account else 0
    return Account(event.aggregate_id, event.version, before + event.payload)


Accounts = EventStore[Moved, Account]
accounts: Accounts = EventStore("ACCOUNTS", event_types=[Moved], reduce=reduce_account)
others: Accounts = EventStore("OTHERS", event_types=[Moved], reduce=reduce_account)


class RefusedError(Exception):
    """A rule refuses it."""


@group_command(one_existing(accounts), one_existing(others))
def transfer(
    source: Account, _target: Account, amount: int
) -> tuple[EventDraft[Moved], EventDraft[Moved]]:
    """Move money from one account to one of another store."""
    if source.balance < amount:
        raise RefusedError
    return Moved.draft(payload=-amount), Moved.draft(payload=amount)


@group_command(several_existing(accounts), one_existing(others, asserted=False))
def withdraw(
    joint: Mapping[str, Account], _: Account, name: str, amount: int
) -> tuple[dict[str, EventDraft[Moved]], None]:
    """Take money from one of several accounts, which are in credit together."""
    if sum(each.balance for each in joint.values()) < amount:
        raise RefusedError
    return {name: Moved.draft(payload=-amount)}, None


@pytest.fixture
async def dynamodb(find_server: Callable[[str], str]) -> AsyncIterator[EventStorageAdapter]:
    """Give a table of DynamoDB."""
    client: Any = boto3.client(
        "dynamodb",
        region_name="eu-west-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106 it opens nothing
        endpoint_url=find_server("ministack"),
    )
    name = f"groups-{uuid4().hex[:8]}"
    with closing(client):
        await create_table(client, table_definition(name))
        yield DynamoDBEventStorageAdapter(client, name)
        client.delete_table(TableName=name)


@pytest.fixture
def database(find_server: Callable[[str], str]) -> Iterator[ServerDatabase]:
    """Give an empty database of PostgreSQL."""
    with using_servers(alone=False):
        database = ServerDatabase("postgres", find_server("postgres"))
        database.create()
        yield database
        database.drop()


@pytest.fixture
async def postgres(database: ServerDatabase) -> AsyncIterator[EventStorageAdapter]:
    """Give tables of PostgreSQL."""
    engine = database.make_engine(KINDS["asyncpg"])
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    yield adapter
    await dispose(engine)


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[EventStorageAdapter]:
    """Give tables of SQLite."""
    engine = create_engine(f"sqlite:///{tmp_path}/events.db")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    yield adapter
    engine.dispose()


@pytest.fixture
def memory() -> EventStorageAdapter:
    """Give a storage in memory."""
    return InMemoryEventStorageAdapter()


@pytest.fixture(params=["memory", "sqlite", "postgres", "dynamodb"])
def adapter(request: pytest.FixtureRequest) -> EventStorageAdapter:
    """Give each storage."""
    adapter: EventStorageAdapter = request.getfixturevalue(request.param)
    return adapter


@pytest.fixture
async def stores(adapter: EventStorageAdapter) -> tuple[Accounts, Accounts]:
    """Give two stores of accounts with ten coins each."""
    stores = accounts.using(adapter), others.using(adapter)
    for store in stores:
        for name in NAMES:
            await store.push_event(Moved(name, 1, payload=10))
    return stores


async def read(store: Accounts) -> dict[str, Account]:
    """Return the accounts of a store."""
    return {each: (await store.get_existing_aggregate(each)).aggregate for each in NAMES}


def sum_up(found: Mapping[str, Account]) -> int:
    """Return how much there is."""
    return sum(each.balance for each in found.values())


async def run_writers(write: Callable[[random.Random], Any]) -> int:
    """Let writers take their turns at the same time, and return how many were not refused."""

    async def take_turns(number: int) -> int:
        chance = random.Random(number)
        done = 0
        for _ in range(TURNS):
            try:
                await write(chance)
            except RefusedError:
                continue
            done += 1
        return done

    return sum(await asyncio.gather(*map(take_turns, range(WRITERS))))


async def test_transfers_lose_nothing(stores: tuple[Accounts, Accounts]) -> None:
    """Money moves to and fro between two stores, is never lost, and no account is overdrawn."""
    there, back = transfer.using(*stores), transfer.using(*reversed(stores))

    async def write(chance: random.Random) -> None:
        move = chance.choice([there, back])
        await move(chance.choice(NAMES), chance.choice(NAMES), chance.randint(1, 8))

    done = await run_writers(write)

    found = [await read(each) for each in stores]
    assert 80 == sum(map(sum_up, found))
    assert 0 <= min(account.balance for each in found for account in each.values())
    assert 8 + 2 * done == sum(account.version for each in found for account in each.values())


async def test_a_rule_over_what_is_only_read(stores: tuple[Accounts, Accounts]) -> None:
    """Accounts are in credit together, though each withdrawal writes one of them only."""
    take = withdraw.using(*stores)

    async def write(chance: random.Random) -> None:
        await take(NAMES, "a0", chance.choice(NAMES), 3)

    done = await run_writers(write)

    assert 13 == done
    assert 1 == sum_up(await read(stores[0]))


@pytest.mark.parametrize(("asserted", "left"), [(True, 0), (False, -20)])
async def test_write_skew(stores: tuple[Accounts, Accounts], asserted: bool, left: int) -> None:
    """Two who decide at the same time break a rule only if what they read is not asserted."""
    both = asyncio.Barrier(2)
    met: set[str] = set()

    @group_command(several_existing(accounts, asserted=asserted))
    async def take(joint: Mapping[str, Account], name: str) -> dict[str, EventDraft[Moved]]:
        if name not in met:
            met.add(name)
            await both.wait()
        rich_enough = sum(each.balance for each in joint.values()) >= 20
        return {name: Moved.draft(payload=-20)} if rich_enough else {}

    take_one = take.using(stores[0])
    await asyncio.gather(*(take_one(["a0", "a1"], each) for each in ("a0", "a1")))

    found = await read(stores[0])
    assert left == found["a0"].balance + found["a1"].balance


async def test_a_transaction_of_dynamodb_has_an_end(dynamodb: EventStorageAdapter) -> None:
    """Beyond 100 events and checks of versions, nothing is written, and the error says why."""
    store = accounts.using(dynamodb)
    names = [f"b{each}" for each in range(52)]
    await asyncio.gather(*(store.push_event(Moved(each, 1, payload=1)) for each in names))
    take = withdraw.using(store, store)

    with pytest.raises(InvalidEventGroupError, match=r"1 events and 100 checks .* at most 100"):
        await take(names[:51], "b51", "b0", 1)
    await take(names[:50], "b51", "b0", 1)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_transaction_of_yours(tmp_path: Path, is_async: bool) -> None:
    """A group command runs inside a transaction, which a failed load leaves usable."""
    make: Any = create_async_engine if is_async else create_engine
    engine = make(f"sqlite{'+aiosqlite' if is_async else ''}:///{tmp_path}/events.db")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await accounts.using(adapter).push_event(Moved("a0", 1, payload=10))
    await others.using(adapter).push_event(Moved("a0", 1, payload=10))

    async def run(connection: Any) -> None:
        inner = adapter.within(connection)
        move = transfer.using(accounts.using(inner), others.using(inner))
        with pytest.raises(AggregateNotFoundError):
            await move("a1", "a0", 1)
        source, target = await move("a0", "a0", 4)
        assert (6, 14) == (source.balance, target.balance)

    if isinstance(engine, AsyncEngine):
        async with engine.connect() as connection:
            await run(connection)
            assert 4 == await connection.scalar(text("SELECT count(*) FROM event"))
            await connection.rollback()
    else:
        with engine.connect() as connection:
            await run(connection)
            connection.rollback()

    assert 1 == len(await accounts.using(adapter).get_events("a0"))
    await dispose(engine)


async def test_databases_that_cannot_write_together(
    sqlite: EventStorageAdapter, postgres: EventStorageAdapter
) -> None:
    """A group over two databases is refused, and nothing is written."""
    stores = accounts.using(sqlite), others.using(postgres)
    for each in stores:
        await each.push_event(Moved("a0", 1, payload=10))

    with pytest.raises(InvalidEventGroupError):
        await transfer.using(*stores)("a0", "a0", 4)

    assert 1 == len(await stores[0].get_events("a0"))
