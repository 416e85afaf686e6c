"""What a storage has to do: the protocols that adapters implement.

Adapters translate the errors of their backend: what the protocols do not name is a `StorageError`,
raised from the backend's own error.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol, Self

from castore_core._json import JSONValue, is_unicode
from castore_core._record import EventRecord
from castore_core._timestamp import format_timestamp, parse_timestamp
from castore_core.errors import InvalidPageTokenError


class ListedAggregate(NamedTuple):
    """An aggregate in a list: its id, and the timestamp of its event of version 1."""

    aggregate_id: str
    initial_event_timestamp: datetime

    def to_cursor(self) -> JSONValue:
        """Return a cursor to what follows this aggregate, for adapters that page by key."""
        return [format_timestamp(self.initial_event_timestamp), self.aggregate_id]

    @classmethod
    def from_cursor(cls, event_store_id: str, cursor: JSONValue) -> Self:
        """Return the aggregate after which a cursor of `to_cursor` goes on.

        Raises:
            InvalidPageTokenError: the cursor is of another making.
        """
        reason = "it was made by another storage"
        match cursor:
            case [str(timestamp), str(aggregate_id)] if is_unicode(aggregate_id):
                try:
                    return cls(aggregate_id, parse_timestamp(timestamp))
                except ValueError as error:
                    raise InvalidPageTokenError(event_store_id, reason) from error
            case _:
                raise InvalidPageTokenError(event_store_id, reason)


class AggregateIdsSlice(NamedTuple):
    """A part of a list of aggregates, and the cursor to the next one.

    ``cursor`` is any JSON value of the adapter's own making, from which it can go on, and
    ``None`` exactly when nothing follows.
    """

    aggregates: Sequence[ListedAggregate]
    cursor: JSONValue = None

    @classmethod
    def from_lookahead(cls, found: Sequence[ListedAggregate], limit: int | None) -> Self:
        """Return the slice of at most ``limit``, where one more was looked up, if there is one."""
        if limit is None or len(found) <= limit:
            return cls(found)
        return cls(found[:limit], found[limit - 1].to_cursor())


class GroupedRecord(NamedTuple):
    """An event of a group: where it goes, and through which adapter."""

    event_store_id: str
    record: EventRecord
    storage_adapter: "EventStorageAdapter"


class LogEntry(NamedTuple):
    """An event at its place in the order in which a storage took all of its events."""

    position: int
    event_store_id: str
    record: EventRecord


class EventStorageAdapter(Protocol):
    """Keeps the events of any number of event stores, each apart from the others."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event, atomically and durably.

        Of any number of concurrent writers of one version, one wins. With ``force``, an event of
        the same version is replaced, in its place.

        Raises:
            EventAlreadyExistsError: the version is taken. Nothing was written.
        """
        ...

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Write all the events of a group, or none.

        The group has at least one event and no two of one version. It is given to the adapter of
        its first event; the adapters of the others are of the same class.

        Raises:
            EventAlreadyExistsError: names an event whose version is taken. Nothing was written.
            InvalidEventGroupError: the adapters do not share what makes a common write possible,
                or the group is larger than the backend takes at once. Nothing was written.
        """
        ...

    async def get_events(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        min_version: int | None = None,
        max_version: int | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Sequence[EventRecord]:
        """Read the events of an aggregate in the order of their versions.

        The bounds are inclusive. ``reverse`` begins with the greatest version; ``limit``, 1 or
        more, counts from the beginning of that order. What was pushed before is seen.
        """
        ...

    async def list_aggregate_ids(
        self,
        event_store_id: str,
        *,
        limit: int | None = None,
        initial_event_after: datetime | None = None,
        initial_event_before: datetime | None = None,
        reverse: bool = False,
        cursor: JSONValue = None,
    ) -> AggregateIdsSlice:
        """List the aggregates that have an event of version 1, ordered by its timestamp.

        The bounds are inclusive. Equal timestamps are ordered too (by aggregate id where the
        backend can), so that no aggregate is skipped or repeated from one slice to the next.
        ``cursor`` is one that an adapter of this class returned for the same store; the bounds and
        the direction may be others than then.
        """
        ...


class EventLog(Protocol):
    """A storage whose events can be read in one order over all event stores."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> Sequence[LogEntry]:
        """Read the events that follow a position, at most ``limit``, of some or all stores.

        Positions begin at 1, grow, and may have gaps. An event never appears at or before a
        position that was read already. A replaced event keeps its position.
        """
        ...


class Snapshot(NamedTuple):
    """An aggregate as it was after its event number ``version``.

    ``reducer_version`` names the reducer that computed it: snapshots of other reducers are not
    used.
    """

    event_store_id: str
    aggregate_id: str
    version: int
    reducer_version: str
    aggregate: JSONValue


class SnapshotStorageAdapter(Protocol):
    """Keeps snapshots. It is a cache: what it holds may vanish at any time."""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; one of the same store, aggregate, version and reducer is replaced."""
        ...

    async def get_snapshot(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        reducer_version: str,
        max_version: int | None = None,
    ) -> Snapshot | None:
        """Return the snapshot of the greatest version at or below ``max_version``, if any."""
        ...

    async def delete_snapshots(self, event_store_id: str, aggregate_id: str | None = None) -> None:
        """Forget the snapshots of an aggregate, or those of a whole store."""
        ...


class BookmarkStorageAdapter(Protocol):
    """Keeps how far readers of an `EventLog` have come, and who of them may go on."""

    async def get_position(self, bookmark_id: str) -> int:
        """Return the last position that was handled: 0 when there is none."""
        ...

    async def set_position(self, bookmark_id: str, position: int, *, owner: str) -> None:
        """Move a bookmark, forwards or backwards.

        The check of the lease and the write are one step.

        Raises:
            LeaseLostError: ``owner`` does not hold the lease. Nothing was written.
        """
        ...

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Take or extend the lease of a bookmark, from now on for ``duration``.

        Returns false when another owner holds one that has not run out.
        """
        ...

    async def release_lease(self, bookmark_id: str, owner: str) -> None:
        """Give a lease back before it runs out. A lease of another owner is left alone."""
        ...
