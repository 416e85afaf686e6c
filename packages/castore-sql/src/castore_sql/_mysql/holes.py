"""Holes among the ids of a log: of pushes that rolled back, or of writers that are under way.

A reader puts a tombstone into each hole. If that succeeds, no event can ever come there: a writer
that was given the id is refused, and writes again with another. If it is ignored, the event was
committed meanwhile. If a writer keeps the id locked, the log ends before it for now.

Inside a transaction of the user's, which may roll back, the log ends before each hole.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Final, NamedTuple

from castore_core import StorageError
from castore_sql._connection import Connection
from castore_sql._mysql.errors import DENIED, LOCKED, READ_ONLY, get_code
from castore_sql._mysql.inside import InsideConnection
from castore_sql._mysql.server import get_server, isolate_next
from castore_sql._mysql.statements import EventStatements
from castore_sql._queries import Query, execute, fetch, fetch_value

_PAGE: Final = 2_000  # ids that are looked at in one query
_STRIDE: Final = 100_000  # ids that are counted in one query
_MOST_AT_ONCE: Final = 2_000  # tombstones of one statement


class _Closed(NamedTuple):
    """No hole is open up to an id; and why one follows that no writer keeps open."""

    until: int
    refusal: StorageError | None = None


class _Place(NamedTuple):
    """An id up to which no hole is open, and the token of its row.

    A table that was emptied, or is an older copy, has another row there, or none.
    """

    until: int
    token: int | None


_START: Final = _Place(0, None)


class Holes:
    """Finds the holes of a table, and closes them."""

    def __init__(self, statements: EventStatements) -> None:
        self._statements = statements
        self._known = _START  # what this process has seen

    def close_after(self, connection: Connection, start: int, limit: int) -> int:
        """Close the holes that follow an id; return up to where none is open.

        It looks at some thousand ids at the most. Returns ``start`` where no event follows yet.

        Raises:
            StorageError: the id that follows is a hole, and this connection cannot close it.
        """
        closed = self._close_after(connection, start, limit)
        if closed.until == start and closed.refusal is not None:
            raise closed.refusal
        return closed.until

    def close_all(self, connection: Connection) -> int:
        """Close the holes of the table, as far as they can be; return up to where none is open."""
        known = self._known
        ((end, token),) = fetch(connection, self._statements.select_end.bind(id=known.until))
        closed = known.until if token == known.token else 0
        while closed < (end or 0):
            until = self._close_stride(connection, closed, end)
            if until == closed:
                break
            closed = until
        if closed != known.until and not isinstance(connection, InsideConnection):
            query = self._statements.select_token.bind(id=closed)
            self._known = _Place(closed, fetch_value(connection, query))
        return closed

    def _close_stride(self, connection: Connection, start: int, end: int) -> int:
        until = min(start + _STRIDE, end)
        query = self._statements.count_ids.bind(after=start, until=until)
        if fetch_value(connection, query) == until - start:
            return until
        return min(self._close_after(connection, start, _PAGE).until, end)

    def _close_after(self, connection: Connection, start: int, limit: int) -> _Closed:
        query = self._statements.select_next_ids.bind(after=start, limit=max(limit, _PAGE))
        ids: list[int] = [number for (number,) in fetch(connection, query)]
        if not ids:
            return _Closed(start)
        if ids[-1] - start == len(ids):
            return _Closed(ids[-1])
        holes = list(islice(_find_holes([start, *ids]), _MOST_AT_ONCE))
        if isinstance(connection, InsideConnection):
            return _Closed(holes[0] - 1)
        closed = self._close(connection, holes)
        if closed is not None:
            return closed
        return _Closed(ids[-1] if len(holes) < _MOST_AT_ONCE else holes[-1])

    def _close(self, connection: Connection, holes: Sequence[int]) -> _Closed | None:
        """Close holes; tell of the first that stays open."""
        code = self._put_tombstones(connection, holes)
        if code is None:
            return None
        if len(holes) == 1:
            refusal = None if code in LOCKED else _make_refusal(holes[0], code)
            return _Closed(holes[0] - 1, refusal)
        half = len(holes) // 2
        return self._close(connection, holes[:half]) or self._close(connection, holes[half:])

    def _put_tombstones(self, connection: Connection, holes: Sequence[int]) -> int | None:
        """Close holes, all or none; return the code of the error that was in the way."""
        try:
            # Locks are for what is there now, and not for an older snapshot.
            execute(connection, Query("ROLLBACK"))
            isolate_next(connection)
            if connection.driver_connection.get_autocommit():
                execute(connection, Query("BEGIN"))
            # Without this look, the insertion would wait for writers.
            filled = fetch(connection, self._statements.lock_ids(holes))
            if len(filled) < len(holes):
                execute(connection, self._statements.insert_tombstones(holes))
            execute(connection, Query("COMMIT"))
        except Exception as error:
            code = get_code(error)
            if code not in LOCKED | READ_ONLY | DENIED:
                raise
            execute(connection, Query("ROLLBACK"))
            if code in DENIED and not get_server(connection).is_mariadb:
                code = self._look(connection, holes, code)
            isolate_next(connection)
            return code
        isolate_next(connection)
        return None

    def _look(self, connection: Connection, holes: Sequence[int], denied: int) -> int | None:
        """Look at holes as a user of MySQL who may not lock rows for writing.

        MariaDB refuses the insertion to such a user, and not the look.
        """
        try:
            filled = fetch(connection, self._statements.share_ids(holes))
        except Exception as error:
            code = get_code(error)
            if code not in LOCKED | DENIED:  # denied before MySQL 8.0.22
                raise
            return code
        else:
            return None if len(filled) == len(holes) else denied
        finally:
            execute(connection, Query("ROLLBACK"))


def _make_refusal(hole: int, code: int) -> StorageError:
    if code in READ_ONLY:
        reason = "which cannot be closed here: read the log of the primary"
    else:
        reason = "which this user may not close: it needs SELECT, INSERT and UPDATE"
    return StorageError(f"the log has a hole at position {hole}, {reason} ({code})")


def _find_holes(ids: Sequence[int]) -> Iterator[int]:
    for before, after in pairwise(ids):
        yield from range(before + 1, after)
