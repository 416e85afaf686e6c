"""The table of bookmarks and their leases: what is asked of it, in the SQL that databases share.

A row is a bookmark, or the lease of one that is still to be made: its position is NULL then. Times
are whole milliseconds since 1970, by the clock of the server.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from castore_core import Bookmark, Lease, LogPosition
from castore_sql._connection import Connection, Work
from castore_sql._milliseconds import MILLISECOND, from_milliseconds
from castore_sql._queries import Query, Row, Statement, execute, fetch, fetch_value

Transaction: TypeAlias = Callable[[Connection], AbstractContextManager[Any]]
"""Makes the statements of a block one transaction."""

_OF_BOOKMARK: Final = "bookmark_id = :bookmark_id"
_OF_LEASE: Final = "lease_owner = :owner AND lease_token = :token"

INSERT: Final = """\
INSERT INTO {table} (bookmark_id, position, moved_at, lease_token)
VALUES (:bookmark_id, :position, {now}, 0)
ON CONFLICT (bookmark_id) DO UPDATE SET
  position = excluded.position, moved_at = excluded.moved_at
WHERE {table}.position IS NULL"""
"""Make a bookmark unless there is one, as SQLite and PostgreSQL have it."""

TAKE: Final = """\
INSERT INTO {table} (bookmark_id, lease_owner, lease_token, lease_renewed_at, lease_until)
VALUES (:bookmark_id, :owner, 1, {now}, {now} + CAST(:duration AS BIGINT))
ON CONFLICT (bookmark_id) DO UPDATE SET
  lease_owner = excluded.lease_owner,
  lease_token = {table}.lease_token + CASE
    WHEN {table}.lease_owner = excluded.lease_owner AND {table}.lease_until > {now} THEN 0 ELSE 1
  END,
  lease_renewed_at = {now},
  lease_until = {now} + CAST(:duration AS BIGINT)
WHERE {table}.lease_owner = excluded.lease_owner OR {table}.lease_until IS NULL
  OR {table}.lease_until <= {now}"""
"""Take or extend a lease that no other owner has, as SQLite and PostgreSQL have it."""


class BookmarkTable:
    """A table of bookmarks, by the statements of a dialect.

    Args:
        make: compiles a statement, whose parameters are ``:name``.
        table: the name, quoted.
        now: the milliseconds since 1970, at the moment in which it is evaluated.
        create: creates the table where it is missing.
        transaction: makes two statements one transaction, where each is not one by itself.
        insert: makes the bookmark ``:bookmark_id`` at ``:position`` unless there is one.
        take: gives ``:owner`` the lease for ``:duration`` unless another one has it.
        of_bookmark: finds the row of ``:bookmark_id``.
    """

    def __init__(
        self,
        make: Callable[[str], Statement],
        *,
        table: str,
        now: str,
        create: Work[None],
        transaction: Transaction = nullcontext,
        insert: str = INSERT,
        take: str = TAKE,
        of_bookmark: str = _OF_BOOKMARK,
    ) -> None:
        def prepare(template: str) -> Statement:
            return make(template.format(table=table, now=now))

        self.create = create
        self._transaction = transaction
        self._insert = prepare(insert)
        self._take = prepare(take)
        self._select = prepare(
            "SELECT position, moved_at, CASE WHEN lease_until > {now} THEN lease_owner END, "
            f"lease_renewed_at FROM {{table}} WHERE {of_bookmark}"
        )
        self._select_position = prepare(f"SELECT position FROM {{table}} WHERE {of_bookmark}")
        self._select_lease = prepare(
            f"SELECT lease_owner, lease_token FROM {{table}} WHERE {of_bookmark}"
        )
        self._release = prepare(
            "UPDATE {table} SET lease_owner = NULL, lease_until = NULL "
            f"WHERE {of_bookmark} AND {_OF_LEASE}"
        )
        self._move = prepare(
            "UPDATE {table} SET position = :position, moved_at = {now} "
            f"WHERE {of_bookmark} AND {_OF_LEASE} AND lease_until > {{now}}"
        )

    def select(self, bookmark_id: str) -> Query:
        """Select a bookmark and its lease."""
        return self._select.bind(bookmark_id=bookmark_id)

    def to_bookmark(self, row: Row) -> Bookmark:
        """Read a row that `select` found."""
        position, moved_at, owner, renewed_at = row
        return Bookmark(position, _to_moment(moved_at), owner, _to_moment(renewed_at))

    def create_bookmark(self, bookmark_id: str, position: LogPosition) -> Work[LogPosition]:
        """Make a bookmark unless there is one, and return where it is."""
        insert = self._insert.bind(bookmark_id=bookmark_id, position=position)
        select = self._select_position.bind(bookmark_id=bookmark_id)

        def work(connection: Connection) -> LogPosition:
            with self._transaction(connection):
                execute(connection, insert)
                found: LogPosition = fetch_value(connection, select)
                return found

        return work

    def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Work[Lease | None]:
        """Take or extend the lease of a bookmark, unless another owner has it."""
        take = self._take.bind(
            bookmark_id=bookmark_id, owner=owner, duration=duration // MILLISECOND
        )
        select = self._select_lease.bind(bookmark_id=bookmark_id)

        def work(connection: Connection) -> Lease | None:
            with self._transaction(connection):
                execute(connection, take)
                ((holder, token),) = fetch(connection, select)
                return Lease(bookmark_id, owner, token) if holder == owner else None

        return work

    def release_lease(self, lease: Lease) -> Work[None]:
        """Give a lease back, unless it was lost."""
        release = self._release.bind(
            bookmark_id=lease.bookmark_id, owner=lease.owner, token=lease.token
        )

        def work(connection: Connection) -> None:
            with self._transaction(connection):
                execute(connection, release)

        return work

    def move(self, lease: Lease, position: LogPosition) -> Work[bool]:
        """Move a bookmark in a transaction that is under way, and tell whether the lease holds.

        The row stays locked until the end of the transaction: nobody takes the lease meanwhile.
        """
        move = self._move.bind(
            bookmark_id=lease.bookmark_id,
            owner=lease.owner,
            token=lease.token,
            position=position,
        )
        return lambda connection: execute(connection, move) == 1


def _to_moment(number: int | None) -> datetime | None:
    return None if number is None else from_milliseconds(number)
