"""A migration is killed again and again, and started again: each event is there once.

``CASTORE_KILLS=20`` kills it so many times.
"""

import os
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from castore_core import EventRecord, GroupedRecord
from castore_dam import FileCheckpoint, migrate_event_store, verify_migration
from event_storages import new_storage, open_storage
from forking import ForkingProgram
from migrating import notes, transform
from notes import MOMENT

pytestmark = pytest.mark.usefixtures("alone_on_servers")

PROGRAM = Path(__file__).parent.parent / "tests/support/migrating.py"
KILLS = int(os.environ.get("CASTORE_KILLS", "4"))
AGGREGATES = 150
VERSIONS = {"sqlite": 4, "postgres": 4, "ministack": 1}  # a kill: the last one is slow by itself
LONGEST_LIFE = 0.12  # seconds
moments = random.Random(3)


def make_records(versions: int) -> Sequence[EventRecord]:
    """Return the events of many aggregates, mixed."""
    return [
        EventRecord(f"n{each}", version, "NOTED", MOMENT, f"{each} {version}")
        for version in range(1, versions + 1)
        for each in range(AGGREGATES)
    ]


@contextmanager
def start_program(**place: str) -> Generator[ForkingProgram]:
    """Give a program whose processes migrate."""
    program = ForkingProgram(PROGRAM, place)
    try:
        yield program
    finally:
        program.close()


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
        records = make_records(VERSIONS[target_kind] * (1 + KILLS))
        await old.push_event_group([GroupedRecord("NOTES", each, old) for each in records])

        killed = 0
        with start_program(
            source=source_place, target=target_place, checkpoint=str(path)
        ) as program:
            for _ in range(KILLS):
                kind = "kept" if has_checkpoint else "lost"
                killed += program.run_and_kill(kind, moments, LONGEST_LIFE)
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
