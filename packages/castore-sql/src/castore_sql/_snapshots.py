"""Snapshot storage in a SQL database."""

from functools import partial

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import JSONValue, Snapshot, StorageError
from castore_sql._checks import MAX_INTEGER, check_busy_timeout, check_table_name, clamp
from castore_sql._database import EngineDatabase, read_briefly
from castore_sql._engines import get_dialect
from castore_sql._json import ENCODE_ERRORS, from_text, to_text
from castore_sql._queries import fetch


class SQLSnapshotStorageAdapter:
    """Keeps snapshots in a table of a SQL database.

    One adapter serves any number of event stores. Aggregates are kept as JSON texts. On a
    synchronous engine of SQLite, a snapshot is read in the thread of the event loop.

    Args:
        engine: a SQLAlchemy engine of the user's, who disposes of it.
        table_name: the table of the snapshots.
        busy_timeout: for how many seconds, from the call, to wait for a database that somebody else
            keeps locked. Then it raises `StorageError`, and has written nothing. A write inside a
            transaction of the same task that has written, on SQLite, raises at once.

    Raises:
        TypeError: ``engine`` is no engine, or one of an asynchronous driver that was not made with
            ``create_async_engine``.
        ValueError: the engine is of a database that this version does not know, or another option
            is out of bounds.
    """

    def __init__(
        self,
        engine: Engine | AsyncEngine,
        *,
        table_name: str = "snapshot",
        busy_timeout: float = 30.0,
    ) -> None:
        dialect = get_dialect(engine)
        check_table_name(table_name)
        check_busy_timeout(busy_timeout)
        self._engine = engine
        self._table = dialect.make_snapshot_table(table_name, engine.dialect)
        self._database = EngineDatabase(engine, dialect, timeout=busy_timeout, reads_in_loop=True)

    def __repr__(self) -> str:
        return f"SQLSnapshotStorageAdapter({self._engine!r})"

    async def create_tables(self) -> None:
        """Create the table where it is missing, and switch SQLite to WAL.

        It may be called at any time, also by several processes at once.

        Raises:
            StorageError: the database refused.
        """
        await self._database.transact(self._table.create)

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; one of the same store, aggregate, version and reducer is replaced.

        Raises:
            StorageError: the aggregate is no JSON, the database does not hold an id, or it failed.
        """
        place = (snapshot.event_store_id, snapshot.aggregate_id, snapshot.reducer_version)
        row = (*place, snapshot.version, _to_text(snapshot))
        await self._database.transact(self._table.put(row))

    async def get_snapshot(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        reducer_version: str,
        max_version: int | None = None,
    ) -> Snapshot | None:
        """Return the snapshot of the greatest version at or below ``max_version``, if any.

        Raises:
            StorageError: it is not as this adapter writes it, or the database failed.
        """
        query = self._table.select(
            event_store_id,
            aggregate_id,
            reducer_version,
            MAX_INTEGER if max_version is None else clamp(max_version),
        )
        for version, aggregate in await read_briefly(self._database, partial(fetch, query=query)):
            state = _from_text(aggregate, event_store_id, aggregate_id, version)
            return Snapshot(event_store_id, aggregate_id, version, reducer_version, state)
        return None

    async def get_reducer_versions(self, event_store_id: str, aggregate_id: str) -> list[str]:
        """Return the reducer versions of which there are snapshots of an aggregate, each once.

        Raises:
            StorageError: the database failed.
        """
        query = self._table.select_reducers(event_store_id, aggregate_id)
        found = await read_briefly(self._database, partial(fetch, query=query))
        return [version for (version,) in found]

    async def delete_snapshots(
        self,
        event_store_id: str,
        aggregate_id: str | None = None,
        *,
        reducer_version: str | None = None,
        max_version: int | None = None,
    ) -> None:
        """Forget the snapshots of an aggregate, or those of a whole store.

        With ``reducer_version``, those of that reducer alone; with ``max_version``, those at or
        below it.
        """
        delete = self._table.delete(
            event_store_id=event_store_id,
            aggregate_id=aggregate_id,
            reducer_version=reducer_version,
            max_version=None if max_version is None else clamp(max_version),
        )
        await self._database.transact(delete)


def _to_text(snapshot: Snapshot) -> str:
    try:
        return to_text(snapshot.aggregate)
    except ENCODE_ERRORS as error:
        place = _describe(snapshot.event_store_id, snapshot.aggregate_id, snapshot.version)
        raise StorageError(f"{place} cannot be written: {error}") from error


def _from_text(text: str, event_store_id: str, aggregate_id: str, version: int) -> JSONValue:
    try:
        return from_text(text)
    except ValueError as error:
        place = _describe(event_store_id, aggregate_id, version)
        raise StorageError(f"{place} cannot be read: {error}") from error


def _describe(event_store_id: str, aggregate_id: str, version: int) -> str:
    return f"the snapshot of {aggregate_id!r} of {event_store_id!r} at version {version}"
