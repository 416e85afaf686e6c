"""Bookmarks on SQLite keep the contract, through each kind of engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import Connection, Engine, StaticPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from castore_sql import SQLBookmarkStorageAdapter
from castore_test_tools import BookmarkStorageAdapterTests, overrides_contract

CREATE = text("CREATE TABLE joined (body TEXT)")
INSERT = text("INSERT INTO joined VALUES (:body)")
SELECT = text("SELECT body FROM joined")
DROP = text("DROP TABLE bookmark")

Join: TypeAlias = tuple[Callable[..., Any], Callable[..., Any]]


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
        """Drop the table behind the adapter's back."""

        def drop() -> None:
            with engine.begin() as connection:
                connection.execute(DROP)

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
        await asyncio.gather(*(adapter.get_position("any") for _ in range(5)))
        return adapter

    @pytest.fixture
    def connect_again(
        self, engine: AsyncEngine
    ) -> Callable[[], SQLBookmarkStorageAdapter[AsyncConnection]]:
        """Make adapters on the same engine."""
        return lambda: SQLBookmarkStorageAdapter(engine)

    @pytest.fixture
    def break_backend(self, engine: AsyncEngine) -> Callable[[], Awaitable[None]]:
        """Drop the table behind the adapter's back."""

        async def drop() -> None:
            async with engine.begin() as connection:
                await connection.execute(DROP)

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
    async def test_joined_writes_are_seen_with_the_bookmark(self) -> None:
        """Readers see what a block has written before its end."""


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
    async def test_a_cancelled_move_takes_its_writes_along(self) -> None:
        """A statement of the user's that is cancelled ends the database."""
