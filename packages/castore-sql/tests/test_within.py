"""Pushes and reads inside a transaction of the user's, on SQLite."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, StaticPool, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sql_servers import dispose
from within_suite import WithinTests

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


class TestWithinMemory(WithinTests):
    """In memory, where a thread has one connection, or all have."""

    has_other_connections = False

    @pytest.fixture(params=MEMORY)
    async def engine(self, request: pytest.FixtureRequest) -> AsyncIterator[Engine | AsyncEngine]:
        """Give an engine on an empty database."""
        engine = MEMORY[request.param]()
        yield engine
        await dispose(engine)
