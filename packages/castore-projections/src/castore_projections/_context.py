"""The context of handler calls."""

from dataclasses import dataclass
from typing import Generic

from typing_extensions import TypeVar

from castore_core import EventRecord, LogPosition

T_co = TypeVar("T_co", covariant=True, default=object)


@dataclass(frozen=True, kw_only=True)
class ProjectionContext(Generic[T_co]):
    """The context of a handler call: transaction, position and attempt.

    Its type parameter is that of the transaction, as the bookmarks have it. A handler that does
    not use the transaction may leave it out.

    Attributes:
        transaction: the transaction that moves the bookmark, too: what you write with it is
            committed together with the bookmark, or not at all. A connection of SQLAlchemy on SQL,
            a list of writes on DynamoDB, ``None`` in memory.
        projection: the name of the projection.
        version: the version of the projection, for the name of a table, say.
        event_store_id: the event store of the event.
        record: the event as it is stored.
        position: its place in the log; ``None`` where the event came with a message.
        is_replay: whether the event was handled before: by an earlier version of the projection,
            or before it was reset. Leave out side effects, such as mails, then.
        attempt: how often the event is tried, this time included.
    """

    transaction: T_co
    projection: str
    version: int
    event_store_id: str
    record: EventRecord
    position: LogPosition | None
    is_replay: bool
    attempt: int
