"""castore on SQL databases: SQLite in this version."""

from castore_sql._bookmarks import SQLBookmarkStorageAdapter
from castore_sql._events import SQLEventStorageAdapter
from castore_sql._snapshots import SQLSnapshotStorageAdapter

__all__ = [
    "SQLBookmarkStorageAdapter",
    "SQLEventStorageAdapter",
    "SQLSnapshotStorageAdapter",
]
