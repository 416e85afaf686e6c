"""Exports and imports are killed, and go on: nothing is lost, doubled or torn.

``CASTORE_KILLS=20`` kills each so many times.
"""

import hashlib
import os
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import create_engine

from archivers import ENDED
from castore_core import GroupedRecord
from castore_dam import export_event_store, read_archive
from castore_sql import SQLEventStorageAdapter
from event_storages import read_all
from forking import ForkingProgram
from notes import NoteStore, make_notes, make_record

PROGRAM = Path(__file__).parent.parent / "tests/support/archivers.py"
KILLS = int(os.environ.get("CASTORE_KILLS", "4"))
AGGREGATES = 60
VERSIONS = 100


async def fill(database: Path) -> SQLEventStorageAdapter:
    """Store events of about 2 KB, which compression makes little smaller."""
    adapter = SQLEventStorageAdapter(create_engine(f"sqlite:///{database}"))
    await adapter.create_tables()
    for number in range(AGGREGATES):
        name = f"a{number}"
        seed = name.encode()
        records = [
            make_record(name, version, hashlib.shake_256(seed + bytes([version])).hexdigest(1100))
            for version in range(1, VERSIONS + 1)
        ]
        await adapter.push_event_group([GroupedRecord("NOTES", each, adapter) for each in records])
    return adapter


class Archivers:
    """Processes that export or import, one at a time."""

    def __init__(self, folder: Path, suffix: str = "") -> None:
        self._program = ForkingProgram(PROGRAM, {"folder": str(folder), "suffix": suffix})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.close()

    def run(self, kind: str, *, kill_after: int | None) -> bool:
        """Run a process, kill it after so many reports, and tell whether it was killed."""
        said, count = self._program.start(kind), 1
        while said != ENDED and count != kill_after:
            said, count = self._program.listen("READY"), count + 1
        if said != ENDED:
            return self._program.kill()
        assert self._program.wait() == [0]
        return False


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
async def test_export(suffix: str, tmp_path: Path) -> None:
    """Exports that were killed several times have the lines of one that was not."""
    store = make_notes(await fill(tmp_path / "events.db"))
    expected = [each async for each in read_archive(await export(store, tmp_path / "o.jsonl"))]
    kills = rounds = 0
    with Archivers(tmp_path, suffix) as archivers:
        while kills < KILLS:
            rounds += 1
            kind = f"export:{rounds}"
            while archivers.run(kind, kill_after=1 + kills % 3):
                kills += 1
            assert not archivers.run(kind, kill_after=None)  # it has ended, and does nothing more
            archive = tmp_path / f"notes{rounds}{suffix}"
            assert expected == [each async for each in read_archive(archive)]
    assert rounds < KILLS
    assert not [*tmp_path.glob("*.part")]


async def test_import(tmp_path: Path) -> None:
    """Imports that were killed several times have written each event, once."""
    source = make_notes(await fill(tmp_path / "events.db"))
    await export(source, tmp_path / "notes.jsonl.zst")
    kills = rounds = 0
    with Archivers(tmp_path) as archivers:
        while kills < KILLS:
            rounds += 1
            engine = create_engine(f"sqlite:///{tmp_path}/target{rounds}.db")
            target = SQLEventStorageAdapter(engine)
            await target.create_tables()
            while archivers.run(f"import:{rounds}", kill_after=1 + kills % 2):
                kills += 1
            assert await read_all(source) == await read_all(make_notes(target))
            assert AGGREGATES * VERSIONS == await target.count_events()
            engine.dispose()
    assert rounds < KILLS


async def export(store: NoteStore, path: Path) -> Path:
    """Export a store, undisturbed."""
    await export_event_store(store, path)
    return path
