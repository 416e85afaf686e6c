"""The statements of the event table on PostgreSQL, compiled once for a driver."""

from typing import Any, Final

from sqlalchemy import Dialect, text
from sqlalchemy.engine.default import DefaultDialect

from castore_sql._postgresql.listening import make_notification
from castore_sql._postgresql.schema import EventSchema, snapshot
from castore_sql._postgresql.values import TextColumns
from castore_sql._queries import Query, Statement

# One statement for any number of events: their values come as arrays, one for each column.
# ``follows``: the version before comes earlier in the same push.
_NEW_EVENTS: Final = """\
unnest(
  CAST(:aggregate_name AS TEXT[]), CAST(:aggregate_id AS TEXT[]), CAST(:version AS BIGINT[]),
  CAST(:type AS TEXT[]), CAST(:data AS TEXT[]), CAST(:metadata AS TEXT[]),
  CAST(:timestamp AS TEXT[]), CAST(:write_token AS BIGINT[]), CAST(:follows AS BOOLEAN[])
) WITH ORDINALITY AS pushed (
  aggregate_name, aggregate_id, version, type, data, metadata, timestamp, write_token, follows,
  place
)"""
# For a single event the server keeps one plan, where for arrays it makes one each time.
_NEW_EVENT: Final = """\
(SELECT
  CAST(:aggregate_name AS TEXT) AS aggregate_name, CAST(:aggregate_id AS TEXT) AS aggregate_id,
  CAST(:version AS BIGINT) AS version, CAST(:type AS TEXT) AS type, CAST(:data AS TEXT) AS data,
  CAST(:metadata AS TEXT) AS metadata, CAST(:timestamp AS TEXT) AS timestamp,
  CAST(:write_token AS BIGINT) AS write_token, FALSE AS follows, 1 AS place
) AS pushed"""
_HAS_PLACE: Final = """\
(pushed.follows OR pushed.version = 1 OR EXISTS (
  SELECT FROM {table} AS stored
  WHERE stored.aggregate_name = pushed.aggregate_name AND stored.aggregate_id = {id}
    AND stored.version BETWEEN pushed.version - 1 AND pushed.version
))"""
_KEYS: Final = """\
unnest(
  CAST(:aggregate_name AS TEXT[]), CAST(:aggregate_id AS TEXT[]), CAST(:version AS BIGINT[])
) AS pushed (aggregate_name, aggregate_id, version)"""
_KEY: Final = "(aggregate_name, aggregate_id, version)"
_IS_NEW: Final = """\
event.aggregate_name = pushed.aggregate_name AND event.aggregate_id = {id}
  AND event.version = pushed.version"""
_EVENT: Final = """\
CAST(aggregate_id AS TEXT), version, type, {timestamp}, CAST(data AS TEXT),
  CAST(metadata AS TEXT)"""
_ID: Final = 'CAST(aggregate_id AS TEXT) COLLATE "C"'
# A cursor has milliseconds, and a table of Castore's may have microseconds from somebody else:
# the place of an aggregate is where it is listed.
_PLACE: Final = """\
(COALESCE((
  SELECT timestamp FROM {table} WHERE aggregate_name = :aggregate_name AND version = 1
    AND {id} = CAST(:{at}_id AS TEXT)
    AND timestamp >= CAST(CAST(:{at} AS TEXT) AS TIMESTAMPTZ)
    AND timestamp < CAST(CAST(:{at} AS TEXT) AS TIMESTAMPTZ) + INTERVAL '1 millisecond'
), CAST(CAST(:{at} AS TEXT) AS TIMESTAMPTZ)), CAST(:{at}_id AS TEXT))"""


_MOST_LIMITS: Final = 8  # a connection keeps 100 statements


