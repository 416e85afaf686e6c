"""Bookmarks on SQLite keep the contract, through each kind of engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from inspect import isawaitable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import Connection, Engine, StaticPool, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from castore_core import BookmarkStorageAdapter, Lease, StorageError
from castore_sql import SQLBookmarkStorageAdapter
from castore_test_tools import BookmarkStorageAdapterTests, overrides_contract

CREATE = text("CREATE TABLE joined (body TEXT)")
INSERT = text("INSERT INTO joined VALUES (:body)")
SELECT = text("SELECT body FROM joined")
DROP = [text(f"DROP TABLE {each}") for each in ("bookmark", "parked_event")]

Join: TypeAlias = tuple[Callable[..., Any], Callable[..., Any]]


async def acquire(adapter: BookmarkStorageAdapter) -> Lease:
    """Take the lease of the bookmark that the tests of the contract use."""
    lease = await adapter.acquire_lease("pokedex", "ash", timedelta(minutes=1))
    assert lease is not None
    return lease


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, be it a coroutine function or not."""
    result = function(*arguments)
    return await result if isawaitable(result) else result


class OfSyncEngine:
    """The block is given a connection that it uses in its own thread."""

    @pytest.fixture
    async def adapter(self, engine: Engine) -> SQLBookmarkStorageAdapter[Connection]:
        """Return an adapter without bookmarks."""
        adapter = SQLBookmarkStorageAdapter(engine)
        await adapter.create_tables()
        return adapter

    @pytest.fixture
    def connect_again(self, engine: Engine) -> Callable[[], SQLBookmarkStorageAdapter[Connection]]:
        """Make adapters on the same engine."""
        return lambda: SQLBookmarkStorageAdapter(engine)

    @pytest.fixture
    def break_backend(self, engine: Engine) -> Callable[[], None]:
        """Drop the tables behind the adapter's back."""

        def drop() -> None:
            with engine.begin() as connection:
                for each in DROP:
                    connection.execute(each)

        return drop

    @pytest.fixture
    def join_transaction(self, engine: Engine) -> Join:
        """Write to a table of the user's, and read it on another connection of the engine."""
        with engine.begin() as connection:
            connection.execute(CREATE)

        def write(connection: Connection, body: str) -> None:
            connection.execute(INSERT, {"body": body})

        def read() -> list[str]:
            with engine.connect() as connection:
                return list(connection.scalars(SELECT))

        return write, read


class OfAsyncEngine:
    """The block is given an async connection."""

    works_in_several_event_loops_at_once = False  # nor does the pool of SQLAlchemy

    @pytest.fixture
    async def adapter(self, engine: AsyncEngine) -> SQLBookmarkStorageAdapter[AsyncConnection]:
        """Return an adapter without bookmarks, whose pool has opened all that it keeps.

        aiosqlite does not close a connection whose opening was cancelled.
        """
        adapter = SQLBookmarkStorageAdapter(engine)
        await adapter.create_tables()
        await asyncio.gather(*(adapter.get_bookmark("any") for _ in range(5)))
        return adapter

    @pytest.fixture
    def connect_again(
        self, engine: AsyncEngine
    ) -> Callable[[], SQLBookmarkStorageAdapter[AsyncConnection]]:
        """Make adapters on the same engine."""
        return lambda: SQLBookmarkStorageAdapter(engine)

    @pytest.fixture
    def break_backend(self, engine: AsyncEngine) -> Callable[[], Awaitable[None]]:
        """Drop the tables behind the adapter's back."""

        async def drop() -> None:
            async with engine.begin() as connection:
                for each in DROP:
                    await connection.execute(each)

        return drop

    @pytest.fixture
    async def join_transaction(self, engine: AsyncEngine) -> Join:
        """Write to a table of the user's, and read it on another connection of the engine."""
        async with engine.begin() as connection:
            await connection.execute(CREATE)

        async def write(connection: AsyncConnection, body: str) -> None:
            await connection.execute(INSERT, {"body": body})

        async def read() -> list[str]:
            async with engine.connect() as connection:
                return list(await connection.scalars(SELECT))

        return write, read


