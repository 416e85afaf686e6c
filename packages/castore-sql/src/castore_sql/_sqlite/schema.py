"""The event table, laid out as Castore's."""

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)

# SQLite gives row ids to INTEGER columns only. Positions are not given again after a deletion
# (AUTOINCREMENT), so that no reader of the log skips an event.
_Position = BigInteger().with_variant(Integer, "sqlite")

# A literal, because a planner does not use a partial index for a bound value.
INITIAL_VERSION: ColumnElement[int] = literal_column("1")


def make_event_table(name: str) -> Table:
    """Describe an event table.

    ``id`` is the position in the log. ``data`` is the payload. NULL in ``data`` or ``metadata``
    stands for an absent field; the JSON text ``null`` for one that is null.
    """
    table = Table(
        name,
        MetaData(),
        Column("id", _Position, primary_key=True),
        Column("aggregate_name", Text, nullable=False),
        Column("aggregate_id", Text, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("type", Text, nullable=False),
        Column("data", Text),
        Column("metadata", Text),
        Column("timestamp", Text, nullable=False),
        UniqueConstraint(
            "aggregate_name",
            "aggregate_id",
            "version",
            name=f"{name}_aggregate_name_aggregate_id_version_key",
        ),
        sqlite_autoincrement=True,
    )
    Index(
        f"idx_{name}_initial_events",
        table.c.aggregate_name,
        table.c.timestamp,
        table.c.aggregate_id,
        sqlite_where=table.c.version == INITIAL_VERSION,
    )
    return table
