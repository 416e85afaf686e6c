"""The event table of PostgreSQL: what is asked of it, and its log in the order of transactions."""

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Dialect

from castore_core import (
    LOG_START,
    EventRecord,
    InvalidLogPositionError,
    ListedAggregate,
    LogEntry,
    LogPosition,
    LogSlice,
    StorageError,
    format_timestamp,
)
from castore_sql._connection import Connection
from castore_sql._dialect import Place
from castore_sql._log import read_log, to_backward_slice
from castore_sql._postgresql.schema import EventSchema, quote, quote_in_text
from castore_sql._postgresql.statements import EventStatements, WriteStatements, make_dialect
from castore_sql._postgresql.upgrade import create, upgrade
from castore_sql._postgresql.values import TextColumns, check_texts, to_jsonb
from castore_sql._queries import Query, Row, fetch, fetch_value
from castore_sql._rows import record_to_texts, row_to_record

_SHAPES: Final = "castore_shapes"
_POSITION: Final = re.compile(r"([0-7][0-9a-f]{15})([0-7][0-9a-f]{15})")
_LENGTH: Final = re.compile(r"character(?: varying)?\((\d+)\)").fullmatch
_BEFORE_ALL: Final = ("-infinity", "")
_AFTER_ALL: Final = ("infinity", "")
_AFTER_ALL_POSITIONS: Final = (2**63 - 1, 2**63 - 1)


class Shape(NamedTuple):
    """The columns that tables of Castore's may have otherwise, or not at all."""

    id_type: str
    has_tx: bool
    has_token: bool
    columns: TextColumns | None = None  # None: they hold any text


_NO_SHAPE: Final = Shape("VARCHAR", has_tx=True, has_token=True)
_NO_COLUMNS: Final = TextColumns(
    has_uuids=False, name_length=None, id_length=None, type_length=None
)


