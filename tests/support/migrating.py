"""A process that forks others, which migrate from one storage to another until they are killed.

Its argument is a JSON object: the texts that open the ``source`` and the ``target``, and the path
of a ``checkpoint``. See `forked` for the commands; the kind of a process is ``kept`` where it has
the checkpoint, and ``lost`` where it has none. A process says ``READY`` after each batch.
"""

from typing import Any

from castore_core import EventRecord
from castore_dam import FileCheckpoint, Progress, migrate_event_store
from event_storages import open_storage
from forked import serve, tell
from notes import make_notes

RATE = 5_000.0  # events a second, so that there is time to be killed


notes = make_notes()


def transform(record: EventRecord) -> list[EventRecord]:
    """Drop every third event of an aggregate, and double every fourth of the others."""
    if record.version % 3 == 0:
        return []
    return [record] * (2 if record.version % 4 == 0 else 1)


async def run(kind: str, place: dict[str, Any]) -> None:
    """Migrate, until this process is killed, or all is migrated."""
    async with open_storage(place["source"]) as old, open_storage(place["target"]) as new:
        await migrate_event_store(
            notes.using(old),
            notes.using(new),
            transform=transform,
            rate_limit=RATE,
            checkpoint=FileCheckpoint(place["checkpoint"]) if kind == "kept" else None,
            on_progress=_tell,
        )


def _tell(progress: Progress) -> None:
    tell(READY=progress.done)


if __name__ == "__main__":
    serve(run)
