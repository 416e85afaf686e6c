"""castore on SQL databases: SQLite in this version."""

from castore_sql._events import SQLEventStorageAdapter

__all__ = ["SQLEventStorageAdapter"]
