"""The event stores in one database, and the ways to read them that the rest shares."""

from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import URL, create_engine

from castore_core import LOG_START, EventLog, EventStore
from castore_sql import SQLEventStorageAdapter
from git_history.commits import LINE_ID, CommitImported, Line, commit_store
from git_history.files import File, FileEvent, file_store

_PAGE: Final = 1_000


@dataclass(frozen=True)
class History:
    """The files, the commits, and the log in which the events of both have one order."""

    files: EventStore[FileEvent, File]
    commits: EventStore[CommitImported, Line]
    log: EventLog

    async def last_commit(self) -> CommitImported | None:
        """Return the commit that was imported last: the newest event is enough."""
        newest = await self.commits.get_events(LINE_ID, reverse=True, limit=1)
        return newest[0] if newest else None

    async def file_events(self) -> AsyncIterator[FileEvent]:
        """Yield the events of all the files, in the order in which they were pushed."""
        stores, position = [self.files.event_store_id], LOG_START
        while (found := await self.log.read_events(stores, position, _PAGE)).position != position:
            for entry in found.entries:
                yield self.files.event_from_record(entry.record)
            position = found.position


@contextmanager
def open_adapter(database: Path) -> Generator[SQLEventStorageAdapter]:
    """Give the storage of the database: SQLite, which is made at its first use."""
    engine = create_engine(URL.create("sqlite", database=str(database)))
    try:
        yield SQLEventStorageAdapter(engine)
    finally:
        engine.dispose()


async def open_history(adapter: SQLEventStorageAdapter) -> History:
    """Return the history that the storage holds, with its tables made."""
    await adapter.create_tables()
    return History(files=file_store(adapter), commits=commit_store(adapter), log=adapter)
