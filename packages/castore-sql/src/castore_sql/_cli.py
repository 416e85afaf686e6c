"""Create the tables of castore-sql, or print their DDL."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

from cyclopts import App
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_cli import Address, Terminal, UsageError, open_objects
from castore_core import EventStore
from castore_sql._bookmarks import SQLBookmarkStorageAdapter
from castore_sql._ddl import record_statements
from castore_sql._events import SQLEventStorageAdapter
from castore_sql._snapshots import SQLSnapshotStorageAdapter

SQLAdapter: TypeAlias = (
    SQLBookmarkStorageAdapter | SQLEventStorageAdapter | SQLSnapshotStorageAdapter
)

_ADAPTERS: Final[tuple[type[SQLAdapter], ...]] = (
    SQLBookmarkStorageAdapter,
    SQLEventStorageAdapter,
    SQLSnapshotStorageAdapter,
)

app: Final = App(name="sql", help=__doc__)


@app.command
async def create_tables(address: Address, /, *, terminal: Terminal) -> None:
    """Create the tables that are missing, and leave alone those that are there.

    Args:
        address: Storage adapters, or event stores: those of their events and snapshots count.
    """
    async with _open_adapters(address) as adapters:
        urls = dict.fromkeys(_get_url(each) for each in adapters)
        terminal.confirm(f"create the missing tables in {', '.join(urls)}")
        for each in adapters:
            await each.create_tables()
        rows = [
            {"storageAdapter": type(each).__name__, "database": _get_url(each)} for each in adapters
        ]
        terminal.show_rows(rows)


@app.command
async def ddl(address: Address, /, *, mariadb: bool = False, terminal: Terminal) -> None:
    """Print the statements that create the tables in an empty database, and run none.

    No connection is made. The collations of MySQL and MariaDB differ.

    Args:
        address: Storage adapters, or event stores: those of their events and snapshots count.
        mariadb: The server is a MariaDB, also where the URL begins with mysql.
    """
    async with _open_adapters(address) as adapters:
        statements = [line for each in adapters for line in _list_statements(each, mariadb=mariadb)]
        statements = list(dict.fromkeys(statements))
        text = "\n\n".join(f"{each};" for each in statements)
        terminal.show_text(text, {"statements": statements})


def _list_statements(adapter: SQLAdapter, *, mariadb: bool = False) -> list[str]:
    """Return the statements that create the tables of an adapter in an empty database."""
    works = [adapter._table.create]  # pyright: ignore[reportPrivateUsage]
    if isinstance(adapter, SQLBookmarkStorageAdapter):
        works.append(adapter._parked.create)  # pyright: ignore[reportPrivateUsage]
    dialect: Any = _get_engine(adapter).dialect
    is_mariadb = mariadb or bool(getattr(dialect, "is_mariadb", False))
    return record_statements(works, dialect.name, is_mariadb=is_mariadb)


@asynccontextmanager
async def _open_adapters(address: Address) -> AsyncGenerator[Sequence[SQLAdapter]]:
    async with open_objects(address, EventStore, *_ADAPTERS) as found:
        parts: list[object] = [part for each in found for part in _list_parts(each)]
        adapters: list[SQLAdapter] = [each for each in parts if isinstance(each, _ADAPTERS)]
        by_identity = {id(each): each for each in adapters}
        if not by_identity:
            raise UsageError(f"{address!r} has no storage adapter of castore-sql")
        yield [*by_identity.values()]


def _list_parts(found: EventStore | SQLAdapter) -> list[object]:
    if not isinstance(found, EventStore):
        return [found]
    snapshots = found.snapshots
    return [found.storage_adapter, None if snapshots is None else snapshots.storage_adapter]


def _get_engine(adapter: SQLAdapter) -> Engine | AsyncEngine:
    return adapter._engine  # pyright: ignore[reportPrivateUsage]


def _get_url(adapter: SQLAdapter) -> str:
    return _get_engine(adapter).url.render_as_string(hide_password=True)
