"""castore on SQL databases: SQLite in this version."""

from castore_sql._events import SQLEventStorageAdapter

__all__ = ["SQLEventStorageAdapter"]

for _public in (globals()[name] for name in __all__):
    if getattr(_public, "__module__", "").startswith("castore_sql."):
        _public.__module__ = "castore_sql"  # what reprs, tracebacks and pickles name
