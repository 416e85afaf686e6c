"""Records of a stream of the table, as Lambda hands them over."""

import json
from base64 import b64decode
from collections.abc import Container, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from castore_core import EventRecord, InvalidMessageError, MessageChannelEventStoreNotFoundError
from castore_dynamodb._items import AGGREGATE_ID, item_to_record, make_key, split_key
from castore_dynamodb._legacy import is_legacy_event

StreamRecord: TypeAlias = Mapping[str, Any]
"""A change of the table, as Lambda got it from DynamoDB Streams, or by way of Kinesis."""

Image: TypeAlias = Mapping[str, Mapping[str, Any]]
"""An item, as stream records have it."""

_STREAM: Final = "DynamoDB stream"


class StoredEvent(NamedTuple):
    """An event as it is stored, with what the classes of this program do not declare."""

    event_store_id: str
    record: EventRecord

    def __repr__(self) -> str:
        return f"StoredEvent({self})"

    def __str__(self) -> str:
        store_id, (aggregate_id, version, event_type, *_) = self
        return describe_event(store_id, aggregate_id, version, event_type)


class _Change(NamedTuple):
    name: str
    image: Image | None
    event_store_id: str


def read_record(record: StreamRecord, event_store_ids: Container[str]) -> StoredEvent | None:
    """Return the event that a record tells of, or ``None`` where it tells of none of the stores.

    Raises:
        InvalidMessageError: it is no record of such a stream, the stream does not carry the new
            images of items, or the table is one of Castore's legacy adapter.
        StorageError: the item is not what Castore writes.
    """
    change = _read_change(record)
    if change.name == "REMOVE":
        return None
    if change.image is None:
        raise InvalidMessageError(_STREAM, "its view type is not NEW_IMAGE")
    if change.event_store_id in event_store_ids or is_legacy_event(change.image):
        return read_image(change.image, event_store_ids)
    return None


def read_image(image: Image, event_store_ids: Container[str]) -> StoredEvent:
    """Return the event of an item.

    Raises:
        InvalidMessageError: it is an event of Castore's legacy adapter.
        MessageChannelEventStoreNotFoundError: it is of none of the stores.
        StorageError: it is not what Castore writes.
    """
    if is_legacy_event(image):
        raise InvalidMessageError(
            _STREAM, "it is an event of Castore's legacy adapter, which names no event store"
        )
    event_store_id = _get_event_store_id(image)
    if event_store_id not in event_store_ids:
        raise MessageChannelEventStoreNotFoundError(_STREAM, event_store_id)
    return StoredEvent(event_store_id, item_to_record(make_key(event_store_id, ""), image))


def get_sequence_number(record: StreamRecord) -> str:
    """Return the number by which Lambda knows a record."""
    if "kinesis" in record:
        return str(record["kinesis"]["sequenceNumber"])
    return str(record["dynamodb"]["SequenceNumber"])


def get_moment(record: StreamRecord) -> float | None:
    """Return when a record came into the stream, in seconds of Unix, where it tells."""
    if "kinesis" in record:
        moment = record["kinesis"].get("approximateArrivalTimestamp")
    else:
        moment = record["dynamodb"].get("ApproximateCreationDateTime")
    return float(moment) if isinstance(moment, (int, float)) else None


def describe_event(
    event_store_id: str, aggregate_id: str, version: int | None, event_type: str
) -> str:
    """Return what a log says of an event, or of an aggregate where there is no version."""
    event = "" if version is None else f"event {version} ({event_type!r:.150}) of "
    return f"{event}aggregate {aggregate_id!r:.150} in event store {event_store_id!r:.150}"


def _read_change(record: StreamRecord) -> _Change:
    try:
        if "kinesis" in record:
            record = json.loads(b64decode(record["kinesis"]["data"]))
        image = record["dynamodb"].get("NewImage")
        return _Change(record["eventName"], image, _get_event_store_id(image or {}))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        # The text of the error may show what the record holds.
        reason = f"it is no record of a table ({type(error).__name__})"
        raise InvalidMessageError(_STREAM, reason) from error


def _get_event_store_id(image: Image) -> str:
    """Return the id of the event store, or none of any store where it is no event."""
    event_store_id, _ = split_key(image.get(AGGREGATE_ID, {}).get("S", ""))
    return event_store_id
