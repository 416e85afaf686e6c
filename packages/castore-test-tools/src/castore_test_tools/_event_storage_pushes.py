"""The event storage contract: pushes of single events."""

from collections.abc import Callable

import pytest

from castore_core import (
    Event,
    EventAlreadyExistsError,
    EventStorageAdapter,
    EventStore,
    JSONValue,
)
from castore_test_tools._contract import requires
from castore_test_tools._event_storage_base import EventStorageContract, to_listed
from castore_test_tools._running import (
    CANCELLED_AFTER,
    cancel_after,
    push_in_order,
    run_elsewhere,
    thaw,
    try_push,
)
from castore_test_tools._values import OTHER_STORE, STORE, make_record, make_records, moment


class Noted(Event, type="NOTED"):
    """The event of the stores that suites make."""

    payload: JSONValue


def make_store(
    adapter: EventStorageAdapter, event_store_id: str = STORE
) -> EventStore[Noted, Noted]:
    """Return an event store whose state is the last event."""
    reduce: Callable[[Noted | None, Noted], Noted] = lambda _, event: event  # noqa: E731 typed
    return EventStore(event_store_id, event_types=[Noted], reduce=reduce, storage_adapter=adapter)


class PushingContract(EventStorageContract):
    """Conflicts, force, several event loops and cancellation."""

    async def test_a_taken_version_is_refused(self, adapter: EventStorageAdapter) -> None:
        """The error names the store, the aggregate and the version."""
        await push_in_order(adapter, STORE, make_records("a1", 2))
        with pytest.raises(EventAlreadyExistsError) as caught:
            await adapter.push_event(STORE, make_record("a1", 2))
        error = caught.value
        assert (STORE, "a1", 2) == (error.event_store_id, error.aggregate_id, error.version)
        assert type(error.version) is int

    async def test_a_refused_push_changes_nothing(self, adapter: EventStorageAdapter) -> None:
        """The event that was there stays, also where the refused one differs in every field."""
        records = make_records("a1", 3)
        await push_in_order(adapter, STORE, records)
        for version in (1, 2, 3):
            other = make_record("a1", version, {"other": 1}, {"other": 2}, timestamp=moment(99))
            assert await try_push(adapter.push_event(STORE, other))
        assert records == list(await adapter.get_events(STORE, "a1"))
        await self.wait_until_listed(adapter, STORE, records[:1])
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed(records[:1]) == list(found.aggregates)

    async def test_an_equal_event_is_refused_too(self, adapter: EventStorageAdapter) -> None:
        """Pushing the very same event a second time is a conflict."""
        await adapter.push_event(STORE, make_record("a1"))
        assert await try_push(adapter.push_event(STORE, make_record("a1")))

    async def test_a_conflict_pickles(self, adapter: EventStorageAdapter) -> None:
        """An error that an adapter raised keeps its type and values from process to process."""
        await adapter.push_event(STORE, make_record("a1"))
        conflict = await try_push(adapter.push_event(STORE, make_record("a1")))
        assert conflict is not None
        thawed = thaw(conflict)
        assert type(thawed) is EventAlreadyExistsError
        values = (thawed.event_store_id, thawed.aggregate_id, thawed.version, thawed.retryable)
        assert (STORE, "a1", 1, True) == values

    async def test_a_version_is_taken_in_its_aggregate_only(
        self, adapter: EventStorageAdapter
    ) -> None:
        """Other aggregates, and those of other stores, have versions of their own."""
        await adapter.push_event(STORE, make_record("a1", 1, "first"))
        await adapter.push_event(STORE, make_record("a2", 1, "second"))
        await adapter.push_event(OTHER_STORE, make_record("a1", 1, "third"))
        found = await adapter.get_events(OTHER_STORE, "a1")
        assert [make_record("a1", 1, "third")] == list(found)

    async def test_force_replaces_an_event(self, adapter: EventStorageAdapter) -> None:
        """All fields of the event of that version are new, and no other event is."""
        records = make_records("a1", 3)
        await push_in_order(adapter, STORE, records)
        new = make_record("a1", 2, "new", "newer", timestamp=moment(99))._replace(type="RENOTED")
        await adapter.push_event(STORE, new, force=True)
        assert [records[0], new, records[2]] == list(await adapter.get_events(STORE, "a1"))

    async def test_force_removes_fields(self, adapter: EventStorageAdapter) -> None:
        """A replaced event leaves no payload and metadata behind; null is written as null."""
        await adapter.push_event(STORE, make_record("a1", 1, "old", "older"))
        for new in (make_record("a1"), make_record("a1", 1, None, None)):
            await adapter.push_event(STORE, new, force=True)
            assert [new] == list(await adapter.get_events(STORE, "a1"))

    async def test_force_replaces_in_its_store_only(self, adapter: EventStorageAdapter) -> None:
        """The aggregate of the same id in another store keeps its events."""
        await adapter.push_event(STORE, make_record("a1", 1, "kept"))
        await adapter.push_event(OTHER_STORE, make_record("a1", 1, "new"), force=True)
        found = await adapter.get_events(STORE, "a1")
        assert [make_record("a1", 1, "kept")] == list(found)

    async def test_force_writes_a_new_version(self, adapter: EventStorageAdapter) -> None:
        """Where there is nothing to replace, a forced push is a push."""
        records = make_records("a1", 2)
        for each in records:
            await adapter.push_event(STORE, each, force=True)
        assert records == list(await adapter.get_events(STORE, "a1"))

    async def test_a_forced_event_takes_its_version(self, adapter: EventStorageAdapter) -> None:
        """A push without force conflicts with an event that was forced."""
        await adapter.push_event(STORE, make_record("a1"), force=True)
        assert await try_push(adapter.push_event(STORE, make_record("a1")))

    async def test_a_store_pushes_and_loads(self, adapter: EventStorageAdapter) -> None:
        """An event store on the adapter gives back its typed events and their aggregate."""
        notes = make_store(adapter)
        events = [Noted(aggregate_id="a1", version=each, payload=each) for each in (1, 2)]
        for each in events:
            await notes.push_event(each)
        loaded = await notes.get_existing_aggregate("a1")
        assert (events[1], tuple(events)) == (loaded.aggregate, loaded.events)

    @requires("works_in_several_event_loops")
    async def test_one_event_loop_after_the_other(self, adapter: EventStorageAdapter) -> None:
        """An adapter works in a second event loop, and then in the first one again."""
        records = make_records("a1", 3)
        await adapter.push_event(STORE, records[0])
        await run_elsewhere(lambda: push_in_order(adapter, STORE, records[1:2]))
        await adapter.push_event(STORE, records[2])
        assert records == list(await adapter.get_events(STORE, "a1"))

    @pytest.mark.parametrize("steps", CANCELLED_AFTER)
    async def test_a_cancelled_push_is_whole_or_absent(
        self, adapter: EventStorageAdapter, steps: int
    ) -> None:
        """After a push was cancelled the adapter works, and its event is there, or it is not.

        It is there if the push returned in spite of the cancellation.
        """
        first, second = make_record("a1", 1, "first", 1), make_record("a1", 1, "second", 2)
        has_returned = await cancel_after(adapter.push_event(STORE, first), steps)
        conflict = await try_push(adapter.push_event(STORE, second))
        assert conflict or not has_returned, "the push returned, and its event is not there"
        stored = [first] if conflict else [second]
        assert stored == list(await adapter.get_events(STORE, "a1"))
        await adapter.push_event(STORE, make_record("a1", 2))
