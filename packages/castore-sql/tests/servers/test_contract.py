"""The servers keep the contract, and so does each driver: asyncmy on MySQL, others on MariaDB."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_sql import SQLEventStorageAdapter
from castore_test_tools import EventLogTests, EventStorageAdapterTests


async def make_adapter(
    engine: Engine | AsyncEngine, table_name: str = "event"
) -> SQLEventStorageAdapter:
    """Return an adapter of a table that was just created."""
    adapter = SQLEventStorageAdapter(engine, table_name=table_name)
    await adapter.create_tables()
    return adapter


class OnServer:
    """An empty table on a server, through one of its drivers."""

    works_in_several_event_loops_at_once = False  # nor does the pool of SQLAlchemy

    @pytest.fixture
    async def adapter(self, engine: Engine | AsyncEngine) -> SQLEventStorageAdapter:
        """Return an adapter without events."""
        return await make_adapter(engine)

    @pytest.fixture
    def connect_again(self, engine: Engine | AsyncEngine) -> Callable[[], SQLEventStorageAdapter]:
        """Make adapters on the same engine."""
        return lambda: SQLEventStorageAdapter(engine)

    @pytest.fixture
    async def foreign_adapter(self, other_engine: Engine | AsyncEngine) -> SQLEventStorageAdapter:
        """Return an adapter on another engine."""
        return SQLEventStorageAdapter(other_engine)

    @pytest.fixture
    def break_backend(self, drop_table: Callable[[], None]) -> Callable[[], None]:
        """Drop the table behind the adapter's back."""
        return drop_table


class OfEvents(OnServer, EventStorageAdapterTests):
    """The event storage, and groups over two tables."""

    @pytest.fixture
    async def sibling_adapter(self, engine: Engine | AsyncEngine) -> SQLEventStorageAdapter:
        """Return an adapter of another table."""
        return await make_adapter(engine, "other_event")


@pytest.mark.parametrize("kind", ["asyncpg", "psycopg"], indirect=True)
class TestEventsOnPostgreSQL(OfEvents):
    """Through the async drivers, whose pools belong to one event loop."""

    holds_nul = False
    negative_zero_stays_negative = False
    works_in_several_event_loops = False


@pytest.mark.parametrize("kind", ["psycopg-sync"], indirect=True)
class TestEventsOnPostgreSQLInThreads(OfEvents):
    """Through a synchronous engine."""

    holds_nul = False
    negative_zero_stays_negative = False


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["asyncpg", "psycopg"], indirect=True)
class TestLogOnPostgreSQL(OnServer, EventLogTests):
    """The event log."""

    holds_nul = False
    negative_zero_stays_negative = False
    works_in_several_event_loops = False


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["psycopg-sync"], indirect=True)
class TestLogOnPostgreSQLInThreads(OnServer, EventLogTests):
    """The event log, through a synchronous engine."""

    holds_nul = False
    negative_zero_stays_negative = False


class OnMySQL:
    """An index of MySQL holds no longer ids."""

    longest_id = 512

    def takes_event_store_id(self, event_store_id: str) -> bool:
        """Tell whether an id fits its column."""
        return len(event_store_id) <= 191


@pytest.mark.parametrize("kind", ["asyncmy-mysql", "aiomysql"], indirect=True)
class TestEventsOnMySQL(OnMySQL, OfEvents):
    """Through the async drivers, whose pools belong to one event loop."""

    works_in_several_event_loops = False


@pytest.mark.parametrize("kind", ["pymysql"], indirect=True)
class TestEventsOnMySQLInThreads(OnMySQL, OfEvents):
    """Through a synchronous engine."""


@pytest.mark.parametrize("kind", ["asyncmy-mysql", "aiomysql"], indirect=True)
class TestLogOnMySQL(OnServer, EventLogTests):
    """The event log."""

    works_in_several_event_loops = False


@pytest.mark.parametrize("kind", ["pymysql"], indirect=True)
class TestLogOnMySQLInThreads(OnServer, EventLogTests):
    """The event log, through a synchronous engine."""
