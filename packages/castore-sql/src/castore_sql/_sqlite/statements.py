"""The statements of the event table on SQLite, compiled once."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import (
    Dialect,
    Table,
    UnaryExpression,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.expression import ClauseElement, ColumnElement
from sqlalchemy.sql.operators import custom_op

from castore_sql._queries import Statement
from castore_sql._sqlite.schema import INITIAL_VERSION

_KEY = ("aggregate_name", "aggregate_id", "version")
_VALUES = ("type", "data", "metadata", "timestamp")
INSERTED_COLUMNS = (*_KEY, *_VALUES)
_NO_OFFSET: ColumnElement[int] = literal_column("0")
_ONE: ColumnElement[int] = literal_column("1")


class InsertStatement(Statement):
    """A statement whose parameters are the values of a row, some of them more than once.

    ``bind_row`` returns them for a row, which has the order of ``INSERTED_COLUMNS``.
    """

    def __init__(self, element: ClauseElement, dialect: Dialect) -> None:
        super().__init__(element, dialect)
        self.bind_row: Callable[[Sequence[Any]], tuple[Any, ...]]
        self.bind_row = itemgetter(*(INSERTED_COLUMNS.index(name) for name in self._names))


class EventStatements:
    """The statements of an event table on SQLite."""

    def __init__(self, table: Table) -> None:
        # Not the engine's own dialect: its user may have chosen another style of parameters.
        dialect = sqlite.dialect(paramstyle="qmark")
        self.create = [
            str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)),
            *(
                str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect))
                for index in sorted(table.indexes, key=lambda index: index.name or "")
            ),
        ]
        self.insert, self.insert_next, self.replace = (
            InsertStatement(each, dialect) for each in _make_inserts(table)
        )
        self.select_events = [Statement(each, dialect) for each in _make_event_selects(table)]
        self.select_ids = [Statement(each, dialect) for each in _make_id_selects(table)]
        self.select_log, self.select_hex_log, self.select_whole_log = (
            Statement(each, dialect) for each in _make_log_selects(table)
        )
        self.select_log_back, self.select_hex_log_back, self.select_whole_log_back = (
            Statement(each, dialect) for each in _make_log_selects(table, reverse=True)
        )
        self.count_log, self.count_hex_log, self.count_whole_log = (
            Statement(each, dialect) for each in _make_log_counts(table)
        )
        self.select_last_version, self.select_position, self.select_last_position = (
            Statement(each, dialect) for each in _make_place_selects(table)
        )


def _make_inserts(table: Table) -> tuple[ClauseElement, ClauseElement, ClauseElement]:
    """Insert any version, or only one that has a place in its aggregate, or replace an event.

    A version has a place where it is the first, or where it or the one before is stored. For one
    that has none, the second statement inserts NULL, which the column refuses.
    """
    c = table.c
    values: dict[str, ColumnElement[Any]] = {name: bindparam(name) for name in INSERTED_COLUMNS}
    version: ColumnElement[int] = bindparam("version", type_=c.version.type)
    neighbour = select(_ONE).where(
        c.aggregate_name == bindparam("aggregate_name"),
        c.aggregate_id == bindparam("aggregate_id"),
        c.version.between(version - _ONE, version),
    )
    placed = case((or_(version == INITIAL_VERSION, neighbour.exists()), version))
    insert = sqlite.insert(table).values(values).inline()
    insert_next = sqlite.insert(table).values(values | {"version": placed}).inline()
    replaced = {name: insert.excluded[name] for name in _VALUES}
    return (
        insert.on_conflict_do_nothing(index_elements=_KEY),
        insert_next.on_conflict_do_nothing(index_elements=_KEY),
        insert.on_conflict_do_update(index_elements=_KEY, set_=replaced),
    )


def _make_event_selects(table: Table) -> tuple[ClauseElement, ClauseElement]:
    """Select the events of an aggregate, forwards and backwards."""
    c = table.c
    base = (
        select(c.aggregate_id, c.version, c.type, c.timestamp, c.data, c.metadata)
        .where(
            c.aggregate_name == bindparam("aggregate_name"),
            c.aggregate_id == bindparam("aggregate_id"),
            c.version.between(bindparam("min_version"), bindparam("max_version")),
        )
        .limit(bindparam("limit"))
        .offset(_NO_OFFSET)
    )
    return base.order_by(c.version), base.order_by(c.version.desc())


def _make_id_selects(table: Table) -> tuple[ClauseElement, ClauseElement]:
    """Select aggregates between two places of the list, exclusive, forwards and backwards."""
    c = table.c
    place = tuple_(c.timestamp, c.aggregate_id)
    base = (
        select(c.aggregate_id, c.timestamp)
        .where(
            c.aggregate_name == bindparam("aggregate_name"),
            c.version == INITIAL_VERSION,
            place > tuple_(bindparam("after_timestamp"), bindparam("after_id")),
            place < tuple_(bindparam("before_timestamp"), bindparam("before_id")),
        )
        .limit(bindparam("limit"))
        .offset(_NO_OFFSET)
    )
    return (
        base.order_by(c.timestamp, c.aggregate_id),
        base.order_by(c.timestamp.desc(), c.aggregate_id.desc()),
    )


def _make_log_selects(
    table: Table, *, reverse: bool = False
) -> tuple[ClauseElement, ClauseElement, ClauseElement]:
    """Select the log of some stores, given as a JSON list (of hexadecimal UTF-8), and of all."""
    c = table.c
    place: ColumnElement[int] = bindparam("before" if reverse else "after")
    whole = (
        select(
            c.id,
            c.aggregate_name,
            c.aggregate_id,
            c.version,
            c.type,
            c.timestamp,
            c.data,
            c.metadata,
        )
        .where(c.id < place if reverse else c.id > place)
        .order_by(c.id.desc() if reverse else c.id)
        .limit(bindparam("limit"))
        .offset(_NO_OFFSET)
    )
    of_stores, of_hex_stores = _make_store_filters(table)
    return whole.where(of_stores), whole.where(of_hex_stores), whole


def _make_log_counts(table: Table) -> tuple[ClauseElement, ClauseElement, ClauseElement]:
    """Count the log of some stores, and of all, in the same forms."""
    whole = select(func.count()).select_from(table).where(table.c.id > bindparam("after"))
    of_stores, of_hex_stores = _make_store_filters(table)
    return whole.where(of_stores), whole.where(of_hex_stores), whole


def _make_store_filters(table: Table) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Find the stores of a JSON list, of names or of their hexadecimal UTF-8."""
    names = func.json_each(bindparam("aggregate_names")).table_valued("value")
    # The unary plus keeps SQLite from reading all of the stores and sorting them.
    plus = cast("custom_op[str]", custom_op("+"))
    name = UnaryExpression[str](table.c.aggregate_name, operator=plus)
    values = select(names.c.value)
    return name.in_(values), func.hex(name).in_(values)


def _make_place_selects(table: Table) -> tuple[ClauseElement, ClauseElement, ClauseElement]:
    """Select the last version of an aggregate, the position of an event, and the last position."""
    c = table.c
    is_of_aggregate = (
        c.aggregate_name == bindparam("aggregate_name"),
        c.aggregate_id == bindparam("aggregate_id"),
    )
    return (
        select(func.max(c.version)).where(*is_of_aggregate),
        select(c.id).where(*is_of_aggregate, c.version == bindparam("version")),
        select(func.max(c.id)),
    )
