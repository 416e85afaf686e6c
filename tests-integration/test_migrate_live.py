"""A store is migrated while it is written to, and its writers switch: nothing is lost."""

import asyncio
import itertools
from pathlib import Path

import pytest

from castore_core import EventRecord, StorageError
from castore_dam import FileCheckpoint, migrate_event_store, verify_migration
from event_storages import MakeStorage, read_all
from notes import Noted, NoteStore, make_notes
from wrapped_storage import WrappedStorage

WRITERS = 8


class Lockable(WrappedStorage):
    """A storage that can be made read-only, as a database is by taking a right away."""

    is_read_only = False

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event, if that is allowed."""
        if self.is_read_only:
            raise StorageError("it is read-only")
        await super().push_event(event_store_id, record, force=force)


class Service:
    """Writers, each with aggregates of its own, that wait while they may not write."""

    def __init__(self, store: NoteStore) -> None:
        self.store = store
        self.acknowledged: set[tuple[str, int]] = set()
        self.is_over = False

    async def write(self, number: int) -> None:
        """Push until the end, also where some pushes are refused."""
        for count in itertools.count():
            if self.is_over:
                return
            version, aggregate = divmod(count, 5)
            event = Noted(f"w{number}-{aggregate}", 1 + version, payload=f"{count}")
            await self._push(event)
            self.acknowledged.add((event.aggregate_id, event.version))
            await asyncio.sleep(0.002)

    async def _push(self, event: Noted) -> None:
        while True:
            try:
                await self.store.push_event(event)
            except StorageError:
                await asyncio.sleep(0.01)
            else:
                return


@pytest.mark.parametrize(
    ("old_kind", "new_kind"),
    [("sqlite", "postgres"), ("postgres", "ministack"), ("ministack", "sqlite")],
)
async def test_a_live_store_moves(
    tmp_path: Path, make_storage: MakeStorage, old_kind: str, new_kind: str
) -> None:
    """Each event that a writer was told is stored is in the new storage, in its place."""
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.json")
    storage, new = await make_storage(old_kind), await make_storage(new_kind)
    old = Lockable(storage)
    source, target = make_notes(storage), make_notes(new)
    service = Service(make_notes(old))
    async with asyncio.TaskGroup() as tasks:
        for number in range(WRITERS):
            tasks.create_task(service.write(number))
        await asyncio.sleep(0.3)

        first = await migrate_event_store(source, target, checkpoint=checkpoint)
        await migrate_event_store(source, target, checkpoint=checkpoint)
        await asyncio.sleep(0.2)
        before = len(service.acknowledged)
        old.is_read_only = True
        await asyncio.sleep(0.2)  # pushes under way end
        last = await migrate_event_store(source, target, checkpoint=checkpoint)
        verification = await verify_migration(source, target)
        service.store = target  # the switch
        await asyncio.sleep(0.3)
        service.is_over = True

    assert first.events_written > 0
    assert last.events_written > 0
    assert verification.is_equal
    assert before <= verification.found_event_count < len(service.acknowledged)
    assert service.acknowledged == {*await read_all(target)}
