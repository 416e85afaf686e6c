"""The errors of PostgreSQL, and their meaning."""

from typing import Final

from sqlalchemy import Engine

from castore_core import StorageError, TransactionAbortedError
from castore_sql._server_errors import translate_error_of_client

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_ABORTED: Final = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
}
_BUSY: Final = {*_ABORTED, "55P03"}  # lock_not_available
_LOST: Final = ("08", "57P")  # connection_exception; the server shuts down
_LOST_BY_ASYNCPG: Final = {
    "InternalClientError",  # it has read the end of the session, but not yet that of the connection
    "InvalidCachedStatementError",
}
_NOT_SUPPORTED: Final = "0A000"
UNIQUE_VIOLATION: Final = "23505"
NOT_NULL_VIOLATION: Final = "23502"
_HINTS: Final = {
    "42P01": "await create_tables() of the adapter first, or run castore sql create-tables",
    "22001": "the column is shorter: a table of Castore's has varchar(32) and varchar(64)",
    "54000": "the ids of the event store and the aggregate are too long for an index",
    "55P03": (
        "a transaction that has not ended was in the way, and nothing was written; inside one of "
        "yours, use adapter.within(connection)"
    ),
    "57014": "the server, or its administrator, ended the statement: nothing was written",
    "53300": "the server has no free connection",
}


def get_sqlstate(error: BaseException | None) -> str | None:
    """Return the code of an error of the server."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def is_busy(error: BaseException | None) -> bool:
    """Tell whether another transaction was in the way, so that nothing was written."""
    return get_sqlstate(error) in _BUSY


def is_lost(error: Exception) -> bool:
    """Tell whether the server ends the connection, or the driver needs a new one."""
    if type(error).__name__ in _LOST_BY_ASYNCPG:
        return True
    if get_sqlstate(error) == _NOT_SUPPORTED and "cached plan" in str(error):  # a table was altered
        return True
    return (get_sqlstate(error) or "").startswith(_LOST)


def translate(error: Exception, _engine: Engine, /) -> StorageError:
    """Return the castore error for an error of the driver."""
    if (translated := translate_error_of_client(error)) is not None:
        return translated
    text = str(error.__cause__ or error)  # SQLAlchemy puts the class of asyncpg's before it
    code = get_sqlstate(error) or ""
    if code in _ABORTED:
        return TransactionAbortedError(f"{text}: begin the transaction again")
    hint = _HINTS.get(code)
    return StorageError(f"{text}: {hint}" if hint else text)