class PostgreSQLEventTable:
    """A table of events in a PostgreSQL database."""

    def __init__(self, name: str, driver: Dialect, *, allow_gaps: bool) -> None:
        self.name = name
        self.schema = EventSchema(name, quote)
        self._text_schema = EventSchema(name, quote_in_text)
        self.allow_gaps = allow_gaps
        self._dialect = make_dialect(driver)
        self.statements = EventStatements(self._text_schema, self._dialect, driver)
        self._select_end = self.statements.select_end.bind()
        self._select_is_restored = self.statements.select_is_restored.bind()
        self._write_statements: dict[Shape, WriteStatements] = {}

    def create(self, connection: Connection) -> None:
        """Create the table, its indexes and the function of its transaction ids."""
        create(connection, self.schema)

    def upgrade(self, connection: Connection) -> None:
        """Add the columns and indexes of our own; after a restore, raise the transaction ids."""
        connection.info.pop(_SHAPES, None)
        upgrade(connection, self.schema, self.get_columns)

    def to_row(self, event_store_id: str, record: EventRecord) -> Row:
        """Return the values of a row, and a token that no other push has."""
        check_texts(event_store_id, record)
        data, metadata = record_to_texts(record)
        return (
            event_store_id,
            record.aggregate_id,
            record.version,
            record.type,
            data and to_jsonb(record, "payload", record.payload, data),
            metadata and to_jsonb(record, "metadata", record.metadata, metadata),
            format_timestamp(record.timestamp),
            secrets.randbits(63),
        )

    def to_record(self, row: Row) -> EventRecord:
        """Read ``aggregate_id, version, type, timestamp, data, metadata``."""
        return row_to_record(row, _to_utc)

    def to_listed(self, row: Row) -> ListedAggregate:
        """Read ``aggregate_id, timestamp``."""
        aggregate_id, timestamp = row
        return ListedAggregate(aggregate_id, _to_utc(timestamp))

    def select_events(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        min_version: int,
        max_version: int,
        limit: int | None,
        reverse: bool,
    ) -> Query:
        """Select the events of an aggregate."""
        return self.statements.select_events[reverse].bind(
            aggregate_name=event_store_id,
            aggregate_id=aggregate_id,
            min_version=min_version,
            max_version=max_version,
            limit=limit,
        )

    def select_aggregates(
        self,
        event_store_id: str,
        *,
        after: Place | None,
        before: Place | None,
        limit: int | None,
        reverse: bool,
    ) -> Query:
        """Select the aggregates between two places."""
        after_moment, after_id = _BEFORE_ALL if after is None else _to_texts(*after)
        before_moment, before_id = _AFTER_ALL if before is None else _to_texts(*before)
        return self.statements.select_ids[reverse].bind(
            aggregate_name=event_store_id,
            after=after_moment,
            after_id=after_id,
            before=before_moment,
            before_id=before_id,
            limit=limit,
        )

    def read_log(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        after: LogPosition,
        limit: int,
    ) -> LogSlice:
        """Read the log below the oldest transaction that is under way."""
        self._check_log(connection)
        return read_log(self, connection, event_store_ids, after, limit)

    def select_log(
        self, event_store_ids: Sequence[str] | None, after: LogPosition, limit: int
    ) -> Query:
        """Select entries after a position."""
        tx, number = _parse_position(after)
        if event_store_ids is None:
            return self.statements.select_whole_log.bind(tx=tx, id=number, limit=limit)
        names = list(event_store_ids)
        return self.statements.select_log.bind(aggregate_names=names, tx=tx, id=number, limit=limit)

    def read_log_backwards(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        before: LogPosition | None,
        limit: int,
    ) -> LogSlice:
        """Read the log towards its start, below the oldest transaction that is under way."""
        self._check_log(connection)
        tx, number = _AFTER_ALL_POSITIONS if before is None else _parse_position(before)
        if event_store_ids is None:
            query = self.statements.select_whole_log_back.bind(tx=tx, id=number, limit=limit)
        else:
            names = list(event_store_ids)
            query = self.statements.select_log_back.bind(
                aggregate_names=names, tx=tx, id=number, limit=limit
            )
        return to_backward_slice([self.to_entry(row) for row in fetch(connection, query)], limit)

    def count_log(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        after: LogPosition,
    ) -> int:
        """Count the entries after a position, below the oldest transaction that is under way."""
        self._check_log(connection)
        tx, number = _parse_position(after)
        if event_store_ids is None:
            query = self.statements.count_whole_log.bind(tx=tx, id=number)
        else:
            names = list(event_store_ids)
            query = self.statements.count_log.bind(aggregate_names=names, tx=tx, id=number)
        count: int = fetch_value(connection, query)
        return count

    def to_entry(self, row: Row) -> LogEntry:
        """Read ``tx, id, aggregate_name`` and what `to_record` reads."""
        tx, number, event_store_id, *rest = row
        return LogEntry(_format_position(tx, number), event_store_id, self.to_record(rest))

    def get_last_position(self, connection: Connection) -> LogPosition:
        """Return the greatest position below the oldest transaction that is under way."""
        self._check_log(connection)
        rows = fetch(connection, self._select_end)
        return _format_position(*rows[0]) if rows else LOG_START

    def find_position(
        self, connection: Connection, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of an event, if it is there."""
        self._check_log(connection)
        query = self.statements.select_position.bind(
            aggregate_name=event_store_id, aggregate_id=aggregate_id, version=version
        )
        rows = fetch(connection, query)
        return _format_position(*rows[0]) if rows else None

    def check_position(self, position: LogPosition) -> None:
        """Refuse a position of another kind of log."""
        _parse_position(position)

    def prepare_write(self, connection: Connection) -> WriteStatements:
        """Return the statements for the columns that the table has.

        Raises:
            StorageError: the table was restored into another cluster, and not upgraded there.
        """
        shape = self._get_shape(connection)
        statements = self._write_statements.get(shape)
        if statements is None:
            statements = self._write_statements[shape] = WriteStatements(
                self._text_schema,
                self._dialect,
                id_type=shape.id_type,
                columns=shape.columns,
                has_token=shape.has_token,
                allow_gaps=self.allow_gaps,
            )
        return statements

    def get_columns(self, connection: Connection) -> dict[str, str]:
        """Return the types of the columns; nothing where there is no table."""
        query = self.statements.select_columns.bind(table=self.schema.table)
        return {name: column_type for name, column_type in fetch(connection, query)}  # noqa: C416 rows are of any type

    def _get_shape(self, connection: Connection) -> Shape:
        """Look at the table once a connection: it may have been altered, or restored, since."""
        shapes: dict[str, Shape] = connection.info.setdefault(_SHAPES, {})
        shape = shapes.get(self.name)
        if shape is None:
            columns = self.get_columns(connection)
            if not columns:
                return _NO_SHAPE  # the next statement fails, and says that there is no table
            shape = _find_shape(columns)
            if shape.has_tx and fetch_value(connection, self._select_is_restored):
                raise StorageError(
                    f"table {self.name!r} was restored into another cluster, whose transaction ids "
                    "are lower: await upgrade_tables() of the adapter first"
                )
            shapes[self.name] = shape
        return shape

    def _check_log(self, connection: Connection) -> None:
        if self._get_shape(connection).has_tx:
            return
        connection.info.pop(_SHAPES, None)  # it may have been upgraded since
        if not self._get_shape(connection).has_tx:
            raise StorageError(
                f"table {self.name!r} has no order of a log, because Castore made it: await "
                "upgrade_tables() of the adapter first"
            )


def _find_shape(columns: Mapping[str, str]) -> Shape:
    has_uuids = columns.get("aggregate_id") == "uuid"
    texts = TextColumns(
        has_uuids,
        *(_get_length(columns.get(each)) for each in ("aggregate_name", "aggregate_id", "type")),
    )
    return Shape(
        "UUID" if has_uuids else "VARCHAR",
        has_tx="tx" in columns,
        has_token="write_token" in columns,
        columns=None if texts == _NO_COLUMNS else texts,
    )


def _get_length(column_type: str | None) -> int | None:
    match = _LENGTH(column_type or "")
    return int(match[1]) if match else None


def _to_utc(moment: datetime) -> datetime:
    """Return a moment that a statement has converted to UTC; milliseconds are all that counts."""
    if finer := moment.microsecond % 1000:
        moment -= timedelta(microseconds=finer)
    return moment if moment.tzinfo is UTC else moment.replace(tzinfo=UTC)


def _to_texts(moment: datetime, aggregate_id: str) -> tuple[str, str]:
    return format_timestamp(moment), aggregate_id


def _format_position(tx: int, number: int) -> LogPosition:
    return f"{tx:016x}{number:016x}"


def _parse_position(position: object) -> tuple[int, int]:
    if position == LOG_START:
        return -1, 0
    match = _POSITION.fullmatch(position) if isinstance(position, str) else None
    if match is None:
        raise InvalidLogPositionError(str(position), "it was made by another log")
    return int(match[1], 16), int(match[2], 16)
