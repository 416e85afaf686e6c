"""The drivers of PostgreSQL whose parameters and errors are known here."""

from typing import Final

from sqlalchemy import Dialect

_DRIVERS: Final = frozenset(("asyncpg", "psycopg", "psycopg_async"))


def check_driver(driver: Dialect) -> None:
    """Refuse another one.

    Raises:
        ValueError: it is another one.
    """
    if driver.driver not in _DRIVERS:
        raise ValueError(
            f"castore-sql does not know the driver {driver.driver!r} of PostgreSQL: it knows "
            "asyncpg (postgresql+asyncpg) and psycopg (postgresql+psycopg)"
        )
