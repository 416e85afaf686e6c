"""Events that the log of PostgreSQL holds back while an older transaction is open."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_dam import (
    FileCheckpoint,
    check_event_store,
    export_event_store,
    migrate_event_store,
    pour_event_store_events,
    verify_migration,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from notes import NoteStore, make_notes
from pouring import attach, push_notes
from sql_servers import KINDS, ServerDatabase, dispose

pytestmark = pytest.mark.usefixtures("alone_on_servers")


@pytest.fixture
async def engine(find_server: Callable[[str], str]) -> AsyncIterator[AsyncEngine]:
    """Give a database with a table of events."""
    database = ServerDatabase("postgres", find_server("postgres"))
    database.create()
    engine = database.make_engine(KINDS["asyncpg"])
    assert isinstance(engine, AsyncEngine)
    await SQLEventStorageAdapter(engine).create_tables()
    yield engine
    await dispose(engine)
    database.drop()


@asynccontextmanager
async def held_back(engine: AsyncEngine) -> AsyncGenerator[NoteStore]:
    """Give a store with two events of which the log holds back one during the block."""
    store = make_notes(SQLEventStorageAdapter(engine))
    await push_notes(store, ("a", 1, 0))
    async with engine.begin() as older:
        await older.execute(text("SELECT pg_current_xact_id()"))
        await push_notes(store, ("a", 2, 1))
        yield store


async def test_a_migration_carries_them_later(engine: AsyncEngine, tmp_path: Path) -> None:
    """They are missing at first, which a verification tells; the next run carries them."""
    target = make_notes(InMemoryEventStorageAdapter())
    checkpoint = FileCheckpoint(tmp_path / "migration.json")
    async with held_back(engine) as source:
        migration = await migrate_event_store(source, target, checkpoint=checkpoint)
        assert 1 == migration.events_written
        assert not (await verify_migration(source, target)).is_equal

    migration = await migrate_event_store(source, target, checkpoint=checkpoint)
    assert (1, 1) == (migration.events_read, migration.events_written)
    assert (await verify_migration(source, target)).is_equal


async def test_others_end_before_them(engine: AsyncEngine, tmp_path: Path) -> None:
    """A pour, an export and a check end before them, as every reader of the log does."""
    async with held_back(engine) as source:
        queue, taken = attach(source)
        poured = await pour_event_store_events(source, queue)
        archive = await export_event_store(source, tmp_path / "notes.jsonl")
        report = await check_event_store(source)
    assert [("a", 1)] == taken.places
    assert 1 == poured.poured_event_count == archive.event_count == report.event_count
