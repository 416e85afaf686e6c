"""Several event stores are migrated in one call."""

import pytest

from castore_core import EventRecord
from castore_dam import (
    Checkpoint,
    InvalidCheckpointError,
    Progress,
    TransformError,
    migrate_event_store_collection,
    verify_migration,
)
from castore_in_memory import InMemoryEventStorageAdapter
from notes import NoteStore, make_notes
from pouring import push_notes

IDS = ("FIRST", "SECOND", "THIRD")


async def make_pairs() -> list[tuple[NoteStore, NoteStore]]:
    """Return three stores on one storage, each with one event more than the one before."""
    old, new = InMemoryEventStorageAdapter(), InMemoryEventStorageAdapter()
    pairs = [
        (make_notes(old, event_store_id=each), make_notes(new, event_store_id=each)) for each in IDS
    ]
    for count, (source, _) in enumerate(pairs, 1):
        await push_notes(source, *((f"a{number}", 1, number) for number in range(count)))
    return pairs


def fail_at_third(record: EventRecord) -> EventRecord:
    """Fail at an event that the last store alone has."""
    if record.aggregate_id == "a2":
        raise RuntimeError
    return record


async def count(pairs: list[tuple[NoteStore, NoteStore]]) -> int:
    """Return how many events the targets have."""
    adapter = pairs[0][1].storage_adapter
    assert isinstance(adapter, InMemoryEventStorageAdapter)
    return await adapter.count_events()


async def test_all_are_carried() -> None:
    """Each target is equal to its source, and the progress is that of all."""
    pairs = await make_pairs()
    told: list[Progress] = []
    migrations = await migrate_event_store_collection(pairs, on_progress=told.append)

    assert {"FIRST": 1, "SECOND": 2, "THIRD": 3} == {
        name: each.events_written for name, each in migrations.items()
    }
    assert all([(await verify_migration(*each)).is_equal for each in pairs])
    assert [1, 3, 6] == [each.done for each in told]


async def test_one_checkpoint_for_all(checkpoint: Checkpoint) -> None:
    """After a failure in one store, those before it are not read again."""
    pairs = await make_pairs()
    with pytest.raises(TransformError, match="THIRD"):
        await migrate_event_store_collection(
            pairs, transform=fail_at_third, checkpoint=checkpoint, rate_limit=10_000
        )
    with pytest.raises(InvalidCheckpointError, match="has transform"):
        await migrate_event_store_collection(pairs, checkpoint=checkpoint)
    again = await migrate_event_store_collection(
        pairs, transform=lambda each: each, checkpoint=checkpoint
    )
    assert [0, 0, 3] == [each.events_written for each in again.values()]
    assert [0, 0] == [again[each].events_read for each in ("FIRST", "SECOND")]
    assert 6 == await count(pairs)
    with pytest.raises(InvalidCheckpointError, match="event stores"):
        await migrate_event_store_collection(pairs[:2], checkpoint=checkpoint)


async def test_a_dry_run(checkpoint: Checkpoint) -> None:
    """Nothing is written, and the checkpoint stays as it is."""
    pairs = await make_pairs()
    for dry_run in (True, True, False):
        migrations = await migrate_event_store_collection(
            pairs, dry_run=dry_run, checkpoint=checkpoint
        )
        assert [1, 2, 3] == [each.events_written for each in migrations.values()]
        assert (0 if dry_run else 6) == await count(pairs)


@pytest.mark.parametrize(
    ("chosen", "error"),
    [
        ([], "is empty"),
        ([(0, 1, 0), (0, 1, 1)], "two event stores have the id 'FIRST'"),
        ([(0, 1, 0), (1, 1, 0)], "have one target"),
        ([(0, 1, 0), (1, 0, 1)], "are one event store"),
        ([(0, 0, 1), (1, 1, 1)], "the target 'SECOND' is the source of another pair"),
        ([(0, 1, 0), (1, 0, 0)], "the target 'FIRST' is the source of another pair"),
    ],
    ids=str,
)
async def test_pairs_that_do_not_fit(chosen: list[tuple[int, int, int]], error: str) -> None:
    """They are refused before anything is written."""
    pairs = await make_pairs()
    wrong = [(pairs[source][0], pairs[number][side]) for source, side, number in chosen]
    with pytest.raises(ValueError, match=error):
        await migrate_event_store_collection(wrong)
    assert 0 == await count(pairs)
