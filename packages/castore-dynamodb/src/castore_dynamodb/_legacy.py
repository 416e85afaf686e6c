"""The tables of Castore's legacy adapter, which hold one event store each.

Their partition key is the id of the aggregate, without that of the event store, and the key of
their index is ``isInitialEvent``, the number 1 on first events:
https://github.com/castore-dev/castore/tree/main/packages/event-storage-adapter-dynamodb
"""

from collections.abc import Mapping
from typing import Any, Final

from castore_aws import get_error_code, get_error_response
from castore_core import StorageError
from castore_dynamodb._items import AGGREGATE_ID, SEPARATOR, TIMESTAMP, TYPE, VERSION

_IS_INITIAL_EVENT: Final = "isInitialEvent"


class LegacyTableError(StorageError):
    """A table is one of Castore's ``LegacyDynamoDBEventStorageAdapter``. Nothing was written.

    Its events are under other keys. They would not be found, and new ones would begin a second
    history beside them.
    """

    def __init__(self, table_name: str) -> None:
        super().__init__(table_name)
        self.table_name = table_name
        self.reason: str = (
            f"table {table_name!r} is one of Castore's legacy adapter, whose keys do not name the "
            "event store: its events cannot be read here, and nothing was written. Copy them to a "
            "table as table_definition makes it, or name another table"
        )


def is_about_legacy_index(error: BaseException) -> bool:
    """Tell whether DynamoDB refused a query because the index is the legacy adapter's."""
    if get_error_code(error) != "ValidationException":
        return False
    message = get_error_response(error)["Error"].get("Message", "")
    return f"missed key schema element: {_IS_INITIAL_EVENT}" in message


def is_legacy_event(item: Mapping[str, Any]) -> bool:
    """Tell whether an item is an event as the legacy adapter writes it.

    Only first events have its mark. The others are known by a key that names no event store.
    """
    if _IS_INITIAL_EVENT in item:
        return True
    key = item.get(AGGREGATE_ID, {}).get("S", SEPARATOR)
    return SEPARATOR not in key and {VERSION, TYPE, TIMESTAMP} <= item.keys()
