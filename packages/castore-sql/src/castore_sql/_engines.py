"""Which dialect an engine speaks."""

from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_sql import _mysql, _postgresql, _sqlite
from castore_sql._dialect import Dialect

_DIALECTS: Final[dict[str, Dialect]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mariadb": _mysql,
}


def get_dialect(engine: object) -> Dialect:
    """Return the dialect of an engine, or refuse one that no adapter can use.

    Raises:
        TypeError: it is no engine, or its driver is asynchronous and the engine is not.
        ValueError: it is of another database.
    """
    if not isinstance(engine, (Engine, AsyncEngine)):
        raise TypeError(f"not an engine of SQLAlchemy: {engine!r}")
    dialect = _DIALECTS.get(engine.dialect.name)
    if dialect is None:
        known = ", ".join(_DIALECTS)
        raise ValueError(f"castore-sql does not know {engine.dialect.name!r}: it knows {known}")
    if isinstance(engine, Engine) and engine.dialect.is_async:
        raise TypeError(
            f"the driver of {engine!r} is asynchronous: make the engine with create_async_engine"
        )
    return dialect


def check_connection(connection: object, engine: Engine | AsyncEngine) -> None:
    """Refuse what is no connection of an engine, nor of one that shares its pool.

    Raises:
        TypeError: it is no connection.
        ValueError: it is one of another engine.
    """
    if not isinstance(connection, (Connection, AsyncConnection)):
        raise TypeError(
            f"not a connection of SQLAlchemy: {connection!r}: give that of engine.begin(), of a "
            "Session session.connection(), or of an AsyncSession await session.connection()"
        )
    if connection.engine.pool is not engine.pool:
        raise ValueError(
            f"the connection is one of another engine, of {connection.engine.url!r}: the adapter "
            f"was made with an engine of {engine.url!r}"
        )
