"""The event storage contract: the list of aggregates, and its pages."""

import json
from collections.abc import Sequence
from itertools import chain, count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    EventRecord,
    EventStorageAdapter,
    InvalidPageTokenError,
    JSONValue,
    check_json,
)
from castore_test_tools._contract import properties, requires
from castore_test_tools._event_storage_base import (
    EventStorageContract,
    sort_aggregates,
    to_listed,
    walk_slices,
)
from castore_test_tools._event_storage_pushes import make_store
from castore_test_tools._running import (
    push_all,
    push_in_order,
    thaw,
)
from castore_test_tools._values import MOMENTS, OTHER_STORE, STORE, make_record, moment

_MANY = 1200
_fresh_numbers = count()
_bounds = st.none() | st.integers(0, 3)


def make_initial(*milliseconds: int) -> list[EventRecord]:
    """Return the first events of aggregates a00, a01, ... of the given moments."""
    return [
        make_record(f"a{index:02}", timestamp=moment(each))
        for index, each in enumerate(milliseconds)
    ]


class ListingContract(EventStorageContract):
    """Order, bounds and pages of the list of aggregates."""

    async def test_an_empty_list(self, adapter: EventStorageAdapter) -> None:
        """A store without events lists nothing, and nothing follows."""
        found = await adapter.list_aggregate_ids(STORE, limit=5)
        assert ([], None) == (list(found.aggregates), found.cursor)

    async def test_the_list_is_ordered_by_initial_timestamp(
        self, adapter: EventStorageAdapter
    ) -> None:
        """Neither the order of pushes nor that of ids counts."""
        records = make_initial(5, 3, 4, 1, 2)
        await self._fill(adapter, records)
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed(records) == list(found.aggregates)

    async def test_the_list_spans_all_times(self, adapter: EventStorageAdapter) -> None:
        """Moments before 1970 and up to the year 9999 have their place in the order."""
        records = [make_record(f"a{9 - i}", timestamp=each) for i, each in enumerate(MOMENTS)]
        await self._fill(adapter, records)
        found = await adapter.list_aggregate_ids(
            STORE, initial_event_after=MOMENTS[0], initial_event_before=MOMENTS[-1]
        )
        assert to_listed(records) == list(found.aggregates)

    @requires("orders_ties_by_aggregate_id")
    async def test_ties_are_ordered_by_id(self, adapter: EventStorageAdapter) -> None:
        """Aggregates of one initial timestamp are listed by their ids."""
        records = make_initial(1, 0, 0, 1, 0, 1)
        await self._fill(adapter, records[::-1])
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed(records) == list(found.aggregates)

    async def test_reverse_is_the_exact_reverse(self, adapter: EventStorageAdapter) -> None:
        """The list begins with the latest, and ties are turned round with it."""
        await self._fill(adapter, make_initial(1, 0, 0, 1, 0, 2))
        forwards = (await adapter.list_aggregate_ids(STORE)).aggregates
        backwards = (await adapter.list_aggregate_ids(STORE, reverse=True)).aggregates
        assert list(forwards)[::-1] == list(backwards)

    async def test_later_events_do_not_move_an_aggregate(
        self, adapter: EventStorageAdapter
    ) -> None:
        """Only the event of version 1 counts, and an aggregate is listed once."""
        records = make_initial(1, 2)
        later = [make_record("a00", each, timestamp=moment(9)) for each in (2, 3)]
        await push_in_order(adapter, STORE, later, force=True)
        await self._fill(adapter, records)
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed(records) == list(found.aggregates)

    async def test_aggregates_without_version_1_are_not_listed(
        self, adapter: EventStorageAdapter
    ) -> None:
        """An aggregate is listed once it has its initial event."""
        await adapter.push_event(STORE, make_record("a01", 2), force=True)
        await self._fill(adapter, make_initial(1))
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed(make_initial(1)) == list(found.aggregates)

    async def test_force_moves_an_aggregate(self, adapter: EventStorageAdapter) -> None:
        """An initial event that is replaced takes its aggregate to its new place, and only it."""
        records = make_initial(1, 2, 3)
        await self._fill(adapter, records)
        moved = records[0]._replace(timestamp=moment(9))
        await adapter.push_event(STORE, moved, force=True)
        expected = [moved, *records[1:]]
        await self.wait_until_listed(adapter, STORE, expected)
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed(expected) == list(found.aggregates)

    async def test_bounds_of_the_list_are_inclusive(self, adapter: EventStorageAdapter) -> None:
        """All aggregates whose timestamp equals a bound are listed."""
        records = make_initial(1, 2, 2, 3, 4, 4, 5)
        await self._fill(adapter, records)
        found = await adapter.list_aggregate_ids(
            STORE, initial_event_after=moment(2), initial_event_before=moment(4)
        )
        assert to_listed(records[1:6]) == self.in_order(found.aggregates)
        reverse = await adapter.list_aggregate_ids(
            STORE, initial_event_after=moment(2), initial_event_before=moment(4), reverse=True
        )
        assert list(found.aggregates)[::-1] == list(reverse.aggregates)

    async def test_one_bound_of_the_list(self, adapter: EventStorageAdapter) -> None:
        """Without the other bound the list begins with the first, or ends with the last."""
        records = make_initial(1, 2, 3)
        await self._fill(adapter, records)
        after = await adapter.list_aggregate_ids(STORE, initial_event_after=moment(2))
        assert to_listed(records[1:]) == list(after.aggregates)
        before = await adapter.list_aggregate_ids(STORE, initial_event_before=moment(2))
        assert to_listed(records[:2]) == list(before.aggregates)

    async def test_bounds_of_the_list_that_exclude_each_other(
        self, adapter: EventStorageAdapter
    ) -> None:
        """Nothing lies between a moment and an earlier one."""
        await self._fill(adapter, make_initial(1, 2, 3))
        found = await adapter.list_aggregate_ids(
            STORE, initial_event_after=moment(3), initial_event_before=moment(1)
        )
        assert ([], None) == (list(found.aggregates), found.cursor)

    async def test_bounds_are_exact_to_the_millisecond(self, adapter: EventStorageAdapter) -> None:
        """A bound a millisecond off excludes."""
        await self._fill(adapter, make_initial(10))
        after = await adapter.list_aggregate_ids(STORE, initial_event_after=moment(11))
        before = await adapter.list_aggregate_ids(STORE, initial_event_before=moment(9))
        assert ([], []) == (list(after.aggregates), list(before.aggregates))

    async def test_a_limit_of_the_list(self, adapter: EventStorageAdapter) -> None:
        """A limit takes the first of the list, and a cursor says that more follow."""
        records = make_initial(1, 2, 3, 4)
        await self._fill(adapter, records)
        found = await adapter.list_aggregate_ids(STORE, limit=3)
        assert to_listed(records[:3]) == list(found.aggregates)
        assert found.cursor is not None

    async def test_a_cursor_is_json(self, adapter: EventStorageAdapter) -> None:
        """A cursor survives being written as JSON, as it is in a page token."""
        await self._fill(adapter, make_initial(1, 2, 3))
        found = await adapter.list_aggregate_ids(STORE, limit=1)
        check_json(found.cursor, "cursor")
        cursor = json.loads(json.dumps(found.cursor))
        rest = await adapter.list_aggregate_ids(STORE, cursor=cursor)
        assert to_listed(make_initial(1, 2, 3))[1:] == list(rest.aggregates)

    @pytest.mark.parametrize("reverse", [False, True])
    async def test_pages_hold_each_id_once(
        self, adapter: EventStorageAdapter, reverse: bool
    ) -> None:
        """Pages of any size, over equal timestamps, are the list in pieces, none of them empty."""
        records = make_initial(1, 0, 0, 0, 0, 2)
        await self._fill(adapter, records)
        whole = (await adapter.list_aggregate_ids(STORE, reverse=reverse)).aggregates
        for limit in range(1, 8):
            slices = await walk_slices(adapter, STORE, limit, reverse=reverse)
            assert list(whole) == list(chain.from_iterable(slices))
            sizes = [limit] * (6 // limit) + ([6 % limit] if 6 % limit else [])
            assert sizes == [len(each) for each in slices]

    @properties
    @given(
        st.lists(st.integers(0, 3), max_size=8),
        st.tuples(_bounds, _bounds),
        st.integers(1, 9),
        st.booleans(),
    )
    async def test_any_pages(
        self,
        adapter: EventStorageAdapter,
        milliseconds: list[int],
        bounds: tuple[int | None, int | None],
        limit: int,
        reverse: bool,
    ) -> None:
        """Pages of any size, bounds and direction hold each id that they should, once."""
        after, before = bounds
        store_id = f"any-{next(_fresh_numbers)}"
        await self._fill(adapter, make_initial(*milliseconds), store_id)
        store = make_store(adapter, store_id)
        page = await store.list_aggregate_ids(
            limit=limit,
            initial_event_after=None if after is None else moment(after),
            initial_event_before=None if before is None else moment(before),
            reverse=reverse,
        )
        found = list(page.aggregates)
        while page.next_page_token is not None:
            page = await store.list_aggregate_ids(page_token=page.next_page_token)
            assert page.aggregates, "a page is empty: a cursor is None where nothing follows"
            assert len(page.aggregates) <= limit
            found.extend(page.aggregates)
            assert len(found) <= len(milliseconds), "aggregates are repeated"
        first, last = 0 if after is None else after, 3 if before is None else before
        within = [
            each
            for each in to_listed(make_initial(*milliseconds))
            if moment(first) <= each.initial_event_timestamp <= moment(last)
        ]
        forwards = found[::-1] if reverse else found
        assert within == self.in_order(forwards)
        timestamps = [each.initial_event_timestamp for each in forwards]
        assert sorted(timestamps) == timestamps

    @pytest.mark.parametrize("reverse", [False, True])
    async def test_pages_while_others_push(
        self, adapter: EventStorageAdapter, reverse: bool
    ) -> None:
        """Aggregates that come up before, at and after the place of a reader repeat no other."""
        records = make_initial(10, 20, 20, 20, 30, 40)
        await self._fill(adapter, records)
        found = await adapter.list_aggregate_ids(STORE, limit=3, reverse=reverse)
        seen = list(found.aggregates)
        new = [
            make_record(name, timestamp=moment(milliseconds))
            for name, milliseconds in (("a", 5), ("b", 20), ("z", 20), ("c", 35), ("d", 50))
        ]
        await push_all(adapter, STORE, new)
        await self.wait_until_listed(adapter, STORE, [*records, *new])
        while found.cursor is not None:
            found = await adapter.list_aggregate_ids(
                STORE, limit=1, reverse=reverse, cursor=found.cursor
            )
            seen.extend(found.aggregates)
            assert len(set(seen)) == len(seen)
        assert set(to_listed(records)) <= set(seen)

    async def test_a_token_carries_the_options(self, adapter: EventStorageAdapter) -> None:
        """A page token goes on with the limit, the bounds and the direction of its query."""
        records = make_initial(1, 2, 3, 4, 5, 6)
        await self._fill(adapter, records)
        store = make_store(adapter)
        first = await store.list_aggregate_ids(
            limit=2,
            initial_event_after=moment(2),
            initial_event_before=moment(6),
            reverse=True,
        )
        second = await store.list_aggregate_ids(page_token=first.next_page_token)
        third = await store.list_aggregate_ids(page_token=second.next_page_token)
        pages = [each.aggregate_ids for each in (first, second, third)]
        assert [["a05", "a04"], ["a03", "a02"], ["a01"]] == pages
        assert third.next_page_token is None

    async def test_options_beside_a_token_override(self, adapter: EventStorageAdapter) -> None:
        """A limit or bound that is given with a token is used instead of the token's."""
        await self._fill(adapter, make_initial(1, 2, 3, 4, 5, 6))
        store = make_store(adapter)
        first = await store.list_aggregate_ids(limit=1, initial_event_before=moment(5))
        page = await store.list_aggregate_ids(
            limit=3, initial_event_before=moment(3), page_token=first.next_page_token
        )
        assert (["a01", "a02"], None) == (page.aggregate_ids, page.next_page_token)

    async def test_a_token_of_another_store_is_refused(self, adapter: EventStorageAdapter) -> None:
        """A page token works with its own store only."""
        await self._fill(adapter, make_initial(1, 2))
        await self._fill(adapter, make_initial(1, 2), OTHER_STORE)
        page = await make_store(adapter, OTHER_STORE).list_aggregate_ids(limit=1)
        with pytest.raises(InvalidPageTokenError):
            await make_store(adapter).list_aggregate_ids(page_token=page.next_page_token)

    async def test_a_damaged_token_is_refused(self, adapter: EventStorageAdapter) -> None:
        """A page token of which a character was changed, lost or added is refused."""
        await self._fill(adapter, make_initial(1, 2))
        store = make_store(adapter)
        token = (await store.list_aggregate_ids(limit=1)).next_page_token
        assert token is not None
        middle = len(token) // 2
        other = "A" if token[middle] != "A" else "B"
        damaged = [token[:middle] + other + token[middle + 1 :], token[:-1], token + "A", "x", ""]
        for each in damaged:
            with pytest.raises(InvalidPageTokenError):
                await store.list_aggregate_ids(page_token=each)

    async def test_a_foreign_cursor_is_refused(self, adapter: EventStorageAdapter) -> None:
        """A cursor of another making, as in a token from before a migration, is refused."""
        await self._fill(adapter, make_initial(1, 2))
        cursors: list[JSONValue] = ["next", 7, [], {"a": 1}, ["yesterday", "a1"], [None]]
        for each in cursors:
            with pytest.raises(InvalidPageTokenError):
                await adapter.list_aggregate_ids(STORE, cursor=each)

    async def test_a_refused_cursor_pickles(self, adapter: EventStorageAdapter) -> None:
        """The error keeps its type and values from process to process."""
        with pytest.raises(InvalidPageTokenError) as caught:
            await adapter.list_aggregate_ids(STORE, cursor="next")
        thawed = thaw(caught.value)
        assert (type(caught.value), caught.value.args) == (type(thawed), thawed.args)
        assert STORE == thawed.event_store_id

    async def test_a_store_walks_its_list(self, adapter: EventStorageAdapter) -> None:
        """Iterating over a store's ids walks all the pages."""
        records = make_initial(5, 1, 3, 2, 4)
        await self._fill(adapter, records)
        found: list[str] = []
        async for each in make_store(adapter).iter_aggregate_ids(limit=2):
            found.append(each)
            assert len(found) <= len(records)
        assert ["a01", "a03", "a02", "a04", "a00"] == found

    async def test_many_aggregates(self, adapter: EventStorageAdapter) -> None:
        """More aggregates than a backend returns at once (1.2 MB of ids) are all listed.

        Ids are as long as the backend takes them.
        """
        filling = "x" * (min(self.longest_id, 994) - 4)
        records = [
            make_record(f"{index:04}{filling}", timestamp=moment(index // 3))
            for index in range(_MANY)
        ]
        await self._fill(adapter, records)
        found = await adapter.list_aggregate_ids(STORE)
        assert (to_listed(records), None) == (self.in_order(found.aggregates), found.cursor)
        slices = await walk_slices(adapter, STORE, 500, reverse=True)
        assert [500, 500, 200] == [len(each) for each in slices]
        assert sort_aggregates(list(chain.from_iterable(slices))) == to_listed(records)

    async def _fill(
        self,
        adapter: EventStorageAdapter,
        records: Sequence[EventRecord],
        event_store_id: str = STORE,
    ) -> None:
        await push_all(adapter, event_store_id, records)
        await self.wait_until_listed(adapter, event_store_id, records)
