"""Pushes and reads inside a transaction of the user's, on any engine."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict, TypeVar, cast

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    create_async_engine,
)
from sqlalchemy.orm import Session

from castore_core import (
    AggregateCommands,
    AssertedVersion,
    ConnectedEventStore,
    Event,
    EventAlreadyExistsError,
    EventDraft,
    EventRecord,
    EventStore,
    GroupedRecord,
    InvalidEventGroupError,
    NotificationMessageQueue,
    StorageError,
    TransactionNotPublishableError,
    VersionAssertionError,
    VersionGapError,
    command,
)
from castore_sql import SQLEventStorageAdapter
from sql_servers import dispose

T = TypeVar("T")

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
AnyConnection = Connection | AsyncConnection
AnyEngine = Engine | AsyncEngine


class OpenedPayload(TypedDict):
    """Who opened an account."""

    owner: str


class Opened(Event, type="OPENED"):
    """An account was opened."""

    payload: OpenedPayload


class Closed(Event, type="CLOSED"):
    """An account was closed."""


@dataclass(frozen=True)
class Account:
    """The state of an account."""

    aggregate_id: str
    version: int
    is_open: bool


def reduce_account(_account: Account | None, event: Opened | Closed) -> Account:
    """Apply an event."""
    return Account(event.aggregate_id, event.version, isinstance(event, Opened))


AccountStore = EventStore[Opened | Closed, Account]


def make_record(aggregate_id: str, version: int = 1) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT)


def make_store(adapter: SQLEventStorageAdapter) -> AccountStore:
    """Return a store of accounts."""
    return EventStore(
        "ACCOUNTS",
        event_types=[Opened, Closed],
        reduce=reduce_account,
        storage_adapter=adapter,
    )


def open_account(aggregate_id: str) -> Opened:
    """Return the first event of an account."""
    return Opened(aggregate_id, 1, payload={"owner": "Ada"})


async def run(connection: AnyConnection, function: Callable[[Connection], T]) -> T:
    """Run a function of the user's with a connection."""
    if isinstance(connection, AsyncConnection):
        return await connection.run_sync(function)
    return function(connection)


async def note(connection: AnyConnection, body: str) -> None:
    """Write a row of the user's."""
    await run(
        connection, lambda each: each.execute(text("INSERT INTO note VALUES (:b)"), {"b": body})
    )


async def commit(connection: AnyConnection) -> None:
    """Commit the transaction of a connection."""
    await run(connection, lambda each: each.commit())


@asynccontextmanager
async def connect(engine: AnyEngine) -> AsyncGenerator[AnyConnection]:
    """Give a connection, without a transaction."""
    if isinstance(engine, AsyncEngine):
        async with engine.connect() as connection:
            yield connection
    else:
        with engine.connect() as sync_connection:
            yield sync_connection


@asynccontextmanager
async def begin(engine: AnyEngine) -> AsyncGenerator[AnyConnection]:
    """Give a connection in a transaction, which is committed at the end."""
    if isinstance(engine, AsyncEngine):
        async with engine.begin() as connection:
            yield connection
    else:
        with engine.begin() as sync_connection:
            yield sync_connection


async def read_notes(engine: AnyEngine) -> list[str]:
    """Return the rows of the user's."""
    async with connect(engine) as connection:
        return await run(
            connection, lambda each: [*each.scalars(text("SELECT body FROM note ORDER BY body"))]
        )


class Undone(Exception):  # noqa: N818 no error
    """Rolls back a transaction."""


