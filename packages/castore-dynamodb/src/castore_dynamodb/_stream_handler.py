"""A handler for Lambda: it passes the events of a stream on to a channel."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from math import inf
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from castore_core import (
    AggregateExistsMessageBus,
    AggregateExistsMessageQueue,
    Event,
    NotificationMessageBus,
    NotificationMessageQueue,
    StateCarryingMessageBus,
    StateCarryingMessageQueue,
    StorageError,
    format_error,
    name_type,
)
from castore_dynamodb._invocation import Invocation, InvocationParts
from castore_dynamodb._parking import Park, ParkedRecord, Suspect
from castore_dynamodb._pending import Pending, find_first_failure, publishing, split
from castore_dynamodb._stream_records import StoredEvent, StreamRecord, get_sequence_number
from castore_dynamodb._streams import DynamoDBStreamParser

E = TypeVar("E", bound=Event)

_SHARE_OF_TIME: Final = 0.75  # the rest is for the publish that is under way then

_logger = logging.getLogger("castore_dynamodb")


def _double_delay(attempt: int) -> float:
    """Wait a tenth of a second after the first attempt, and twice as long after the second."""
    return 0.1 * 2.0 ** (attempt - 1)


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

    Give it a ``park`` function, and a record that can never be published stops nothing: the
    function keeps it, for example in another queue, and the handler goes on with the records after
    it. The later events of its aggregate that the invocation has are parked behind it. A record is
    parked when

    - it cannot be read, or the aggregate after its event cannot be computed;
    - the channel refused it three times, and took another one in the same invocation;
    - it failed, and is older than ``park_after``.

    Where three messages fail in a row the channel counts as down: Lambda tries again, from the
    first of them.

    Shortly before Lambda's time is up, the events that are left go back to it in the same way.

    Failures are logged to the logger ``castore_dynamodb``.

    Call it as it is where the adapter of the channel works in any event loop, as those on a client
    of boto3 do; otherwise await `publish_records`.

    Args:
        parser: reads the records. Its stores are those whose events are passed on.
        channel: a queue or a bus of which they are sources.
        park: is called with each `ParkedRecord`, and may be async. If it raises, the record has
            failed, and Lambda tries again from there.
        park_after: the age from which a record is parked although nothing shows that the channel is
            up. It is there for a record that comes alone.
        retry_delay: returns the seconds to wait after an attempt that failed, from its number, 1 or
            2; by default 0.1 and 0.2. It matters with ``park`` alone.
        log_error_texts: whether the log has the texts of errors too. They may hold values of the
            payload, which are left out by default.

    Raises:
        MessageChannelEventStoreNotFoundError: a store of the parser is no source of the channel.
        TypeError: ``park`` cannot be called.
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
        park: Park | None = None,
        park_after: timedelta = timedelta(hours=1),
        retry_delay: Callable[[int], float] = _double_delay,
        log_error_texts: bool = False,
    ) -> None:
        if park is not None and not callable(park):
            raise TypeError(f"park is not callable: {park!r}")
        for each in parser.event_store_ids:
            channel.get_source_event_store(each)
        self._parser = parser
        self._channel = channel
        self._park = park
        self._retry_delay = retry_delay
        self._park_after = park_after.total_seconds()
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
        self._channel.get_message_channel_adapter()
        deadline = inf if time_limit is None else monotonic() + time_limit * _SHARE_OF_TIME
        pending, suspects = await self._prepare(records)
        if self._park is not None:
            parts = InvocationParts(
                publish=self._channel.publish_records,
                park=self._park,
                park_after=self._park_after,
                retry_delay=self._retry_delay,
                deadline=deadline,
                log_error=self._log_error,
            )
            return _answer(await Invocation(parts, suspects).run(pending))
        for index, chunk in enumerate(split(pending)):
            if index and monotonic() > deadline:
                _logger.warning("time is nearly up: Lambda goes on from %s", chunk[0])
                return _answer(chunk[0].sequence_number)
            if (first := await self._publish(chunk)) is not None:
                return _answer(first.sequence_number)
        return _answer(suspects[0].parked.sequence_number if suspects else None)

    async def _prepare(
        self, records: Iterable[StreamRecord]
    ) -> tuple[list[Pending], list[Suspect]]:
        """Return what is to be published, and what cannot be: the first ends it, or is parked."""
        pending: list[Pending] = []
        suspects: list[Suspect] = []
        for place, record in enumerate(records):
            prepared = await self._prepare_one(place, record)
            if isinstance(prepared, Suspect):
                suspects.append(prepared)
                if self._park is None:
                    break
            elif prepared is not None:
                pending.append(prepared)
        return pending, suspects

    async def _prepare_one(self, place: int, record: StreamRecord) -> Pending | Suspect | None:
        stored: StoredEvent | None = None
        try:
            stored = self._parser.read_stored_event(record)
            if stored is None:
                return None
            message = await self._channel.record_to_message(*stored)
        except Exception as error:  # noqa: BLE001 the reducer of an aggregate may raise anything
            event = "" if stored is None else f", {stored},"
            subject = f"record {get_sequence_number(record)} of the stream{event}"
            self._log_error(error, f"{subject} cannot be published")
            is_hopeless = stored is None or not isinstance(error, StorageError)
            return Suspect(place, ParkedRecord(record, stored, error), is_hopeless)
        return None if message is None else Pending(place, record, stored, message)

    async def _publish(self, chunk: Sequence[Pending]) -> Pending | None:
        """Publish messages, and return the first that was not taken, if any."""
        try:
            with publishing(chunk):
                await self._channel.publish_records([each.message for each in chunk])
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
