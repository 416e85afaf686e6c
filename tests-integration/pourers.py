"""A process that forks others, which pour notes into a file until they are killed.

Its argument is a JSON object: ``url`` of a database of SQLite, the ``channel``, a file to which
messages are appended, and the ``checkpoint``, a file. See `forked` for the commands; the kind of a
process says where it keeps its checkpoint. A process says ``READY`` when it publishes for the first
time, and ``ENDED`` with its result.
"""

import asyncio
from datetime import timedelta
from typing import Any

from sqlalchemy import create_engine

from castore_core import NotificationMessageQueue
from castore_dam import BookmarkCheckpoint, Checkpoint, FileCheckpoint, pour_event_store_events
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from file_channel import FileChannelAdapter
from forked import serve, tell
from notes import make_notes

BATCH = 5
WINDOW = 0.003  # seconds between a publish and the save of the checkpoint
LEASE = timedelta(milliseconds=100)  # the next process waits for it after a kill


async def run(kind: str, place: dict[str, Any]) -> None:
    """Pour, until this process is killed, or all is poured."""
    engine = create_engine(place["url"])
    notes = make_notes(SQLEventStorageAdapter(engine))
    queue = NotificationMessageQueue(
        "QUEUE",
        source_event_stores=(notes,),
        message_channel_adapter=FileChannelAdapter(place["channel"], replay=True, window=WINDOW),
    )
    checkpoint: Checkpoint = FileCheckpoint(place["checkpoint"])
    if kind == "bookmark":
        checkpoint = BookmarkCheckpoint(
            SQLBookmarkStorageAdapter(engine), "pour", lease_duration=LEASE
        )
        await asyncio.sleep(2 * LEASE.total_seconds())
    poured = await pour_event_store_events(notes, queue, batch_size=BATCH, checkpoint=checkpoint)
    tell(ENDED=poured.poured_event_count)


if __name__ == "__main__":
    serve(run)
