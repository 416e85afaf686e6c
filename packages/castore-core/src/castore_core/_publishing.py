"""Publishing while there is telemetry: messages carry the trace that they belong to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from castore_core._message import MessageRecord
from castore_core._operations import describe_publish, find_origin
from castore_core._telemetry import Observation, get_headers

if TYPE_CHECKING:
    from castore_core._channel import MessageChannel, MessageChannelAdapter


async def publish_observed(
    channel: "MessageChannel[Any]",
    adapter: "MessageChannelAdapter",
    records: Sequence[MessageRecord],
    *,
    replay: bool,
    alone: bool = False,
) -> None:
    """Hand messages to the adapter of a channel, with headers, as an operation.

    A replay begins a trace of its own: the one of its event may be long over.

    Raises:
        MessagePublishError: as the adapter raises it.
    """
    with Observation(describe_publish(channel, adapter, records, replay=replay)):
        sent = [_add_headers(each, replay=replay) for each in records]
        if alone:
            await adapter.publish_message(sent[0], replay=replay)
        else:
            await adapter.publish_messages(sent, replay=replay)


def _add_headers(record: MessageRecord, *, replay: bool) -> MessageRecord:
    headers = get_headers(None if replay else find_origin(record))
    return record._replace(headers={**headers, **record.headers})