class TestBookmarksOfSyncEngineOnFile(OfSyncEngine, BookmarkStorageAdapterTests):
    """A file."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """Return an engine, and dispose of it."""
        engine = create_engine(f"sqlite:///{tmp_path}/events.db")
        yield engine
        engine.dispose()


class TestBookmarksOfAsyncEngineOnFile(OfAsyncEngine, BookmarkStorageAdapterTests):
    """A file, through aiosqlite."""

    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
        """Return an engine, and dispose of it."""
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/events.db")
        yield engine
        await engine.dispose()


class InMemory:
    """One connection, on which all tasks see what a block has written."""

    works_in_several_event_loops = False

    @overrides_contract("all readers share the connection of the block")
    async def test_joined_writes_are_seen_with_the_bookmark(
        self, adapter: BookmarkStorageAdapter, join_transaction: Join
    ) -> None:
        """A reader of the user's rolls back when it closes the connection: the block is told so."""
        write, read = join_transaction
        lease = await acquire(adapter)

        async def move() -> None:
            async with adapter.move_bookmark(lease, "7") as transaction:
                await call(write, transaction, "lost")
                assert ["lost"] == await call(read)
                await call(write, transaction, "lost, too")

        with pytest.raises(StorageError, match="was ended"):
            await move()
        assert ([], None) == (await call(read), (await adapter.get_bookmark("pokedex")).position)


class TestBookmarksOfSyncEngineInMemory(InMemory, OfSyncEngine, BookmarkStorageAdapterTests):
    """A database in memory, of one thread."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """Return an engine, and dispose of it."""
        engine = create_engine("sqlite://")
        yield engine
        engine.dispose()


class TestBookmarksOfSyncEngineOfOneConnection(InMemory, OfSyncEngine, BookmarkStorageAdapterTests):
    """A database in memory, whose pool has one connection."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """Return an engine, and dispose of it."""
        engine = create_engine("sqlite://", poolclass=StaticPool)
        yield engine
        engine.dispose()


class TestBookmarksOfAsyncEngineInMemory(InMemory, OfAsyncEngine, BookmarkStorageAdapterTests):
    """A database in memory, through aiosqlite."""

    @pytest.fixture
    async def engine(self) -> AsyncIterator[AsyncEngine]:
        """Return an engine, and dispose of it."""
        engine = create_async_engine("sqlite+aiosqlite://")
        yield engine
        await engine.dispose()

    @overrides_contract("SQLAlchemy closes the connection, which is the database")
    @pytest.mark.parametrize("steps", [0, 1, 2, 4, 20])
    async def test_a_cancelled_move_takes_its_parked_events_along(
        self, adapter: BookmarkStorageAdapter, steps: int
    ) -> None:
        """A cancelled statement of the move's may end the database; or else the move is whole."""
        with suppress(StorageError):  # no such table
            await super().test_a_cancelled_move_takes_its_parked_events_along(adapter, steps)

    @overrides_contract("SQLAlchemy closes the connection, which is the database")
    @pytest.mark.parametrize("steps", [0, 1, 2, 4, 20])
    async def test_a_cancelled_move_takes_its_writes_along(
        self, adapter: BookmarkStorageAdapter, join_transaction: Join, steps: int
    ) -> None:
        """A cancelled statement of the user's may end the database; or else the move is whole."""
        write, read = join_transaction
        lease = await acquire(adapter)

        async def block() -> None:
            async with adapter.move_bookmark(lease, "7") as transaction:
                await call(write, transaction, "written")

        task = asyncio.ensure_future(block())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        with suppress(OperationalError):  # no such table
            outcome = (await read(), (await adapter.get_bookmark("pokedex")).position)
            assert outcome in (([], None), (["written"], "7"))

    @overrides_contract("SQLAlchemy closes the connection, which is the database")
    @pytest.mark.parametrize("steps", [0, 1, 2, 4, 20])
    async def test_a_cancelled_move_is_whole_or_absent(
        self, adapter: BookmarkStorageAdapter, steps: int
    ) -> None:
        """A move that is cancelled may end the database; or else it is whole, or absent."""
        await adapter.create_bookmark("pokedex", "3")
        lease = await acquire(adapter)

        async def move() -> None:
            async with adapter.move_bookmark(lease, "7"):
                await asyncio.sleep(0)

        task = asyncio.ensure_future(move())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        with suppress(StorageError):  # no such table
            assert (await adapter.get_bookmark("pokedex")).position in {"3", "7"}
