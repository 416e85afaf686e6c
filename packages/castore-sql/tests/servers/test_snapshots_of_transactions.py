"""Transactions of the user's that conflict with others: what commands meet, and what ends them."""

import asyncio
from dataclasses import dataclass

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import (
    AggregateCommands,
    Event,
    EventAlreadyExistsError,
    EventDraft,
    EventStore,
    TransactionAbortedError,
)
from castore_sql import SQLEventStorageAdapter
from sql_servers import Kind, ServerDatabase, dispose


class Counted(Event, type="COUNTED"):
    """One more."""


@dataclass(frozen=True)
class Count:
    """How many there were."""

    aggregate_id: str
    version: int


def reduce_count(_count: Count | None, event: Counted) -> Count:
    """Count."""
    return Count(event.aggregate_id, event.version)


def make_store(adapter: SQLEventStorageAdapter) -> EventStore[Counted, Count]:
    """Return a store of counts."""
    return EventStore("COUNTS", event_types=[Counted], reduce=reduce_count, storage_adapter=adapter)


async def count_after_another(engine: AsyncEngine, seen: list[int]) -> None:
    """Run a command within a transaction that has read what another writer changes then.

    ``seen`` gets the versions that the command is given.
    """
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    outer = make_store(adapter)
    await outer.push_event(Counted("a", 1))
    async with engine.begin() as connection:
        inner = make_store(adapter).using(adapter.within(connection))
        commands = AggregateCommands(inner)

        @commands.existing_handler
        def count(counted: Count) -> EventDraft[Counted]:
            seen.append(counted.version)
            return Counted.draft()

        await inner.get_aggregate("a")
        await outer.push_event(Counted("a", 2))
        await count("a")


@pytest.mark.parametrize(
    "kind", ["asyncpg", "psycopg", "asyncmy", "aiomysql", "asyncmy-mysql"], indirect=True
)
async def test_a_command_runs_again(database: ServerDatabase, kind: Kind) -> None:
    """Under READ COMMITTED it sees what the other writer has committed."""
    engine = database.make_engine(kind, isolation_level="READ COMMITTED")
    assert isinstance(engine, AsyncEngine)
    seen: list[int] = []
    await count_after_another(engine, seen)
    assert 2 == seen[-1]
    await dispose(engine)


@pytest.mark.parametrize("kind", ["asyncmy", "aiomysql", "asyncmy-mysql"], indirect=True)
@pytest.mark.parametrize("level", ["REPEATABLE READ", None])
async def test_a_command_does_not_run_again(
    database: ServerDatabase, kind: Kind, level: str | None
) -> None:
    """Under REPEATABLE READ it would be given the same aggregate, and meet the same conflict."""
    engine = database.make_engine(kind, **({} if level is None else {"isolation_level": level}))
    assert isinstance(engine, AsyncEngine)
    seen: list[int] = []
    with pytest.raises(EventAlreadyExistsError):
        await count_after_another(engine, seen)
    assert [1] == seen
    await dispose(engine)


@pytest.mark.parametrize("kind", ["asyncpg", "psycopg"], indirect=True)
async def test_a_serialization_failure_ends_the_transaction(
    database: ServerDatabase, kind: Kind
) -> None:
    """PostgreSQL refuses what its snapshot does not show: the whole transaction begins anew."""
    engine = database.make_engine(kind, isolation_level="REPEATABLE READ")
    assert isinstance(engine, AsyncEngine)
    with pytest.raises(TransactionAbortedError, match="could not serialize"):
        await count_after_another(engine, [])
    await dispose(engine)


@pytest.mark.parametrize(
    "kind", ["asyncpg", "psycopg", "asyncmy", "aiomysql", "asyncmy-mysql"], indirect=True
)
async def test_a_deadlock_ends_one_of_two_transactions(
    database: ServerDatabase, kind: Kind
) -> None:
    """Its error says so, and the other one is committed."""
    engine = database.make_engine(kind)
    assert isinstance(engine, AsyncEngine)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    both = asyncio.Barrier(2)

    async def push_in_turn(first: str, second: str) -> None:
        async with engine.begin() as connection:
            inner = make_store(adapter).using(adapter.within(connection))
            await inner.push_event(Counted(first, 1))
            await both.wait()
            await inner.push_event(Counted(second, 1))

    outcomes = await asyncio.gather(
        push_in_turn("a", "b"), push_in_turn("b", "a"), return_exceptions=True
    )
    assert 1 == outcomes.count(None)
    assert 1 == len([each for each in outcomes if isinstance(each, TransactionAbortedError)])
    assert 1 == len(await make_store(adapter).get_events("a"))
    await dispose(engine)
