"""Errors of the driver and of SQLAlchemy, and their texts."""

import sqlite3
from pathlib import Path

from sqlalchemy import Engine, SingletonThreadPool
from sqlalchemy.exc import SQLAlchemyError

from castore_core import StorageError, TransactionAbortedError

ERRORS = (sqlite3.Error, SQLAlchemyError, UnicodeError, OverflowError)

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_OF_THE_FILE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


def get_errors(_engine: Engine, /) -> tuple[type[Exception], ...]:
    """Return the errors that a statement, or a value bound to it, can raise."""
    return ERRORS


def is_busy(error: BaseException | None) -> bool:
    """Tell whether the database was locked by somebody else, so that trying again may help."""
    return _get_code(error) in _BUSY


def translate(error: Exception, engine: Engine) -> StorageError:
    """Return the castore error for an error of the backend."""
    if _get_extended_code(error) == sqlite3.SQLITE_BUSY_SNAPSHOT:
        reason = "others have written since the transaction began: begin it again"
        return TransactionAbortedError(f"{error}: {reason}")
    if is_busy(error):
        reason = "another process, or a transaction of this one, kept it locked for too long"
        return StorageError(f"{error}: {reason}")
    if "no such table" in str(error):
        advice = "await create_tables() of the adapter first, or run castore sql create-tables"
        return StorageError(f"{error}: {advice}{_hint(engine)}")
    if _get_code(error) in _OF_THE_FILE and engine.url.database:
        return StorageError(f"{error}: {_describe_file(engine.url.database)}")
    if isinstance(error, UnicodeError):
        return StorageError(f"a text cannot be written as UTF-8: {error}")
    return StorageError(str(error))


def _get_code(error: BaseException | None) -> int | None:
    """Return SQLite's primary code."""
    code = _get_extended_code(error)
    return None if code is None else code & 0xFF


def _get_extended_code(error: BaseException | None) -> int | None:
    code: int | None = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    return code


def _hint(engine: Engine) -> str:
    if isinstance(engine.pool, SingletonThreadPool) and engine.url.database in (
        None,
        "",
        ":memory:",
    ):
        return ", in each thread: this database is in memory, and each thread has its own"
    return ""


def _describe_file(database: str) -> str:
    return repr(database if database.startswith("file:") else str(Path(database).absolute()))
