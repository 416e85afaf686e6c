"""Events are poured in the order of their timestamps, as they are stored."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from castore_core import (
    EventRecord,
    EventStorageAdapter,
    ListedAggregate,
    MessageChannelEventStoreNotFoundError,
    MessagePublishError,
    StateCarryingMessageBus,
    UndefinedStorageAdapterError,
)
from castore_dam import (
    PouredEvent,
    Progress,
    pour_event_store_collection_events,
    pour_event_store_events,
)
from castore_in_memory import InMemoryEventStorageAdapter
from notes import make_notes
from pouring import at, attach, make_note, push_notes
from recording_channel import RecordingChannelAdapter
from wrapped_storage import WrappedStorage


async def test_all_events_in_the_order_of_their_timestamps(storage: EventStorageAdapter) -> None:
    """Events come by timestamp over all aggregates, whatever the order of the pushes was."""
    notes = make_notes(storage)
    await push_notes(notes, ("b", 1, 20), ("a", 1, 10), ("b", 2, 40), ("a", 2, 30), ("c", 1, 0))
    queue, taken = attach(notes)
    poured = await pour_event_store_events(notes, queue)
    assert [("c", 1), ("a", 1), ("b", 1), ("a", 2), ("b", 2)] == taken.places
    assert 5 == poured.poured_event_count
    assert PouredEvent("NOTES", "c", 1, at(0)) == poured.first_poured_event
    assert PouredEvent("NOTES", "b", 2, at(40)) == poured.last_poured_event
    assert ListedAggregate("c", at(0)) == poured.first_scanned_aggregate
    assert ListedAggregate("b", at(20)) == poured.last_scanned_aggregate


async def test_messages_are_replays(storage: EventStorageAdapter) -> None:
    """Consumers are told that they may have seen the events before."""
    notes = make_notes(storage)
    await push_notes(notes, ("a", 1, 0))
    queue, taken = attach(notes)
    await pour_event_store_events(notes, queue)
    assert [True] == [is_replay for _, is_replay in taken.taken]


async def test_several_stores_are_merged(storage: EventStorageAdapter) -> None:
    """Stores of several storages, with a log and without, are poured in one order."""
    notes, others = make_notes(storage), make_notes(storage, event_store_id="OTHERS")
    elsewhere = make_notes(InMemoryEventStorageAdapter(), event_store_id="ELSEWHERE")
    await push_notes(notes, ("a", 1, 0), ("a", 2, 30))
    await push_notes(others, ("a", 1, 10), ("a", 2, 50))
    await push_notes(elsewhere, ("a", 1, 20), ("a", 2, 40))
    queue, taken = attach(notes, others, elsewhere)
    poured = await pour_event_store_collection_events([notes, others, elsewhere], queue)
    stores = [each.event_store_id for each, _ in taken.taken]
    assert ["NOTES", "OTHERS", "ELSEWHERE", "NOTES", "ELSEWHERE", "OTHERS"] == stores
    assert {"NOTES": at(0), "OTHERS": at(10), "ELSEWHERE": at(20)} == {
        store_id: scan.first_scanned_aggregate and scan.first_scanned_aggregate[1]
        for store_id, scan in poured.scans.items()
    }


async def test_equal_timestamps_lose_nothing(storage: EventStorageAdapter) -> None:
    """Events of one moment are all poured, those of an aggregate by version."""
    notes, others = make_notes(storage), make_notes(storage, event_store_id="OTHERS")
    places = [(f"a{number}", version, 5) for version in (1, 2, 3) for number in range(40)]
    for store in (notes, others):
        await push_notes(store, *places)
    queue, taken = attach(notes, others)
    await pour_event_store_collection_events([notes, others], queue)
    for store_id in ("NOTES", "OTHERS"):
        of_store = [each for each, _ in taken.taken if each.event_store_id == store_id]
        for aggregate_id in {each[0] for each in places}:
            assert [1, 2, 3] == [
                each.version for each in of_store if each.aggregate_id == aggregate_id
            ]
    assert 240 == len(taken.taken)


async def test_timestamps_that_run_backwards_keep_the_versions(
    storage: EventStorageAdapter,
) -> None:
    """An event before its predecessor, by a clock that was wrong, comes after it all the same."""
    notes = make_notes(storage)
    await push_notes(notes, ("a", 1, 50), ("b", 1, 20), ("a", 2, 10), ("b", 2, 60), ("a", 3, 55))
    queue, taken = attach(notes)
    await pour_event_store_events(notes, queue)
    assert [("b", 1), ("a", 1), ("a", 2), ("a", 3), ("b", 2)] == taken.places


async def test_versions_that_were_pushed_backwards(storage: EventStorageAdapter) -> None:
    """Versions come in their order, where a storage with gaps has them in another."""
    notes = make_notes(storage)
    for version, milliseconds in ((3, 0), (1, 10), (2, 10)):
        await storage.push_event("NOTES", make_note("a", version, milliseconds), force=True)
    await push_notes(notes, ("b", 1, 5))
    queue, taken = attach(notes)
    poured = await pour_event_store_events(notes, queue)
    assert [("b", 1), ("a", 1), ("a", 2), ("a", 3)] == taken.places
    assert 4 == poured.poured_event_count


async def test_random_histories(storage: EventStorageAdapter) -> None:
    """Any history comes whole, by timestamp, and by version within an aggregate."""
    notes, generator = make_notes(storage), random.Random(7)
    versions: dict[str, int] = {}
    for _ in range(1200):
        aggregate_id = f"a{generator.randrange(30)}"
        versions[aggregate_id] = versions.get(aggregate_id, 0) + 1
        await push_notes(notes, (aggregate_id, versions[aggregate_id], generator.randrange(100)))
    queue, taken = attach(notes)
    await pour_event_store_events(notes, queue)
    assert {each: [*range(1, last + 1)] for each, last in versions.items()} == taken.versions
    assert 1200 == len(taken.taken)
    latest: dict[str, str] = {}
    moments = [_get_moment(latest, body["event"]) for body in taken.bodies]
    assert sorted(moments) == moments


def _get_moment(latest: dict[str, str], event: dict[str, str]) -> str:
    """Return the latest timestamp of an aggregate so far."""
    name = event["aggregateId"]
    latest[name] = max(latest.get(name, ""), event["timestamp"])
    return latest[name]


async def test_undeclared_values_are_carried(storage: EventStorageAdapter) -> None:
    """Types and fields that no class declares are published as they are stored."""
    notes = make_notes(storage)
    payload: Any = {"deep": [1, None, 2.5, {"big": 2**70}], "text": "\u00e9\U0001f600"}
    await storage.push_event("NOTES", EventRecord("a", 1, "FORGOTTEN", at(0), payload, None))
    queue, taken = attach(notes)
    await pour_event_store_events(notes, queue)
    (body,) = taken.bodies
    assert ["FORGOTTEN", payload, None] == [
        body["event"][each] for each in ("type", "payload", "metadata")
    ]


async def test_filters_are_inclusive(storage: EventStorageAdapter) -> None:
    """Events before and after the bounds are left out; those at the bounds are poured."""
    notes = make_notes(storage)
    await push_notes(notes, ("a", 1, 0), ("a", 2, 10), ("b", 1, 20), ("a", 3, 30), ("c", 1, 31))
    queue, taken = attach(notes)
    poured = await pour_event_store_events(notes, queue, from_=at(10), to=at(30))
    assert [("a", 2), ("b", 1), ("a", 3)] == taken.places
    assert ListedAggregate("a", at(0)) == poured.first_scanned_aggregate
    assert ListedAggregate("b", at(20)) == poured.last_scanned_aggregate


async def test_progress_of_a_scan(storage: EventStorageAdapter) -> None:
    """All events that are read count, poured or not, so that the time left can be told."""
    notes = make_notes(storage)
    await push_notes(notes, ("a", 1, 0), ("a", 2, 10), ("b", 1, 20))
    queue, _ = attach(notes)
    told: list[Progress] = []
    await pour_event_store_events(notes, queue, from_=at(15), on_progress=told.append)
    assert Progress("scanning", 3) in told
    assert Progress("pouring", 1, 1) == told[-1]


async def test_an_empty_store(storage: EventStorageAdapter) -> None:
    """Nothing is poured of a store without events."""
    notes = make_notes(storage)
    queue, taken = attach(notes)
    poured = await pour_event_store_events(notes, queue)
    assert 0 == poured.poured_event_count
    assert poured.first_poured_event is None
    assert poured.first_scanned_aggregate is None
    assert [] == taken.calls


async def test_batches(storage: EventStorageAdapter) -> None:
    """Messages are published in batches of a size, and progress is told after each."""
    notes = make_notes(storage)
    await push_notes(notes, *((f"a{number}", 1, number) for number in range(25)))
    queue, taken = attach(notes)
    told: list[Progress] = []
    await pour_event_store_events(notes, queue, batch_size=10, on_progress=told.append)
    assert [10, 10, 5] == taken.calls
    pours = [each for each in told if each.phase == "pouring"]
    assert [(10, 25), (20, 25), (25, 25)] == [(each.done, each.total) for each in pours]


async def test_messages_with_a_state(storage: EventStorageAdapter) -> None:
    """A state-carrying channel gets the aggregate as it was after each event."""
    notes = make_notes(storage)
    await push_notes(notes, ("a", 1, 0), ("a", 2, 10))
    taken = RecordingChannelAdapter()
    bus = StateCarryingMessageBus("BUS", source_event_stores=[notes], message_channel_adapter=taken)
    await pour_event_store_events(notes, bus)
    assert ["a 1", "a 2"] == [body["aggregate"]["text"] for body in taken.bodies]


class CountingStorage(WrappedStorage):
    """Counts how many aggregates are read at a time."""

    reads = 0
    most_reads = 0

    async def get_events(
        self, event_store_id: str, aggregate_id: str, **options: Any
    ) -> Sequence[EventRecord]:
        """Read events, slowly."""
        self.reads += 1
        self.most_reads = max(self.most_reads, self.reads)
        await asyncio.sleep(0)
        self.reads -= 1
        return await super().get_events(event_store_id, aggregate_id, **options)


async def test_aggregates_are_read_within_a_bound() -> None:
    """Where there is no log, so many aggregates are read at a time."""
    storage = CountingStorage(InMemoryEventStorageAdapter())
    notes = make_notes(storage)
    await push_notes(notes, *((f"a{number}", 1, number) for number in range(250)))
    queue, taken = attach(notes)
    await pour_event_store_events(notes, queue, at_once=7)
    assert 7 == storage.most_reads
    assert 250 == len(taken.taken)


async def test_an_aggregate_of_many_pages(storage: EventStorageAdapter) -> None:
    """An aggregate with more events than a page holds is poured whole."""
    notes = make_notes(storage)
    places = [("a", version, version) for version in range(1, 1002)]
    await push_notes(notes, *places)
    queue, taken = attach(notes)
    await pour_event_store_events(notes, queue)
    assert [version for _, version, _ in places] == taken.versions["a"]


async def test_a_refused_message_is_told(storage: EventStorageAdapter) -> None:
    """A channel that does not take a message ends the pour with its error."""
    notes = make_notes(storage)
    await push_notes(notes, *((f"a{number}", 1, number) for number in range(6)))
    queue, taken = attach(notes, refuses=lambda each: each.aggregate_id == "a3")
    with pytest.raises(MessagePublishError):
        await pour_event_store_events(notes, queue, batch_size=2)
    assert [("a0", 1), ("a1", 1), ("a2", 1)] == taken.places


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"rate_limit": 0}, "rate_limit"),
        ({"rate_limit": -1.5}, "rate_limit"),
        ({"rate_limit": float("nan")}, "rate_limit"),
        ({"rate_limit": float("inf")}, "rate_limit"),
        ({"rate_limit": True}, "rate_limit"),
        ({"rate_limit": "5"}, "rate_limit"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"at_once": 0}, "at_once"),
        ({"at_once": 1.5}, "at_once"),
        ({"from_": datetime(2024, 1, 1)}, "from_"),  # noqa: DTZ001
        ({"to": "2024"}, "to"),
    ],
)
async def test_options_out_of_bounds(options: dict[str, Any], error: str) -> None:
    """Each option is checked before anything is published."""
    notes = make_notes(InMemoryEventStorageAdapter())
    await push_notes(notes, ("a", 1, 0))
    queue, taken = attach(notes)
    with pytest.raises(ValueError, match=error):
        await pour_event_store_events(notes, queue, **options)
    assert [] == taken.calls


async def test_stores_that_do_not_fit() -> None:
    """A store is refused that is no source of the channel, given twice, or without a storage."""
    notes, others = make_notes(InMemoryEventStorageAdapter()), make_notes(event_store_id="OTHERS")
    queue, _ = attach(notes)
    with pytest.raises(MessageChannelEventStoreNotFoundError):
        await pour_event_store_events(others, queue)
    with pytest.raises(ValueError, match="two event stores have the id 'NOTES'"):
        await pour_event_store_collection_events([notes, notes], queue)
    with pytest.raises(ValueError, match="empty"):
        await pour_event_store_collection_events([], queue)
    with pytest.raises(UndefinedStorageAdapterError):
        await pour_event_store_events(others, attach(others)[0])


async def test_events_that_come_meanwhile_are_not_poured() -> None:
    """A log ends where it ended when the pour began."""
    notes = make_notes(InMemoryEventStorageAdapter())
    await push_notes(notes, ("a", 1, 0))
    queue, taken = attach(notes, delay=0.01)
    pour = asyncio.ensure_future(pour_event_store_events(notes, queue))
    await taken.is_busy.wait()
    await push_notes(notes, ("b", 1, 10))
    await pour
    assert [("a", 1)] == taken.places


async def test_the_rate_is_even() -> None:
    """Messages come at even intervals from the first on, without a burst."""
    notes = make_notes(InMemoryEventStorageAdapter())
    await push_notes(notes, *((f"a{number}", 1, number) for number in range(12)))
    clock = asyncio.get_running_loop().time
    times: list[float] = []
    queue, _ = attach(notes, refuses=lambda _: bool(times.append(clock())))
    await pour_event_store_events(notes, queue, rate_limit=12.5)
    assert 12 == len(times)
    assert times[-1] - times[0] >= 11 * 0.08 - 0.01
    # A busy machine may be late once, and so a little early the next time.
    assert all(later - earlier > 0.02 for earlier, later in pairwise(times))
