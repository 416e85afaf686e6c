"""Façades inside a transaction of the user's, whose connection belongs to the calling thread."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.orm import Session

from castore_core import AggregateCommands, EventDraft, StorageError, command
from castore_core.sync import (
    EventLoopThread,
    SyncAggregateCommand,
    SyncCommand,
    SyncEventStore,
)
from castore_sql import SQLEventStorageAdapter
from within_suite import Account, AccountStore, Closed, Opened, Undone, make_store, open_account

SyncAccounts: TypeAlias = SyncEventStore[Opened | Closed, Account]


def read_notes(engine: Engine) -> list[str]:
    """Return the rows of the user's."""
    with engine.connect() as connection:
        return [*connection.scalars(text("SELECT body FROM note ORDER BY body"))]


def note(connection: Connection, body: str) -> None:
    """Write a row of the user's."""
    connection.execute(text("INSERT INTO note VALUES (:body)"), {"body": body})


class SyncWithinTests:
    """Override ``engine``, a synchronous one on an empty database."""

    @pytest.fixture
    def engine(self) -> Engine:
        """Return an engine on an empty database."""
        raise NotImplementedError("override the fixture `engine`")

    @pytest.fixture
    def event_loop(self) -> Iterator[EventLoopThread]:
        """Give an event loop, in which nothing may stand still for long."""
        with EventLoopThread(name="facade") as event_loop:
            yield event_loop

    @pytest.fixture
    def adapter(self, engine: Engine, event_loop: EventLoopThread) -> SQLEventStorageAdapter:
        """Return an adapter whose table is there, beside one of the user's."""
        adapter = SQLEventStorageAdapter(engine, busy_timeout=5)
        event_loop.run(adapter.create_tables())
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE note (body VARCHAR(100))"))
        return adapter

    @pytest.fixture
    def accounts(
        self, adapter: SQLEventStorageAdapter, event_loop: EventLoopThread
    ) -> SyncAccounts:
        """Return a store."""
        return SyncEventStore(make_store(adapter), event_loop=event_loop)

    def test_rows_and_events_are_committed_together(
        self, engine: Engine, adapter: SQLEventStorageAdapter, accounts: SyncAccounts
    ) -> None:
        """As in a request of Flask: both are there, and were read before the commit."""
        with engine.begin() as connection:
            inside = accounts.using(adapter.within(connection))
            note(connection, "before")
            inside.push_event(open_account("ada"))
            inside.push_event_group(
                inside.group_event(open_account("bob")), inside.assert_version("ada", 1)
            )
            note(connection, "later")
            assert 1 == len(inside.get_events("ada"))
            assert ["ada", "bob"] == sorted(inside.iter_aggregate_ids(limit=1))

        assert ["before", "later"] == read_notes(engine)
        assert [1, 1] == [len(accounts.get_events(each)) for each in ("ada", "bob")]

    def test_rows_and_events_are_undone_together(
        self, engine: Engine, adapter: SQLEventStorageAdapter, accounts: SyncAccounts
    ) -> None:
        """An error of the request undoes both."""

        def fail() -> None:
            with engine.begin() as connection:
                note(connection, "before")
                accounts.using(adapter.within(connection)).push_event(open_account("ada"))
                raise Undone

        with pytest.raises(Undone):
            fail()

        assert [] == read_notes(engine)
        assert [] == accounts.get_events("ada")

    def test_a_session(
        self, engine: Engine, adapter: SQLEventStorageAdapter, accounts: SyncAccounts
    ) -> None:
        """The connection of a session joins its transaction."""
        with Session(engine) as session, session.begin():
            session.execute(text("INSERT INTO note VALUES ('of the session')"))
            accounts.using(adapter.within(session.connection())).push_event(open_account("ada"))

        assert ["of the session"] == read_notes(engine)
        assert 1 == len(accounts.get_events("ada"))

    def test_commands(
        self,
        engine: Engine,
        adapter: SQLEventStorageAdapter,
        accounts: SyncAccounts,
        event_loop: EventLoopThread,
    ) -> None:
        """They run on the asynchronous store inside the transaction."""

        @command("OPEN", required_event_stores=(accounts.event_store,))
        async def open_for(owner: str, stores: tuple[AccountStore]) -> None:
            await stores[0].push_event(Opened(owner, 1, payload={"owner": owner}))

        commands = AggregateCommands(accounts.event_store)

        @commands.handler
        def close(_account: Account | None) -> EventDraft[Closed]:
            return Closed.draft()

        with engine.begin() as connection:
            inside = accounts.event_store.using(adapter.within(connection))
            SyncCommand(open_for, event_loop=event_loop)("ada", (inside,))
            closed = SyncAggregateCommand(close, event_loop=event_loop).using(inside)("ada")

        assert Account("ada", 2, is_open=False) == closed
        assert 2 == len(accounts.get_events("ada"))

    def test_the_connection_stays_in_its_thread(
        self, engine: Engine, adapter: SQLEventStorageAdapter, accounts: SyncAccounts
    ) -> None:
        """Statements of the adapter run where those of the user do: drivers may insist on it."""
        threads: set[str] = set()

        @event.listens_for(engine, "begin")
        def _(_: Connection) -> None:
            threads.add(threading.current_thread().name)

        with engine.connect() as connection:  # no transaction: the adapter begins it
            accounts.using(adapter.within(connection)).push_event(open_account("ada"))
            connection.commit()

        assert {threading.current_thread().name} == threads
        assert 1 == len(accounts.get_events("ada"))

    def test_another_thread_is_refused(
        self, engine: Engine, adapter: SQLEventStorageAdapter, accounts: SyncAccounts
    ) -> None:
        """It would use the connection behind the back of the thread that has it."""
        with engine.begin() as connection, ThreadPoolExecutor(1) as pool:
            inside = accounts.using(adapter.within(connection))
            push = pool.submit(inside.push_event, open_account("ada"))
            with pytest.raises(StorageError, match="the connection is one of the thread"):
                push.result()
            inside.push_event(open_account("bob"))

        assert [0, 1] == [len(accounts.get_events(each)) for each in ("ada", "bob")]

    def test_a_connection_of_a_coroutine(
        self, adapter: SQLEventStorageAdapter, accounts: SyncAccounts, engine: Engine
    ) -> None:
        """A handler that opens one itself uses it in the thread of the event loop."""

        async def push() -> None:
            with engine.begin() as connection:
                store = accounts.event_store.using(adapter.within(connection))
                await store.push_event(open_account("ada"))

        accounts.event_loop.run(push())

        assert 1 == len(accounts.get_events("ada"))

    def test_several_reads_at_once(
        self, engine: Engine, adapter: SQLEventStorageAdapter, accounts: SyncAccounts
    ) -> None:
        """Tasks of a call share the connection, one at a time."""
        with engine.begin() as connection:
            store = accounts.event_store.using(adapter.within(connection))

            async def push_all() -> None:
                await asyncio.gather(
                    *(store.push_event(open_account(f"a{number}")) for number in range(5))
                )

            accounts.event_loop.run(push_all())

        assert 5 == len([*accounts.iter_aggregate_ids()])

    def test_a_timeout(
        self, engine: Engine, adapter: SQLEventStorageAdapter, accounts: SyncAccounts
    ) -> None:
        """It leaves the transaction usable."""

        async def wait(_: object) -> None:
            await asyncio.sleep(60)

        with engine.begin() as connection:
            inside = accounts.using(adapter.within(connection))
            inside.on_event_pushed = wait
            with pytest.raises(TimeoutError):
                inside.with_timeout(0.1).push_event(open_account("ada"))
            note(connection, "later")

        assert ["later"] == read_notes(engine)
        assert 1 == len(accounts.get_events("ada"))
