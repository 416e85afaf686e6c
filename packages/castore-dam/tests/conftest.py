"""Storages with and without a log, and checkpoints."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from castore_core import EventStorageAdapter
from castore_dam import BookmarkCheckpoint, Checkpoint, FileCheckpoint
from castore_in_memory import InMemoryBookmarkStorageAdapter, InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from dam_program import Program
from pouring import make_note
from wrapped_storage import WrappedStorage


@pytest.fixture(params=["memory", "sqlite", "listed", "listed-sqlite"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[EventStorageAdapter]:
    """Give storages with a log, and storages whose aggregates can only be listed."""
    kind: str = request.param
    if "sqlite" not in kind:
        memory = InMemoryEventStorageAdapter()
        yield WrappedStorage(memory) if kind == "listed" else memory
        return
    engine = create_engine(f"sqlite:///{tmp_path}/events.db")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    yield WrappedStorage(adapter) if kind == "listed-sqlite" else adapter
    engine.dispose()


@pytest.fixture(params=["file", "bookmark"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Checkpoint:
    """Give a checkpoint of each kind."""
    if request.param == "file":
        return FileCheckpoint(tmp_path / "pour.json")
    return BookmarkCheckpoint(InMemoryBookmarkStorageAdapter(), "pour")


@pytest.fixture
def program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    """Give a program whose old database has notes: three of a1, and one each of a2 and a3."""
    program = Program(tmp_path, capsys)
    places = (("a1", 1, 1), ("a2", 1, 2), ("a1", 2, 3), ("a3", 1, 4), ("a1", 3, 5))
    program.push("old", *(make_note(*each) for each in places))
    return program
