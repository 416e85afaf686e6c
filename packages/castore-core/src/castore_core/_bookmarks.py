"""Bookmarks: how far readers of a log have come, and the events that they passed over."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from typing_extensions import TypeVar

from castore_core._position import LOG_START, LogPosition

T_co = TypeVar("T_co", covariant=True, default=Any)

MAX_PARKED_AT_ONCE: Final = 25
"""The most events that one move of a bookmark parks, and the most that it takes back.

A transaction of DynamoDB takes 100 writes: 25 parked, 25 taken back and the move leave 49 to the
handler.
"""


class Bookmark(NamedTuple):
    """A bookmark and its lease.

    Attributes:
        position: how far its reader has come, or ``None`` where there is no such bookmark.
        moved_at: the moment of its last move, or of its making.
        owner: holds the lease now, if anybody does.
        renewed_at: the moment at which the lease was last taken or extended, by any owner.
    """

    position: LogPosition | None
    moved_at: datetime | None = None
    owner: str | None = None
    renewed_at: datetime | None = None


class Failure(NamedTuple):
    """Why an event was parked: ``kind`` groups failures of one cause, ``text`` tells of this one.

    Both are texts without NULs, of at most 200 and 4,000 characters. The repr, which may be
    logged, leaves ``text`` out: it may hold values of the payload.
    """

    kind: str
    text: str

    def __repr__(self) -> str:
        return f"Failure({self.kind!r})"


class ParkedEvent(NamedTuple):
    """An event that the reader of a log passed over.

    Attributes:
        position: its place in the log, which tells it from others with the same bookmark.
        event_store_id: its event store.
        aggregate_id: its aggregate.
        version: its version.
        type: the name of its type.
        parked_at: when it was first passed over, in UTC and whole milliseconds.
        attempts: how often it was tried.
        failure: the error of the last attempt. ``None`` where nothing keeps it from being handled
            but an earlier parked event of its aggregate.
    """

    position: LogPosition
    event_store_id: str
    aggregate_id: str
    version: int
    type: str
    parked_at: datetime
    attempts: int = 0
    failure: Failure | None = None


def check_parked(parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]) -> None:
    """Refuse events that no move can park: adapters call this first in ``move_bookmark``.

    Raises:
        ValueError: there are more than 25 of either, or one position is there twice.
    """
    for name, given in (("parked", parked), ("unparked", unparked)):
        if len(given) > MAX_PARKED_AT_ONCE:
            raise ValueError(f"{name} has {len(given)} events: give at most {MAX_PARKED_AT_ONCE}")
    positions = [*(each.position for each in parked), *unparked]
    if len(set(positions)) < len(positions):
        raise ValueError("parked and unparked name an event twice")


class Lease(NamedTuple):
    """The right of one owner to move a bookmark, for a while.

    ``token`` is greater each time that the lease begins anew, whoever takes it, and the same when
    it is extended. Give it to other resources, so that they can refuse an owner that comes late
    (a fencing token).
    """

    bookmark_id: str
    owner: str
    token: int


class BookmarkStorageAdapter(Protocol[T_co]):
    """Keeps how far readers of an `EventLog` have come, and which of them may go on.

    Positions are texts that it does not look into; it compares them for order only. Its type
    parameter is that of the transaction in which a bookmark moves: ``None`` where nothing else can
    take part.
    """

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Return a bookmark and its lease.

        ``position`` is ``None`` where the bookmark does not exist.
        """
        ...

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Make a bookmark at a position, unless there is one, and return where it is.

        The look and the write are one step: of several callers all are given the same position.
        It needs no lease.
        """
        ...

    def move_bookmark(
        self,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> AbstractAsyncContextManager[T_co]:
        """Move a bookmark, forwards or backwards, together with the writes of a block.

        The context gives the transaction for the block to write in. At its end, the writes, the
        move and the check of the lease are committed in one step. If the block raises, or is
        cancelled, nothing is written. The bookmark is made where there is none.

        In the same step, the events of the positions in ``unparked`` are parked no longer, and
        those of ``parked`` are; one that is parked already is replaced. Either has at most 25, and
        no position is in both, or twice: see `check_parked`.

        Raises:
            ValueError: there are too many, or one twice. It is raised before the block begins.
            LeaseLostError: the lease is another owner's by now, ran out, or was given back.
                Nothing was written. It is raised at the beginning or at the end of the block.
        """
        ...

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Take or extend the lease of a bookmark, from now on for ``duration``.

        ``owner`` is a name that no other reader has. Returns ``None`` when another owner holds a
        lease that has not run out. One step: of several owners one gets it. A ``duration`` of 0 or
        less has run out at once.
        """
        ...

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back before it runs out. One that was lost is left alone."""
        ...

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> Sequence[ParkedEvent]:
        """Read the parked events of a bookmark that follow a position, in the order of the log.

        Reads are strongly consistent. ``limit`` is 1 or more, and fewer come only at the end.
        """
        ...

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget the failures of parked events, which lets their reader try them again.

        Positions without a parked event are passed over. It needs no lease.
        """
        ...

    async def drop_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget parked events for good: their reader never handles them.

        Positions without a parked event are passed over. It needs no lease.
        """
        ...
