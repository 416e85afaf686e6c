"""A partition of a projection: its bookmark, and which aggregates are its own."""

from typing import NamedTuple

from castore_core import LogEntry
from castore_projections._keys import find_partition


class Partition(NamedTuple):
    """One of the parts that a projection is split into, by aggregate.

    Attributes:
        name: that of the projection.
        number: counts from 0.
        total: how many parts there are.
        bookmark_id: the bookmark of this part.
    """

    name: str
    number: int
    total: int
    bookmark_id: str

    def has(self, entry: LogEntry) -> bool:
        """Tell whether an event is of this part."""
        return self.number == find_partition(
            entry.event_store_id, entry.record.aggregate_id, self.total
        )
