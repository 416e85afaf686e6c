"""The adapters that every test of stores runs on."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from castore_core import EventStorageAdapter
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter


@pytest.fixture(params=["in memory", "sqlite file"])
async def adapter(request: Any, tmp_path: Path) -> AsyncIterator[EventStorageAdapter]:
    """Yield an empty event storage."""
    if request.param == "in memory":
        yield InMemoryEventStorageAdapter()
        return
    engine = create_engine(f"sqlite:///{tmp_path / 'events.db'}")
    sql_adapter = SQLEventStorageAdapter(engine)
    await sql_adapter.create_tables()
    yield sql_adapter
    engine.dispose()
