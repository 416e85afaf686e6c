"""DynamoDB Streams: the changes of the table, as notification messages."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from castore_core import ABSENT, Event, EventSource, NotificationMessage
from castore_dynamodb._stream_records import (
    Image,
    StoredEvent,
    StreamRecord,
    read_image,
    read_record,
)

E = TypeVar("E", bound=Event)

_logger = logging.getLogger("castore_dynamodb")


class DynamoDBStreamParser(Generic[E]):
    """Turns records of the table's stream into notification messages, or into stored events.

    The event of a message is of its class, as `EventStore.get_events` reads it: a payload or
    metadata that the class does not declare is left out. The first time that happens to a type of
    events, it is logged as a warning, to the logger ``castore_dynamodb``. To pass events on
    complete, use `DynamoDBStreamHandler`, or `read_stored_event`.

    ``source_event_stores`` are the stores whose events are wanted. Give them as a tuple: mypy
    infers the events of several stores from a tuple, not from a list.
    """

    def __init__(self, source_event_stores: Iterable[EventSource[E, Any]]) -> None:
        self._sources: Mapping[str, EventSource[E, Any]] = {
            each.event_store_id: each for each in source_event_stores
        }
        self._told: set[tuple[str, str, str]] = set()

    @property
    def event_store_ids(self) -> tuple[str, ...]:
        """The ids of the stores whose events are wanted."""
        return tuple(self._sources)

    def parse_record(self, record: StreamRecord) -> NotificationMessage[E] | None:
        """Read a record that Lambda got from DynamoDB Streams, or by way of Kinesis.

        Returns ``None`` where it tells of no event that is wanted: of a deletion, of an event of
        another store, or of an item of another kind. A replaced event is an event.

        Raises:
            InvalidMessageError: it is no record of such a stream, the stream does not carry the
                new images of items, or the table is one of Castore's legacy adapter.
            StorageError, UnknownEventTypeError, EventDecodeError: as in `parse_image`.
        """
        stored = self.read_stored_event(record)
        return None if stored is None else self._decode(stored)

    def parse_image(self, image: Image) -> NotificationMessage[E]:
        """Read the item of an event.

        Raises:
            MessageChannelEventStoreNotFoundError: it is of a store that is no source.
            InvalidMessageError: the table is one of Castore's legacy adapter.
            StorageError: it is not what Castore writes.
            UnknownEventTypeError, EventDecodeError: the store does not know its type, or it does
                not fit.
        """
        return self._decode(read_image(image, self._sources))

    def read_stored_event(self, record: StreamRecord) -> StoredEvent | None:
        """Read a record as `parse_record` does, and return all that is stored of the event.

        It is not decoded: its type may be unknown here, and upcasters do not see it.

        Raises:
            InvalidMessageError: as in `parse_record`.
            StorageError: the item is not what Castore writes.
        """
        return read_record(record, self._sources)

    def _decode(self, stored: StoredEvent) -> NotificationMessage[E]:
        event = self._sources[stored.event_store_id].event_from_record(stored.record)
        for name in ("payload", "metadata"):
            if getattr(stored.record, name) is not ABSENT and not hasattr(event, name):
                self._tell_left_out(stored, name)
        return NotificationMessage(stored.event_store_id, event)

    def _tell_left_out(self, stored: StoredEvent, name: str) -> None:
        subject = name, stored.record.type, stored.event_store_id
        if subject not in self._told:
            self._told.add(subject)
            _logger.warning(
                "the %s of %r events in event store %r is left out: their class declares none",
                *subject,
            )
