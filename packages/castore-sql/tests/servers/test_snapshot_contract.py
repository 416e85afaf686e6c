"""Snapshots on the servers keep the contract, through each driver."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_sql import SQLSnapshotStorageAdapter
from castore_test_tools import SnapshotStorageAdapterTests
from sql_servers import ServerDatabase


class OnServer(SnapshotStorageAdapterTests):
    """An empty table on a server, through one of its drivers."""

    works_in_several_event_loops_at_once = False  # nor does the pool of SQLAlchemy

    @pytest.fixture
    async def adapter(self, engine: Engine | AsyncEngine) -> SQLSnapshotStorageAdapter:
        """Return an adapter without snapshots."""
        adapter = SQLSnapshotStorageAdapter(engine)
        await adapter.create_tables()
        return adapter

    @pytest.fixture
    def connect_again(
        self, engine: Engine | AsyncEngine
    ) -> Callable[[], SQLSnapshotStorageAdapter]:
        """Make adapters on the same engine."""
        return lambda: SQLSnapshotStorageAdapter(engine)

    @pytest.fixture
    def break_backend(self, database: ServerDatabase) -> Callable[[], None]:
        """Drop the table behind the adapter's back."""

        def drop() -> None:
            database.run("DROP TABLE snapshot")

        return drop


@pytest.mark.parametrize("kind", ["asyncpg", "psycopg", "asyncmy-mysql", "aiomysql"], indirect=True)
class TestSnapshotsOnServers(OnServer):
    """Through the async drivers, whose pools belong to one event loop."""

    works_in_several_event_loops = False


@pytest.mark.parametrize("kind", ["psycopg-sync", "pymysql"], indirect=True)
class TestSnapshotsOnServersInThreads(OnServer):
    """Through synchronous engines."""
