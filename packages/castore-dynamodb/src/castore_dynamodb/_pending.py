"""Messages of a stream that wait to be published, and which of them go together."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from castore_core import MessagePublishError, MessageRecord
from castore_dynamodb._stream_records import describe_event

_ALONE: Final = 10
_MOST: Final = 10  # that a request of SQS or EventBridge takes


class Pending(NamedTuple):
    """A message, and the number of the record that it is of."""

    sequence_number: str
    message: MessageRecord

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


def find_first_failure(chunk: Sequence[Pending], error: Exception) -> Pending:
    """Return the first message of a chunk that was not published, as far as the error tells."""
    if not isinstance(error, MessagePublishError):
        return chunk[0]
    refused = {(each.event_store_id, each.aggregate_id) for each, _ in error.failures}
    return next((each for each in chunk if each.aggregate in refused), chunk[0])
