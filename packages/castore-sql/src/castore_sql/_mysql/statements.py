"""The statements of the event table on MySQL and MariaDB."""

import secrets
from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.engine.default import DefaultDialect

from castore_sql._mysql.schema import quote
from castore_sql._queries import Query, Row, Statement

_COLUMNS: Final = (
    "aggregate_name, aggregate_id, version, type, data, metadata, timestamp, write_token"
)
_VALUES: Final = "(%s, %s, %s, %s, %s, %s, %s, %s)"
_EVENT: Final = "aggregate_id, version, type, timestamp, data, metadata"
_OF_AGGREGATE: Final = "aggregate_name = :aggregate_name AND aggregate_id = :aggregate_id"
_KEY: Final = "aggregate_name = %s AND aggregate_id = %s AND version = %s"
_DIALECT: Final = DefaultDialect(paramstyle="format")


class EventStatements:
    """The statements of a table."""

    def __init__(self, name: str) -> None:
        table = quote(name).replace("%", "%%")
        self._quoted = quote(name).replace(":", "\\:")
        self._insert = f"INSERT INTO {table} ({_COLUMNS}) VALUES "
        # Of one row, as VALUES: INSERT ... SELECT would keep all others from inserting while it
        # waits. The limit keeps MySQL from merging the inner query, which it refuses then.
        next_version = (
            f"(SELECT next FROM (SELECT version + 1 AS next FROM {table} WHERE {_KEY} LIMIT 1) "
            "AS found)"
        )
        self._insert_next = (
            f"INSERT INTO {table} ({_COLUMNS}) VALUES (%s, %s, {next_version}, %s, %s, %s, %s, %s)"
        )
        self._select_keys = f"SELECT aggregate_name, aggregate_id, version FROM {table} WHERE "
        self._select_tokens = f"SELECT write_token FROM {table} WHERE "
        self._select_ids = f"SELECT id FROM {table} FORCE INDEX (PRIMARY) WHERE id IN"
        self._tombstones = (
            f"INSERT INTO {table} "
            "(id, aggregate_name, aggregate_id, version, type, timestamp, write_token) VALUES "
        )
        self._count_log = f"SELECT COUNT(*) FROM {table} WHERE "
        self._select_log = f"SELECT id, aggregate_name, {_EVENT} FROM {table} WHERE "
        self._make_writes()
        self._make_reads()
        self._make_reads_of_log()

    def _make(self, sql: str) -> Statement:
        return Statement(text(sql.replace("@", self._quoted)), _DIALECT)

    def _make_writes(self) -> None:
        self.replace = self._make(
            "UPDATE @ SET type = :type, data = :data, metadata = :metadata, "
            "timestamp = :timestamp, write_token = :write_token "
            f"WHERE {_OF_AGGREGATE} AND version = :version"
        )
        # The version that is there now, and not that of the snapshot of the transaction.
        self.lock_version = self._make(
            f"SELECT version FROM @ WHERE {_OF_AGGREGATE} AND version = :version LOCK IN SHARE MODE"
        )
        self.select_later = self._make(
            f"SELECT 1 FROM @ WHERE {_OF_AGGREGATE} AND version > :version LIMIT 1"
        )
        self.delete = self._make(f"DELETE FROM @ WHERE {_OF_AGGREGATE} AND version = :version")

    def _make_reads(self) -> None:
        self.select_events = [
            self._make(
                f"SELECT {_EVENT} FROM @ WHERE {_OF_AGGREGATE} "
                "AND version BETWEEN :min_version AND :max_version "
                f"ORDER BY version{direction} LIMIT :limit"
            )
            for direction in ("", " DESC")
        ]
        # Not as rows: only these forms are found by the index. By the equality of a name alone, the
        # server would read all the events that are not initial first.
        is_after = (
            "(initial_timestamp > :after "
            "OR initial_timestamp = :after AND aggregate_id > :after_id)"
        )
        is_before = (
            "(initial_timestamp < :before "
            "OR initial_timestamp = :before AND aggregate_id < :before_id)"
        )
        self.select_ids = [
            self._make(
                "SELECT aggregate_id, initial_timestamp FROM @ "
                "WHERE aggregate_name >= :aggregate_name AND aggregate_name <= :aggregate_name "
                f"AND {is_after} AND {is_before} ORDER BY aggregate_name{direction}, "
                f"initial_timestamp{direction}, aggregate_id{direction} LIMIT :limit"
            )
            for direction in ("", " DESC")
        ]
        self.select_position = self._make(
            f"SELECT id FROM @ WHERE {_OF_AGGREGATE} AND version = :version"
        )

    def _make_reads_of_log(self) -> None:
        self.select_next_ids = self._make(
            "SELECT id FROM @ WHERE id > :after ORDER BY id LIMIT :limit"
        )
        self.count_ids = self._make("SELECT COUNT(*) FROM @ WHERE id > :after AND id <= :until")
        by_id = "SELECT IFNULL(write_token, 0) FROM @ WHERE id = :id"
        self.select_token = self._make(by_id)
        self.select_end = self._make(f"SELECT (SELECT MAX(id) FROM @), ({by_id})")

    def insert(self, rows: Sequence[Row]) -> Query:
        """Insert rows, or none of them."""
        values = ", ".join([_VALUES] * len(rows))
        return Query(self._insert + values, tuple(value for row in rows for value in row))

    def insert_next(self, row: Row) -> Query:
        """Insert a row, whose version is null where the one before it is not there."""
        key, rest = row[:3], row[3:]
        event_store_id, aggregate_id, version = key
        before = (event_store_id, aggregate_id, version - 1)
        return Query(self._insert_next, (event_store_id, aggregate_id, *before, *rest))

    def select_keys(self, keys: Sequence[tuple[str, str, int]]) -> Query:
        """Select those of some keys that are there."""
        return Query(self._select_keys + _any_key(keys), _flatten(keys))

    def select_tokens(self, keys: Sequence[tuple[str, str, int]]) -> Query:
        """Select the tokens of the events of some keys."""
        return Query(self._select_tokens + _any_key(keys), _flatten(keys))

    def lock_ids(self, ids: Sequence[int]) -> Query:
        """Lock the rows of some ids, or fail where a writer keeps one locked."""
        return Query(f"{self._select_ids} ({', '.join(map(str, ids))}) FOR UPDATE NOWAIT")

    def share_ids(self, ids: Sequence[int]) -> Query:
        """Select the rows of some ids, or fail as `lock_ids`; users of MySQL who only read may."""
        return Query(f"{self._select_ids} ({', '.join(map(str, ids))}) FOR SHARE NOWAIT")

    def insert_tombstones(self, ids: Sequence[int]) -> Query:
        """Insert rows that no event can take the place of, where there is none."""
        values = ", ".join(
            [f"({each}, '', '{each}', 0, '', '', {secrets.randbits(63)})" for each in ids]
        )
        # Drivers print the warnings of INSERT IGNORE.
        return Query(f"{self._tombstones}{values} ON DUPLICATE KEY UPDATE id = id")

    def select_log(
        self, event_store_ids: Sequence[str] | None, after: int, until: int, limit: int
    ) -> Query:
        """Select events between two ids, of some stores or of all."""
        names, parameters = _of_stores(event_store_ids)
        where = f"id > %s AND id <= %s AND {names} ORDER BY id LIMIT %s"
        return Query(self._select_log + where, (after, until, *parameters, limit))

    def select_log_backwards(
        self, event_store_ids: Sequence[str] | None, before: int, limit: int
    ) -> Query:
        """Select the last events below an id, of some stores or of all."""
        names, parameters = _of_stores(event_store_ids)
        where = f"id < %s AND {names} ORDER BY id DESC LIMIT %s"
        return Query(self._select_log + where, (before, *parameters, limit))

    def count_log(self, event_store_ids: Sequence[str] | None, after: int, until: int) -> Query:
        """Count the events between two ids, of some stores or of all."""
        names, parameters = _of_stores(event_store_ids)
        where = f"id > %s AND id <= %s AND {names}"
        return Query(self._count_log + where, (after, until, *parameters))


def _of_stores(event_store_ids: Sequence[str] | None) -> tuple[str, list[str]]:
    """Find the events of some stores, or all that are no tombstones."""
    if event_store_ids is None:
        return "aggregate_name <> ''", []
    # An expression, which no index has, keeps the server from sorting all of the stores.
    marks = ", ".join(["%s"] * len(event_store_ids))
    return f"CONCAT(aggregate_name, '') IN ({marks})", list(event_store_ids)


def _any_key(keys: Sequence[tuple[str, str, int]]) -> str:
    return " OR ".join([f"({_KEY})"] * len(keys))


def _flatten(keys: Sequence[tuple[str, str, int]]) -> tuple[str | int, ...]:
    return tuple(value for key in keys for value in key)
