"""A migration is killed again and again, and started again: each event is there once.

``CASTORE_KILLS=20`` kills it so many times.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from castore_core import EventRecord, GroupedRecord
from castore_dam import FileCheckpoint, migrate_event_store, verify_migration
from event_storages import new_storage, open_storage
from migrating import notes, transform
from notes import MOMENT

pytestmark = pytest.mark.usefixtures("alone_on_servers")

PROGRAM = Path(__file__).parent.parent / "tests/support/migrating.py"
KILLS = int(os.environ.get("CASTORE_KILLS", "4"))
AGGREGATES = 150
numbers = random.Random(3)


def make_records(versions: int) -> Sequence[EventRecord]:
    """Return the events of many aggregates, mixed."""
    return [
        EventRecord(f"n{each}", version, "NOTED", MOMENT, f"{each} {version}")
        for version in range(1, versions + 1)
        for each in range(AGGREGATES)
    ]


def migrate_and_kill(source: str, target: str, checkpoint: str) -> bool:
    """Migrate in a process that is killed in the middle; tell whether it was."""
    with subprocess.Popen(
        [sys.executable, PROGRAM, source, target, checkpoint],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(numbers.uniform(0, 0.12))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("has_checkpoint", [True, False])
@pytest.mark.parametrize("target_kind", ["sqlite", "postgres", "ministack"])
async def test_a_killed_migration_goes_on(
    tmp_path: Path, find_server: Callable[[str], str], target_kind: str, has_checkpoint: bool
) -> None:
    """After all the kills, one more run completes the target, and no event is twice in it."""
    path = tmp_path / "checkpoint.json"
    async with (
        new_storage("sqlite", tmp_path, find_server) as source_place,
        new_storage(target_kind, tmp_path, find_server) as target_place,
        open_storage(source_place) as old,
        open_storage(target_place) as new,
    ):
        source, target = notes.using(old), notes.using(new)
        records = make_records(4 * (1 + KILLS))
        await old.push_event_group([GroupedRecord("NOTES", each, old) for each in records])

        killed = 0
        for _ in range(KILLS):
            name = str(path) if has_checkpoint else "-"
            killed += await asyncio.to_thread(migrate_and_kill, source_place, target_place, name)
        migration = await migrate_event_store(
            source,
            target,
            transform=transform,
            checkpoint=FileCheckpoint(path) if has_checkpoint else None,
        )

        verification = await verify_migration(source, target, transform=transform)
        assert verification.is_equal
        assert AGGREGATES == verification.aggregate_count
        assert killed >= KILLS // 2
        if killed == KILLS or not has_checkpoint:  # a run that ended begins anew
            assert len(records) == migration.events_read
            done = migration.events_written + migration.events_already_there
            assert done == verification.found_event_count
