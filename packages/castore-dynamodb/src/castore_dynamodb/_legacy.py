"""The tables of Castore's legacy adapter, which hold one event store each.

Their partition key is the id of the aggregate, without that of the event store, and the key of
their index is ``isInitialEvent``, the number 1 on first events:
https://github.com/castore-dev/castore/tree/main/packages/event-storage-adapter-dynamodb
"""

from collections.abc import Mapping
from typing import Any, Final

from castore_aws import get_error_code, get_error_response
from castore_core import StorageError
from castore_dynamodb._items import (
    AGGREGATE_ID,
    EVENT_STORE_ID,
    SEPARATOR,
    TIMESTAMP,
    TYPE,
    VERSION,
    StoreKeys,
)

_IS_INITIAL_EVENT: Final = "isInitialEvent"

LEGACY_KEYS: Final = StoreKeys("", _IS_INITIAL_EVENT, {"N": "1"})
"""The keys of the one event store of such a table."""


class LayoutError(StorageError):
    """A table has the layout of another adapter. Nothing was written."""


class LegacyTableError(LayoutError):
    """A table is one of Castore's ``LegacyDynamoDBEventStorageAdapter``. Nothing was written.

    `LegacyDynamoDBEventStorageAdapter` reads it. With the keys of a single table, its events would
    not be found, and new ones would begin a second history beside them.
    """

    def __init__(self, table_name: str) -> None:
        super().__init__(table_name)
        self.table_name = table_name
        self.reason: str = (
            f"table {table_name!r} is one of Castore's legacy adapter, whose keys do not name the "
            "event store, and nothing was written. LegacyDynamoDBEventStorageAdapter reads it; "
            "new events need a table as table_definition makes it"
        )


class SingleTableError(LayoutError):
    """A table is none of Castore's legacy adapter: its keys name the event store."""

    def __init__(self, table_name: str) -> None:
        super().__init__(table_name)
        self.table_name = table_name
        self.reason: str = (
            f"table {table_name!r} is none of Castore's legacy adapter: its keys name the event "
            "store. Use DynamoDBEventStorageAdapter"
        )


def find_layout_error(table_name: str, error: BaseException) -> LayoutError | None:
    """Return the layout error that a refused query of the index means, if it means one."""
    if get_error_code(error) != "ValidationException":
        return None
    message = get_error_response(error)["Error"].get("Message", "")
    _, _, key = message.partition("missed key schema element: ")
    if key.startswith(_IS_INITIAL_EVENT):
        return LegacyTableError(table_name)
    return SingleTableError(table_name) if key.startswith(EVENT_STORE_ID) else None


def is_legacy_event(item: Mapping[str, Any]) -> bool:
    """Tell whether an item is an event as the legacy adapter writes it.

    Only first events have its mark. The others are known by a key that names no event store.
    """
    if _IS_INITIAL_EVENT in item:
        return True
    key = item.get(AGGREGATE_ID, {}).get("S", SEPARATOR)
    return SEPARATOR not in key and {VERSION, TYPE, TIMESTAMP} <= item.keys()
