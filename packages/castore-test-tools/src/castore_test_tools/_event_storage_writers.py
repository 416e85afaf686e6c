"""The event storage contract: many writers at a time."""

import asyncio
from itertools import chain, count

from hypothesis import given
from hypothesis import strategies as st

from castore_core import EventRecord, EventStorageAdapter
from castore_test_tools._contract import properties, requires
from castore_test_tools._event_storage_base import EventStorageContract
from castore_test_tools._running import append, push_at_once, push_in_order, run_in_several_loops
from castore_test_tools._values import STORE, make_record

_WRITERS = 32
_OF_A_LOOP = 10
_fresh_numbers = count()
_pauses = st.lists(st.integers(0, 3), min_size=1, max_size=3)


class WritersContract(EventStorageContract):
    """One winner for each version, and no gap."""

    async def test_one_of_many_writers_wins(self, adapter: EventStorageAdapter) -> None:
        """Of 32 pushes of one version at once, one is written, and 31 are told of the conflict."""
        records = [make_record("a1", 1, {"writer": each}) for each in range(_WRITERS)]
        conflicts = await push_at_once(adapter.push_event(STORE, each) for each in records)
        winners = [
            record for record, conflict in zip(records, conflicts, strict=True) if conflict is None
        ]
        assert 1 == len(winners), f"{len(winners)} writers were told that they won"
        assert winners == list(await adapter.get_events(STORE, "a1"))

    async def test_concurrent_conflicts_name_the_version(
        self, adapter: EventStorageAdapter
    ) -> None:
        """Each of many losers is told which event of which aggregate was taken."""
        await push_in_order(adapter, STORE, [make_record("a1", each) for each in (1, 2, 3)])
        conflicts = await push_at_once(
            adapter.push_event(STORE, make_record("a1", 1 + each % 3)) for each in range(_WRITERS)
        )
        named = [
            each and (each.event_store_id, each.aggregate_id, each.version) for each in conflicts
        ]
        assert [(STORE, "a1", 1 + each % 3) for each in range(_WRITERS)] == named

    async def test_writers_of_other_aggregates_do_not_conflict(
        self, adapter: EventStorageAdapter
    ) -> None:
        """32 aggregates are pushed to at once, and each writer reads at once what it wrote."""

        async def push_and_read(record: EventRecord) -> list[EventRecord]:
            await adapter.push_event(STORE, record)
            return list(await adapter.get_events(STORE, record.aggregate_id))

        records = [make_record(f"a{each}", 1, each) for each in range(_WRITERS)]
        read = await asyncio.gather(*(push_and_read(each) for each in records))
        assert [[each] for each in records] == read

    async def test_writers_that_try_again_leave_no_gap(self, adapter: EventStorageAdapter) -> None:
        """32 writers of one aggregate all get their events in, and its versions are gapless."""
        written = await asyncio.gather(
            *(append(adapter, STORE, "a1", writer) for writer in range(_WRITERS))
        )
        read = list(await adapter.get_events(STORE, "a1"))
        assert list(range(1, _WRITERS + 1)) == [each.version for each in read]
        assert sorted(written, key=lambda each: each.version) == read

    @requires("works_in_several_event_loops", "works_in_several_event_loops_at_once")
    async def test_writers_of_several_event_loops(self, adapter: EventStorageAdapter) -> None:
        """Writers of one aggregate in three event loops at a time all get their events in."""

        async def write(loop: int) -> list[EventRecord]:
            writers = (append(adapter, STORE, "a1", [loop, each]) for each in range(_OF_A_LOOP))
            return await asyncio.gather(*writers)

        written = chain.from_iterable(await run_in_several_loops(write))
        read = list(await adapter.get_events(STORE, "a1"))
        assert list(range(1, len(read) + 1)) == [each.version for each in read]
        assert sorted(written, key=lambda each: each.version) == read

    @properties
    @given(st.lists(_pauses, min_size=1, max_size=4))
    async def test_any_interleaving_of_writers(
        self, adapter: EventStorageAdapter, writers: list[list[int]]
    ) -> None:
        """Writers that append events, at any pace, leave no gap, and lose and repeat nothing."""
        aggregate_id = f"any-{next(_fresh_numbers)}"

        async def write(writer: int, pauses: list[int]) -> list[EventRecord]:
            return [
                await append(adapter, STORE, aggregate_id, [writer, mark], pause=pause)
                for mark, pause in enumerate(pauses)
            ]

        written = await asyncio.gather(*(write(*each) for each in enumerate(writers)))
        read = list(await adapter.get_events(STORE, aggregate_id))
        assert list(range(1, sum(map(len, writers)) + 1)) == [each.version for each in read]
        assert sorted(chain.from_iterable(written), key=lambda each: each.version) == read

    @properties
    @given(st.lists(st.integers(1, 4), min_size=1, max_size=10))
    async def test_any_pushes_at_once(
        self, adapter: EventStorageAdapter, aggregates: list[int]
    ) -> None:
        """Of the pushes that begin an aggregate at once, exactly one wins, for each aggregate."""
        run = next(_fresh_numbers)
        records = [
            make_record(f"any-{run}-{each}", 1, mark) for mark, each in enumerate(aggregates)
        ]
        conflicts = await push_at_once(adapter.push_event(STORE, each) for each in records)
        winners = [
            record for record, conflict in zip(records, conflicts, strict=True) if conflict is None
        ]
        names = sorted({each.aggregate_id for each in records})
        read = [event for each in names for event in await adapter.get_events(STORE, each)]
        assert sorted(winners, key=lambda each: each.aggregate_id) == read
        assert names == [each.aggregate_id for each in read]
