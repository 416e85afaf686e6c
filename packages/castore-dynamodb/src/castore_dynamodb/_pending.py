"""Messages of a stream that wait to be published, and which of them go together."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from castore_core import LOG_START, LogEntry, MessagePublishError, MessageRecord
from castore_core.workers import handling
from castore_dynamodb._stream_records import (
    StoredEvent,
    StreamRecord,
    describe_event,
    get_sequence_number,
)

_ALONE: Final = 10
_MOST: Final = 10  # that a request of SQS or EventBridge takes


class Pending(NamedTuple):
    """A message, and the record that it is of.

    Attributes:
        place: that of the record in its batch.
        record: the record.
        stored: its event.
        message: the message.
    """

    place: int
    record: StreamRecord
    stored: StoredEvent
    message: MessageRecord

    @property
    def sequence_number(self) -> str:
        """The number by which Lambda knows the record."""
        return get_sequence_number(self.record)

    def __str__(self) -> str:
        event = describe_event(*self.message[:4])
        return f"record {self.sequence_number} of the stream, {event},"

    @property
    def aggregate(self) -> tuple[str, str]:
        """The aggregate, within which order is kept."""
        return self.message.event_store_id, self.message.aggregate_id


def split(pending: Iterable[Pending]) -> Iterator[list[Pending]]:
    """Return the messages in their order, in chunks that are published one after the other.

    A channel may take what follows a message that it refuses. So a chunk has no two messages of
    one aggregate, and the first ten messages are chunks of their own: among them is the one that
    failed before, when Lambda tries again from there.
    """
    chunk: list[Pending] = []
    for index, each in enumerate(pending):
        is_taken = any(each.aggregate == other.aggregate for other in chunk)
        if chunk and (index <= _ALONE or len(chunk) == _MOST or is_taken):
            yield chunk
            chunk = []
        chunk.append(each)
    if chunk:
        yield chunk


def publishing(chunk: Iterable[Pending]) -> handling:
    """Return the context in which messages are published: their events are the cause."""
    return handling(*(LogEntry(LOG_START, *each.stored) for each in chunk))


def find_first_failure(chunk: Sequence[Pending], error: Exception) -> Pending:
    """Return the first message of a chunk that was not published, as far as the error tells."""
    return find_failures(chunk, error)[0]


def find_failures(chunk: Sequence[Pending], error: Exception) -> Sequence[Pending]:
    """Return the messages of a chunk that were not published: all, where the error names none."""
    if not isinstance(error, MessagePublishError):
        return chunk
    return [chunk[index] for index in error.find_refused(each.message for each in chunk)]