class PageStatement:
    """A statement that ends with ``LIMIT :limit``.

    The first few limits become a part of its text. The server would plan each small page anew where
    the limit is a parameter, which takes longer than the page.
    """

    def __init__(self, sql: str, dialect: Dialect) -> None:
        self._sql = sql
        self._dialect = dialect
        self._any_limit = Statement(text(f"{sql} LIMIT :limit"), dialect)
        self._by_limit: dict[int, Statement] = {}

    def bind(self, limit: int | None, **values: Any) -> Query:
        """Return the statement with its parameters; without a limit it finds all."""
        if limit is None:
            return self._any_limit.bind(limit=None, **values)
        statement = self._by_limit.get(limit)
        if statement is None:
            if len(self._by_limit) >= _MOST_LIMITS:
                return self._any_limit.bind(limit=limit, **values)
            statement = Statement(text(f"{self._sql} LIMIT {limit:d}"), self._dialect)
            self._by_limit[limit] = statement
        return statement.bind(**values)


def make_dialect(driver: Dialect) -> Dialect:
    """Return a dialect with the parameters of a driver, which come in their order.

    It is not the engine's own, whose user may have chosen another style of parameters.
    """
    return DefaultDialect(paramstyle="numeric_dollar" if driver.driver == "asyncpg" else "format")


class WriteStatements:
    """The statements that depend on the columns of a table.

    Args:
        schema: the table, as `quote_in_text` has its names.
        dialect: that of `make_dialect`.
        id_type: the type of the column ``aggregate_id``.
        columns: what they can hold, where that is not all.
        has_token: whether there is a column ``write_token``.
        allow_gaps: whether a version needs no version before it.
    """

    def __init__(
        self,
        schema: EventSchema,
        dialect: Dialect,
        *,
        id_type: str,
        columns: TextColumns | None,
        has_token: bool,
        allow_gaps: bool,
    ) -> None:
        self._table = schema.table
        self._new_id = f"CAST(pushed.aggregate_id AS {id_type})"
        self._has_token = has_token
        self._notification = make_notification(schema.name)
        self._dialect = dialect
        self.columns = columns
        has_place = _HAS_PLACE.format(table=self._table, id=self._new_id)
        self._make_inserts("TRUE" if allow_gaps else has_place)
        self._make_selects()
        self._make_claims(id_type)

    def _make_inserts(self, has_place: str) -> None:
        if_free = ("pushed.version", has_place, f"ON CONFLICT {_KEY} DO NOTHING")
        self.insert_free = self._insert(*if_free)
        """Insert the events whose version is free and has a place."""
        self.insert_one = self._insert(*if_free, source=_NEW_EVENT)
        self.insert_all = self._insert(f"CASE WHEN {has_place} THEN pushed.version END", "TRUE", "")
        """Insert all the events, or fail: a version without a place is NULL, which is refused."""
        new_token = ", write_token = excluded.write_token" if self._has_token else ""
        self.replace = self._insert(
            "pushed.version",
            "TRUE",
            f"ON CONFLICT {_KEY} DO UPDATE SET type = excluded.type, data = excluded.data, "
            f"metadata = excluded.metadata, timestamp = excluded.timestamp{new_token}",
        )

    def _insert(
        self, version: str, where: str, on_conflict: str, source: str = _NEW_EVENTS
    ) -> Statement:
        token, new_token = (
            (", write_token", ", pushed.write_token") if self._has_token else ("", "")
        )
        return self._make(f"""\
INSERT INTO {self._table} (
  aggregate_name, aggregate_id, version, type, data, metadata, timestamp{token}
)
SELECT
  pushed.aggregate_name, {self._new_id}, {version}, pushed.type, CAST(pushed.data AS JSONB),
  CAST(pushed.metadata AS JSONB), CAST(pushed.timestamp AS TIMESTAMPTZ){new_token}
FROM {source}
WHERE {where}
ORDER BY pushed.place
{on_conflict}
RETURNING aggregate_name, CAST(aggregate_id AS TEXT), version, {self._notification}""")

    def _make_selects(self) -> None:
        of_keys = f"FROM {self._table} AS event JOIN {_KEYS} ON {_IS_NEW.format(id=self._new_id)}"
        self.select_keys = self._make(
            "SELECT event.aggregate_name, CAST(event.aggregate_id AS TEXT), event.version "
            f"{of_keys}"
        )
        self.select_tokens = (
            self._make(f"SELECT event.write_token {of_keys}") if self._has_token else None
        )

    def _make_claims(self, id_type: str) -> None:
        of_aggregate = (
            f"aggregate_name = :aggregate_name AND aggregate_id = CAST(:aggregate_id AS {id_type})"
        )
        self.select_last_version = self._make(
            f"SELECT max(version) FROM {self._table} WHERE {of_aggregate}"
        )
        self.claim = self._make(
            f"INSERT INTO {self._table} (aggregate_name, aggregate_id, version, type) "
            f"VALUES (:aggregate_name, CAST(:aggregate_id AS {id_type}), :version, '') "
            f"ON CONFLICT {_KEY} DO NOTHING"
        )
        self.give_back = self._make(
            f"DELETE FROM {self._table} WHERE {of_aggregate} AND version = :version"
        )

    def _make(self, sql: str) -> Statement:
        return Statement(text(sql), self._dialect)


