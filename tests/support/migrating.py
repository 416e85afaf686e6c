"""A process that migrates the events of one storage to another, until it is killed.

Called with the texts that open the two storages, and the path of a checkpoint, or ``-``. It writes
a line after each batch.
"""

import asyncio
import sys

from castore_core import EventRecord
from castore_dam import FileCheckpoint, Progress, migrate_event_store
from event_storages import open_storage
from notes import make_notes

RATE = 5_000.0  # events a second, so that there is time to be killed


notes = make_notes()


def transform(record: EventRecord) -> list[EventRecord]:
    """Drop every third event of an aggregate, and double every fourth of the others."""
    if record.version % 3 == 0:
        return []
    return [record] * (2 if record.version % 4 == 0 else 1)


async def main() -> None:
    """Migrate."""
    source, target, checkpoint = sys.argv[1:]
    async with open_storage(source) as old, open_storage(target) as new:
        await migrate_event_store(
            notes.using(old),
            notes.using(new),
            transform=transform,
            rate_limit=RATE,
            checkpoint=None if checkpoint == "-" else FileCheckpoint(checkpoint),
            on_progress=_tell,
        )


def _tell(progress: Progress) -> None:
    sys.stdout.write(f"{progress.done}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
