"""DynamoDB Streams: the changes of the table, as notification messages."""

import asyncio
import json
import logging
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from castore_core import (
    Event,
    EventSource,
    InvalidMessageError,
    MessageChannelEventStoreNotFoundError,
    MessagePublishError,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
)
from castore_dynamodb._items import AGGREGATE_ID, item_to_record, split_key

E = TypeVar("E", bound=Event)

Image: TypeAlias = Mapping[str, Mapping[str, Any]]
"""An item, as stream records have it."""

_STREAM = "DynamoDB stream"
_logger = logging.getLogger("castore_dynamodb")


class DynamoDBStreamParser(Generic[E]):
    """Turns records of the table's stream into notification messages.

    ``source_event_stores`` are the stores whose events are wanted. Give them as a tuple: mypy
    infers the events of several stores from a tuple, not from a list.
    """

    def __init__(self, source_event_stores: Iterable[EventSource[E, Any]]) -> None:
        self._sources = {each.event_store_id: each for each in source_event_stores}

    def parse_record(self, record: Mapping[str, Any]) -> NotificationMessage[E] | None:
        """Read a record that Lambda got from DynamoDB Streams, or by way of Kinesis.

        Returns ``None`` where it tells of no event that is wanted: of a deletion, of an event of
        another store, or of an item of another kind. A replaced event is an event.

        Raises:
            InvalidMessageError: it is no record of such a stream, or the stream does not carry the
                new images of items.
            StorageError, UnknownEventTypeError, EventDecodeError: as in `parse_image`.
        """
        change = _read_change(record)
        if change.event_name == "REMOVE":
            return None
        if change.image is None:
            raise InvalidMessageError(_STREAM, "its view type is not NEW_IMAGE")
        return self.parse_image(change.image) if change.event_store_id in self._sources else None

    def parse_image(self, image: Image) -> NotificationMessage[E]:
        """Read the item of an event.

        Raises:
            MessageChannelEventStoreNotFoundError: it is of a store that is no source.
            StorageError: it is not what Castore writes.
            UnknownEventTypeError, EventDecodeError: the store does not know its type, or it does
                not fit.
        """
        store_id = _get_store_id(image)
        source = self._sources.get(store_id)
        if source is None:
            raise MessageChannelEventStoreNotFoundError(_STREAM, store_id)
        event = source.event_from_record(item_to_record(store_id, image))
        return NotificationMessage(store_id, event)


class DynamoDBStreamHandler(Generic[E]):
    """A handler for Lambda that publishes the events of a stream to a channel.

    The event source mapping needs ``ReportBatchItemFailures``. The events are published in their
    order, up to the first record that cannot be read. Lambda is told the first record that was not
    read or not published, and tries again from there: events after it may be published twice, and
    none is left out while Lambda tries. Why it failed is logged, to the logger
    ``castore_dynamodb``.

    Call it as it is where the adapter of the channel works in any event loop, as those on a client
    of boto3 do; otherwise await `publish_records`.
    """

    def __init__(
        self,
        parser: DynamoDBStreamParser[E],
        channel: NotificationMessageQueue[E] | NotificationMessageBus[E],
    ) -> None:
        self._parser = parser
        self._channel = channel

    def __call__(self, event: Mapping[str, Any], context: object = None) -> dict[str, Any]:  # noqa: ARG002 Lambda gives it
        """Publish the records of an invocation, and return what Lambda has to know."""
        return asyncio.run(self.publish_records(event["Records"]))

    async def publish_records(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Publish records, and return ``batchItemFailures`` with the first that failed, if any.

        Raises:
            CastoreError: the channel has no adapter, or is not for the parser's stores.
        """
        pending, failed = self._parse(records)
        try:
            if pending:
                await self._channel.publish_messages([each.message for each in pending])
        except MessagePublishError as error:
            _logger.exception("events of the stream were not published")
            failed = _find_first_failure(pending, error)
        identifiers = [] if failed is None else [{"itemIdentifier": failed}]
        return {"batchItemFailures": identifiers}

    def _parse(
        self, records: Sequence[Mapping[str, Any]]
    ) -> tuple[list["_Pending[E]"], str | None]:
        """Return what is to be published, and the number of the record that ended it, if any."""
        pending: list[_Pending[E]] = []
        for record in records:
            number = _get_sequence_number(record)
            try:
                message = self._parser.parse_record(record)
            except Exception:  # an upcaster may raise anything
                _logger.exception("record %s of the stream cannot be read", number)
                return pending, number
            if message is not None:
                pending.append(_Pending(number, message))
        return pending, None


class _Change(NamedTuple):
    event_name: str
    image: Image | None
    event_store_id: str


def _read_change(record: Mapping[str, Any]) -> _Change:
    try:
        if "kinesis" in record:
            record = json.loads(b64decode(record["kinesis"]["data"]))
        image = record["dynamodb"].get("NewImage")
        return _Change(record["eventName"], image, _get_store_id(image or {}))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidMessageError(_STREAM, f"it is no record of a table: {error!r}") from error


def _get_store_id(image: Image) -> str:
    """Return the id of the event store, or none of any store where it is no event."""
    event_store_id, _ = split_key(image.get(AGGREGATE_ID, {}).get("S", ""))
    return event_store_id


class _Pending(NamedTuple, Generic[E]):
    sequence_number: str
    message: NotificationMessage[E]

    @property
    def ids(self) -> tuple[str, str, int]:
        event = self.message.event
        return self.message.event_store_id, event.aggregate_id, event.version


def _find_first_failure(pending: Sequence[_Pending[Any]], error: MessagePublishError) -> str:
    failures = {
        (message.event_store_id, message.aggregate_id, message.version)
        for message, _ in error.failures
    }
    failed = (each.sequence_number for each in pending if each.ids in failures)
    return next(failed, pending[0].sequence_number)


def _get_sequence_number(record: Mapping[str, Any]) -> str:
    if "kinesis" in record:
        return str(record["kinesis"]["sequenceNumber"])
    return str(record["dynamodb"]["SequenceNumber"])
