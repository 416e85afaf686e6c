"""A database in a file, and an adapter on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from castore_sql import SQLEventStorageAdapter


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
