"""A store is migrated while it is written to, and its writers switch: nothing is lost."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from castore_core import EventRecord, EventStorageAdapter, EventStore, StorageError
from castore_dam import FileCheckpoint, migrate_event_store, verify_migration
from event_storages import make_storage
from migrating import Noted, Notes, notes
from wrapped_storage import WrappedStorage

pytestmark = pytest.mark.usefixtures("alone_on_servers")

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

    def __init__(self, store: EventStore[Noted, Notes]) -> None:
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
    tmp_path: Path, find_server: Callable[[str], str], old_kind: str, new_kind: str
) -> None:
    """Each event that a writer was told is stored is in the new storage, in its place."""
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.json")
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(make_storage(each, tmp_path, find_server))
            for each in (old_kind, new_kind)
        ]
        old, new = Lockable(made[0]), made[1]
        source = notes.using(made[0])
        target = notes.using(new)
        service = Service(notes.using(old))
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
            service.store = notes.using(new)  # the switch
            await asyncio.sleep(0.3)
            service.is_over = True

        assert first.events_written > 0
        assert last.events_written > 0
        assert verification.is_equal
        assert before <= verification.found_event_count < len(service.acknowledged)
        await check(new, service.acknowledged)


async def check(adapter: EventStorageAdapter, acknowledged: set[tuple[str, int]]) -> None:
    """Compare the events of a storage with those that were acknowledged."""
    store = notes.using(adapter)
    found = {
        (each.aggregate_id, each.version)
        async for aggregate_id in store.iter_aggregate_ids()
        for each in await store.get_events(aggregate_id)
    }
    assert acknowledged == found
