"""Writes: what one push hands to the database."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from castore_core import InvalidEventGroupError
from castore_sql._queries import Row

if TYPE_CHECKING:
    from castore_sql._dialect import EventTable


ROW_COLUMNS: Final = (
    "aggregate_name",
    "aggregate_id",
    "version",
    "type",
    "data",
    "metadata",
    "timestamp",
    "write_token",
)
"""The columns of a row to insert; one of SQLite has no token."""


class Insert(NamedTuple):
    """One event to insert: its row begins with its store, its aggregate and its version."""

    table: "EventTable"
    row: Row
    force: bool

    @property
    def key(self) -> tuple[str, str, int]:
        """The store, the aggregate and the version."""
        event_store_id, aggregate_id, version = self.row[:3]
        return event_store_id, aggregate_id, version


class Assertion(NamedTuple):
    """An aggregate, and the version that it has to be at."""

    table: "EventTable"
    event_store_id: str
    aggregate_id: str
    version: int

    @property
    def key(self) -> tuple[str, str, int]:
        """The store, the aggregate and the version."""
        return self.event_store_id, self.aggregate_id, self.version


Write: TypeAlias = Sequence[Insert | Assertion]
"""The steps of one push: all of them are taken, or none."""


def group_by_table(write: Write) -> Iterable[list[Insert]]:
    """Return the events of each table, in their order."""
    inserts: dict[str, list[Insert]] = {}
    for each in write:
        if isinstance(each, Insert):
            inserts.setdefault(each.table.name, []).append(each)
    return inserts.values()


def check_write(write: Write) -> None:
    """Refuse a group in which two adapters of one table contradict each other.

    The core refuses what contradicts itself through one adapter, and does not know of tables.

    Raises:
        InvalidEventGroupError: two events have one version, or an asserted aggregate is written.
    """
    versions: set[tuple[str, str, str, int]] = set()
    aggregates: set[tuple[str, str, str]] = set()
    for insert in (each for each in write if isinstance(each, Insert)):
        event_store_id, aggregate_id, version = insert.key
        place = (insert.table.name, event_store_id, aggregate_id)
        if (*place, version) in versions:
            raise InvalidEventGroupError(
                f"it has two events of version {version} of {aggregate_id!r}"
            )
        versions.add((*place, version))
        aggregates.add(place)
    for each in (each for each in write if isinstance(each, Assertion)):
        if (each.table.name, each.event_store_id, each.aggregate_id) in aggregates:
            raise InvalidEventGroupError(
                f"it asserts the version of {each.aggregate_id!r}, and writes it"
            )
