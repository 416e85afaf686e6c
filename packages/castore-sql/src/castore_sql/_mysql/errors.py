"""The errors of MySQL and MariaDB, and their meaning."""

from typing import Final

from sqlalchemy import Engine

from castore_core import StorageError, TransactionAbortedError
from castore_sql._server_errors import translate_error_of_client

# https://mariadb.com/kb/en/mariadb-error-code-reference/
# https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html
DUPLICATE_KEY: Final = 1062
_LOCK_TIMEOUT: Final = 1205
LOCKED: Final = {_LOCK_TIMEOUT, 3572}  # with NOWAIT, of MariaDB and MySQL
READ_ONLY: Final = {1290, 1792, 1836}
DENIED: Final = {1142, 1143, 1044}
NOT_NULL: Final = 1048
_DEADLOCK: Final = 1213
_CHANGED: Final = 1020  # since the snapshot of the transaction, with innodb_snapshot_isolation
_ABORTED: Final = {_DEADLOCK, _CHANGED}
_BUSY: Final = {_LOCK_TIMEOUT, *_ABORTED}
_LOST: Final = {1053, 1927}  # the server shuts down; the connection was killed
_HINTS: Final = {
    1146: "await create_tables() of the adapter first, or run castore sql create-tables",
    1153: "raise max_allowed_packet of the server",
    _LOCK_TIMEOUT: (
        "a transaction that has not ended was in the way, and nothing was written; inside one of "
        "yours, use adapter.within(connection)"
    ),
    1317: "somebody ended the statement: nothing was written",
    1969: "the server ended the statement: nothing was written",
    3024: "the server ended the statement: nothing was written",
    1040: "the server has no free connection",
    _CHANGED: "the transaction has an older snapshot: begin it again",
    _DEADLOCK: "the server has rolled the whole transaction back: begin it again",
}


def get_code(error: BaseException | None) -> int | None:
    """Return the number of an error of the server."""
    arguments = getattr(getattr(error, "orig", error), "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def is_primary(error: BaseException) -> bool:
    """Tell whether the position of a new event was taken by a tombstone, and not its version."""
    # In all languages, the name of the key is quoted last. MySQL has the table's before it.
    quoted = str(error.args[1]).rsplit("'", 2)[-2:]
    return quoted[0].rpartition(".")[2] == "PRIMARY"


def is_busy(error: BaseException | None) -> bool:
    """Tell whether another transaction was in the way, so that nothing was written."""
    return get_code(error) in _BUSY


def is_lost(error: Exception) -> bool:
    """Tell whether the server ends the connection."""
    return get_code(error) in _LOST


def translate(error: Exception, _engine: Engine, /) -> StorageError:
    """Return the castore error for an error of the driver."""
    if (translated := translate_error_of_client(error)) is not None:
        return translated
    code = get_code(error)
    if code is None:
        return StorageError(str(error))
    text = f"{error.args[1] if len(error.args) > 1 else error} ({code})"
    hint = _HINTS.get(code)
    kind = TransactionAbortedError if code in _ABORTED else StorageError
    return kind(f"{text}: {hint}" if hint else text)
