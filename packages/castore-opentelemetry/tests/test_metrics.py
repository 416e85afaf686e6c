"""Metrics are counted and measured."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from castore_core import (
    EventAlreadyExistsError,
    NotificationMessage,
    Snapshots,
    command,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
    InMemoryMessageQueueAdapter,
    InMemorySnapshotStorageAdapter,
    MessageContext,
)
from castore_opentelemetry import record_projection_status, uninstrument_castore
from notes import Noted, NoteStore, make_notes, make_queue
from recorded import Recorded


def of(**attributes: Any) -> frozenset[tuple[str, Any]]:
    """Return the attributes of a point."""
    return frozenset((f"castore.{name}", each) for name, each in attributes.items())


def ignore(_: object, __: MessageContext) -> None:
    """Handle a message."""


STORE = frozenset({("castore.event_store.id", "NOTES")})


async def test_conflicts_and_retries(recorded: Recorded) -> None:
    """Each conflict is counted, and each attempt that follows one."""
    notes = make_notes(InMemoryEventStorageAdapter())
    versions = iter([1, 1, 2])

    @command("NOTE", required_event_stores=(notes,), event_already_exists_pause=0)
    async def note(text: str, stores: tuple[NoteStore]) -> None:
        await stores[0].push_event(Noted("n1", next(versions), payload=text))

    await notes.push_event(Noted("n1", 1, payload="milk"))
    await note("bread", (notes,))
    with pytest.raises(EventAlreadyExistsError):
        await notes.push_event(Noted("n1", 1, payload="milk"))
    assert {STORE: 3} == recorded.measure("castore.conflicts")
    assert {STORE: 2} == recorded.measure("castore.command.retries")


async def test_conflicts_of_groups(recorded: Recorded) -> None:
    """The conflict of a group is counted for the store that it is in."""
    storage = InMemoryEventStorageAdapter()
    notes, others = make_notes(storage), make_notes(storage, event_store_id="OTHERS")
    await notes.push_event(Noted("n1", 1, payload="milk"))
    with pytest.raises(EventAlreadyExistsError):
        await notes.push_event_group(
            others.group_event(Noted("n1", 1, payload="milk")),
            notes.group_event(Noted("n1", 1, payload="milk")),
        )
    assert {STORE: 1} == recorded.measure("castore.conflicts")


async def test_events_per_load(recorded: Recorded) -> None:
    """Loads tell how many events they read."""
    notes = make_notes(InMemoryEventStorageAdapter())
    for each in (1, 2, 3):
        await notes.push_event(Noted("n1", each, payload="milk"))
    await notes.get_aggregate("n1")
    await notes.get_aggregate("nobody")
    assert {STORE: (2, 3)} == recorded.measure("castore.load.events")


async def test_durations(recorded: Recorded) -> None:
    """Each operation has its duration, by its kind and place, and without ids."""
    notes = make_notes(InMemoryEventStorageAdapter())
    await notes.push_event(Noted("n1", 1, payload="milk"))
    await notes.push_event(Noted("n2", 1, payload="milk"))
    (key,) = found = recorded.measure("castore.operation.duration")
    assert {*STORE, ("castore.operation", "push")} == key
    assert 2 == found[key][0]


async def test_messages(recorded: Recorded) -> None:
    """Messages are counted as they are sent and consumed, in OpenTelemetry's words."""
    queue = make_queue(make_notes())
    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=ignore)
    events = [Noted("n1", each, payload="milk") for each in (1, 2, 3)]
    async with adapter:
        await queue.publish_messages([NotificationMessage("NOTES", each) for each in events])
        await adapter.join()
    assert [3] == list(recorded.measure("messaging.client.sent.messages").values())
    assert [3] == list(recorded.measure("messaging.client.consumed.messages").values())
    assert [1] == [
        each[0] for each in recorded.measure("messaging.client.operation.duration").values()
    ]
    assert [3] == [each[0] for each in recorded.measure("messaging.process.duration").values()]


async def test_snapshots(recorded: Recorded) -> None:
    """Snapshots are counted by their outcome: those that were missing, written and used."""
    snapshots = Snapshots(InMemorySnapshotStorageAdapter(), every=1, reducer_version="1")
    notes = make_notes(InMemoryEventStorageAdapter(), snapshots=snapshots)
    await notes.push_event(Noted("n1", 1, payload="milk"))
    await notes.get_aggregate("n1")
    counts = {
        dict(key)["castore.outcome"]: each
        for key, each in recorded.measure("castore.snapshots").items()
    }
    assert {name: each for name, each in snapshots.counts.items() if each} == counts
    (outcome,) = recorded.find("load NOTES").events
    assert "castore.snapshot" == outcome.name


@dataclass(frozen=True)
class Status:
    """A status, as that of a projection."""

    name: str = "pokedex"
    version: int = 2
    events_behind: int = 7
    lag: timedelta = timedelta(seconds=90)
    failed: int = 1
    waiting: int = 3


def test_the_status_of_a_projection(recorded: Recorded) -> None:
    """A status is recorded as gauges."""
    record_projection_status(Status())
    place = of(**{"projection.name": "pokedex", "projection.version": 2})
    failed, waiting = (place | of(**{"parked.state": each}) for each in ("failed", "waiting"))
    assert {place: 90} == recorded.measure("castore.projection.lag")
    assert {place: 7} == recorded.measure("castore.projection.events_behind")
    assert {failed: 1, waiting: 3} == recorded.measure("castore.projection.parked_events")


def test_a_status_without_instrumentation(recorded: Recorded) -> None:
    """Without instrumentation, nothing is recorded."""
    uninstrument_castore()
    record_projection_status(Status())
    assert {} == recorded.measure("castore.projection.lag")
