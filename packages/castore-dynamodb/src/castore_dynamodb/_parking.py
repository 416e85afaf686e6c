"""Records of a stream that cannot be published: passed over, and handed to the user."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from inspect import isawaitable
from time import time
from typing import TypeAlias

from castore_dynamodb._stream_records import (
    StoredEvent,
    StreamRecord,
    get_moment,
    get_sequence_number,
)

Aggregate: TypeAlias = tuple[str, str]  # store, aggregate


@dataclass(frozen=True)
class ParkedRecord:
    """A record that a `DynamoDBStreamHandler` passes over.

    Attributes:
        record: the record, as Lambda got it. To publish it later, give it to
            `DynamoDBStreamHandler.publish_records`.
        event: the event, as it is stored; ``None`` where the record cannot be read.
        error: why it was not published; ``None`` where it waits behind an earlier one of its
            aggregate.
    """

    record: StreamRecord = field(repr=False)
    event: StoredEvent | None
    error: Exception | None = field(repr=False)

    @property
    def sequence_number(self) -> str:
        """The number by which Lambda knows the record."""
        return get_sequence_number(self.record)


Park: TypeAlias = Callable[[ParkedRecord], Awaitable[object] | object]
"""Keeps a record that the handler passes over; what it raises keeps the handler from doing so."""


@dataclass(frozen=True)
class Suspect:
    """A record that was not published.

    Attributes:
        place: where it is in the batch.
        parked: what is parked, if it is.
        is_hopeless: whether the channel has no part in its failure.
    """

    place: int
    parked: ParkedRecord
    is_hopeless: bool = False

    @property
    def aggregate(self) -> Aggregate | None:
        """Its aggregate, where that is known."""
        event = self.parked.event
        return None if event is None else (event.event_store_id, event.record.aggregate_id)

    def is_older_than(self, seconds: float) -> bool:
        """Tell whether its record has been in the stream for longer, as far as that is known."""
        moment = get_moment(self.parked.record)
        return moment is not None and time() - moment > seconds


async def hand_over(park: Park, parked: ParkedRecord) -> None:
    """Call the user's function, which may be async."""
    answer = park(parked)
    if isawaitable(answer):
        await answer
