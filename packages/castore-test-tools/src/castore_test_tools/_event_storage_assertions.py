"""The event storage contract: a group is written if the versions that it asserts hold."""

import asyncio
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from castore_core import (
    AssertedVersion,
    EventStorageAdapter,
    EventStore,
    InvalidEventGroupError,
    VersionAssertionError,
)
from castore_test_tools._contract import requires
from castore_test_tools._event_storage_base import EventStorageContract
from castore_test_tools._event_storage_groups import make_group
from castore_test_tools._event_storage_pushes import Noted, make_store
from castore_test_tools._running import (
    call,
    delay,
    push_at_once,
    push_in_order,
    thaw,
    try_push,
)
from castore_test_tools._values import OTHER_STORE, STORE, make_record, make_records

# Of an aggregate with two events, and one without: what does not hold.
_WRONG = {
    "behind": ("a1", 1),
    "ahead": ("a1", 3),
    "far ahead": ("a1", 2**53 - 1),
    "none, where there are some": ("a1", 0),
    "some, where there are none": ("a2", 1),
}


class AssertionsContract(EventStorageContract):
    """A group depends on aggregates that it does not write."""

    async def test_an_assertion_holds(self, adapter: EventStorageAdapter) -> None:
        """The group is written, and the asserted aggregates stay as they are."""
        records = make_records("a1", 2)
        await push_in_order(adapter, STORE, records)
        asserted = [
            AssertedVersion(STORE, "a1", 2, adapter),
            AssertedVersion(STORE, "a2", 0, adapter),
        ]
        new = make_records("a3", 2)
        await adapter.push_event_group(make_group(adapter, *new), asserted=asserted)
        read = [await adapter.get_events(STORE, each) for each in ("a1", "a2", "a3")]
        assert [records, [], new] == [list(each) for each in read]

    @pytest.mark.parametrize(("aggregate_id", "version"), _WRONG.values(), ids=_WRONG)
    async def test_an_assertion_does_not_hold(
        self, adapter: EventStorageAdapter, aggregate_id: str, version: int
    ) -> None:
        """The error names the aggregate and the asserted version, and nothing is written."""
        await push_in_order(adapter, STORE, make_records("a1", 2))
        group = make_group(adapter, make_record("a3"), make_record("a4"))
        asserted = [AssertedVersion(STORE, aggregate_id, version, adapter)]
        with pytest.raises(VersionAssertionError) as caught:
            await adapter.push_event_group(group, asserted=asserted)
        error = caught.value
        assert (STORE, aggregate_id, version) == (
            error.event_store_id,
            error.aggregate_id,
            error.version,
        )
        assert type(error.version) is int
        for each in ("a3", "a4"):
            assert [] == list(await adapter.get_events(STORE, each))

    async def test_each_assertion_is_checked(self, adapter: EventStorageAdapter) -> None:
        """Of several, the error names one that does not hold, wherever it stands."""
        for each in ("a1", "a2"):
            await push_in_order(adapter, STORE, make_records(each, 2))
        right = AssertedVersion(STORE, "a1", 2, adapter)
        wrong = AssertedVersion(STORE, "a2", 1, adapter)
        for asserted in ([right, wrong], [wrong, right]):
            with pytest.raises(VersionAssertionError) as caught:
                await adapter.push_event_group(
                    make_group(adapter, make_record("a3")), asserted=asserted
                )
            assert ("a2", 1) == (caught.value.aggregate_id, caught.value.version)
            assert [] == list(await adapter.get_events(STORE, "a3"))

    async def test_an_assertion_that_failed_pickles(self, adapter: EventStorageAdapter) -> None:
        """The error keeps its type and values from process to process, and can be tried again."""
        asserted = [AssertedVersion(STORE, "a1", 2, adapter)]
        with pytest.raises(VersionAssertionError) as caught:
            await adapter.push_event_group(
                make_group(adapter, make_record("a3")), asserted=asserted
            )
        thawed = thaw(caught.value)
        assert type(thawed) is VersionAssertionError
        values = (thawed.event_store_id, thawed.aggregate_id, thawed.version, thawed.retryable)
        assert (STORE, "a1", 2, True) == values

    async def test_an_assertion_is_about_one_aggregate(self, adapter: EventStorageAdapter) -> None:
        """An aggregate of the same id in another store, or of a look-alike id, does not count."""
        await push_in_order(adapter, OTHER_STORE, make_records("a1", 3))
        await push_in_order(adapter, STORE, make_records("a11", 3))
        await push_in_order(adapter, STORE, make_records("a1", 2))
        asserted = [
            AssertedVersion(STORE, "a1", 2, adapter),
            AssertedVersion(OTHER_STORE, "a11", 0, adapter),
        ]
        await adapter.push_event_group(make_group(adapter, make_record("a3")), asserted=asserted)
        wrong = [AssertedVersion(STORE, "a1", 3, adapter)]
        with pytest.raises(VersionAssertionError):
            await adapter.push_event_group(make_group(adapter, make_record("a4")), asserted=wrong)
        assert [] == list(await adapter.get_events(STORE, "a4"))

    async def test_the_asserted_version_is_the_greatest(self, adapter: EventStorageAdapter) -> None:
        """An aggregate with a gap is at the version of its last event, and not at their number."""
        records = [make_record("a1", version) for version in (2, 9, 10)]
        await push_in_order(adapter, STORE, records, force=True)
        asserted = [AssertedVersion(STORE, "a1", 10, adapter)]
        await adapter.push_event_group(make_group(adapter, make_record("a2")), asserted=asserted)
        for version in (3, 9):
            wrong = [AssertedVersion(STORE, "a1", version, adapter)]
            group = make_group(adapter, make_record("a3"))
            with pytest.raises(VersionAssertionError):
                await adapter.push_event_group(group, asserted=wrong)

    async def test_an_assertion_looks_beyond_a_gap(self, adapter: EventStorageAdapter) -> None:
        """An event after a gap that force has made is the last one, whatever is before the gap."""
        await push_in_order(adapter, STORE, [make_record("a1"), make_record("a1", 9)], force=True)
        await push_in_order(adapter, STORE, [make_record("a2", 2)], force=True)
        for name, version in (("a1", 1), ("a2", 0)):
            wrong = [AssertedVersion(STORE, name, version, adapter)]
            group = make_group(adapter, make_record("a3"))
            with pytest.raises(VersionAssertionError):
                await adapter.push_event_group(group, asserted=wrong)

    async def test_force_does_not_override_an_assertion(self, adapter: EventStorageAdapter) -> None:
        """With force, events are replaced, if the asserted versions hold."""
        before, new = make_record("a1", 1, "before"), make_record("a1", 1, "new")
        await adapter.push_event(STORE, before)
        group = make_group(adapter, new)
        wrong = [AssertedVersion(STORE, "a2", 1, adapter)]
        with pytest.raises(VersionAssertionError):
            await adapter.push_event_group(group, asserted=wrong, force=True)
        assert [before] == list(await adapter.get_events(STORE, "a1"))
        right = [AssertedVersion(STORE, "a2", 0, adapter)]
        await adapter.push_event_group(group, asserted=right, force=True)
        assert [new] == list(await adapter.get_events(STORE, "a1"))

    @pytest.mark.parametrize("force", [False, True])
    async def test_a_group_of_assertions_alone(
        self, adapter: EventStorageAdapter, force: bool
    ) -> None:
        """A group without events writes nothing, and says whether the versions hold."""
        await push_in_order(adapter, STORE, make_records("a1", 2))
        right = AssertedVersion(STORE, "a1", 2, adapter)
        await adapter.push_event_group([], asserted=[right], force=force)
        wrong = AssertedVersion(STORE, "a2", 2, adapter)
        with pytest.raises(VersionAssertionError):
            await adapter.push_event_group([], asserted=[right, wrong], force=force)
        assert make_records("a1", 2) == list(await adapter.get_events(STORE, "a1"))

    async def test_an_assertion_of_another_store(
        self, adapter: EventStorageAdapter, sibling_adapter: EventStorageAdapter
    ) -> None:
        """A version is asserted of the store that is named, through its adapter."""
        await push_in_order(sibling_adapter, OTHER_STORE, make_records("a1", 2))
        right = AssertedVersion(OTHER_STORE, "a1", 2, sibling_adapter)
        group = make_group(adapter, make_record("a1"))
        await adapter.push_event_group(group, asserted=[right])
        wrong = AssertedVersion(OTHER_STORE, "a1", 1, sibling_adapter)
        group = make_group(adapter, make_record("a1", 2))
        with pytest.raises(VersionAssertionError) as caught:
            await adapter.push_event_group(group, asserted=[wrong])
        assert OTHER_STORE == caught.value.event_store_id
        assert [make_record("a1")] == list(await adapter.get_events(STORE, "a1"))

    @requires("foreign_adapter")
    @pytest.mark.parametrize("force", [False, True])
    async def test_an_assertion_over_two_backends_is_refused(
        self, adapter: EventStorageAdapter, foreign_adapter: EventStorageAdapter, force: bool
    ) -> None:
        """A version of another backend cannot be checked at the moment of the write."""
        group = make_group(adapter, make_record("a1"))
        asserted = [
            AssertedVersion(STORE, "a2", 0, adapter),
            AssertedVersion(OTHER_STORE, "a1", 0, foreign_adapter),
        ]
        with pytest.raises(InvalidEventGroupError):
            await adapter.push_event_group(group, asserted=asserted, force=force)
        with pytest.raises(InvalidEventGroupError):
            await adapter.push_event_group([], asserted=asserted, force=force)
        assert [] == list(await adapter.get_events(STORE, "a1"))

    async def test_groups_that_assert_each_other(self, adapter: EventStorageAdapter) -> None:
        """Of two groups at once that each assert what the other writes, one is written.

        The other is told that the aggregate has moved: both could not hold in any order.
        """
        for pauses in product(range(5), range(5)):
            left, right = (f"{side}-{pauses[0]}-{pauses[1]}" for side in ("left", "right"))
            pushes = [
                adapter.push_event_group(
                    make_group(adapter, make_record(mine)),
                    asserted=[AssertedVersion(STORE, theirs, 0, adapter)],
                )
                for mine, theirs in ((left, right), (right, left))
            ]
            conflicts = await push_at_once(map(delay, pushes, pauses))
            failed = [each for each in conflicts if each is not None]
            assert [VersionAssertionError] == [type(each) for each in failed]
            written = [each for each in (left, right) if await adapter.get_events(STORE, each)]
            assert [each.aggregate_id for each in failed] == written

    async def test_an_assertion_among_single_pushes(self, adapter: EventStorageAdapter) -> None:
        """A group that is not there when a push to its asserted aggregate returns never comes."""
        for pauses in product(range(5), range(5)):
            asserted, written = (f"{name}-{pauses[0]}-{pauses[1]}" for name in ("a", "b"))
            group = adapter.push_event_group(
                make_group(adapter, make_record(written)),
                asserted=[AssertedVersion(STORE, asserted, 0, adapter)],
            )
            task = asyncio.ensure_future(try_push(delay(group, pauses[0])))
            await delay(adapter.push_event(STORE, make_record(asserted)), pauses[1])
            was_there = bool(await adapter.get_events(STORE, written))
            conflict = await task
            is_there = bool(await adapter.get_events(STORE, written))
            assert was_there == is_there == (conflict is None)

    async def test_stores_assert_versions(
        self, adapter: EventStorageAdapter, sibling_adapter: EventStorageAdapter
    ) -> None:
        """Event stores on one kind of adapter assert versions among the events of a group."""
        notes, tasks = make_store(adapter), make_store(sibling_adapter, OTHER_STORE)
        await tasks.push_event(Noted("a1", 1, payload="task"))
        grouped = notes.group_event(Noted("a1", 1, payload="note"))
        with pytest.raises(VersionAssertionError):
            await EventStore.push_event_group(grouped, tasks.assert_version("a1", 2))
        assert [] == await notes.get_events("a1")
        await EventStore.push_event_group(grouped, tasks.assert_version("a1", 1))
        assert [grouped.event] == await notes.get_events("a1")

    @requires("lose_next_answer")
    async def test_an_asserting_group_whose_answer_is_lost(
        self, adapter: EventStorageAdapter, lose_next_answer: Callable[[], Any]
    ) -> None:
        """A group with an assertion that the client repeats is no conflict with itself."""
        records = make_records("a1", 2)
        asserted = [AssertedVersion(STORE, "a2", 0, adapter)]
        await call(lose_next_answer)
        await adapter.push_event_group(make_group(adapter, *records), asserted=asserted)
        assert records == list(await adapter.get_events(STORE, "a1"))

    @requires("lose_next_answer")
    async def test_an_assertion_that_failed_whose_answer_is_lost(
        self, adapter: EventStorageAdapter, lose_next_answer: Callable[[], Any]
    ) -> None:
        """An assertion that does not hold does not hold when it is repeated."""
        await adapter.push_event(STORE, make_record("a2"))
        asserted = [AssertedVersion(STORE, "a2", 0, adapter)]
        await call(lose_next_answer)
        with pytest.raises(VersionAssertionError):
            await adapter.push_event_group(
                make_group(adapter, make_record("a1")), asserted=asserted
            )
        assert [] == list(await adapter.get_events(STORE, "a1"))
