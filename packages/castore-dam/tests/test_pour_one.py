"""The events of one aggregate, and the ids of aggregates, are poured as they are read."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from castore_core import (
    AggregateExistsMessageQueue,
    EventStorageAdapter,
    ListedAggregate,
    MessageRecord,
)
from castore_dam import (
    Checkpoint,
    PouredEvent,
    pour_aggregate_events,
    pour_event_store_aggregate_ids,
)
from castore_in_memory import InMemoryEventStorageAdapter
from notes import NoteStore, make_notes
from pouring import accept, at, attach, push_notes
from recording_channel import RecordingChannelAdapter


async def test_one_aggregate(storage: EventStorageAdapter) -> None:
    """The events of one aggregate are poured by version, whatever their timestamps are."""
    notes = make_notes(storage)
    await push_notes(notes, ("a", 1, 20), ("b", 1, 0), ("a", 2, 10), ("a", 3, 30))
    queue, taken = attach(notes)
    poured = await pour_aggregate_events(notes, queue, "a")
    assert [("a", 1), ("a", 2), ("a", 3)] == taken.places
    assert 3 == poured.poured_event_count
    assert PouredEvent("NOTES", "a", 1, at(20)) == poured.first_poured_event
    assert PouredEvent("NOTES", "a", 3, at(30)) == poured.last_poured_event


@pytest.mark.parametrize(
    ("options", "versions"),
    [
        ({"min_version": 3, "max_version": 5}, [3, 4, 5]),
        ({"limit": 2}, [1, 2]),
        ({"reverse": True, "limit": 3}, [1203, 1202, 1201]),
        ({"reverse": True, "max_version": 2}, [2, 1]),
        ({"from_": at(1201), "to": at(1202)}, [1201, 1202]),
        ({"min_version": 2000}, []),
        ({"max_version": 0}, []),
        ({"limit": 1001, "min_version": 2}, [*range(2, 1003)]),
        ({}, [*range(1, 1204)]),
    ],
)
async def test_options_of_one_aggregate(options: dict[str, Any], versions: Sequence[int]) -> None:
    """Bounds, limits and the direction are those of a read; pages do not show."""
    notes = make_notes(InMemoryEventStorageAdapter())
    await push_notes(notes, *(("a", version, version) for version in range(1, 1204)))
    queue, taken = attach(notes)
    await pour_aggregate_events(notes, queue, "a", **options)
    assert versions == [version for _, version in taken.places]


async def test_an_aggregate_that_grows_with_each_message() -> None:
    """Events that a consumer pushes to the same aggregate meanwhile are not poured."""
    storage = InMemoryEventStorageAdapter()
    notes = make_notes(storage)
    await push_notes(notes, *(("a", version, version) for version in range(1, 501)))
    queue, _ = attach(notes)

    class Answering(RecordingChannelAdapter):
        """Pushes an event for each message."""

        async def publish_messages(
            self, messages: Sequence[MessageRecord], *, replay: bool = False
        ) -> None:
            """Take messages, and push as many events."""
            await super().publish_messages(messages, replay=replay)
            last = len(await storage.get_events("NOTES", "a"))
            assert last <= 1000
            await push_notes(
                notes, *(("a", last + each, 0) for each in range(1, 1 + len(messages)))
            )

    taken = queue.message_channel_adapter = Answering()
    await pour_aggregate_events(notes, queue, "a")
    assert [*range(1, 501)] == taken.versions["a"]


@pytest.mark.parametrize(
    "options", [{"limit": 0}, {"limit": 1.5}, {"min_version": "1"}, {"max_version": True}]
)
async def test_options_that_no_read_takes(options: dict[str, Any]) -> None:
    """A limit or a version of another kind is refused."""
    notes = make_notes(InMemoryEventStorageAdapter())
    with pytest.raises(ValueError, match=r"limit|version"):
        await pour_aggregate_events(notes, attach(notes)[0], "a", **options)


@pytest.mark.parametrize("reverse", [False, True])
async def test_one_aggregate_goes_on(*, checkpoint: Checkpoint, reverse: bool) -> None:
    """After a failure, one aggregate goes on with the batch that failed, within the limit."""
    notes = make_notes(InMemoryEventStorageAdapter())
    await push_notes(notes, *(("a", version, version) for version in range(1, 11)))
    queue, taken = attach(notes, refuses=lambda each: each.version == 5, names_failures=False)
    options: dict[str, Any] = {"limit": 8, "reverse": reverse, "batch_size": 2}
    with pytest.raises(ValueError, match="too large"):
        await pour_aggregate_events(notes, queue, "a", checkpoint=checkpoint, **options)
    taken.refuses = accept
    for _ in range(2):
        poured = await pour_aggregate_events(notes, queue, "a", checkpoint=checkpoint, **options)
        assert 8 == poured.poured_event_count
    expected = [*range(10, 2, -1)] if reverse else [*range(1, 9)]
    assert expected == [version for _, version in taken.places]


def attach_ids(
    store: NoteStore, refuses: Callable[[MessageRecord], bool] = accept
) -> tuple[AggregateExistsMessageQueue, RecordingChannelAdapter]:
    """Return a queue of aggregate ids, and its adapter."""
    taken = RecordingChannelAdapter(refuses=refuses, names_failures=False)
    queue = AggregateExistsMessageQueue(
        "IDS", source_event_stores=[store], message_channel_adapter=taken
    )
    return queue, taken


async def test_aggregate_ids(storage: EventStorageAdapter) -> None:
    """Aggregates are told in the order of their initial events, as replays."""
    notes = make_notes(storage)
    await push_notes(notes, ("b", 1, 20), ("a", 1, 10), ("a", 2, 5), ("c", 1, 30))
    queue, taken = attach_ids(notes)
    poured = await pour_event_store_aggregate_ids(notes, queue)
    assert [("a", None), ("b", None), ("c", None)] == taken.places
    assert 3 == poured.poured_aggregate_id_count
    assert ListedAggregate("a", at(10)) == poured.first_scanned_aggregate
    assert ListedAggregate("c", at(30)) == poured.last_scanned_aggregate
    assert [True] * 3 == [is_replay for _, is_replay in taken.taken]


async def test_options_of_aggregate_ids(storage: EventStorageAdapter) -> None:
    """Ids are bounded, limited and reversed as a list is."""
    notes = make_notes(storage)
    await push_notes(notes, *((f"a{number}", 1, number) for number in range(9)))
    queue, taken = attach_ids(notes)
    await pour_event_store_aggregate_ids(
        notes,
        queue,
        limit=3,
        initial_event_after=at(1),
        initial_event_before=at(6),
        reverse=True,
        batch_size=2,
    )
    assert ["a6", "a5", "a4"] == [aggregate_id for aggregate_id, _ in taken.places]


async def test_aggregate_ids_go_on(storage: EventStorageAdapter, checkpoint: Checkpoint) -> None:
    """Only the batch that failed is told again; ended, nothing is."""
    notes = make_notes(storage)
    await push_notes(notes, *((f"a{number}", 1, number) for number in range(9)))
    queue, taken = attach_ids(notes, lambda each: each.aggregate_id == "a5")
    with pytest.raises(ValueError, match="too large"):
        await pour_event_store_aggregate_ids(notes, queue, batch_size=2, checkpoint=checkpoint)
    taken.refuses = accept
    for _ in range(2):
        poured = await pour_event_store_aggregate_ids(
            notes, queue, batch_size=2, checkpoint=checkpoint
        )
        assert 9 == poured.poured_aggregate_id_count
    assert [f"a{number}" for number in range(9)] == [each for each, _ in taken.places]
