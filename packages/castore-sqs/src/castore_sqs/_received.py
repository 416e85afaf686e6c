"""What consumers of a queue get: from Lambda, or from the queue itself."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from castore_aws import S3ClaimCheck, receive_message
from castore_core import InvalidMessageError, MessageChannel
from castore_core.telemetry import Destination
from castore_sqs._context import SQSMessageContext
from castore_sqs._headers import read_headers

M = TypeVar("M")


Handler: TypeAlias = Callable[[M, SQSMessageContext], Awaitable[object] | None]


class SQSMessage(NamedTuple, Generic[M]):
    """A message of a channel, as it came out of a queue."""

    message: M
    context: SQSMessageContext


class SQSMessageParser(Generic[M]):
    """Turns what SQS hands out into messages of a channel.

    A queue may also be the target of a rule of EventBridge: then the channel is a bus.

    Args:
        channel: the queue, or the bus, whose messages are read.
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
        return Destination(self._channel.message_channel_id, "aws_sqs")

    def skips(self, error: BaseException) -> bool:
        """Tell whether the channel passes over a message that was not read because of an error."""
        return self._channel.skips(error)

    async def parse_record(self, record: Mapping[str, Any]) -> SQSMessage[M]:
        """Read a record of Lambda, or a message as ``receive_message`` of a client returns it.

        To tell replays, headers, attempts and groups, a client has to ask for them: for all message
        attributes, and the system attributes ``ApproximateReceiveCount`` and ``MessageGroupId``.

        Raises:
            InvalidMessageError, MessageChannelEventStoreNotFoundError, UnknownEventTypeError,
            EventDecodeError: it is no message of the channel.
            ClientError, BotoCoreError, OSError: the claim check did not answer.
        """
        raw = _read_record(self._channel, record)
        received = await receive_message(self._channel, raw.body, self._claim_check)
        context = SQSMessageContext(
            raw.message_id,
            raw.attempt,
            received.replay or raw.is_replay,
            raw.group_id,
            raw.headers,
        )
        return SQSMessage(received.message, context)


class _Record(NamedTuple):
    message_id: str
    body: str
    attempt: int
    group_id: str | None
    is_replay: bool
    headers: Mapping[str, str]


class _Names(NamedTuple):
    message_id: str
    body: str
    attributes: str
    message_attributes: str
    value: str


_LAMBDA = _Names("messageId", "body", "attributes", "messageAttributes", "stringValue")
_CLIENT = _Names("MessageId", "Body", "Attributes", "MessageAttributes", "StringValue")


def _read_record(channel: MessageChannel[Any], record: Mapping[str, Any]) -> _Record:
    names = _LAMBDA if _LAMBDA.message_id in record else _CLIENT
    try:
        attributes = record.get(names.attributes, {})
        message_attributes: Mapping[str, Any] = record.get(names.message_attributes, {})
        replay = message_attributes.get("replay", {}).get(names.value)
        return _Record(
            record[names.message_id],
            _check_text(record[names.body]),
            int(attributes.get("ApproximateReceiveCount", 1)),
            attributes.get("MessageGroupId"),
            replay == "1",
            read_headers(message_attributes, names.value),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"it is no record of SQS: {error!r:.200}"
        raise InvalidMessageError(channel.message_channel_id, reason) from error


def _check_text(body: object) -> str:
    if not isinstance(body, str):
        raise TypeError(f"the body is no text, but of type {type(body).__name__}")
    return body
