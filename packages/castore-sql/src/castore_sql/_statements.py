"""The statements of the event table, compiled once for a dialect."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import (
    Dialect,
    Table,
    UnaryExpression,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement, ColumnElement
from sqlalchemy.sql.operators import custom_op

from castore_sql._schema import INITIAL_VERSION

_KEY = ("aggregate_name", "aggregate_id", "version")
_VALUES = ("type", "data", "metadata", "timestamp")
INSERTED_COLUMNS = (*_KEY, *_VALUES)
_NO_OFFSET: ColumnElement[int] = literal_column("0")


class Statement:
    """The text of a statement for the driver, and the order of its parameters."""

    def __init__(self, element: ClauseElement, dialect: Dialect) -> None:
        compiled = cast("SQLCompiler", element.compile(dialect=dialect))
        self.sql = str(compiled)
        self._names: Sequence[str] = compiled.positiontup or ()

    def bind(self, **values: Any) -> tuple[Any, ...]:
        """Return the parameters in the order that the text has them."""
        return tuple([values[name] for name in self._names])


class EventStatements:
    """What is said to an event table on SQLite."""

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
        self.insert, self.replace = (Statement(each, dialect) for each in _make_inserts(table))
        self.select_events = [Statement(each, dialect) for each in _make_event_selects(table)]
        self.select_ids = [Statement(each, dialect) for each in _make_id_selects(table)]
        self.select_log, self.select_whole_log = (
            Statement(each, dialect) for each in _make_log_selects(table)
        )


def _make_inserts(table: Table) -> tuple[ClauseElement, ClauseElement]:
    values: dict[str, object] = {name: bindparam(name) for name in INSERTED_COLUMNS}
    insert = sqlite.insert(table).values(values).inline()
    replaced = {name: insert.excluded[name] for name in _VALUES}
    return (
        insert.on_conflict_do_nothing(index_elements=_KEY),
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


def _make_log_selects(table: Table) -> tuple[ClauseElement, ClauseElement]:
    """Select the log of some stores, given as a JSON list, and of all."""
    c = table.c
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
        .where(c.id > bindparam("after_position"))
        .order_by(c.id)
        .limit(bindparam("limit"))
        .offset(_NO_OFFSET)
    )
    names = func.json_each(bindparam("aggregate_names")).table_valued("value")
    # The unary plus keeps SQLite from reading all of the stores and sorting them.
    plus = cast("custom_op[str]", custom_op("+"))
    name = UnaryExpression[str](c.aggregate_name, operator=plus)
    return whole.where(name.in_(select(names.c.value))), whole
