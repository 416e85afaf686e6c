"""Worlds in memory and on SQLite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from accounts import InMemoryWorld, SQLWorld, World


@pytest.fixture(params=["memory", "sqlite", "aiosqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """Return a world of each kind."""
    path = tmp_path / "events.db"
    if request.param == "memory":
        yield InMemoryWorld()
    elif request.param == "sqlite":
        engine = create_engine(f"sqlite:///{path}")
        yield await SQLWorld.make(engine)
        engine.dispose()
    else:
        async_engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        yield await SQLWorld.make(async_engine)
        await async_engine.dispose()
