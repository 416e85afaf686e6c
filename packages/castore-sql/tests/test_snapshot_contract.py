"""Snapshots on SQLite keep the contract, through each kind of engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_sql import SQLSnapshotStorageAdapter
from castore_test_tools import SnapshotStorageAdapterTests

DROP = text("DROP TABLE snapshot")


async def make_adapter(engine: Engine | AsyncEngine) -> SQLSnapshotStorageAdapter:
    """Return an adapter of a table that was just created."""
    adapter = SQLSnapshotStorageAdapter(engine)
    await adapter.create_tables()
    return adapter


class TestSnapshotsOfSyncEngineOnFile(SnapshotStorageAdapterTests):
    """A file, through threads of the adapter's own."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """Return an engine, and dispose of it."""
        engine = create_engine(f"sqlite:///{tmp_path}/events.db")
        yield engine
        engine.dispose()

    @pytest.fixture
    async def adapter(self, engine: Engine) -> SQLSnapshotStorageAdapter:
        """Return an adapter without snapshots."""
        return await make_adapter(engine)

    @pytest.fixture
    def connect_again(self, engine: Engine) -> Callable[[], SQLSnapshotStorageAdapter]:
        """Make adapters on the same engine."""
        return lambda: SQLSnapshotStorageAdapter(engine)

    @pytest.fixture
    def break_backend(self, engine: Engine) -> Callable[[], None]:
        """Drop the table behind the adapter's back."""

        def drop() -> None:
            with engine.begin() as connection:
                connection.execute(DROP)

        return drop


class TestSnapshotsOfAsyncEngineOnFile(SnapshotStorageAdapterTests):
    """A file, through aiosqlite."""

    works_in_several_event_loops_at_once = False  # nor does the pool of SQLAlchemy

    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
        """Return an engine, and dispose of it."""
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/events.db")
        yield engine
        await engine.dispose()

    @pytest.fixture
    async def adapter(self, engine: AsyncEngine) -> SQLSnapshotStorageAdapter:
        """Return an adapter without snapshots, whose pool has opened all that it keeps.

        aiosqlite does not close a connection whose opening was cancelled.
        """
        adapter = await make_adapter(engine)
        reads = (adapter.get_snapshot("STORE", "a", reducer_version="1") for _ in range(5))
        await asyncio.gather(*reads)
        return adapter

    @pytest.fixture
    def connect_again(self, engine: AsyncEngine) -> Callable[[], SQLSnapshotStorageAdapter]:
        """Make adapters on the same engine."""
        return lambda: SQLSnapshotStorageAdapter(engine)

    @pytest.fixture
    def break_backend(self, engine: AsyncEngine) -> Callable[[], Awaitable[None]]:
        """Drop the table behind the adapter's back."""

        async def drop() -> None:
            async with engine.begin() as connection:
                await connection.execute(DROP)

        return drop


class TestSnapshotsOfSyncEngineInMemory(SnapshotStorageAdapterTests):
    """A database in memory, through the thread of the event loop."""

    works_in_several_event_loops = False  # each thread has a database of its own

    @pytest.fixture
    async def adapter(self) -> AsyncIterator[SQLSnapshotStorageAdapter]:
        """Return an adapter without snapshots."""
        engine = create_engine("sqlite://")
        yield await make_adapter(engine)
        engine.dispose()


class TestSnapshotsOfAsyncEngineInMemory(SnapshotStorageAdapterTests):
    """A database in memory, through aiosqlite."""

    works_in_several_event_loops_at_once = False  # nor does the pool of SQLAlchemy

    @pytest.fixture
    async def adapter(self) -> AsyncIterator[SQLSnapshotStorageAdapter]:
        """Return an adapter without snapshots."""
        engine = create_async_engine("sqlite+aiosqlite://")
        yield await make_adapter(engine)
        await engine.dispose()
