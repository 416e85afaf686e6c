"""A database in a file, and an adapter on it; and an adapter on each kind of engine."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from castore_sql import SQLEventStorageAdapter

URLS = {
    "file": "sqlite:///{path}",
    "memory": "sqlite://",
    "async file": "sqlite+aiosqlite:///{path}",
    "async memory": "sqlite+aiosqlite://",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a database that is not there yet."""
    return tmp_path / "events.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    """Give an engine as SQLAlchemy makes it by default."""
    engine = create_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@pytest.fixture
async def adapter(engine: Engine) -> SQLEventStorageAdapter:
    """Give an adapter whose table is there."""
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    return adapter


@pytest.fixture(params=URLS)
async def any_adapter(
    path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[SQLEventStorageAdapter]:
    """Give an adapter whose table is there, on each kind of engine."""
    url = URLS[request.param].format(path=path)
    if "aiosqlite" in url:
        async_engine = create_async_engine(url)
        adapter = SQLEventStorageAdapter(async_engine)
        await adapter.create_tables()
        yield adapter
        await async_engine.dispose()
    else:
        engine = create_engine(url)
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        yield adapter
        engine.dispose()
