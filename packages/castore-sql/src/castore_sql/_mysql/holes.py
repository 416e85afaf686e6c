"""Holes among the ids of a log: of pushes that rolled back, or of writers that are under way.

A reader puts a tombstone into each hole. If that succeeds, no event can ever come there: a writer
that was given the id is refused, and writes again with another. If it is ignored, the event was
committed meanwhile. If a writer keeps the id locked, the log ends before it for now.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Final

from castore_core import StorageError
from castore_sql._connection import Connection
from castore_sql._mysql.errors import LOCKED, READ_ONLY, get_code
from castore_sql._mysql.statements import EventStatements
from castore_sql._queries import Query, execute, fetch

_PAGE: Final = 2_000  # ids that are looked at in one query
_STRIDE: Final = 100_000  # ids that are counted in one query
_MOST_AT_ONCE: Final = 500  # tombstones of one statement


class Holes:
    """Finds the holes of a table, and closes them."""

    def __init__(self, statements: EventStatements) -> None:
        self._statements = statements
        self._closed_until = 0  # up to here, this process has seen that no hole is open

    def close_after(self, connection: Connection, start: int, limit: int) -> int:
        """Close the holes that follow an id; return up to where none is open.

        It looks at some thousand ids at the most. Returns ``start`` where no event follows yet.

        Raises:
            StorageError: the next hole is one of a replica that is only read.
        """
        query = self._statements.select_next_ids.bind(after=start, limit=max(limit, _PAGE))
        ids: list[int] = [number for (number,) in fetch(connection, query)]
        if not ids:
            return start
        if ids[-1] - start == len(ids):
            return ids[-1]
        holes = list(islice(_find_holes([start, *ids]), _MOST_AT_ONCE))
        open_hole = self._close(connection, holes)
        if open_hole is not None:
            return open_hole - 1
        return ids[-1] if len(holes) < _MOST_AT_ONCE else holes[-1]

    def close_until(self, connection: Connection, end: int) -> int:
        """Close the holes up to an id, as far as they can be; return up to where none is open."""
        closed = min(self._closed_until, end)
        while closed < end:
            until = min(closed + _STRIDE, end)
            query = self._statements.count_ids.bind(after=closed, until=until)
            ((count,),) = fetch(connection, query)
            if count < until - closed:
                until = min(self.close_after(connection, closed, _PAGE), end)
            if until == closed:
                break
            self._closed_until = closed = until
        return closed

    def _close(self, connection: Connection, holes: Sequence[int]) -> int | None:
        """Close holes; return the first that a writer keeps locked."""
        try:
            self._put_tombstones(connection, holes)
        except Exception as error:
            execute(connection, _ROLLBACK)
            if get_code(error) in READ_ONLY:
                raise StorageError(
                    f"the log has a hole at position {holes[0]}, which this replica cannot close: "
                    "read the log of the primary"
                ) from error
            if get_code(error) not in LOCKED:
                raise
            return self._close_one_by_one(connection, holes)
        return None

    def _close_one_by_one(self, connection: Connection, holes: Sequence[int]) -> int | None:
        for each in holes:
            try:
                self._put_tombstones(connection, [each])
            except Exception as error:
                execute(connection, _ROLLBACK)
                if get_code(error) in LOCKED:
                    return each
                raise
        return None

    def _put_tombstones(self, connection: Connection, holes: Sequence[int]) -> None:
        # Without this look, the insertion would wait for writers.
        fetch(connection, self._statements.lock_ids(holes))
        execute(connection, self._statements.insert_tombstones(holes))
        execute(connection, Query("COMMIT"))


_ROLLBACK: Final = Query("ROLLBACK")


def _find_holes(ids: Sequence[int]) -> Iterator[int]:
    for before, after in pairwise(ids):
        yield from range(before + 1, after)
