"""The event storage contract: a version follows the one before it."""

from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    EventStorageAdapter,
    GroupedRecord,
    VersionGapError,
)
from castore_test_tools._contract import properties, requires, unless
from castore_test_tools._event_storage_base import EventStorageContract, to_listed
from castore_test_tools._running import push_in_order, thaw, try_push, try_versions_at_once
from castore_test_tools._values import OTHER_STORE, STORE, make_record, make_records

_WRITERS = 32
_fresh_numbers = count()


class GapsContract(EventStorageContract):
    """Refused gaps, or those that are written, and those that force makes."""

    @requires("refuses_gaps")
    async def test_a_gap_is_refused(self, adapter: EventStorageAdapter) -> None:
        """The error names the event that cannot follow, and is no conflict; nothing is written."""
        first, second = make_records("a1", 2)
        await adapter.push_event(STORE, first)
        with pytest.raises(VersionGapError) as caught:
            await adapter.push_event(STORE, make_record("a1", 7))
        error = caught.value
        assert (STORE, "a1", 7) == (error.event_store_id, error.aggregate_id, error.version)
        assert type(error.version) is int
        assert not isinstance(error, EventAlreadyExistsError)
        assert [first] == list(await adapter.get_events(STORE, "a1"))
        await adapter.push_event(STORE, second)
        assert [first, second] == list(await adapter.get_events(STORE, "a1"))

    @requires("refuses_gaps")
    async def test_a_first_event_of_version_2_is_refused(
        self, adapter: EventStorageAdapter
    ) -> None:
        """An aggregate begins with version 1: it would never be listed otherwise."""
        with pytest.raises(VersionGapError) as caught:
            await adapter.push_event(STORE, make_record("a1", 2))
        assert ("a1", 2) == (caught.value.aggregate_id, caught.value.version)
        assert [] == list(await adapter.get_events(STORE, "a1"))

    @requires("refuses_gaps")
    async def test_a_refused_gap_pickles(self, adapter: EventStorageAdapter) -> None:
        """An error that an adapter raised keeps its type and values from process to process."""
        with pytest.raises(VersionGapError) as caught:
            await adapter.push_event(STORE, make_record("a1", 2))
        thawed = thaw(caught.value)
        assert type(thawed) is VersionGapError
        values = (thawed.event_store_id, thawed.aggregate_id, thawed.version)
        assert (STORE, "a1", 2) == values

    @requires("refuses_gaps")
    async def test_the_version_before_is_of_the_same_aggregate(
        self, adapter: EventStorageAdapter
    ) -> None:
        """An aggregate of another id, or of the same id in another store, closes no gap."""
        await adapter.push_event(OTHER_STORE, make_record("a1"))
        for name in ("a", "a11", "A1"):
            await adapter.push_event(STORE, make_record(name))
        with pytest.raises(VersionGapError):
            await adapter.push_event(STORE, make_record("a1", 2))
        assert [] == list(await adapter.get_events(STORE, "a1"))

    async def test_the_version_before_is_in_the_group(self, adapter: EventStorageAdapter) -> None:
        """An event follows one that is stored, or one that comes earlier in the same group."""
        old, *new = make_records("a1", 4)
        others = make_records("a2", 2)
        await adapter.push_event(STORE, old)
        records = [new[0], others[0], new[1], others[1], new[2]]
        await adapter.push_event_group([GroupedRecord(STORE, each, adapter) for each in records])
        assert [old, *new] == list(await adapter.get_events(STORE, "a1"))
        assert others == list(await adapter.get_events(STORE, "a2"))

    @requires("refuses_gaps")
    async def test_a_gap_refuses_the_group(self, adapter: EventStorageAdapter) -> None:
        """Wherever in the group the gap is: the error names it, and nothing is written."""
        before = make_record("a1", 1, "before")
        await adapter.push_event(STORE, before)
        gap = GroupedRecord(STORE, make_record("a1", 4), adapter)
        group = [
            GroupedRecord(STORE, make_record("a0"), adapter),
            GroupedRecord(STORE, make_record("a1", 2), adapter),
            GroupedRecord(STORE, make_record("a2"), adapter),
        ]
        for place in (2, 3):
            with pytest.raises(VersionGapError) as caught:
                await adapter.push_event_group([*group[:place], gap, *group[place:]])
            error = caught.value
            assert (STORE, "a1", 4) == (error.event_store_id, error.aggregate_id, error.version)
            read = [await adapter.get_events(STORE, each) for each in ("a0", "a1", "a2")]
            assert [[], [before], []] == [list(each) for each in read]

    @requires("refuses_gaps")
    async def test_the_group_of_another_aggregate_closes_no_gap(
        self, adapter: EventStorageAdapter, sibling_adapter: EventStorageAdapter
    ) -> None:
        """In a group, too, the version before is one of the same aggregate of the same store."""
        group = [
            GroupedRecord(OTHER_STORE, make_record("a1"), sibling_adapter),
            GroupedRecord(STORE, make_record("a2"), adapter),
            GroupedRecord(STORE, make_record("a1", 2), adapter),
        ]
        with pytest.raises(VersionGapError) as caught:
            await adapter.push_event_group(group)
        error = caught.value
        assert (STORE, "a1", 2) == (error.event_store_id, error.aggregate_id, error.version)
        assert [] == list(await sibling_adapter.get_events(OTHER_STORE, "a1"))
        assert [] == list(await adapter.get_events(STORE, "a2"))

    async def test_force_writes_a_gap(self, adapter: EventStorageAdapter) -> None:
        """With force any version is written, alone and in a group, and others follow it."""
        records = [make_record("a1", version) for version in (1, 7, 9, 11, 12)]
        await adapter.push_event(STORE, records[0])
        await adapter.push_event(STORE, records[1], force=True)
        group = [GroupedRecord(STORE, each, adapter) for each in records[2:4]]
        await adapter.push_event_group(group, force=True)
        await adapter.push_event(STORE, records[4])
        assert records == list(await adapter.get_events(STORE, "a1"))
        await adapter.push_event(OTHER_STORE, make_record("a1", 3), force=True)
        assert [3] == [each.version for each in await adapter.get_events(OTHER_STORE, "a1")]

    async def test_a_taken_version_after_a_gap_is_a_conflict(
        self, adapter: EventStorageAdapter
    ) -> None:
        """A version that is taken is not said to be one that cannot follow."""
        await push_in_order(adapter, STORE, [make_record("a1"), make_record("a1", 3)], force=True)
        conflict = await try_push(adapter.push_event(STORE, make_record("a1", 3)))
        assert conflict is not None
        assert (STORE, "a1", 3) == (
            conflict.event_store_id,
            conflict.aggregate_id,
            conflict.version,
        )
        names = [make_record("a2"), make_record("a1", 3)]
        group = [GroupedRecord(STORE, each, adapter) for each in names]
        assert await try_push(adapter.push_event_group(group))
        assert [] == list(await adapter.get_events(STORE, "a2"))

    @requires("refuses_gaps")
    async def test_writers_at_once_leave_no_gap(self, adapter: EventStorageAdapter) -> None:
        """Of versions that are pushed at once without one in the middle, none after it is written.

        The others are refused with an error, and can be pushed when their turn has come.
        """
        missing = _WRITERS // 2
        records = make_records("a1", _WRITERS)
        pushed = [record for record in records if record.version != missing]
        pushed.sort(key=lambda each: each.version * 7 % _WRITERS)  # in no order
        errors = await try_versions_at_once(adapter.push_event(STORE, each) for each in pushed)
        read = list(await adapter.get_events(STORE, "a1"))
        assert records[: len(read)] == read
        assert len(read) < missing
        refused = [each for each, error in zip(pushed, errors, strict=True) if error is not None]
        assert records[len(read) :] == _in_order([records[missing - 1], *refused])
        assert {VersionGapError} == {type(each) for each in errors} - {type(None)}
        await push_in_order(adapter, STORE, records[len(read) :])
        assert records == list(await adapter.get_events(STORE, "a1"))

    @requires("refuses_gaps")
    @properties
    @given(st.lists(st.integers(1, 5), min_size=1, max_size=10))
    async def test_any_versions_at_once(
        self, adapter: EventStorageAdapter, versions: list[int]
    ) -> None:
        """Of any versions that are pushed at once, those that are written have no gap between them.

        Each has one winner; a version that was refused as taken is there.
        """
        aggregate_id = f"any-{next(_fresh_numbers)}"
        records = [make_record(aggregate_id, each, mark) for mark, each in enumerate(versions)]
        errors = await try_versions_at_once(adapter.push_event(STORE, each) for each in records)
        read = list(await adapter.get_events(STORE, aggregate_id))
        winners = [each for each, error in zip(records, errors, strict=True) if error is None]
        assert _in_order(winners) == read
        assert list(range(1, len(read) + 1)) == [each.version for each in read]
        taken = {each.version for each in errors if isinstance(each, EventAlreadyExistsError)}
        assert taken <= {each.version for each in read}

    @unless("refuses_gaps")
    async def test_a_gap_is_written(self, adapter: EventStorageAdapter) -> None:
        """A storage that does not look at the version before writes an event of any version."""
        records = [make_record("a1", version) for version in (1, 7, 9)]
        await push_in_order(adapter, STORE, records[:2])
        await adapter.push_event_group([GroupedRecord(STORE, records[2], adapter)])
        assert records == list(await adapter.get_events(STORE, "a1"))
        await self.wait_until_listed(adapter, STORE, records[:1])
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed(records[:1]) == list(found.aggregates)


def _in_order(records: Sequence[EventRecord]) -> list[EventRecord]:
    return sorted(records, key=lambda each: each.version)
