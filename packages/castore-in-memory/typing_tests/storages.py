"""In-memory storage adapters and the protocols that they implement; checked, and never run."""

from castore_core import EventStorageAdapter, ReversibleEventLog
from castore_in_memory import InMemoryEventStorageAdapter


def check_protocols(
    events: InMemoryEventStorageAdapter,
) -> tuple[EventStorageAdapter, ReversibleEventLog]:
    """Take the adapter for an event storage, and for a log that is read from both ends."""
    return events, events
