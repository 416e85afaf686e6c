"""Storages: the protocols that adapters implement.

Adapters translate the errors of their backend: what the protocols do not name is a `StorageError`,
raised from the backend's own error.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, Self, TypeGuard

from castore_core._json import JSONValue, is_unicode
from castore_core._position import LOG_START, LogPosition
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


class AssertedVersion(NamedTuple):
    """An aggregate that a group does not write, and the version of its last event.

    ``version`` is 0 for an aggregate without events.
    """

    event_store_id: str
    aggregate_id: str
    version: int
    storage_adapter: "EventStorageAdapter"


class EventStorageAdapter(Protocol):
    """Keeps the events of any number of event stores, each apart from the others.

    An adapter whose writes are part of a transaction of the user's has an attribute
    ``joins_transaction``, which is true. It may be left out otherwise. The writes of such an
    adapter become durable when the user commits, and are seen by its own reads before. Connected
    event stores do not push through it.
    """

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event, atomically and durably.

        Of any number of concurrent writers of one version, one wins. With ``force``, an event of
        the same version is replaced, in its place, and gaps are allowed.

        Raises:
            EventAlreadyExistsError: the version is taken. Nothing was written.
            VersionGapError: the version before is not stored, and the storage refuses gaps.
                Nothing was written.
            UnknownOutcomeError: the answer was lost, and the adapter could not find out whether
                the event is stored.
        """
        ...

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write all the events of a group, or none; they are stored if the asserted versions hold.

        The versions hold at the moment of the write, also with ``force``. There is at least one
        event or asserted version, no two events have one version, and no aggregate is both written
        and asserted. The group is given to the adapter of its first event, or else of the first
        assertion; all the adapters are of the same class.

        Raises:
            EventAlreadyExistsError: names an event whose version is taken. Nothing was written.
            VersionAssertionError: an aggregate is not at its asserted version. Nothing was written.
            VersionGapError: the version before that of an event is neither stored nor earlier in
                the group, and the storage refuses gaps. Nothing was written.
            InvalidEventGroupError: the adapters do not share what makes a common write possible,
                or the group is larger than the backend takes at once. Nothing was written.
            UnknownOutcomeError: the answer was lost, and the adapter could not find out whether
                the events are stored. It names the first of them.
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
        more, counts from the beginning of that order. Earlier pushes are seen.
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


def joins_transaction(storage_adapter: object) -> bool:
    """Tell whether the writes of an adapter are part of a transaction of the user's."""
    return bool(getattr(storage_adapter, "joins_transaction", False))


class LogEntry(NamedTuple):
    """An event at its place in the order in which a storage took all of its events."""

    position: LogPosition
    event_store_id: str
    record: EventRecord


class LogSlice(NamedTuple):
    """A part of a log, and how far the read has looked.

    ``position`` is that of the last entry or, where the read has looked further and found nothing
    for the event stores that it was asked for, a later one. The next read goes on after it. It is
    the position that the read was given exactly when nothing follows there yet.
    """

    entries: Sequence[LogEntry]
    position: LogPosition


class EventLog(Protocol):
    """A storage whose events can be read in one order over all event stores.

    A pushed event is in the log. A storage with concurrent writers may hold it back until the
    writes that were under way at its push have ended, because an event never appears at or before
    a position that was read or that `get_last_position` returned. A replaced event keeps its
    position.
    """

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Read the events that follow a position, at most ``limit``, of some or all event stores.

        A read may look at only part of the log: an empty slice is the end only if its position is
        ``after``.

        Raises:
            InvalidLogPositionError: ``after`` is a position of another kind of log.
            ValueError: ``limit`` is not 1 or more, or ``event_store_ids`` is a text: see
                `check_log_query`.
        """
        ...

    async def get_last_position(self) -> LogPosition:
        """Return the end of the log as of now; `LOG_START` where it is empty.

        A reader that begins after it is given all the events that are pushed from now on.
        """
        ...

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of an event, or ``None`` where there is no such event."""
        ...

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Count the events that follow a position, of some or all event stores.

        It may cost as much as reading them.

        Raises:
            InvalidLogPositionError: ``after`` is a position of another kind of log.
            ValueError: ``event_store_ids`` is a text: see `check_log_query`.
        """
        ...

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 its end is no error
        """Wait until an event, of any event store, follows a position.

        Returns after ``timeout`` seconds at the latest, and at once where an event follows
        already; 0 or less only looks. A storage that cannot tell when another process pushes lets
        the time pass. It may also return early: read to know.

        Raises:
            InvalidLogPositionError: ``after`` is a position of another kind of log.
        """
        ...


class ReversibleEventLog(EventLog, Protocol):
    """A log that can be read from its end, too, as a person reads it. It is optional.

    Readers that may miss no event read forwards: backwards, a log may already show an event that
    `read_events` holds back.
    """

    async def read_events_backwards(
        self,
        event_store_ids: Sequence[str] | None = None,
        before: LogPosition | None = None,
        limit: int = 100,
    ) -> LogSlice:
        """Read the events that precede a position, or the last ones, the latest first.

        ``before`` is exclusive, and ``None`` stands for the end. The position of the slice is that
        of the last entry where there are ``limit``, and else `LOG_START`: nothing precedes.

        Raises:
            InvalidLogPositionError: ``before`` is a position of another kind of log.
            ValueError: as in `read_events`.
        """
        ...


def is_event_log(storage_adapter: object) -> TypeGuard[EventLog]:
    """Tell whether a storage adapter is an `EventLog`, too: whether it has ``read_events``."""
    return hasattr(storage_adapter, "read_events")


def is_reversible_event_log(storage_adapter: object) -> TypeGuard[ReversibleEventLog]:
    """Tell whether a storage adapter is a log that has ``read_events_backwards``, too."""
    return is_event_log(storage_adapter) and hasattr(storage_adapter, "read_events_backwards")
