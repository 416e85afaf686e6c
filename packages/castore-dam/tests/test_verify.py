"""Verifications list each aggregate that differs, and nothing else."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest

from castore_core import ABSENT, EventRecord
from castore_dam import (
    Content,
    EventConflictError,
    Progress,
    TransformError,
    migrate_event_store,
    verify_migration,
)
from castore_in_memory import InMemoryEventStorageAdapter
from notes import MOMENT, NoteStore, make_notes, make_record
from wrapped_storage import WrappedStorage

NOTHING = Content(0, sha256().hexdigest())


async def make_store(records: Sequence[EventRecord] = (), *, has_log: bool = True) -> NoteStore:
    """Return a store that has some events."""
    adapter: Any = InMemoryEventStorageAdapter(allow_gaps=True)
    for each in records:
        await adapter.push_event("NOTES", each)
    return make_notes(adapter if has_log else WrappedStorage(adapter))


EVENTS = [make_record(f"n{each}", version) for each in range(30) for version in range(1, 6)]

each_kind = pytest.mark.parametrize("has_log", [True, False])


@each_kind
async def test_a_migrated_store_is_equal(has_log: bool) -> None:
    """All aggregates and events are counted."""
    source, target = await make_store(EVENTS, has_log=has_log), await make_store(has_log=has_log)
    await migrate_event_store(source, target)

    verification = await verify_migration(source, target)

    assert verification.is_equal
    assert (30, 150, 150) == (
        verification.aggregate_count,
        verification.expected_event_count,
        verification.found_event_count,
    )
    assert () == verification.differences


@each_kind
@pytest.mark.parametrize(
    "changed",
    [
        make_record("n3", 4, "other"),
        make_record("n3", 4, None),
        make_record("n3", 4, ""),
        make_record("n3", 4)._replace(metadata=None),
        make_record("n3", 4)._replace(type="OTHER"),
        make_record("n3", 4)._replace(timestamp=MOMENT),
    ],
)
async def test_one_changed_event_is_found(changed: EventRecord, has_log: bool) -> None:
    """The difference names the aggregate, the version, and both contents."""
    events = [changed if each[:2] == changed[:2] else each for each in EVENTS]
    source, target = await make_store(EVENTS), await make_store(events, has_log=has_log)

    verification = await verify_migration(source, target)

    (difference,) = verification.differences
    assert not verification.is_equal
    assert ("n3", 4) == (difference.aggregate_id, difference.version)
    assert (5, 5) == (difference.expected.event_count, difference.found.event_count)
    assert difference.expected.sha256 != difference.found.sha256


@each_kind
async def test_missing_events_and_aggregates_are_found(has_log: bool) -> None:
    """Those that one of the two has not, on either side."""
    fewer = [each for each in EVENTS if each[:2] != ("n3", 5) and each.aggregate_id != "n4"]
    more, less = await make_store(EVENTS, has_log=has_log), await make_store(fewer, has_log=has_log)

    lost = {each.aggregate_id: each for each in (await verify_migration(more, less)).differences}
    new = {each.aggregate_id: each for each in (await verify_migration(less, more)).differences}

    assert {"n3", "n4"} == lost.keys() == new.keys()
    assert (5, 4) == (lost["n3"].expected.event_count, lost["n3"].found.event_count)
    assert NOTHING == lost["n4"].found
    assert NOTHING == new["n4"].expected
    assert (5, 1) == (new["n3"].version, new["n4"].version)


async def test_aggregates_without_a_first_event_are_found_in_a_log() -> None:
    """No list names them."""
    odd = make_record("odd", 2)
    store, other = await make_store(EVENTS), await make_store([*EVENTS, odd])

    for source, target in ((store, other), (other, store)):
        verification = await verify_migration(source, target)
        assert ["odd"] == [each.aggregate_id for each in verification.differences]
        assert 31 == verification.aggregate_count
    assert (await verify_migration(other, other)).is_equal


async def test_aggregates_that_only_a_target_lists_are_compared() -> None:
    """The source, which has no log, has their later events only."""
    source = await make_store([make_record("odd", 2)], has_log=False)
    target = await make_store([make_record("odd", 1), make_record("odd", 2)])

    (difference,) = (await verify_migration(source, target)).differences

    assert (1, 2) == (difference.expected.event_count, difference.found.event_count)


async def test_a_hundred_differences_are_listed() -> None:
    """And all are counted."""
    source = await make_store([make_record(f"n{each}", 1) for each in range(250)])

    verification = await verify_migration(source, await make_store())

    assert 250 == verification.difference_count
    assert 100 == len(verification.differences)


async def test_a_transform_is_expected() -> None:
    """The target is compared with what the transform makes of the source."""

    def drop_first(record: EventRecord) -> EventRecord | None:
        return None if record.version == 1 or record.aggregate_id == "n7" else record

    source, target = await make_store(EVENTS), await make_store()
    await migrate_event_store(source, target, transform=drop_first)

    verification = await verify_migration(source, target, transform=drop_first)

    assert verification.is_equal
    assert 29 * 4 == verification.expected_event_count == verification.found_event_count
    assert 30 == (await verify_migration(source, target)).difference_count


async def test_a_transform_that_fails_is_an_error() -> None:
    """It names the event."""

    def fail(record: EventRecord) -> EventRecord:
        raise LookupError(record.aggregate_id)

    with pytest.raises(TransformError, match="version 1 of aggregate 'n0'"):
        await verify_migration(await make_store(EVENTS), await make_store(), transform=fail)


async def test_the_hash_is_that_of_the_documented_lines() -> None:
    """Keys are sorted, and integral numbers are integers."""
    record = make_record("n1", 1, {"b": 2.0, "a": ["é", 1e22, 0.5, True, None]})
    second = make_record("n1", 2, ABSENT)._replace(metadata=None)
    lines = (
        '[1,"NOTED","2024-01-01T00:00:01.000Z",'
        '[{"a":["é",10000000000000000000000,0.5,true,null],"b":2}],[]]\n'
        '[2,"NOTED","2024-01-01T00:00:02.000Z",[],[null]]\n'
    )

    verification = await verify_migration(await make_store([record, second]), await make_store())

    expected = Content(2, sha256(lines.encode()).hexdigest())
    assert expected == verification.differences[0].expected


@pytest.mark.parametrize(
    ("number", "other", "is_equal"),
    [
        (1e100, 10**100, True),  # as a JSON column may have it
        (1e100, int(1e100), True),  # as DynamoDB has it
        (1e100, 10**100 + 1, False),
        (12345678901234567890.0, 12345678901234567000, True),
        (2.0, 2, True),
        (-0.0, 0, True),
        (0.5, 0, False),
        (1.0, True, False),
        (False, 0, False),
        (int(1e100), 10**100, False),
        (2**70, 2**70 + 1, False),
    ],
)
async def test_a_number_of_another_storage(number: Any, other: Any, is_equal: bool) -> None:
    """A float is the integer that a storage makes of it; integers are equal in all digits."""
    for each, another in ((number, other), (other, number)):
        source = await make_store([make_record("a", 1, {"n": [each]})])
        target = await make_store([make_record("a", 1, {"n": [another]})])
        assert is_equal == (await verify_migration(source, target)).is_equal
        if is_equal:
            assert 1 == (await migrate_event_store(source, target)).events_already_there
        else:
            with pytest.raises(EventConflictError):
                await migrate_event_store(source, target)


async def test_progress_is_told() -> None:
    """After each aggregate, with the events of the source up to it."""
    told: list[Progress] = []
    store = await make_store(EVENTS)

    await verify_migration(store, store, on_progress=told.append)

    assert [Progress("verifying", 5 * each) for each in range(1, 31)] == told
