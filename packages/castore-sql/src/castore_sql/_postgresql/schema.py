"""The event table of PostgreSQL: Castore's, with columns of our own.

Transaction ids order the log: a reader stops before the oldest transaction that is under way, and
whatever commits later has a greater id. An event gets the id of its own transaction, or that of the
last one that had ended where this is greater: so it comes after all that its transaction could see,
such as the version before it. In another cluster ids count anew; after a restore there,
``<table>_tx_offset()`` is raised so that they go on above the greatest that is stored.
"""

from collections.abc import Callable
from typing import Final

# Rows that a Castore of another language inserts get the defaults.
_COLUMNS: Final = """\
  id BIGSERIAL PRIMARY KEY,
  aggregate_name VARCHAR COLLATE "C" NOT NULL,
  aggregate_id VARCHAR COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  type VARCHAR NOT NULL,
  data JSONB,
  metadata JSONB,
  timestamp TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  tx BIGINT NOT NULL DEFAULT ({tx}),
  write_token BIGINT,
  UNIQUE (aggregate_name, aggregate_id, version)"""


class EventSchema:
    """The definitions of an event table.

    Args:
        name: that of the table.
        quote: makes an identifier of a name.
    """

    def __init__(self, name: str, quote: Callable[[str], str]) -> None:
        self.name = name
        self.table = quote(name)
        self.offset = f"{quote(f'{name}_tx_offset')}()"
        self.tx = (
            f"GREATEST({_to_integer('pg_current_xact_id()')}, {snapshot('xmax')} - 1) "
            f"+ {self.offset}"
        )
        self.create_offset = self.make_offset(0)
        self.select_is_restored = (
            f"SELECT EXISTS (SELECT FROM {self.table} WHERE tx >= {self.offset} + GREATEST("
            f"{snapshot('xmax')}, {_to_integer('pg_current_xact_id_if_assigned()')} + 1))"
        )
        """Tell whether there are transaction ids that this cluster has not given yet."""
        self.create_table = f"CREATE TABLE {self.table} (\n{_COLUMNS.format(tx=self.tx)}\n)"
        self.log_index = f"{quote(f'idx_{name}_log')} ON {self.table} (tx, id)"
        self.initial_events_index = (
            f"{quote(f'idx_{name}_initial_events')} ON {self.table} "
            '(aggregate_name, timestamp, (CAST(aggregate_id AS TEXT) COLLATE "C")) '
            "WHERE version = 1"
        )

    def make_offset(self, offset: int) -> str:
        """Return the definition of the function that is added to transaction ids."""
        return (
            f"CREATE OR REPLACE FUNCTION {self.offset} RETURNS BIGINT LANGUAGE SQL STABLE "
            f"PARALLEL SAFE AS 'SELECT CAST({offset} AS BIGINT)'"
        )


def quote(name: str) -> str:
    """Return an identifier as SQL has it."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def quote_in_text(name: str) -> str:
    """Return an identifier in which neither SQLAlchemy nor a driver finds a parameter."""
    if "%" not in name and ":" not in name:
        return quote(name)
    escaped = name.replace("\\", "\\\\").replace("%", "\\0025").replace(":", "\\003A")
    return f"U&{quote(escaped)}"


def snapshot(part: str) -> str:
    """Return the ``xmin`` or ``xmax`` of a statement's snapshot, as an integer."""
    return _to_integer(f"pg_snapshot_{part}(pg_current_snapshot())")


def _to_integer(expression: str) -> str:
    return f"CAST(CAST({expression} AS TEXT) AS BIGINT)"