class EventStatements:
    """The statements that read a table, whatever columns it has."""

    def __init__(self, schema: EventSchema, dialect: Dialect, driver: Dialect) -> None:
        table = schema.table
        # psycopg would convert it to the time zone of the session, in which it may have no year.
        in_utc = "timestamp" if driver.driver == "asyncpg" else "timestamp AT TIME ZONE 'UTC'"
        event = _EVENT.format(timestamp=in_utc)
        is_below = f"tx < {snapshot('xmin')} + {schema.offset}"

        def make(sql: str) -> Statement:
            return Statement(text(sql), dialect)

        of_aggregate = "aggregate_name = :aggregate_name AND aggregate_id = :aggregate_id"
        self.select_columns = make(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = to_regclass(CAST(:table AS TEXT)) AND attnum > 0 "
            "AND NOT attisdropped"
        )
        self.select_events = [
            PageStatement(
                f"SELECT {event} FROM {table} WHERE {of_aggregate} "
                "AND version BETWEEN CAST(:min_version AS BIGINT) AND CAST(:max_version AS BIGINT) "
                f"ORDER BY version{direction}",
                dialect,
            )
            for direction in ("", " DESC")
        ]
        self.select_ids = [
            PageStatement(_select_ids(table, in_utc, direction), dialect)
            for direction in ("", " DESC")
        ]
        select_log = f"SELECT tx, id, aggregate_name, {event} FROM {table} WHERE "
        page = f"(tx, id) > (:tx, CAST(:id AS BIGINT)) AND {is_below} ORDER BY tx, id"
        self.select_whole_log = PageStatement(select_log + page, dialect)
        # An expression, of which the server guesses that it holds for every other row: it would
        # rather sort all the events of a rare store than walk the log.
        of_stores = "COALESCE(aggregate_name = ANY(CAST(:aggregate_names AS TEXT[])), FALSE) AND "
        self.select_log = PageStatement(select_log + of_stores + page, dialect)
        back = f"(tx, id) < (:tx, CAST(:id AS BIGINT)) AND {is_below} ORDER BY tx DESC, id DESC"
        self.select_whole_log_back = PageStatement(select_log + back, dialect)
        self.select_log_back = PageStatement(select_log + of_stores + back, dialect)
        count_log = f"SELECT count(*) FROM {table} WHERE "
        rest = f"(tx, id) > (:tx, CAST(:id AS BIGINT)) AND {is_below}"
        self.count_whole_log = make(count_log + rest)
        self.count_log = make(
            f"{count_log} aggregate_name = ANY(CAST(:aggregate_names AS TEXT[])) AND {rest}"
        )
        self.select_end = make(
            f"SELECT tx, id FROM {table} WHERE {is_below} ORDER BY tx DESC, id DESC LIMIT 1"
        )
        self.select_position = make(
            f"SELECT tx, id FROM {table} WHERE {of_aggregate} "
            "AND version = CAST(:version AS BIGINT)"
        )
        self.select_is_restored = make(schema.select_is_restored)


def _select_ids(table: str, in_utc: str, direction: str) -> str:
    place = f"(timestamp, {_ID})"
    after, before = (_PLACE.format(table=table, id=_ID, at=each) for each in ("after", "before"))
    return (
        f"SELECT CAST(aggregate_id AS TEXT), {in_utc} FROM {table} "
        "WHERE aggregate_name = :aggregate_name AND version = 1 "
        f"AND {place} > {after} AND {place} < {before} "
        f"ORDER BY timestamp{direction}, {_ID}{direction}"
    )
