"""castore in memory: storages and message channels that live in the process."""

from castore_in_memory._bookmarks import InMemoryBookmarkStorageAdapter
from castore_in_memory._bus import InMemoryMessageBusAdapter
from castore_in_memory._delivery import (
    DeadLetter,
    DeliveryOptions,
    Handler,
    MessageContext,
    PendingMessage,
)
from castore_in_memory._events import InMemoryEventStorageAdapter
from castore_in_memory._queue import InMemoryMessageQueueAdapter
from castore_in_memory._snapshots import InMemorySnapshotStorageAdapter

__all__ = [
    "DeadLetter",
    "DeliveryOptions",
    "Handler",
    "InMemoryBookmarkStorageAdapter",
    "InMemoryEventStorageAdapter",
    "InMemoryMessageBusAdapter",
    "InMemoryMessageQueueAdapter",
    "InMemorySnapshotStorageAdapter",
    "MessageContext",
    "PendingMessage",
]
