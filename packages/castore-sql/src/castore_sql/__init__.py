"""castore on SQL databases: SQLite, PostgreSQL, MySQL and MariaDB."""

from castore_sql._bookmarks import SQLBookmarkStorageAdapter
from castore_sql._events import SQLEventStorageAdapter
from castore_sql._snapshots import SQLSnapshotStorageAdapter

__all__ = [
    "SQLBookmarkStorageAdapter",
    "SQLEventStorageAdapter",
    "SQLSnapshotStorageAdapter",
]