class WithinTests:
    """Override ``engine``; a subclass may say what its engine has not."""

    has_other_connections = True

    @pytest.fixture
    async def engine(self) -> AnyEngine:
        """Return an engine on an empty database."""
        raise NotImplementedError("override the fixture `engine`")

    @pytest.fixture
    async def adapter(self, engine: AnyEngine) -> SQLEventStorageAdapter:
        """Return an adapter whose table is there, beside one of the user's."""
        adapter = SQLEventStorageAdapter(engine, busy_timeout=0.2)
        await adapter.create_tables()
        async with begin(engine) as connection:
            await run(connection, lambda each: each.execute(text("CREATE TABLE note (body TEXT)")))
        return adapter

    async def test_it_is_committed_as_a_whole(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter
    ) -> None:
        """Events and rows of the user's are there together."""
        async with begin(engine) as connection:
            inner = adapter.within(connection)
            await note(connection, "before")
            await inner.push_event("STORE", make_record("a"))
            await inner.push_event_group(
                [GroupedRecord("STORE", each, inner) for each in map(make_record, "bc")],
                asserted=[AssertedVersion("STORE", "a", 1, inner)],
            )
            await note(connection, "later")

        assert ["before", "later"] == await read_notes(engine)
        for each in "abc":
            assert [make_record(each)] == await adapter.get_events("STORE", each)

    async def test_it_is_undone_as_a_whole(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter
    ) -> None:
        """Events and rows of the user's are gone together."""
        with pytest.raises(Undone):
            await self._push_and_fail(engine, adapter)

        assert [] == await read_notes(engine)
        assert [] == await adapter.get_events("STORE", "a")
        assert [] == (await adapter.list_aggregate_ids("STORE")).aggregates

    async def _push_and_fail(self, engine: AnyEngine, adapter: SQLEventStorageAdapter) -> None:
        async with begin(engine) as connection:
            await note(connection, "before")
            await adapter.within(connection).push_event("STORE", make_record("a"))
            await note(connection, "later")
            raise Undone

    async def test_what_is_refused_leaves_the_rest(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter
    ) -> None:
        """After a conflict, a gap, and groups that clash, the transaction goes on."""
        await adapter.push_event("STORE", make_record("taken"))
        async with begin(engine) as connection:
            inner = adapter.within(connection)

            async def push(
                *records: EventRecord, asserted: tuple[AssertedVersion, ...] = ()
            ) -> None:
                group = [GroupedRecord("STORE", each, inner) for each in records]
                await inner.push_event_group(group, asserted=asserted)

            await note(connection, "before")
            with pytest.raises(EventAlreadyExistsError):
                await inner.push_event("STORE", make_record("taken"))
            with pytest.raises(VersionGapError):
                await inner.push_event("STORE", make_record("gap", 2))
            with pytest.raises(EventAlreadyExistsError):
                await push(make_record("a"), make_record("taken"), make_record("z"))
            with pytest.raises(VersionGapError):
                await push(make_record("a"), make_record("b", 3))
            with pytest.raises(VersionAssertionError):
                await push(
                    make_record("a"), asserted=(AssertedVersion("STORE", "taken", 2, inner),)
                )
            await note(connection, "later")
            await inner.push_event("STORE", make_record("d"))

        assert ["before", "later"] == await read_notes(engine)
        ids = (await adapter.list_aggregate_ids("STORE")).aggregates
        assert ["d", "taken"] == [each.aggregate_id for each in ids]

    async def test_who_sees_it(self, engine: AnyEngine, adapter: SQLEventStorageAdapter) -> None:
        """The same adapter reads what was pushed, and others do not, before the commit."""
        async with begin(engine) as connection:
            inner = adapter.within(connection)
            await inner.push_event("STORE", make_record("a"))
            assert [make_record("a")] == await inner.get_events("STORE", "a")
            listed = (await inner.list_aggregate_ids("STORE")).aggregates
            assert ["a"] == [each.aggregate_id for each in listed]
            if self.has_other_connections:
                assert [] == await adapter.get_events("STORE", "a")
                assert [] == (await adapter.read_events()).entries

        assert [make_record("a")] == await adapter.get_events("STORE", "a")

    async def test_a_transaction_begins(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter
    ) -> None:
        """A push, or a read, begins one on a connection that has none, and the user ends it."""
        async with connect(engine) as connection:
            inner = adapter.within(connection)
            await inner.push_event("STORE", make_record("a"))
            await commit(connection)
            assert [make_record("a")] == await inner.get_events("STORE", "a")
            await run(connection, lambda each: each.rollback())
            await inner.push_event("STORE", make_record("b"))

        assert [make_record("a")] == await adapter.get_events("STORE", "a")
        assert [] == await adapter.get_events("STORE", "b")

    async def test_a_savepoint_of_the_user(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter
    ) -> None:
        """Events go with the savepoint around them."""
        async with begin(engine) as connection:
            inner = adapter.within(connection)
            await inner.push_event("STORE", make_record("a"))
            savepoint = await run(connection, lambda each: each.begin_nested())
            await inner.push_event("STORE", make_record("b"))
            await inner.push_event_group(
                [GroupedRecord("STORE", make_record(each), inner) for each in "cd"]
            )
            await note(connection, "undone")
            await run(connection, lambda _: savepoint.rollback())
            savepoint = await run(connection, lambda each: each.begin_nested())
            await inner.push_event("STORE", make_record("e"))
            await run(connection, lambda _: savepoint.commit())
            await inner.push_event("STORE", make_record("a", 2))

        assert [] == await read_notes(engine)
        listed = (await adapter.list_aggregate_ids("STORE")).aggregates
        assert ["a", "e"] == [each.aggregate_id for each in listed]
        assert 2 == len(await adapter.get_events("STORE", "a"))

    async def test_a_connection_without_transactions(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter
    ) -> None:
        """AUTOCOMMIT mode is refused, before anything is written."""
        async with connect(engine) as connection:
            if isinstance(connection, AsyncConnection):
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            else:
                connection.execution_options(isolation_level="AUTOCOMMIT")
            with pytest.raises(StorageError, match="AUTOCOMMIT"):
                await adapter.within(connection).push_event("STORE", make_record("a"))
            with pytest.raises(StorageError, match="AUTOCOMMIT"):
                await adapter.within(connection).get_events("STORE", "a")

        assert [] == await adapter.get_events("STORE", "a")

    async def test_other_engines(self, engine: AnyEngine, adapter: SQLEventStorageAdapter) -> None:
        """A connection of another engine is refused; a copy with other options is the same."""
        options = engine.execution_options(compiled_cache=None)
        async with begin(options) as connection:
            await adapter.within(connection).push_event("STORE", make_record("a"))
        strange = self.make_another_engine(engine)
        async with connect(strange) as connection:
            with pytest.raises(ValueError, match="one of another engine"):
                adapter.within(connection)
        await dispose(strange)

        assert [make_record("a")] == await adapter.get_events("STORE", "a")

    def make_another_engine(self, engine: AnyEngine) -> AnyEngine:
        """Return an engine on the same database, with a pool of its own."""
        make = create_async_engine if isinstance(engine, AsyncEngine) else create_engine
        return make(engine.url)

    async def test_no_connection(self, engine: AnyEngine, adapter: SQLEventStorageAdapter) -> None:
        """An engine or a session is none; the error says where a session has one."""
        session: Any = AsyncSession(engine) if isinstance(engine, AsyncEngine) else Session(engine)
        for each in (engine, session, None):
            with pytest.raises(TypeError, match=r"session\.connection\(\)"):
                adapter.within(cast("Any", each))

    async def test_a_session(self, engine: AnyEngine, adapter: SQLEventStorageAdapter) -> None:
        """The connection of a session joins its transaction."""
        insert = text("INSERT INTO note VALUES ('of the session')")
        if isinstance(engine, AsyncEngine):
            async with AsyncSession(engine) as session, session.begin():
                await session.execute(insert)
                connection = await session.connection()
                await adapter.within(connection).push_event("STORE", make_record("a"))
            async with AsyncSession(engine) as session:
                connection = await session.connection()
                await adapter.within(connection).push_event("STORE", make_record("b"))
        else:
            with Session(engine) as session, session.begin():
                session.execute(insert)
                inner = adapter.within(session.connection())
                await inner.push_event("STORE", make_record("a"))
            with Session(engine) as session:
                inner = adapter.within(session.connection())
                await inner.push_event("STORE", make_record("b"))

        assert ["of the session"] == await read_notes(engine)
        assert [make_record("a")] == await adapter.get_events("STORE", "a")
        assert [] == await adapter.get_events("STORE", "b")

    async def test_a_connection_that_is_closed(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter
    ) -> None:
        """It is refused."""
        async with begin(engine) as connection:
            inner = adapter.within(connection)
        with pytest.raises(StorageError, match="closed"):
            await inner.push_event("STORE", make_record("a"))
        with pytest.raises(StorageError, match="closed"):
            await inner.get_events("STORE", "a")

    async def test_several_at_once(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter
    ) -> None:
        """Pushes and reads that are gathered take turns, through one adapter or several."""
        async with begin(engine) as connection:
            await asyncio.gather(
                *(
                    adapter.within(connection).push_event("STORE", make_record(f"a{number}"))
                    for number in range(10)
                ),
                adapter.within(connection).get_events("STORE", "a0"),
            )

        assert 10 == len((await adapter.list_aggregate_ids("STORE")).aggregates)

    async def test_commands(self, engine: AnyEngine, adapter: SQLEventStorageAdapter) -> None:
        """Commands and groups run on a store that uses the adapter."""
        accounts = make_store(adapter)

        @command("OPEN", required_event_stores=(accounts,))
        async def open_for(owner: str, stores: tuple[AccountStore]) -> None:
            await stores[0].push_event(Opened(owner, 1, payload={"owner": owner}))

        commands = AggregateCommands(accounts)

        @commands.handler
        def close(_account: Account | None) -> EventDraft[Closed]:
            return Closed.draft()

        async with begin(engine) as connection:
            inside = accounts.using(adapter.within(connection))
            await open_for("ada", (inside,))
            closed = await close.using(inside)("ada")
            await commands.using(inside).run("close", "ada")
            await EventStore.push_event_group(
                inside.group_event(open_account("bob")), inside.group_event(open_account("eve"))
            )
            assert Account("ada", 2, is_open=False) == closed

        assert 3 == len(await accounts.get_events("ada"))
        assert [1, 1] == [len(await accounts.get_events(each)) for each in ("bob", "eve")]

    @pytest.mark.parametrize("is_undone", [False, True])
    async def test_commands_with_a_key(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter, *, is_undone: bool
    ) -> None:
        """The key is committed, or undone, with the events and the rows of the user's."""
        accounts = make_store(adapter)

        @command("OPEN", required_event_stores=(accounts,))
        async def open_for(owner: str, stores: tuple[AccountStore]) -> int:
            await stores[0].push_event(Opened(owner, 1, payload={"owner": owner}))
            return len(await stores[0].get_events(owner))

        commands = AggregateCommands(accounts)

        @commands.handler
        def close(_account: Account | None) -> EventDraft[Closed]:
            return Closed.draft()

        async def run_twice() -> None:
            async with begin(engine) as connection:
                inside = accounts.using(adapter.within(connection))
                keyed = commands.using(inside).with_idempotency_key("key")
                for _ in range(2):
                    assert 1 == await open_for.with_idempotency_key("key")("ada", (inside,))
                    closed = await keyed.run("close", "ada")
                    assert Account("ada", 2, is_open=False) == closed
                await note(connection, "both")
                if is_undone:
                    raise Undone

        with suppress(Undone):
            await run_twice()
        assert ([] if is_undone else ["both"]) == await read_notes(engine)
        assert (0 if is_undone else 2) == len(await accounts.get_events("ada"))

        is_undone = False
        await run_twice()

        assert 2 == len(await accounts.get_events("ada"))

    async def test_a_mixed_group(self, engine: AnyEngine, adapter: SQLEventStorageAdapter) -> None:
        """A group is of one transaction."""
        async with begin(engine) as connection:
            inner = adapter.within(connection)
            for one, other in ((inner, adapter), (adapter, inner)):
                group = [
                    GroupedRecord("STORE", make_record("a"), one),
                    GroupedRecord("STORE", make_record("b"), other),
                ]
                with pytest.raises(InvalidEventGroupError, match="different transactions"):
                    await one.push_event_group(group)
            group = [
                GroupedRecord("STORE", make_record("a"), adapter.within(connection)),
                GroupedRecord("STORE", make_record("b"), adapter.within(connection)),
            ]
            await inner.push_event_group(group)

        assert 2 == len((await adapter.list_aggregate_ids("STORE")).aggregates)

    async def test_a_connected_store(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter
    ) -> None:
        """It would publish what is undone later, and is refused before anything is written."""
        accounts = make_store(adapter)
        queue = NotificationMessageQueue("QUEUE", source_event_stores=[accounts])
        connected = ConnectedEventStore(accounts, queue)
        async with begin(engine) as connection:
            with pytest.raises(TransactionNotPublishableError):
                connected.using(adapter.within(connection))

        assert [] == await accounts.get_events("ada")

    async def test_tables_are_not_created(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter
    ) -> None:
        """That is no matter of the user's transaction."""
        async with begin(engine) as connection:
            with pytest.raises(StorageError, match="not created or upgraded inside"):
                await adapter.within(connection).create_tables()

    async def test_a_waiting_reader(
        self, engine: AnyEngine, adapter: SQLEventStorageAdapter
    ) -> None:
        """It sees the events soon after the commit."""
        if not self.has_other_connections:
            return
        waiting = asyncio.create_task(adapter.wait_for_events("", 20))
        async with begin(engine) as connection:
            await adapter.within(connection).push_event("STORE", make_record("a"))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        async with asyncio.timeout(2):
            await waiting

        position = await adapter.get_last_position()
        for _ in range(100):  # other tests may hold it back for a moment
            if position != "":
                break
            await adapter.wait_for_events("", 0.1)
            position = await adapter.get_last_position()
        assert ["a"] == [each.record.aggregate_id for each in (await adapter.read_events()).entries]
        assert 1 == await adapter.count_events()
