"""Checkpoints of both kinds, on several storages, with every operation."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import create_engine

from castore_core import (
    AggregateExistsMessageQueue,
    BookmarkStorageAdapter,
    EventStorageAdapter,
    ListedAggregate,
)
from castore_dam import (
    BookmarkCheckpoint,
    Checkpoint,
    FileCheckpoint,
    InvalidCheckpointError,
    Progress,
    export_event_store,
    import_event_store,
    migrate_event_store,
    pour_aggregate_events,
    pour_event_store_aggregate_ids,
    pour_event_store_events,
    verify_archive,
    verify_migration,
)
from castore_in_memory import InMemoryBookmarkStorageAdapter, InMemoryEventStorageAdapter
from castore_sql import SQLBookmarkStorageAdapter
from event_storages import read_all
from notes import make_notes, make_record
from pouring import attach
from sql_servers import KINDS, ServerDatabase, dispose, using_servers
from wrapped_storage import WrappedStorage

COUNT = 1200

Operation: TypeAlias = Callable[..., Any]


@pytest.fixture(params=["file", "memory", "sqlite", "postgres"])
async def checkpoint(
    request: pytest.FixtureRequest, tmp_path: Path, find_server: Callable[[str], str]
) -> AsyncIterator[Checkpoint]:
    """Give a file, or a bookmark of a storage."""
    async with AsyncExitStack() as stack:
        bookmarks: BookmarkStorageAdapter[Any]
        match request.param:
            case "file":
                yield FileCheckpoint(tmp_path / "operation.json")
                return
            case "memory":
                bookmarks = InMemoryBookmarkStorageAdapter()
            case "sqlite":
                engine = create_engine(f"sqlite:///{tmp_path}/bookmarks.db")
                stack.callback(engine.dispose)
                bookmarks = SQLBookmarkStorageAdapter(engine)
                await bookmarks.create_tables()
            case _:
                database = ServerDatabase("postgres", find_server("postgres"))
                stack.enter_context(using_servers(alone=False))
                database.create()
                stack.callback(database.drop)
                server = database.make_engine(KINDS["asyncpg"])
                stack.push_async_callback(dispose, server)
                bookmarks = SQLBookmarkStorageAdapter(server)
                await bookmarks.create_tables()
        yield BookmarkCheckpoint(bookmarks, "operation")


async def fill(adapter: EventStorageAdapter, aggregates: int = 3) -> None:
    """Store events of several aggregates."""
    for version in range(1, COUNT // aggregates + 1):
        for number in range(aggregates):
            await adapter.push_event("NOTES", make_record(f"n{number}", version, "x" * 3000))


def fail_at(count: int) -> Callable[[Progress], None]:
    """Return a hook that ends an operation after so many events."""

    def fail(progress: Progress) -> None:
        if progress.phase not in {"scanning", "verifying"} and progress.done >= count:
            raise InterruptedError

    return fail


async def interrupt(operation: Operation, *arguments: Any, **options: Any) -> Any:
    """Run an operation that fails twice, and to its end then."""
    for count in (1, COUNT // 2):
        with pytest.raises(InterruptedError):
            await operation(*arguments, **options, on_progress=fail_at(count))
    return await operation(*arguments, **options)


@pytest.fixture(params=["log", "list"])
async def source(request: pytest.FixtureRequest) -> EventStorageAdapter:
    """Give a storage with events, with a log or without."""
    adapter = InMemoryEventStorageAdapter()
    await fill(adapter)
    return adapter if request.param == "log" else WrappedStorage(adapter)


async def test_export(checkpoint: Checkpoint, source: EventStorageAdapter, tmp_path: Path) -> None:
    """An archive has each event once, however often its export failed."""
    path = tmp_path / "notes.jsonl"
    archive = await interrupt(export_event_store, make_notes(source), path, checkpoint=checkpoint)
    assert archive == await verify_archive(path)
    assert {"NOTES": COUNT} == archive.event_counts


async def test_import(checkpoint: Checkpoint, source: EventStorageAdapter, tmp_path: Path) -> None:
    """An import that goes on writes each event once, and refuses a target that was emptied."""
    path = tmp_path / "notes.jsonl"
    await export_event_store(make_notes(source), path)
    target = make_notes(InMemoryEventStorageAdapter())
    imported = await interrupt(import_event_store, path, target, checkpoint=checkpoint)
    assert (COUNT, 0) == (imported.imported_event_count, imported.present_event_count)
    assert await read_all(make_notes(source)) == await read_all(target)

    target.storage_adapter = InMemoryEventStorageAdapter()
    with pytest.raises(InvalidCheckpointError, match="emptied"):
        await import_event_store(path, target, checkpoint=checkpoint)


async def test_migrate(checkpoint: Checkpoint, source: EventStorageAdapter) -> None:
    """A migration that goes on carries each event once."""
    old, new = make_notes(source), make_notes(InMemoryEventStorageAdapter())
    migration = await interrupt(migrate_event_store, old, new, checkpoint=checkpoint)
    assert (COUNT, COUNT) == (migration.events_read, migration.events_written)
    assert (await verify_migration(old, new)).is_equal


async def test_migrate_with_other_storages(checkpoint: Checkpoint) -> None:
    """A checkpoint of another source, or another target, is refused, not passed over."""
    adapters = [InMemoryEventStorageAdapter() for _ in range(4)]
    old, new, other_old, other_new = map(make_notes, adapters)
    await adapters[0].push_event("NOTES", make_record("a"))
    await adapters[2].push_event("NOTES", make_record("b"))
    await migrate_event_store(old, new, checkpoint=checkpoint)
    for stores in ((old, other_new), (other_old, new)):
        for dry_run in (False, True):
            with pytest.raises(InvalidCheckpointError, match="another storage"):
                await migrate_event_store(*stores, dry_run=dry_run, checkpoint=checkpoint)
    assert 0 == (await migrate_event_store(old, new, checkpoint=checkpoint)).events_read


@pytest.mark.parametrize(
    ("pour", "arguments"), [(pour_event_store_events, ()), (pour_aggregate_events, ("a",))]
)
async def test_pour_of_another_storage(
    checkpoint: Checkpoint, pour: Operation, arguments: tuple[str, ...]
) -> None:
    """A pour that has ended on one storage does not count for another."""
    queue, taken = attach(first := make_notes(InMemoryEventStorageAdapter()))
    await first.get_storage_adapter().push_event("NOTES", make_record("a", payload="x"))
    await pour(first, queue, *arguments, checkpoint=checkpoint)
    first.storage_adapter = InMemoryEventStorageAdapter()
    with pytest.raises(InvalidCheckpointError, match="another storage"):
        await pour(first, queue, *arguments, checkpoint=checkpoint)
    assert 1 == len(taken.taken)


async def test_pours_of_one_store(checkpoint: Checkpoint, source: EventStorageAdapter) -> None:
    """A pour that goes on publishes each event once."""
    notes = make_notes(source)
    queue, taken = attach(notes)
    poured = await interrupt(pour_event_store_events, notes, queue, checkpoint=checkpoint)
    assert COUNT == poured.poured_event_count
    assert {f"n{each}": [*range(1, COUNT // 3 + 1)] for each in range(3)} == taken.versions


async def test_pour_aggregate_ids_of_another_storage(checkpoint: Checkpoint) -> None:
    """Ids that were poured of one storage do not count for another."""
    notes = make_notes(InMemoryEventStorageAdapter())
    await notes.get_storage_adapter().push_event("NOTES", make_record("a", payload="x"))
    _, taken = attach(notes)
    queue = AggregateExistsMessageQueue(
        "IDS", source_event_stores=[notes], message_channel_adapter=taken
    )
    await pour_event_store_aggregate_ids(notes, queue, checkpoint=checkpoint)
    poured = await pour_event_store_aggregate_ids(notes, queue, checkpoint=checkpoint)
    assert 1 == poured.poured_aggregate_id_count
    notes.storage_adapter = InMemoryEventStorageAdapter()
    with pytest.raises(InvalidCheckpointError, match="another storage"):
        await pour_event_store_aggregate_ids(notes, queue, checkpoint=checkpoint)


async def test_aggregates_that_began_earlier_come_later(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Aggregates that are pushed to the front of a list do not double those that were read."""
    adapter = InMemoryEventStorageAdapter()
    for number in range(150):
        record = make_record(f"n{number:03}", payload="x" * 30_000)
        await adapter.push_event("NOTES", record)
    notes, path = make_notes(WrappedStorage(adapter)), tmp_path / "notes.jsonl"
    with pytest.raises(InterruptedError):
        await export_event_store(notes, path, checkpoint=checkpoint, on_progress=fail_at(80))
    earlier = make_record().timestamp.replace(year=2000)
    for number in range(120):
        await adapter.push_event("NOTES", make_record(f"m{number:03}", timestamp=earlier))
    archive = await export_event_store(notes, path, checkpoint=checkpoint)
    assert 150 == archive.event_count
    assert (
        ListedAggregate("m000", earlier)
        in (await adapter.list_aggregate_ids("NOTES", limit=1)).aggregates
    )
