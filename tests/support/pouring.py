"""Notes with moments of the tests, and channels that take what is poured."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from castore_core import EventRecord, MessageRecord
from notes import NoteStore, make_queue
from recording_channel import RecordingChannelAdapter

START = datetime(2024, 1, 1, tzinfo=UTC)


def at(milliseconds: int) -> datetime:
    """Return a moment of the tests."""
    return START + timedelta(milliseconds=milliseconds)


def make_note(aggregate_id: str, version: int, milliseconds: int) -> EventRecord:
    """Return a note of a moment."""
    text = f"{aggregate_id} {version}"
    return EventRecord(aggregate_id, version, "NOTED", at(milliseconds), text)


async def push_notes(store: NoteStore, *places: tuple[str, int, int]) -> None:
    """Push events: aggregates, versions and milliseconds."""
    for each in places:
        await store.get_storage_adapter().push_event(store.event_store_id, make_note(*each))


def accept(_: MessageRecord) -> bool:
    """Refuse nothing."""
    return False


def attach(
    *stores: NoteStore,
    refuses: Callable[[MessageRecord], bool] = accept,
    names_failures: bool = True,
    delay: float = 0.0,
) -> tuple[Any, RecordingChannelAdapter]:
    """Return a queue of the stores, and its adapter."""
    adapter = RecordingChannelAdapter(refuses=refuses, names_failures=names_failures, delay=delay)
    queue = make_queue(*stores)
    queue.message_channel_adapter = adapter
    return queue, adapter
