"""SQLite keeps the contract, through each kind of engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_sql import SQLEventStorageAdapter
from castore_test_tools import EventLogTests, EventStorageAdapterTests


async def make_adapter(
    engine: Engine | AsyncEngine, table_name: str = "event"
) -> SQLEventStorageAdapter:
    """Return an adapter of a table that was just created."""
    adapter = SQLEventStorageAdapter(engine, table_name=table_name)
    await adapter.create_tables()
    return adapter


class SyncEngineOnFile:
    """A file, through threads of the adapter's own."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """Return an engine, and dispose of it."""
        engine = create_engine(f"sqlite:///{tmp_path}/events.db")
        yield engine
        engine.dispose()

    @pytest.fixture
    async def adapter(self, engine: Engine) -> SQLEventStorageAdapter:
        """Return an adapter without events."""
        return await make_adapter(engine)

    @pytest.fixture
    def connect_again(self, engine: Engine) -> Callable[[], SQLEventStorageAdapter]:
        """Make adapters on the same engine."""
        return lambda: SQLEventStorageAdapter(engine)

    @pytest.fixture
    async def foreign_adapter(self, tmp_path: Path) -> AsyncIterator[SQLEventStorageAdapter]:
        """Return an adapter of another file."""
        engine = create_engine(f"sqlite:///{tmp_path}/foreign.db")
        yield await make_adapter(engine)
        engine.dispose()

    @pytest.fixture
    def break_backend(self, engine: Engine) -> Callable[[], None]:
        """Drop the table behind the adapter's back."""

        def drop() -> None:
            with engine.begin() as connection:
                connection.execute(text("DROP TABLE event"))

        return drop


class SyncEngineInMemory:
    """A database in memory, through the thread of the event loop."""

    works_in_several_event_loops = False  # each thread has a database of its own

    @pytest.fixture
    async def adapter(self) -> AsyncIterator[SQLEventStorageAdapter]:
        """Return an adapter without events."""
        engine = create_engine("sqlite://")
        yield await make_adapter(engine)
        engine.dispose()


class AsyncEngineOnFile:
    """A file, through aiosqlite."""

    works_in_several_event_loops_at_once = False  # nor does the pool of SQLAlchemy

    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
        """Return an engine, and dispose of it."""
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/events.db")
        yield engine
        await engine.dispose()

    @pytest.fixture
    async def adapter(self, engine: AsyncEngine) -> SQLEventStorageAdapter:
        """Return an adapter without events, whose pool has opened all that it keeps.

        aiosqlite does not close a connection whose opening was cancelled.
        """
        adapter = await make_adapter(engine)
        await asyncio.gather(*(adapter.get_last_position() for _ in range(5)))
        return adapter

    @pytest.fixture
    def connect_again(self, engine: AsyncEngine) -> Callable[[], SQLEventStorageAdapter]:
        """Make adapters on the same engine."""
        return lambda: SQLEventStorageAdapter(engine)

    @pytest.fixture
    async def foreign_adapter(self, tmp_path: Path) -> AsyncIterator[SQLEventStorageAdapter]:
        """Return an adapter of another file."""
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/foreign.db")
        yield await make_adapter(engine)
        await engine.dispose()

    @pytest.fixture
    def break_backend(self, engine: AsyncEngine) -> Callable[[], Awaitable[None]]:
        """Drop the table behind the adapter's back."""

        async def drop() -> None:
            async with engine.begin() as connection:
                await connection.execute(text("DROP TABLE event"))

        return drop


class AsyncEngineInMemory:
    """A database in memory, through aiosqlite."""

    works_in_several_event_loops_at_once = False  # nor does the pool of SQLAlchemy

    @pytest.fixture
    async def adapter(self) -> AsyncIterator[SQLEventStorageAdapter]:
        """Return an adapter without events."""
        engine = create_async_engine("sqlite+aiosqlite://")
        yield await make_adapter(engine)
        await engine.dispose()


class TestEventsOfSyncEngineOnFile(SyncEngineOnFile, EventStorageAdapterTests):
    """The event storage, and groups over two tables."""

    @pytest.fixture
    async def sibling_adapter(self, engine: Engine) -> SQLEventStorageAdapter:
        """Return an adapter of another table."""
        return await make_adapter(engine, "other_event")


class TestEventsOfSyncEngineInMemory(SyncEngineInMemory, EventStorageAdapterTests):
    """The event storage."""


class TestEventsOfAsyncEngineOnFile(AsyncEngineOnFile, EventStorageAdapterTests):
    """The event storage."""


class TestEventsOfAsyncEngineInMemory(AsyncEngineInMemory, EventStorageAdapterTests):
    """The event storage."""


class TestLogOfSyncEngineOnFile(SyncEngineOnFile, EventLogTests):
    """The event log."""


class TestLogOfSyncEngineInMemory(SyncEngineInMemory, EventLogTests):
    """The event log."""


class TestLogOfAsyncEngineOnFile(AsyncEngineOnFile, EventLogTests):
    """The event log."""


class TestLogOfAsyncEngineInMemory(AsyncEngineInMemory, EventLogTests):
    """The event log."""
