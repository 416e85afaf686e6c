"""Checks of the options of an adapter, and of numbers that SQLite cannot hold."""

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

MAX_INTEGER = 2**63 - 1
NO_LIMIT = -1


def check_engine(engine: object) -> None:
    """Refuse an engine that is not of SQLite, or not of the kind that its driver needs.

    Raises:
        TypeError: it is no engine, or its driver is asynchronous and the engine is not.
        ValueError: it is of another database.
    """
    if not isinstance(engine, (Engine, AsyncEngine)):
        raise TypeError(f"not an engine of SQLAlchemy: {engine!r}")
    if engine.dialect.name != "sqlite":
        raise ValueError(f"castore-sql does not know {engine.dialect.name!r}: use SQLite")
    if isinstance(engine, Engine) and engine.dialect.is_async:
        raise TypeError(
            f"the driver of {engine!r} is asynchronous: make the engine with create_async_engine"
        )


def check_table_name(name: object) -> None:
    """Refuse a name that SQLite cannot take for a table."""
    if not isinstance(name, str) or not name or "\0" in name or not _is_unicode(name):
        raise ValueError(f"table_name is not the name of a table: {name!r}")


def check_busy_timeout(seconds: object) -> None:
    """Refuse a value that is no number of seconds, 0 or more."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise ValueError(f"busy_timeout is not 0 or more: {seconds!r}")


def check_rows_in_loop(rows: object) -> None:
    """Refuse a value that is no number of rows, 0 or more."""
    if type(rows) is not int or rows < 0:
        raise ValueError(f"rows_in_loop is not 0 or more: {rows!r}")


def check_limit(limit: object) -> int:
    """Return a limit that SQLite can hold."""
    if type(limit) is not int or limit < 1:
        raise ValueError(f"limit is not 1 or more: {limit!r}")
    return min(limit, MAX_INTEGER - 1)  # a list looks one further


def clamp(version: int) -> int:
    """Return the nearest version that SQLite can hold."""
    return max(-MAX_INTEGER, min(version, MAX_INTEGER))


def fold_table_name(name: str) -> str:
    """Return the same name for all names of one table: SQLite ignores the case of ASCII letters."""
    return "".join(each.lower() if each.isascii() else each for each in name)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
