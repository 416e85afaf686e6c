"""The answers of an event store."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic

from castore_core._aggregate import A_co
from castore_core._event import E_co
from castore_core._storage import ListedAggregate


@dataclass(frozen=True)
class PushedEvent(Generic[E_co, A_co]):
    """An event that was written.

    ``next_aggregate`` is the state after it, where it could be known without reading: the event
    is the first of its aggregate, or the push was given ``prev_aggregate``.
    """

    event: E_co
    next_aggregate: A_co | None = None


@dataclass(frozen=True)
class LoadedAggregate(Generic[E_co, A_co]):
    """An aggregate with the events that it was built from; without events, it is ``None``.

    Where a snapshot was used, ``snapshot_version`` is its version, and ``events`` has the events
    after it only. ``last_event`` is there in any case. ``events_read`` says how many events the
    storage was asked for, that of the snapshot's version included. These two do not count when
    results are compared.
    """

    aggregate: A_co | None
    events: tuple[E_co, ...]
    last_event: E_co | None
    snapshot_version: int | None = field(default=None, kw_only=True, compare=False)
    events_read: int = field(default=0, kw_only=True, compare=False)


@dataclass(frozen=True)
class ExistingAggregate(LoadedAggregate[E_co, A_co]):
    """An aggregate that has at least one event."""

    aggregate: A_co
    last_event: E_co


@dataclass(frozen=True)
class AggregateIdsPage:
    """A page of a list of aggregates; ``next_page_token`` is ``None`` on the last one."""

    aggregates: Sequence[ListedAggregate]
    next_page_token: str | None = None

    @property
    def aggregate_ids(self) -> list[str]:
        """The ids alone."""
        return [each.aggregate_id for each in self.aggregates]
