"""A process that forks others, which export or import an archive until they are killed.

Its argument is a JSON object: the ``folder`` of all files, and the ``suffix`` of the archives that
are exported. See `forked` for the commands; the kind of a process is ``export:NUMBER`` or
``import:NUMBER``, and each number has its archive or target, and its checkpoint. A process says
``READY`` after each batch that it has written, and once more, with `ENDED`, at its end.
"""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine

from castore_dam import FileCheckpoint, Progress, export_event_store, import_event_store
from castore_sql import SQLEventStorageAdapter
from forked import serve, tell
from notes import make_notes

ENDED: Final = "ended"


async def run(kind: str, place: dict[str, Any]) -> None:
    """Run an operation, until this process is killed, or to its end."""
    operation, number = kind.split(":")
    folder = Path(place["folder"])
    database = folder / ("events.db" if operation == "export" else f"target{number}.db")
    store = make_notes(SQLEventStorageAdapter(create_engine(f"sqlite:///{database}")))
    checkpoint = FileCheckpoint(folder / f"checkpoint{number}")
    if operation == "export":
        archive = folder / f"notes{number}{place['suffix']}"
        await export_event_store(store, archive, checkpoint=checkpoint, on_progress=_tell)
    else:
        archive = folder / "notes.jsonl.zst"
        await import_event_store(
            archive, store, checkpoint=checkpoint, on_progress=_tell, rate_limit=5000
        )
    tell(READY=ENDED)


def _tell(progress: Progress) -> None:
    if progress.phase != "verifying":
        tell(READY=progress.done)


if __name__ == "__main__":
    serve(run)
