"""Bookmarks on the servers keep the contract, through each driver."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_sql import SQLBookmarkStorageAdapter
from castore_test_tools import BookmarkStorageAdapterTests
from sql_servers import ServerDatabase

INSERT = text("INSERT INTO joined VALUES (:body)")

Join: TypeAlias = tuple[Callable[..., Any], Callable[..., Any]]


class OnServer(BookmarkStorageAdapterTests):
    """An empty table on a server, through one of its drivers."""

    works_in_several_event_loops_at_once = False  # nor does the pool of SQLAlchemy

    @pytest.fixture
    async def adapter(self, engine: Engine | AsyncEngine) -> SQLBookmarkStorageAdapter:
        """Return an adapter without bookmarks."""
        adapter: SQLBookmarkStorageAdapter = SQLBookmarkStorageAdapter(engine)
        await adapter.create_tables()
        return adapter

    @pytest.fixture
    def connect_again(
        self, engine: Engine | AsyncEngine
    ) -> Callable[[], SQLBookmarkStorageAdapter]:
        """Make adapters on the same engine."""
        return lambda: SQLBookmarkStorageAdapter(engine)

    @pytest.fixture
    def break_backend(self, database: ServerDatabase) -> Callable[[], None]:
        """Drop the tables behind the adapter's back."""

        def drop() -> None:
            database.run("DROP TABLE bookmark", "DROP TABLE parked_event")

        return drop

    @pytest.fixture
    def join_transaction(self, database: ServerDatabase) -> Join:
        """Write to a table of the user's, and read it by somebody else."""
        database.run("CREATE TABLE joined (body VARCHAR(100))")

        async def write(connection: Connection | AsyncConnection, body: str) -> None:
            if isinstance(connection, AsyncConnection):
                await connection.execute(INSERT, {"body": body})
            else:
                connection.execute(INSERT, {"body": body})

        def read() -> list[str]:
            return [body for (body,) in database.run("SELECT body FROM joined")]

        return write, read


@pytest.mark.parametrize("kind", ["asyncpg", "psycopg", "asyncmy-mysql", "aiomysql"], indirect=True)
class TestBookmarksOnServers(OnServer):
    """Through the async drivers, whose pools belong to one event loop."""

    works_in_several_event_loops = False


@pytest.mark.parametrize("kind", ["psycopg-sync", "pymysql"], indirect=True)
class TestBookmarksOnServersInThreads(OnServer):
    """Through synchronous engines."""
