"""castore on DynamoDB, in the single table of Castore."""

from castore_dynamodb._bookmarks import DynamoDBBookmarkStorageAdapter
from castore_dynamodb._events import DynamoDBEventStorageAdapter
from castore_dynamodb._legacy import LegacyTableError
from castore_dynamodb._legacy_events import LegacyDynamoDBEventStorageAdapter
from castore_dynamodb._parked import TransactItems
from castore_dynamodb._parking import Park, ParkedRecord
from castore_dynamodb._snapshots import DynamoDBSnapshotStorageAdapter
from castore_dynamodb._stream_handler import DynamoDBStreamHandler
from castore_dynamodb._stream_records import StoredEvent
from castore_dynamodb._streams import DynamoDBStreamParser
from castore_dynamodb._tables import create_table, table_definition

__all__ = [
    "DynamoDBBookmarkStorageAdapter",
    "DynamoDBEventStorageAdapter",
    "DynamoDBSnapshotStorageAdapter",
    "DynamoDBStreamHandler",
    "DynamoDBStreamParser",
    "LegacyDynamoDBEventStorageAdapter",
    "LegacyTableError",
    "Park",
    "ParkedRecord",
    "StoredEvent",
    "TransactItems",
    "create_table",
    "table_definition",
]
