"""Pushes and reads inside a transaction of the user's, on SQLite."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, StaticPool, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import EventRecord, TransactionAbortedError
from castore_sql import SQLEventStorageAdapter
from sql_servers import dispose
from within_suite import WithinTests

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
FILES: dict[str, Callable[[Path], Engine | AsyncEngine]] = {
    "file": lambda path: create_engine(f"sqlite:///{path}"),
    "async file": lambda path: create_async_engine(f"sqlite+aiosqlite:///{path}"),
}
MEMORY: dict[str, Callable[[], Engine | AsyncEngine]] = {
    "memory": lambda: create_engine("sqlite://"),
    "static memory": lambda: create_engine("sqlite://", poolclass=StaticPool),
    "async memory": lambda: create_async_engine("sqlite+aiosqlite://"),
    "static async memory": lambda: create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool),
}


class TestWithinFile(WithinTests):
    """In a file."""

    @pytest.fixture(params=FILES)
    async def engine(
        self, request: pytest.FixtureRequest, path: Path
    ) -> AsyncIterator[Engine | AsyncEngine]:
        """Give an engine on an empty file."""
        engine = FILES[request.param](path)
        yield engine
        await dispose(engine)

    async def test_a_transaction_that_others_have_overtaken(self, path: Path) -> None:
        """It has read before a write of somebody else, and cannot write any more."""
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        async with engine.connect() as connection:
            await connection.exec_driver_sql("BEGIN")
            inner = adapter.within(connection)
            await inner.get_events("STORE", "a")
            await adapter.push_event("STORE", EventRecord("a", 1, "PUSHED", MOMENT))
            with pytest.raises(TransactionAbortedError, match="begin it again"):
                await inner.push_event("STORE", EventRecord("b", 1, "PUSHED", MOMENT))
        await dispose(engine)


class TestWithinMemory(WithinTests):
    """In memory, where a thread has one connection, or all have."""

    has_other_connections = False

    @pytest.fixture(params=MEMORY)
    async def engine(self, request: pytest.FixtureRequest) -> AsyncIterator[Engine | AsyncEngine]:
        """Give an engine on an empty database."""
        engine = MEMORY[request.param]()
        yield engine
        await dispose(engine)
