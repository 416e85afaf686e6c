"""Events as the items of Castore's single table.

====================  =======================================================================
``aggregateId``       partition key: ``<event store id>#<aggregate id>``
``version``           sort key
``type``              the event's type
``timestamp``         ``2022-01-01T00:00:00.000Z``
``payload``           left out where it is absent
``metadata``          left out where it is absent
``eventStoreId``      of version 1 only: with ``timestamp``, the key of the index initialEvents
``writeToken``        tells the pushes of this package apart; Castore ignores it
====================  =======================================================================
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias, cast

from castore_aws import count_bytes
from castore_core import (
    ABSENT,
    Absent,
    EventRecord,
    InvalidEventError,
    JSONValue,
    ListedAggregate,
    StorageError,
    format_timestamp,
    parse_timestamp,
)
from castore_dynamodb._marshal import AttributeValue, NotHeldError, marshal, unmarshal
from castore_dynamodb._sizes import MAX_ITEM_SIZE, MAX_KEY_SIZE, get_item_size

Item: TypeAlias = dict[str, AttributeValue]

AGGREGATE_ID: Final = "aggregateId"
VERSION: Final = "version"
TYPE: Final = "type"
TIMESTAMP: Final = "timestamp"
PAYLOAD: Final = "payload"
METADATA: Final = "metadata"
EVENT_STORE_ID: Final = "eventStoreId"
WRITE_TOKEN: Final = "writeToken"  # noqa: S105 no password
INITIAL_EVENTS: Final = "initialEvents"

SEPARATOR: Final = "#"


class NoEventError(StorageError):
    """An item is no event as Castore writes them. Its payload and metadata are not in the text."""


class StoreKeys(NamedTuple):
    """The keys of one event store's items, which depend on the layout of the table.

    Attributes:
        prefix: comes before the aggregate's id in the partition key.
        index_name: the partition key of the index of initial events.
        index_value: its value in the first events of the store.
    """

    prefix: str
    index_name: str
    index_value: AttributeValue

    def make_index_key(self, timestamp: str, aggregate_id: str) -> Item:
        """Return the place of an aggregate in the index of initial events."""
        return {
            AGGREGATE_ID: {"S": self.prefix + aggregate_id},
            VERSION: {"N": "1"},
            self.index_name: self.index_value,
            TIMESTAMP: {"S": timestamp},
        }


def make_store_keys(event_store_id: str) -> StoreKeys:
    """Return the keys of an event store in the single table.

    Raises:
        StorageError: as in `make_key`.
    """
    return StoreKeys(make_key(event_store_id, ""), EVENT_STORE_ID, {"S": event_store_id})


def make_key(event_store_id: str, aggregate_id: str) -> str:
    """Return the partition key of an aggregate.

    Raises:
        StorageError: the event store's id has a ``#``, so that the key could be another one's.
    """
    if SEPARATOR in event_store_id:
        raise StorageError(
            f"DynamoDB cannot hold event store {event_store_id!r}: in its table, a {SEPARATOR!r} "
            "is what ends the event store's id"
        )
    return f"{event_store_id}{SEPARATOR}{aggregate_id}"


def split_key(key: str) -> tuple[str, str]:
    """Return the ids of the event store and the aggregate of a partition key."""
    event_store_id, _, aggregate_id = key.partition(SEPARATOR)
    return event_store_id, aggregate_id


def record_to_item(event_store_id: str, record: EventRecord, write_token: str | None) -> Item:
    """Return the item of an event.

    Raises:
        InvalidEventError: DynamoDB does not hold a number, the depth, the size or the id of it.
        StorageError: as in `make_key`.
    """
    key = make_key(event_store_id, record.aggregate_id)
    item = {
        AGGREGATE_ID: {"S": key},
        VERSION: {"N": str(record.version)},
        TYPE: {"S": record.type},
        TIMESTAMP: {"S": format_timestamp(record.timestamp)},
    }
    for name, value in ((PAYLOAD, record.payload), (METADATA, record.metadata)):
        if value is not ABSENT:
            item[name] = _marshal_field(record.type, name, value)
    if record.version == 1:
        item[EVENT_STORE_ID] = {"S": event_store_id}
    if write_token is not None:
        item[WRITE_TOKEN] = {"S": write_token}
    _check_sizes(record.type, key, item)
    return item


def item_to_record(prefix: str, item: Mapping[str, Mapping[str, Any]]) -> EventRecord:
    """Read the item of an event; attributes that it has beside are passed over.

    ``prefix`` is what its partition key begins with, before the aggregate's id.

    Raises:
        StorageError: an attribute is missing, or is not what Castore writes.
    """
    try:
        return EventRecord(
            _get_aggregate_id(prefix, item),
            int(item[VERSION]["N"]),
            item[TYPE]["S"],
            parse_timestamp(item[TIMESTAMP]["S"]),
            _unmarshal_field(item, PAYLOAD),
            _unmarshal_field(item, METADATA),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _to_storage_error(item, error) from error


def item_to_listed(prefix: str, item: Mapping[str, Mapping[str, Any]]) -> ListedAggregate:
    """Read an item of the index of initial events.

    Raises:
        StorageError: as in `item_to_record`.
    """
    try:
        return ListedAggregate(
            _get_aggregate_id(prefix, item), parse_timestamp(item[TIMESTAMP]["S"])
        )
    except (KeyError, ValueError) as error:
        raise _to_storage_error(item, error) from error


def _marshal_field(event_type: str, name: str, value: JSONValue) -> AttributeValue:
    try:
        return marshal(value)
    except NotHeldError as error:
        reason = f"is not what DynamoDB holds: {error}"
        raise InvalidEventError(event_type, name, reason) from None


def _unmarshal_field(item: Mapping[str, Mapping[str, Any]], name: str) -> JSONValue | Absent:
    attribute = item.get(name)
    if attribute is None:
        return ABSENT
    try:
        return unmarshal(attribute)
    except (AttributeError, RecursionError, TypeError, ValueError):
        raise ValueError(f"its {name} is no attribute value") from None  # it may show values


def _get_aggregate_id(prefix: str, item: Mapping[str, Mapping[str, Any]]) -> str:
    return cast("str", item[AGGREGATE_ID]["S"])[len(prefix) :]


def _to_storage_error(item: Mapping[str, Any], error: Exception) -> NoEventError:
    key = {name: item.get(name) for name in (AGGREGATE_ID, VERSION)}
    return NoEventError(f"not an event as Castore writes them: item {key}: {error!r}")


def _check_sizes(event_type: str, key: str, item: Item) -> None:
    if (size := count_bytes(key)) > MAX_KEY_SIZE:
        raise InvalidEventError(
            event_type,
            "aggregate_id",
            f"is {size} bytes long with its event store's, and a key of DynamoDB at most "
            f"{MAX_KEY_SIZE}",
        )
    if (size := get_item_size(item)) > MAX_ITEM_SIZE:
        raise InvalidEventError(
            event_type, "size", f"is {size} bytes, and an item of DynamoDB at most {MAX_ITEM_SIZE}"
        )
