"""Exports and imports are killed, and go on: nothing is lost, doubled or torn.

``CASTORE_KILLS=20`` kills each so many times.
"""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from castore_core import GroupedRecord
from castore_dam import export_event_store, read_archive
from castore_sql import SQLEventStorageAdapter
from event_storages import read_all
from notes import NoteStore, make_notes, make_record

PROGRAM = Path(__file__).parent / "archivers.py"
SUPPORT = Path(__file__).parent.parent / "tests" / "support"
KILLS = int(os.environ.get("CASTORE_KILLS", "6"))
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


def run(*arguments: str | Path, kill_after: int | None) -> bool:
    """Run the program, kill it after so many reports, and tell whether it was killed."""
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        if kill_after is not None:
            for _ in range(kill_after):
                process.stdout.readline()
            process.kill()
        process.communicate()
    assert process.returncode in {0, -signal.SIGKILL}
    return process.returncode != 0


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
async def test_export(suffix: str, tmp_path: Path) -> None:
    """Exports that were killed several times have the lines of one that was not."""
    store = make_notes(await fill(tmp_path / "events.db"))
    expected = [each async for each in read_archive(await export(store, tmp_path / "o.jsonl"))]
    kills = rounds = 0
    while kills < KILLS:
        rounds += 1
        archive = tmp_path / f"notes{rounds}{suffix}"
        arguments = ("export", tmp_path / "events.db", archive, tmp_path / f"checkpoint{rounds}")
        while run(*arguments, kill_after=1 + kills % 3):
            kills += 1
        assert not run(*arguments, kill_after=None)  # an export that has ended does nothing more
        assert expected == [each async for each in read_archive(archive)]
    assert rounds < KILLS
    assert not [*tmp_path.glob("*.part")]


async def test_import(tmp_path: Path) -> None:
    """Imports that were killed several times have written each event, once."""
    source = make_notes(await fill(tmp_path / "events.db"))
    archive = await export(source, tmp_path / "notes.jsonl.zst")
    kills = rounds = 0
    while kills < KILLS:
        rounds += 1
        database = tmp_path / f"target{rounds}.db"
        engine = create_engine(f"sqlite:///{database}")
        target = SQLEventStorageAdapter(engine)
        await target.create_tables()
        arguments = ("import", database, archive, tmp_path / f"checkpoint{rounds}")
        while run(*arguments, kill_after=1 + kills % 2):
            kills += 1
        assert await read_all(source) == await read_all(make_notes(target))
        assert AGGREGATES * VERSIONS == await target.count_events()
        engine.dispose()
    assert rounds < KILLS


async def export(store: NoteStore, path: Path) -> Path:
    """Export a store, undisturbed."""
    await export_event_store(store, path)
    return path
