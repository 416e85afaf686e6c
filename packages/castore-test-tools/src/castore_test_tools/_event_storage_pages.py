"""The event storage contract: cursors, with any ids and any options."""

from itertools import chain

import pytest

from castore_core import EventRecord, EventStorageAdapter
from castore_test_tools._any_ids import with_any_ids
from castore_test_tools._event_storage_base import EventStorageContract, to_listed, walk_slices
from castore_test_tools._running import push_all
from castore_test_tools._values import STORE, make_record, moment


class PagingContract(EventStorageContract):
    """A cursor is a place in the list."""

    @pytest.mark.parametrize("reverse", [False, True])
    @with_any_ids
    async def test_pages_of_any_ids(
        self, adapter: EventStorageAdapter, ids: list[str], reverse: bool
    ) -> None:
        """Ids of any characters are listed once, on pages that end between look-alikes too."""
        records = [make_record(each) for each in ids]
        await push_all(adapter, STORE, records)
        await self.wait_until_listed(adapter, STORE, records)
        whole = (await adapter.list_aggregate_ids(STORE, reverse=reverse)).aggregates
        assert sorted(ids) == sorted(each.aggregate_id for each in whole)
        slices = await walk_slices(adapter, STORE, 1, reverse=reverse)
        assert list(whole) == list(chain.from_iterable(slices))

    async def test_a_cursor_in_the_other_direction(self, adapter: EventStorageAdapter) -> None:
        """A reader that turns round at a cursor reads the list before it, and then all again."""
        await self._push_six(adapter)
        first = await adapter.list_aggregate_ids(STORE, limit=4)
        back = await adapter.list_aggregate_ids(STORE, limit=2, reverse=True, cursor=first.cursor)
        forth = await adapter.list_aggregate_ids(STORE, cursor=back.cursor)
        pages = [[each.aggregate_id for each in page.aggregates] for page in (back, forth)]
        assert [["a3", "a2"], ["a3", "a4", "a5", "a6"]] == pages

    @pytest.mark.parametrize(
        ("after", "before", "expected"),
        [(4, None, ["a4", "a5", "a6"]), (1, 4, ["a3", "a4"]), (None, 1, []), (5, 5, ["a5"])],
    )
    async def test_a_cursor_with_other_bounds(
        self,
        adapter: EventStorageAdapter,
        after: int | None,
        before: int | None,
        expected: list[str],
    ) -> None:
        """The list is within the new bounds and after the cursor, wherever the cursor is."""
        await self._push_six(adapter)
        first = await adapter.list_aggregate_ids(STORE, limit=2)
        rest = await adapter.list_aggregate_ids(
            STORE,
            initial_event_after=None if after is None else moment(after),
            initial_event_before=None if before is None else moment(before),
            cursor=first.cursor,
        )
        assert (expected, None) == ([each.aggregate_id for each in rest.aggregates], rest.cursor)

    async def test_a_cursor_in_reverse_with_other_bounds(
        self, adapter: EventStorageAdapter
    ) -> None:
        """In reverse, too."""
        await self._push_six(adapter)
        first = await adapter.list_aggregate_ids(STORE, limit=2, reverse=True)
        rest = await adapter.list_aggregate_ids(
            STORE,
            initial_event_after=moment(2),
            initial_event_before=moment(3),
            reverse=True,
            cursor=first.cursor,
        )
        assert ["a3", "a2"] == [each.aggregate_id for each in rest.aggregates]

    async def test_force_of_a_later_version_moves_nothing(
        self, adapter: EventStorageAdapter
    ) -> None:
        """An aggregate keeps its place when another event than its first is replaced."""
        records = await self._push_six(adapter)
        for _ in range(2):
            later = make_record("a1", 2, timestamp=moment(99))
            await adapter.push_event(STORE, later, force=True)
        await self.wait_until_listed(adapter, STORE, records)
        found = await adapter.list_aggregate_ids(STORE)
        assert to_listed(records) == list(found.aggregates)

    async def _push_six(self, adapter: EventStorageAdapter) -> list[EventRecord]:
        """Push the first events of six aggregates, each a millisecond after the one before."""
        records = [make_record(f"a{each}", timestamp=moment(each)) for each in range(1, 7)]
        await push_all(adapter, STORE, records)
        await self.wait_until_listed(adapter, STORE, records)
        return records
