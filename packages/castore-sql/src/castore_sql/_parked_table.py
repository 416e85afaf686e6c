"""The table of parked events: what is asked of it, in the SQL that databases share.

A row is an event that a reader passed over. The primary key is the bookmark and the position, so
that the events of a bookmark are read in the order of the log. The moment of parking is in whole
milliseconds since 1970.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Final

from castore_core import MAX_PARKED_AT_ONCE, Failure, LogPosition, ParkedEvent, StorageError
from castore_sql._bookmark_table import Transaction
from castore_sql._connection import Connection, Work
from castore_sql._milliseconds import from_milliseconds, to_milliseconds
from castore_sql._queries import Query, Row, Statement, execute, execute_many

COLUMNS: Final = (
    "position",
    "event_store_id",
    "aggregate_id",
    "version",
    "type",
    "parked_at",
    "attempts",
    "failure_kind",
    "failure_text",
)

PUT: Final = f"""\
INSERT INTO {{table}} (bookmark_id, {", ".join(COLUMNS)})
VALUES (:bookmark_id, {", ".join(f":{each}" for each in COLUMNS)})
ON CONFLICT (bookmark_id, position) DO UPDATE SET
  {", ".join(f"{each} = excluded.{each}" for each in COLUMNS[1:])}"""
"""Insert or replace a parked event, as SQLite and PostgreSQL have it."""

_PLACES: Final = tuple(f"position_{number}" for number in range(MAX_PARKED_AT_ONCE))


class ParkedTable:
    """A table of parked events, by the statements of a dialect.

    Args:
        make: compiles a statement, whose parameters are ``:name``.
        table: the name, quoted.
        create: creates the table where it is missing.
        transaction: commits statements, where each is no transaction by itself.
        put: inserts or replaces a parked event.
        of_bookmark: finds the rows of ``:bookmark_id``.
        longest_position: how many characters a position may have; ``None`` is any number.
    """

    def __init__(
        self,
        make: Callable[[str], Statement],
        *,
        table: str,
        create: Work[None],
        transaction: Transaction = nullcontext,
        put: str = PUT,
        of_bookmark: str = "bookmark_id = :bookmark_id",
        longest_position: int | None = None,
    ) -> None:
        places = ", ".join(f":{each}" for each in _PLACES)
        of_positions = f"{of_bookmark} AND position IN ({places})"
        self.create = create
        self._transaction = transaction
        self._longest_position = longest_position
        self._put = make(put.format(table=table))
        self._select = make(
            f"SELECT {', '.join(COLUMNS)} FROM {table} "
            f"WHERE {of_bookmark} AND position > :after ORDER BY position LIMIT :limit"
        )
        self._retry = make(
            f"UPDATE {table} SET failure_kind = NULL, failure_text = NULL WHERE {of_positions}"
        )
        self._drop = make(f"DELETE FROM {table} WHERE {of_positions}")

    def select(self, bookmark_id: str, after: LogPosition, limit: int) -> Query:
        """Select the parked events of a bookmark that follow a position, in their order."""
        return self._select.bind(bookmark_id=bookmark_id, after=after, limit=limit)

    def to_parked(self, row: Row) -> ParkedEvent:
        """Read a row that `select` found."""
        position, event_store_id, aggregate_id, version, type_, parked_at, attempts, *failure = row
        return ParkedEvent(
            position,
            event_store_id,
            aggregate_id,
            version,
            type_,
            from_milliseconds(parked_at),
            attempts,
            None if failure[0] is None else Failure(*failure),
        )

    def park(
        self, bookmark_id: str, parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]
    ) -> Work[None]:
        """Unpark and park events in a transaction that is under way.

        Raises:
            StorageError: the table does not hold one of them.
        """
        drops = _bind(self._drop, bookmark_id, unparked)
        puts = [self._bind_put(bookmark_id, each) for each in sorted(parked)]

        def work(connection: Connection) -> None:
            for each in drops:
                execute(connection, each)
            execute_many(connection, puts)

        return work

    def retry(self, bookmark_id: str, positions: Sequence[LogPosition]) -> Work[None]:
        """Forget the failures of parked events."""
        return self._write(_bind(self._retry, bookmark_id, positions))

    def drop(self, bookmark_id: str, positions: Sequence[LogPosition]) -> Work[None]:
        """Delete parked events."""
        return self._write(_bind(self._drop, bookmark_id, positions))

    def _bind_put(self, bookmark_id: str, event: ParkedEvent) -> Query:
        longest = self._longest_position
        if longest is not None and len(event.position) > longest:
            raise StorageError(
                f"a position of {len(event.position)} characters cannot be parked: its column "
                f"has {longest}"
            )
        kind, text = event.failure or (None, None)
        values = (*event[:5], to_milliseconds(event.parked_at), event.attempts, kind, text)
        return self._put.bind(bookmark_id=bookmark_id, **dict(zip(COLUMNS, values, strict=True)))

    def _write(self, queries: Sequence[Query]) -> Work[None]:
        def work(connection: Connection) -> None:
            with self._transaction(connection):
                for each in queries:
                    execute(connection, each)

        return work


def _bind(statement: Statement, bookmark_id: str, positions: Sequence[LogPosition]) -> list[Query]:
    """Return a statement for some positions at a time; the last one fills up what is left."""
    queries: list[Query] = []
    rest, size = sorted(set(positions)), len(_PLACES)
    while rest:
        some, rest = rest[:size], rest[size:]
        some += some[-1:] * (size - len(some))
        values = dict(zip(_PLACES, some, strict=True))
        queries.append(statement.bind(bookmark_id=bookmark_id, **values))
    return queries
