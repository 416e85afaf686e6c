"""A connection as work on the database sees it."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

from sqlalchemy.engine.interfaces import DBAPICursor

T = TypeVar("T")


class Connection(Protocol):
    """A connection of a driver (PEP 249), and notes about it that live as long."""

    @property
    def driver_connection(self) -> Any:
        """The connection of the driver."""
        ...

    @property
    def info(self) -> dict[Any, Any]:
        """The notes."""
        ...

    def cursor(self) -> DBAPICursor:
        """Return a cursor."""
        ...


Work: TypeAlias = Callable[[Connection], T]
