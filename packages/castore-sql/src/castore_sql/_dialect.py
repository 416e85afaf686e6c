"""The face of a dialect: a package of modules with all that differs between databases.

The dialects are `castore_sql._sqlite`, `castore_sql._postgresql` and `castore_sql._mysql`. Their
functions take a connection of the driver and never await: the runner of an engine decides in which
thread, or greenlet, they run.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from sqlalchemy import Connection as SQLAlchemyConnection
from sqlalchemy import Dialect as Driver
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_core import (
    CastoreError,
    EventRecord,
    ListedAggregate,
    LogPosition,
    LogSlice,
    StorageError,
)
from castore_sql._bookmark_table import BookmarkTable
from castore_sql._connection import Connection, Work
from castore_sql._group_commit import Outcome
from castore_sql._parked_table import ParkedTable
from castore_sql._queries import Query, Row
from castore_sql._runner import Runner
from castore_sql._snapshot_table import SnapshotTable
from castore_sql._waiting import Listener
from castore_sql._writes import Write

Place: TypeAlias = tuple[datetime, str]
"""A place in the list of aggregates: the timestamp of an initial event, and an aggregate id."""


class EventTable(Protocol):
    """A table of events: its statements, and its rows as events."""

    @property
    def name(self) -> str:
        """The name, the same for all spellings that mean one table."""
        ...

    def create(self, connection: Connection) -> None:
        """Create the table and its indexes where they are missing; change nothing that is there."""
        ...

    def upgrade(self, connection: Connection) -> None:
        """Add what a table of Castore's, or of an earlier version, lacks."""
        ...

    def to_row(self, event_store_id: str, record: EventRecord) -> Row:
        """Return the values to insert; they begin with the store, the aggregate and the version.

        Raises:
            StorageError: the database cannot hold the event.
        """
        ...

    def to_record(self, row: Row) -> EventRecord:
        """Return the event of a row that ``select_events`` found."""
        ...

    def to_listed(self, row: Row) -> ListedAggregate:
        """Return the aggregate of a row that ``select_aggregates`` found."""
        ...

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
        """Select the events of an aggregate; payload and metadata are the last two columns."""
        ...

    def select_aggregates(
        self,
        event_store_id: str,
        *,
        after: Place | None,
        before: Place | None,
        limit: int | None,
        reverse: bool,
    ) -> Query:
        """Select the aggregates between two places, neither of them included."""
        ...

    def read_log(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        after: LogPosition,
        limit: int,
    ) -> LogSlice:
        """Read the log, as `EventLog.read_events` does."""
        ...

    def read_log_backwards(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        before: LogPosition | None,
        limit: int,
    ) -> LogSlice:
        """Read the log, as `ReversibleEventLog.read_events_backwards` does."""
        ...

    def count_log(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        after: LogPosition,
    ) -> int:
        """Count what `read_log` finds after a position."""
        ...

    def get_last_position(self, connection: Connection) -> LogPosition:
        """Return the end of the log."""
        ...

    def find_position(
        self, connection: Connection, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of an event, if it is there."""
        ...

    def check_position(self, position: LogPosition) -> None:
        """Refuse a position of another kind of log.

        Raises:
            InvalidLogPositionError: it is one.
        """
        ...


class Dialect(Protocol):
    """A database: how it commits, and what its errors mean.

    A dialect raises the errors of its driver, which `translate` takes.
    """

    def make_event_table(self, name: str, driver: Driver, /, *, allow_gaps: bool) -> EventTable:
        """Describe a table of events."""
        ...

    def make_bookmark_table(self, name: str, driver: Driver, /) -> BookmarkTable:
        """Describe a table of bookmarks."""
        ...

    def make_parked_table(self, name: str, driver: Driver, /) -> ParkedTable:
        """Describe a table of parked events."""
        ...

    def make_snapshot_table(self, name: str, driver: Driver, /) -> SnapshotTable:
        """Describe a table of snapshots."""
        ...

    def make_runner(self, engine: Engine | AsyncEngine) -> Runner:
        """Return the runner of an engine."""
        ...

    def make_inner_runner(self, connection: SQLAlchemyConnection | AsyncConnection) -> Runner:
        """Return the runner of a connection of the user's, for work inside its transaction."""
        ...

    def make_listener(
        self, engine: Engine | AsyncEngine, table_name: str, wake: Callable[[], None], /
    ) -> Listener | None:
        """Return a listener for the pushes of other processes, if the database can tell."""
        ...

    def commit(
        self, connection: Connection, writes: Sequence[Write], is_repeated: bool, /
    ) -> Sequence[Outcome]:
        """Write, and return the outcome of each write: a conflict, a gap, or that it is durable.

        Writes that it leaves open (`NotYet`) were not written. A single write is never left open.
        Where it raises, and the connection was not lost, nothing was written. ``is_repeated``: an
        earlier attempt lost its connection, so that the write may be there already, which is no
        conflict.
        """
        ...

    def find_outcome(
        self, connection: Connection, write: Write, error: CastoreError, /
    ) -> CastoreError | None:
        """Return ``None`` if an earlier attempt has stored a write, or the error that it met now.

        That is another one where the table does not tell.
        """
        ...

    def write_inside(self, connection: Connection, write: Write) -> CastoreError | None:
        """Write inside a transaction that goes on, and stays usable whatever the outcome is."""
        ...

    def keeps_snapshot(self, connection: Connection, /) -> bool:
        """Tell whether the transaction reads the same again, whatever others commit."""
        ...

    def get_oldest_transaction_age(self, connection: Connection, /) -> timedelta:
        """Return the age of the oldest transaction that holds readers of a log back, or zero."""
        ...

    def begin_block(self, connection: SQLAlchemyConnection) -> None:
        """Begin a transaction that a user writes in, on a connection just taken from the pool.

        Where it raises that the database is busy, it is called again.
        """
        ...

    def commit_block(self, connection: SQLAlchemyConnection, work: Work[bool]) -> bool:
        """Run work at the end of that transaction, and commit if it returns true."""
        ...

    def roll_back_block(self, connection: SQLAlchemyConnection) -> None:
        """Undo that transaction, or do nothing where it has ended."""
        ...

    def get_errors(self, engine: Engine, /) -> tuple[type[Exception], ...]:
        """Return the errors that a statement, or a value bound to it, can raise."""
        ...

    def is_busy(self, error: BaseException | None) -> bool:
        """Tell whether others were in the way, so that nothing was written and trying helps."""
        ...

    def translate(self, error: Exception, engine: Engine, /) -> StorageError:
        """Return the castore error for an error of the driver."""
        ...
