"""The event storage contract: a group of events is written as a whole, or not at all."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    EventStorageAdapter,
    EventStore,
    GroupedRecord,
    InvalidEventGroupError,
)
from castore_test_tools._contract import requires
from castore_test_tools._event_storage_base import EventStorageContract, to_listed
from castore_test_tools._event_storage_pushes import Noted, make_store
from castore_test_tools._running import (
    CANCELLED_AFTER,
    call,
    cancel_after,
    delay,
    push_at_once,
    push_in_order,
    run_elsewhere,
    thaw,
    try_push,
)
from castore_test_tools._values import OTHER_STORE, STORE, make_record, make_records, moment

_MANY = 200
_AGGREGATES = ("a1", "a2", "a3")


def make_group(
    adapter: EventStorageAdapter, *records: EventRecord, event_store_id: str = STORE
) -> list[GroupedRecord]:
    """Return a group of one store."""
    return [GroupedRecord(event_store_id, each, adapter) for each in records]


class GroupContract(EventStorageContract):
    """Events that are pushed together, of one or several aggregates, stores and adapters."""

    async def test_a_group_of_one(self, adapter: EventStorageAdapter) -> None:
        """A group of one event is a push."""
        await adapter.push_event_group(make_group(adapter, make_record("a1", 1, "only")))
        assert [make_record("a1", 1, "only")] == list(await adapter.get_events(STORE, "a1"))

    async def test_a_group_of_several_aggregates(self, adapter: EventStorageAdapter) -> None:
        """Each event goes to its aggregate, and new aggregates are listed."""
        records = [make_record(each, 1, each) for each in _AGGREGATES]
        await adapter.push_event_group(make_group(adapter, *records))
        assert records == await self._read_all(adapter)
        await self.wait_until_listed(adapter, STORE, records)
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed(records) == self.in_order(found.aggregates)

    async def test_a_group_of_several_stores(
        self, adapter: EventStorageAdapter, sibling_adapter: EventStorageAdapter
    ) -> None:
        """Each event goes to its store, through its adapter."""
        note, task = make_record("a1", 1, "note"), make_record("a1", 1, "task")
        group = [
            *make_group(adapter, note),
            *make_group(sibling_adapter, task, event_store_id=OTHER_STORE),
        ]
        await adapter.push_event_group(group)
        assert [note] == list(await adapter.get_events(STORE, "a1"))
        assert [task] == list(await sibling_adapter.get_events(OTHER_STORE, "a1"))

    async def test_a_group_of_several_versions(self, adapter: EventStorageAdapter) -> None:
        """A group may hold several versions of one aggregate."""
        records = make_records("a1", 3)
        await adapter.push_event_group(make_group(adapter, *records))
        assert records == list(await adapter.get_events(STORE, "a1"))

    @pytest.mark.parametrize("taken", _AGGREGATES)
    async def test_a_group_with_a_clash_is_refused(
        self, adapter: EventStorageAdapter, taken: str
    ) -> None:
        """Wherever in the group the clash is: the error names it, and nothing is written."""
        before = make_record(taken, 1, "before")
        await adapter.push_event(STORE, before)
        group = make_group(adapter, *(make_record(each, 1, "group") for each in _AGGREGATES))
        conflict = await try_push(adapter.push_event_group(group))
        assert conflict is not None
        values = (conflict.event_store_id, conflict.aggregate_id, conflict.version)
        assert (STORE, taken, 1) == values
        assert [before] == await self._read_all(adapter)
        await self.wait_until_listed(adapter, STORE, [before])
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed([before]) == list(found.aggregates)

    async def test_a_clash_in_another_store(
        self, adapter: EventStorageAdapter, sibling_adapter: EventStorageAdapter
    ) -> None:
        """The error names the store of the clash, and the first store has nothing of the group."""
        await sibling_adapter.push_event(OTHER_STORE, make_record("a1"))
        group = [
            *make_group(adapter, make_record("a1")),
            *make_group(sibling_adapter, make_record("a1"), event_store_id=OTHER_STORE),
        ]
        conflict = await try_push(adapter.push_event_group(group))
        assert conflict is not None
        values = (conflict.event_store_id, conflict.aggregate_id, conflict.version)
        assert (OTHER_STORE, "a1", 1) == values
        assert [] == list(await adapter.get_events(STORE, "a1"))

    async def test_several_clashes_name_one_of_them(self, adapter: EventStorageAdapter) -> None:
        """An event that could have been written is never named."""
        await push_in_order(adapter, STORE, [make_record("a1"), make_record("a3")])
        group = make_group(adapter, *(make_record(each) for each in _AGGREGATES))
        conflict = await try_push(adapter.push_event_group(group))
        assert conflict is not None
        assert conflict.aggregate_id in {"a1", "a3"}

    async def test_a_later_version_that_clashes(self, adapter: EventStorageAdapter) -> None:
        """Of several versions of one aggregate the error names the one that is taken."""
        await adapter.push_event(STORE, make_record("a1", 3), force=True)
        conflict = await try_push(
            adapter.push_event_group(make_group(adapter, *make_records("a1", 4)))
        )
        assert conflict is not None
        assert ("a1", 3) == (conflict.aggregate_id, conflict.version)
        assert [make_record("a1", 3)] == list(await adapter.get_events(STORE, "a1"))

    async def test_a_conflict_of_a_group_pickles(self, adapter: EventStorageAdapter) -> None:
        """The error of a group keeps its type and values from process to process."""
        await adapter.push_event(STORE, make_record("a2"))
        group = make_group(adapter, make_record("a1"), make_record("a2"))
        conflict = await try_push(adapter.push_event_group(group))
        assert conflict is not None
        thawed = thaw(conflict)
        assert type(thawed) is EventAlreadyExistsError
        values = (thawed.event_store_id, thawed.aggregate_id, thawed.version, thawed.retryable)
        assert (STORE, "a2", 1, True) == values

    async def test_a_refused_group_can_be_pushed_again(self, adapter: EventStorageAdapter) -> None:
        """The rest of a group goes in once the clash is taken out."""
        await adapter.push_event(STORE, make_record("a2", 1, "before"))
        group = make_group(adapter, *(make_record(each, 1, "group") for each in _AGGREGATES))
        assert await try_push(adapter.push_event_group(group))
        await adapter.push_event_group([group[0], group[2]])
        assert ["group", "before", "group"] == [
            each.payload for each in await self._read_all(adapter)
        ]

    async def test_force_replaces_the_events_of_a_group(self, adapter: EventStorageAdapter) -> None:
        """With force, taken versions are replaced, the others written, and no other is touched."""
        await push_in_order(adapter, STORE, make_records("a1", 2))
        new = [make_record("a1", 1, "new", timestamp=moment(7)), make_record("a2", 1, "new")]
        await adapter.push_event_group(make_group(adapter, *new), force=True)
        kept = make_records("a1", 2)[1]
        assert [new[0], kept, new[1]] == await self._read_all(adapter)

    async def test_a_large_group(self, adapter: EventStorageAdapter) -> None:
        """A group of 200 events, or of as many as the backend takes, is written."""
        records = make_records("a1", self.most_events_of_a_group or _MANY)
        await adapter.push_event_group(make_group(adapter, *records))
        assert records == list(await adapter.get_events(STORE, "a1"))

    async def test_a_large_group_with_a_clash_at_its_end(
        self, adapter: EventStorageAdapter
    ) -> None:
        """A large group is not written in parts."""
        records = make_records("a1", self.most_events_of_a_group or _MANY)
        await adapter.push_event(STORE, records[-1], force=True)
        conflict = await try_push(adapter.push_event_group(make_group(adapter, *records)))
        assert conflict is not None
        assert records[-1].version == conflict.version
        assert records[-1:] == list(await adapter.get_events(STORE, "a1"))

    @requires("most_events_of_a_group")
    async def test_too_large_a_group_is_refused(self, adapter: EventStorageAdapter) -> None:
        """Of a group larger than the declared limit, nothing is written."""
        assert self.most_events_of_a_group
        records = make_records("a1", self.most_events_of_a_group + 1)
        with pytest.raises(InvalidEventGroupError):
            await adapter.push_event_group(make_group(adapter, *records))
        assert [] == list(await adapter.get_events(STORE, "a1"))

    @requires("connect_again")
    @pytest.mark.parametrize("force", [False, True])
    async def test_a_version_twice_in_a_group_is_refused(
        self, adapter: EventStorageAdapter, connect_again: Callable[[], Any], force: bool
    ) -> None:
        """Two adapters on one backend cannot both write a version: nothing is written."""
        other = await call(connect_again)
        group = [
            *make_group(adapter, make_record("a1", 1, "first"), make_record("a2")),
            *make_group(other, make_record("a1", 1, "second")),
        ]
        with pytest.raises(InvalidEventGroupError):
            await adapter.push_event_group(group, force=force)
        assert [] == await self._read_all(adapter)

    @requires("foreign_adapter")
    @pytest.mark.parametrize("force", [False, True])
    async def test_a_group_over_two_backends_is_refused(
        self, adapter: EventStorageAdapter, foreign_adapter: EventStorageAdapter, force: bool
    ) -> None:
        """Events that cannot be written at once are not written one by one, in either order."""
        group = [
            *make_group(adapter, make_record("a1")),
            *make_group(foreign_adapter, make_record("a1"), event_store_id=OTHER_STORE),
        ]
        with pytest.raises(InvalidEventGroupError):
            await adapter.push_event_group(group, force=force)
        with pytest.raises(InvalidEventGroupError):
            await foreign_adapter.push_event_group(group[::-1], force=force)
        for each in (adapter, foreign_adapter):
            assert [] == list(await each.get_events(STORE, "a1"))
            assert [] == list(await each.get_events(OTHER_STORE, "a1"))

    async def test_concurrent_groups_have_one_winner(self, adapter: EventStorageAdapter) -> None:
        """Of groups that share an event each with the next, those that win are whole."""
        ring = [f"a{each}" for each in range(8)]
        groups = [
            make_group(adapter, make_record(first, 1, index), make_record(second, 1, index))
            for index, (first, second) in enumerate(zip(ring, [*ring[1:], ring[0]], strict=True))
        ]
        conflicts = await push_at_once(adapter.push_event_group(each) for each in groups)
        won = [group for group, conflict in zip(groups, conflicts, strict=True) if conflict is None]
        assert won
        written = [each.record for group in won for each in group]
        read = [record for each in ring for record in await adapter.get_events(STORE, each)]
        assert sorted(map(repr, written)) == sorted(map(repr, read))

    async def test_a_group_among_single_pushes(self, adapter: EventStorageAdapter) -> None:
        """A group at the time of single pushes of its versions wins all of them, or none."""
        for group_pause, single_pause in product(range(4), range(4)):
            names = [f"{name}-{group_pause}-{single_pause}" for name in _AGGREGATES]
            records = [make_record(each, 1, "group") for each in names]
            group = adapter.push_event_group(make_group(adapter, *records))
            singles = [
                adapter.push_event(STORE, make_record(each, 1, "single")) for each in names[1:]
            ]
            conflicts = await push_at_once(
                [delay(group, group_pause), *(delay(each, single_pause) for each in singles)]
            )
            read = [each for name in names for each in await adapter.get_events(STORE, name)]
            if conflicts[0] is None:
                assert records == read
                assert [False, True, True] == [each is not None for each in conflicts]
            else:
                assert ["single", "single"] == [each.payload for each in read]
                assert [True, False, False] == [each is not None for each in conflicts]

    @pytest.mark.parametrize("steps", CANCELLED_AFTER)
    async def test_a_cancelled_group_is_whole_or_absent(
        self, adapter: EventStorageAdapter, steps: int
    ) -> None:
        """After a group was cancelled the adapter works, and all its events are there, or none."""
        first = [make_record(each, 1, "first") for each in _AGGREGATES]
        second = [make_record(each, 1, "second") for each in _AGGREGATES]
        has_returned = await cancel_after(
            adapter.push_event_group(make_group(adapter, *first)), steps
        )
        conflict = await try_push(adapter.push_event_group(make_group(adapter, *second)))
        assert conflict or not has_returned, "the push returned, and its events are not there"
        assert (first if conflict else second) == await self._read_all(adapter)

    async def test_stores_push_a_group(
        self, adapter: EventStorageAdapter, sibling_adapter: EventStorageAdapter
    ) -> None:
        """Event stores on one kind of adapter push their typed events together."""
        notes, tasks = make_store(adapter), make_store(sibling_adapter, OTHER_STORE)
        first = Noted(aggregate_id="a1", version=1, payload="note")
        second = Noted(aggregate_id="a1", version=1, payload="task")
        pushed = await EventStore.push_event_group(
            notes.group_event(first), tasks.group_event(second)
        )
        assert [first, second] == [each.event for each in pushed]
        assert ([first], [second]) == (await notes.get_events("a1"), await tasks.get_events("a1"))

    @requires("works_in_several_event_loops")
    async def test_a_group_in_another_event_loop(self, adapter: EventStorageAdapter) -> None:
        """A group is pushed in a second event loop as in the first one."""
        records = [make_record(each) for each in _AGGREGATES]
        await adapter.push_event_group(make_group(adapter, records[0]))
        await run_elsewhere(lambda: adapter.push_event_group(make_group(adapter, *records[1:])))
        assert records == await self._read_all(adapter)

    async def _read_all(self, adapter: EventStorageAdapter) -> list[EventRecord]:
        return [each for name in _AGGREGATES for each in await adapter.get_events(STORE, name)]
