"""The event storage contract: reads of an aggregate."""

from hypothesis import example, given
from hypothesis import strategies as st

from castore_core import EventStorageAdapter
from castore_test_tools._contract import properties
from castore_test_tools._event_storage_base import EventStorageContract
from castore_test_tools._running import push_all, push_in_order
from castore_test_tools._values import (
    OTHER_STORE,
    STORE,
    make_record,
    make_records,
    moment,
)

_MANY = 1200
_COUNT = 12
_bounds = st.none() | st.integers(0, _COUNT + 2) | st.just(2**53 - 1)


class ReadingContract(EventStorageContract):
    """Order, bounds and limits."""

    async def test_an_unknown_aggregate_has_no_events(self, adapter: EventStorageAdapter) -> None:
        """An aggregate that was never pushed to is empty."""
        await adapter.push_event(STORE, make_record("a1"))
        assert [] == list(await adapter.get_events(STORE, "a2"))

    async def test_an_unknown_store_has_no_events(self, adapter: EventStorageAdapter) -> None:
        """A store that was never pushed to is empty, and so is its list."""
        await adapter.push_event(STORE, make_record("a1"))
        assert [] == list(await adapter.get_events(OTHER_STORE, "a1"))
        found = await adapter.list_aggregate_ids(OTHER_STORE)
        assert ([], None) == (list(found.aggregates), found.cursor)

    async def test_an_event_is_read_as_it_was_pushed(self, adapter: EventStorageAdapter) -> None:
        """Every field of an event comes back."""
        record = make_record("a1", 1, {"text": "milk"}, {"by": "Ada"}, timestamp=moment(123))
        await adapter.push_event(STORE, record)
        assert [record] == list(await adapter.get_events(STORE, "a1"))

    async def test_events_are_ordered_by_version(self, adapter: EventStorageAdapter) -> None:
        """Events that were pushed in another order are read in that of their versions."""
        records = make_records("a1", 4)
        shuffled = [records[index] for index in (2, 0, 3, 1)]
        await push_in_order(adapter, STORE, shuffled, force=True)
        assert records == list(await adapter.get_events(STORE, "a1"))

    async def test_versions_are_numbers(self, adapter: EventStorageAdapter) -> None:
        """Version 9 comes before 10 and 100: they are no texts."""
        records = [make_record("a1", version) for version in (9, 10, 11, 99, 100, 2**53 - 1)]
        await push_in_order(adapter, STORE, reversed(records), force=True)
        assert records == list(await adapter.get_events(STORE, "a1"))
        after = await adapter.get_events(STORE, "a1", min_version=10, max_version=100)
        assert records[1:5] == list(after)

    async def test_versions_are_integers(self, adapter: EventStorageAdapter) -> None:
        """A version is read as an `int`, and as no other number that is equal to it."""
        await push_in_order(adapter, STORE, make_records("a1", 2))
        read = await adapter.get_events(STORE, "a1")
        assert [int, int] == [type(each.version) for each in read]

    async def test_timestamps_do_not_order_events(self, adapter: EventStorageAdapter) -> None:
        """A later version may have an earlier timestamp."""
        records = [make_record("a1", each, timestamp=moment(-each)) for each in range(1, 4)]
        await push_in_order(adapter, STORE, records)
        assert records == list(await adapter.get_events(STORE, "a1"))

    async def test_bounds_are_inclusive(self, adapter: EventStorageAdapter) -> None:
        """The events of the least and of the greatest version are read."""
        records = make_records("a1", 5)
        await push_in_order(adapter, STORE, records)
        found = await adapter.get_events(STORE, "a1", min_version=2, max_version=4)
        assert records[1:4] == list(found)

    async def test_bounds_may_enclose_nothing(self, adapter: EventStorageAdapter) -> None:
        """Bounds beyond the events, or that exclude each other, give no events."""
        await push_in_order(adapter, STORE, make_records("a1", 3))
        assert [] == list(await adapter.get_events(STORE, "a1", min_version=4))
        assert [] == list(await adapter.get_events(STORE, "a1", max_version=0))
        assert [] == list(await adapter.get_events(STORE, "a1", min_version=3, max_version=1))

    async def test_a_limit_takes_the_first_events(self, adapter: EventStorageAdapter) -> None:
        """A limit counts from the least version."""
        records = make_records("a1", 5)
        await push_in_order(adapter, STORE, records)
        assert records[:2] == list(await adapter.get_events(STORE, "a1", limit=2))

    async def test_a_limit_counts_from_the_least_bound(self, adapter: EventStorageAdapter) -> None:
        """A limit counts the events that are within the bounds."""
        records = make_records("a1", 5)
        await push_in_order(adapter, STORE, records)
        assert records[2:4] == list(await adapter.get_events(STORE, "a1", min_version=3, limit=2))

    async def test_reverse_begins_with_the_greatest(self, adapter: EventStorageAdapter) -> None:
        """Reading in reverse gives the same events, the other way round."""
        records = make_records("a1", 5)
        await push_in_order(adapter, STORE, records)
        assert records[::-1] == list(await adapter.get_events(STORE, "a1", reverse=True))

    async def test_a_limit_in_reverse_takes_the_last(self, adapter: EventStorageAdapter) -> None:
        """A limit applies after the order: in reverse it counts from the greatest version."""
        records = make_records("a1", 5)
        await push_in_order(adapter, STORE, records)
        found = await adapter.get_events(STORE, "a1", max_version=4, limit=2, reverse=True)
        assert [records[3], records[2]] == list(found)

    @properties
    @given(_bounds, _bounds, st.none() | st.integers(1, _COUNT + 2), st.booleans())
    @example(min_version=2, max_version=None, limit=2, reverse=False)
    @example(min_version=2, max_version=4, limit=2, reverse=True)
    async def test_any_bounds_and_limit(
        self,
        adapter: EventStorageAdapter,
        min_version: int | None,
        max_version: int | None,
        limit: int | None,
        reverse: bool,
    ) -> None:
        """Any bounds, limit and direction give a slice of the events."""
        records = make_records("a1", _COUNT)
        if not await adapter.get_events(STORE, "a1", limit=1):
            await push_in_order(adapter, STORE, records)
        last = _COUNT if max_version is None else max_version
        within = [each for each in records if (min_version or 0) <= each.version <= last]
        found = await adapter.get_events(
            STORE,
            "a1",
            min_version=min_version,
            max_version=max_version,
            limit=limit,
            reverse=reverse,
        )
        assert (within[::-1] if reverse else within)[:limit] == list(found)

    async def test_many_events(self, adapter: EventStorageAdapter) -> None:
        """More events than a backend returns at once (1.2 MB) are all read, in both directions."""
        filling = "x" * 1000
        records = [make_record("a1", version + 1, [version, filling]) for version in range(_MANY)]
        await push_all(adapter, STORE, records, force=True)
        assert records == list(await adapter.get_events(STORE, "a1"))
        found = await adapter.get_events(STORE, "a1", min_version=50, limit=1100, reverse=True)
        assert records[100:][::-1] == list(found)
