"""Façades inside a transaction of the user's, on SQLite."""

import asyncio
import time
from collections.abc import Awaitable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from castore_core import StorageError, find_calling_thread
from castore_sql import SQLEventStorageAdapter
from sync_within_suite import SyncAccounts, SyncWithinTests, note, read_notes
from within_suite import AccountStore, open_account


class TestSyncWithinFile(SyncWithinTests):
    """In a file."""

    @pytest.fixture
    def engine(self, path: Path) -> Iterator[Engine]:
        """Give an engine on an empty file."""
        engine = create_engine(f"sqlite:///{path}")
        yield engine
        engine.dispose()

    def test_a_push_that_would_wait_for_its_own_caller(
        self, engine: Engine, accounts: SyncAccounts
    ) -> None:
        """A push that would wait for its caller is refused at once, with the way out."""
        with engine.begin() as connection:
            note(connection, "before")
            with pytest.raises(StorageError, match=r"push inside it, with adapter\.within"):
                accounts.push_event(open_account("ada"))

        assert ["before"] == read_notes(engine)
        accounts.push_event(open_account("ada"))

    def test_a_task_in_the_background(self, engine: Engine, accounts: SyncAccounts) -> None:
        """A task in the background waits for the transaction of the thread that began it."""
        tasks: list[asyncio.Task[object]] = []

        async def begin() -> None:
            push = accounts.event_store.push_event(open_account("ada"))
            tasks.append(asyncio.create_task(_later(push)))

        async def join() -> None:
            await tasks[0]

        accounts.event_loop.run(begin())
        with engine.begin() as connection:
            note(connection, "before")
            time.sleep(0.3)
        accounts.event_loop.run(join())

        assert 1 == len(accounts.get_events("ada"))

    def test_a_task_in_the_background_as_the_call_ends(
        self, engine: Engine, accounts: SyncAccounts
    ) -> None:
        """It asks the calling thread for its transaction, and goes on where that has no answer."""
        tasks: list[asyncio.Task[object]] = []

        async def begin() -> None:
            caller = find_calling_thread()
            assert caller is not None
            tasks.append(asyncio.create_task(caller.run(partial(time.sleep, 0.3))))
            push = accounts.event_store.push_event(open_account("ada"))
            tasks.append(asyncio.create_task(_begin(push)))
            await asyncio.sleep(0.1)

        async def join() -> None:
            await asyncio.gather(*tasks)

        with engine.connect() as connection:
            connection.execute(text("SELECT * FROM note"))
            accounts.event_loop.run(begin())
            accounts.event_loop.run(join())

        assert 1 == len(accounts.get_events("ada"))

    def test_a_task_that_outlives_its_call(
        self, engine: Engine, adapter: SQLEventStorageAdapter, accounts: SyncAccounts
    ) -> None:
        """A task that outlives its call cannot use the connection of the caller."""
        tasks: list[asyncio.Task[object]] = []

        async def begin(store: AccountStore) -> None:
            tasks.append(asyncio.create_task(_later(store.push_event(open_account("ada")))))

        async def join() -> None:
            with pytest.raises(RuntimeError, match="does not wait any more"):
                await tasks[0]

        with engine.begin() as connection:
            inside = accounts.event_store.using(adapter.within(connection))
            accounts.event_loop.run(begin(inside))
            time.sleep(0.3)
            accounts.event_loop.run(join())

        assert [] == accounts.get_events("ada")


async def _begin(push: Awaitable[object]) -> None:
    await push


async def _later(push: Awaitable[object]) -> None:
    await asyncio.sleep(0.1)
    await push
