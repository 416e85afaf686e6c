"""A process that exports or imports an archive, with a checkpoint, until it is killed.

It is given ``export`` or ``import``, the path of a SQLite file, that of the archive, and that of
the checkpoint. It writes ``at work`` once it has got somewhere.
"""

import asyncio
import sys
from pathlib import Path

from sqlalchemy import create_engine

from castore_dam import FileCheckpoint, Progress, export_event_store, import_event_store
from castore_sql import SQLEventStorageAdapter
from notes import make_notes


def tell(progress: Progress) -> None:
    """Say that the work goes on."""
    if progress.phase != "verifying":
        print("at work", progress.done, flush=True)  # noqa: T201 to the test


async def run(operation: str, database: str, archive: Path, checkpoint: FileCheckpoint) -> None:
    """Run an operation to its end."""
    store = make_notes(SQLEventStorageAdapter(create_engine(f"sqlite:///{database}")))
    if operation == "export":
        await export_event_store(store, archive, checkpoint=checkpoint, on_progress=tell)
    else:
        await import_event_store(
            archive, store, checkpoint=checkpoint, on_progress=tell, rate_limit=5000
        )


if __name__ == "__main__":
    operation, database, archive, checkpoint = sys.argv[1:]
    asyncio.run(run(operation, database, Path(archive), FileCheckpoint(checkpoint)))
