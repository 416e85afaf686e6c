"""A handler for Lambda: it passes the events of a stream on to a channel."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from castore_core import (
    AggregateExistsMessageBus,
    AggregateExistsMessageQueue,
    Event,
    MessageChannelAdapter,
    NotificationMessageBus,
    NotificationMessageQueue,
    StateCarryingMessageBus,
    StateCarryingMessageQueue,
    format_error,
    name_type,
)
from castore_dynamodb._pending import Pending, find_first_failure, split
from castore_dynamodb._stream_records import StreamRecord, get_sequence_number
from castore_dynamodb._streams import DynamoDBStreamParser

E = TypeVar("E", bound=Event)

_SHARE_OF_TIME: Final = 0.75  # the rest is for the publish that is under way then

_logger = logging.getLogger("castore_dynamodb")


class DynamoDBStreamHandler(Generic[E]):
    """A handler for Lambda that passes the events of a stream on to a channel.

    The event source mapping needs ``ReportBatchItemFailures``.

    The events go as they are stored: also of types that the event stores do not have, and with a
    payload or metadata that their classes do not declare. A state-carrying channel needs the
    aggregate after each event, which its event store loads.

    They are published in the order of the stream, up to the first that fails. Lambda is told its
    record, and tries again from there. So all events are published at least once while Lambda
    tries, those of an aggregate in order, and no event before a record that keeps failing is
    published again. The first ten events of an invocation go one by one. The others go up to ten
    at once, of different aggregates: where one of these fails, up to nine after it may have been
    published, and come again once.

    Shortly before Lambda's time is up, the events that are left go back to it in the same way.

    Failures are logged to the logger ``castore_dynamodb``.

    Call it as it is where the adapter of the channel works in any event loop, as those on a client
    of boto3 do; otherwise await `publish_records`.

    Args:
        parser: reads the records. Its stores are those whose events are passed on.
        channel: a queue or a bus of which they are sources.
        log_error_texts: whether the log has the texts of errors too. They may hold values of the
            payload, which are left out by default.

    Raises:
        MessageChannelEventStoreNotFoundError: a store of the parser is no source of the channel.
    """

    def __init__(
        self,
        parser: DynamoDBStreamParser[E],
        channel: NotificationMessageQueue[E]
        | NotificationMessageBus[E]
        | StateCarryingMessageQueue[E, Any]
        | StateCarryingMessageBus[E, Any]
        | AggregateExistsMessageQueue
        | AggregateExistsMessageBus,
        *,
        log_error_texts: bool = False,
    ) -> None:
        for each in parser.event_store_ids:
            channel.get_source_event_store(each)
        self._parser = parser
        self._channel = channel
        self._log_error_texts = log_error_texts

    def __call__(self, event: Mapping[str, Any], context: object = None) -> dict[str, Any]:
        """Publish the records of an invocation, and return what Lambda has to know."""
        time_limit = _get_time_left(context)
        return asyncio.run(self.publish_records(event["Records"], time_limit=time_limit))

    async def publish_records(
        self, records: Sequence[StreamRecord], *, time_limit: float | None = None
    ) -> dict[str, Any]:
        """Publish records, and return ``batchItemFailures`` with the first that failed, if any.

        With a ``time_limit`` in seconds, nothing more is published after three quarters of it.

        Raises:
            UndefinedMessageChannelAdapterError: the channel has no adapter.
        """
        adapter = self._channel.get_message_channel_adapter()
        deadline = inf if time_limit is None else monotonic() + time_limit * _SHARE_OF_TIME
        pending, failed = await self._prepare(records)
        for index, chunk in enumerate(split(pending)):
            if index and monotonic() > deadline:
                _logger.warning("time is nearly up: Lambda goes on from %s", chunk[0])
                return _answer(chunk[0].sequence_number)
            if (first := await self._publish(adapter, chunk)) is not None:
                return _answer(first.sequence_number)
        return _answer(failed)

    async def _prepare(self, records: Iterable[StreamRecord]) -> tuple[list[Pending], str | None]:
        """Return what is to be published, and the number of the record that ended it, if any."""
        pending: list[Pending] = []
        for record in records:
            number = get_sequence_number(record)
            subject = f"record {number} of the stream"
            try:
                stored = self._parser.read_stored_event(record)
                if stored is None:
                    continue
                subject = f"{subject}, {stored},"
                message = await self._channel.record_to_message(*stored)
            except Exception as error:  # noqa: BLE001 the reducer of an aggregate may raise anything
                self._log_error(error, f"{subject} cannot be published")
                return pending, number
            if message is not None:
                pending.append(Pending(number, message))
        return pending, None

    async def _publish(
        self, adapter: MessageChannelAdapter, chunk: Sequence[Pending]
    ) -> Pending | None:
        """Publish messages, and return the first that was not taken, if any."""
        try:
            await adapter.publish_messages([each.message for each in chunk])
        except Exception as error:  # noqa: BLE001 an adapter may raise anything
            first = find_first_failure(chunk, error)
            self._log_error(error, f"{first} was not published")
            return first
        return None

    def _log_error(self, error: Exception, text: str) -> None:
        if self._log_error_texts:
            _logger.error("%s", text, exc_info=error)
        else:
            _logger.error("%s: %s\n%s", text, name_type(error), format_error(error))


def _answer(first_failed: str | None) -> dict[str, Any]:
    identifiers = [] if first_failed is None else [{"itemIdentifier": first_failed}]
    return {"batchItemFailures": identifiers}


def _get_time_left(context: object) -> float | None:
    """Return the seconds that an invocation may still take, as its context tells."""
    get_milliseconds = getattr(context, "get_remaining_time_in_millis", None)
    return None if get_milliseconds is None else get_milliseconds() / 1000
