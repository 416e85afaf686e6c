"""What consumers of a bus get, from a rule."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from castore_aws import S3ClaimCheck, receive_message
from castore_core import InvalidMessageError, MessageChannel
from castore_core.telemetry import Destination

M = TypeVar("M")

_ENVELOPE = frozenset({"id", "time", "detail-type", "detail"})


@dataclass(frozen=True)
class EventBridgeMessageContext:
    """What a handler is told beside the message.

    ``event_id`` is the one that EventBridge gave, the same at each delivery of one event, and
    ``time`` is when it was put, in seconds. How often an event was delivered, EventBridge does not
    tell. A ``replay`` may also be one of an archive of EventBridge.
    """

    event_id: str
    time: datetime
    replay: bool


Handler: TypeAlias = Callable[[M, EventBridgeMessageContext], Awaitable[object] | None]


class EventBridgeMessage(NamedTuple, Generic[M]):
    """A message of a channel, as it came from a rule."""

    message: M
    context: EventBridgeMessageContext


class EventBridgeMessageParser(Generic[M]):
    """Turns events of EventBridge, as Lambda hands them over, into messages of a channel.

    Where the target of a rule is a queue, the parser and the worker of ``castore-sqs`` read them.

    Args:
        channel: the bus whose messages are read.
        claim_check: where bodies are that were too large for a message.
    """

    def __init__(
        self, channel: MessageChannel[M], *, claim_check: S3ClaimCheck | None = None
    ) -> None:
        self._channel = channel
        self._claim_check = claim_check

    @property
    def destination(self) -> Destination:
        """Where the messages were published to."""
        return Destination(self._channel.message_channel_id, "aws_eventbridge")

    def skips(self, error: BaseException) -> bool:
        """Tell whether the channel passes over a message that was not read because of an error."""
        return self._channel.skips(error)

    async def parse_event(self, event: Mapping[str, Any]) -> EventBridgeMessage[M]:
        """Read an event as a whole: the target must not have an input path or a transformer.

        Raises:
            InvalidMessageError, MessageChannelEventStoreNotFoundError, UnknownEventTypeError,
            EventDecodeError: it is no message of the channel.
            ClientError, BotoCoreError, OSError: the claim check did not answer.
        """
        event_id, time = self._read_envelope(event)
        received = await receive_message(self._channel, event, self._claim_check)
        context = EventBridgeMessageContext(event_id, time, received.replay)
        return EventBridgeMessage(received.message, context)

    def _read_envelope(self, event: Mapping[str, Any]) -> tuple[str, datetime]:
        if missing := _ENVELOPE - event.keys():
            reason = f"it is no event of EventBridge: it has no {', '.join(sorted(missing))}"
            raise InvalidMessageError(self._channel.message_channel_id, reason)
        try:
            return event["id"], datetime.fromisoformat(event["time"])
        except (TypeError, ValueError):  # it would quote the whole of it
            reason = f"the time of the event is no moment: {event['time']!r:.100}"
            raise InvalidMessageError(self._channel.message_channel_id, reason) from None
