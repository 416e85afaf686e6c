"""The server and the session of a connection: their versions, limits and settings."""

from typing import Final, NamedTuple

from castore_core import StorageError
from castore_sql._connection import Connection
from castore_sql._queries import Query, execute, fetch

_NOTE: Final = "castore_server"
_OLDEST_MYSQL: Final = (8, 0, 17)
_OLDEST_MARIADB: Final = (10, 6)
_ISOLATION: Final = ("transaction_isolation", "tx_isolation")  # MySQL and MariaDB name it so
_SELECT: Final = Query(
    "SHOW SESSION VARIABLES WHERE Variable_name IN "
    "('version', 'character_set_client', 'character_set_results', 'max_allowed_packet', "
    "'transaction_isolation', 'tx_isolation')"
)
# READ UNCOMMITTED shows events that may never be, and SERIALIZABLE makes readers wait for writers.
_UNFIT: Final = {"READ-UNCOMMITTED", "SERIALIZABLE"}
_ISOLATE: Final = Query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


class Server(NamedTuple):
    """The findings of the first use of a connection."""

    is_mariadb: bool
    most_bytes: int  # of a statement
    needs_isolation: bool


def get_server(connection: Connection) -> Server:
    """Look at the server once a connection.

    Raises:
        StorageError: it is too old, or the charset of the connection is not utf8mb4.
    """
    server: Server | None = connection.info.get(_NOTE)
    if server is None:
        variables = {str(name): str(value) for name, value in fetch(connection, _SELECT)}
        version = variables["version"]
        _check_version(version)
        for each in ("character_set_client", "character_set_results"):
            _check_charset(variables[each])
        server = Server(
            "MariaDB" in version,
            int(variables["max_allowed_packet"]),
            any(variables.get(each) in _UNFIT for each in _ISOLATION),
        )
        connection.info[_NOTE] = server
    return server


def keeps_snapshot(connection: Connection, /) -> bool:
    """Tell whether transactions of the session read the same again, whatever others commit."""
    # Not the note of the connection: it may be set anew at any time.
    levels = [str(value) for name, value in fetch(connection, _SELECT) if name in _ISOLATION]
    return not any(each.startswith("READ-") for each in levels)


def isolate_next(connection: Connection) -> None:
    """Let the transaction that comes next see what is committed, and wait for no writer."""
    if get_server(connection).needs_isolation:
        execute(connection, _ISOLATE)


def _check_version(version: str) -> None:
    numbers = tuple(int(each) for each in version.partition("-")[0].split("."))
    if numbers < (_OLDEST_MARIADB if "MariaDB" in version else _OLDEST_MYSQL):
        raise StorageError(
            f"castore-sql needs MySQL 8.0.17 or MariaDB 10.6, or later: this is {version}"
        )


def _check_charset(charset: str) -> None:
    if charset != "utf8mb4":
        raise StorageError(
            f"the charset of the connection is {charset!r}: add charset=utf8mb4 to the URL"
        )
