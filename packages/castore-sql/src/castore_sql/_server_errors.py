"""The errors that all servers have in common."""

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from castore_core import StorageError


def get_errors(engine: Engine, /) -> tuple[type[Exception], ...]:
    """Return the errors that a statement, or a value bound to it, can raise."""
    driver: Any = engine.dialect.loaded_dbapi
    errors = (driver.Error, SQLAlchemyError, UnicodeError, OverflowError, OSError)
    if engine.dialect.driver == "asyncpg":  # SQLAlchemy 2.0 leaves an error of a connect as it is
        return (*errors, driver.asyncpg.PostgresError)
    return errors


def translate_error_of_client(error: Exception) -> StorageError | None:
    """Return the castore error for an error that is not the server's."""
    if isinstance(error, PoolTimeoutError):
        return StorageError(f"no connection of the pool became free: {error}")
    if isinstance(error, OSError):
        return StorageError(f"the database cannot be reached: {error}")
    if isinstance(error, UnicodeError):
        return StorageError(f"a text cannot be written in the charset of the connection: {error}")
    return None
