"""SQLite keeps the contract, through each kind of engine."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from castore_sql import SQLEventStorageAdapter
from castore_test_tools import EventStorageAdapterTests


class TestSyncEngineOnFile(EventStorageAdapterTests):
    """A file, threads of the adapter's own, and groups over two tables."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """Return an engine on a file."""
        engine = create_engine(f"sqlite:///{tmp_path}/events.db")
        yield engine
        engine.dispose()

    @pytest.fixture
    async def adapter(self, engine: Engine) -> SQLEventStorageAdapter:
        """Return an adapter of an empty table."""
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        return adapter

    @pytest.fixture
    async def sibling_adapter(self, engine: Engine) -> SQLEventStorageAdapter:
        """Return an adapter of another table."""
        sibling = SQLEventStorageAdapter(engine, table_name="other_event")
        await sibling.create_tables()
        return sibling


class TestSyncEngineInMemory(EventStorageAdapterTests):
    """A database in memory, used from one thread."""

    @pytest.fixture
    async def adapter(self) -> AsyncIterator[SQLEventStorageAdapter]:
        """Return an adapter of an empty table."""
        engine = create_engine("sqlite://")
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        yield adapter
        engine.dispose()


class TestAsyncEngineOnFile(EventStorageAdapterTests):
    """A file, through aiosqlite."""

    @pytest.fixture
    async def adapter(self, tmp_path: Path) -> AsyncIterator[SQLEventStorageAdapter]:
        """Return an adapter of an empty table."""
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/events.db")
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        yield adapter
        await engine.dispose()


class TestAsyncEngineInMemory(EventStorageAdapterTests):
    """A database in memory, through aiosqlite."""

    @pytest.fixture
    async def adapter(self) -> AsyncIterator[SQLEventStorageAdapter]:
        """Return an adapter of an empty table."""
        engine = create_async_engine("sqlite+aiosqlite://")
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        yield adapter
        await engine.dispose()
