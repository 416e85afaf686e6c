"""Façades inside a transaction of the user's, on servers."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from castore_sql import SQLEventStorageAdapter
from sync_within_suite import SyncAccounts, SyncWithinTests, note, read_notes
from within_suite import open_account


@pytest.mark.parametrize("kind", ["psycopg-sync", "pymysql", "pymysql-mysql"], indirect=True)
class TestSyncWithin(SyncWithinTests):
    """Through synchronous drivers."""

    @pytest.fixture
    async def engine(self, engine: Engine) -> Engine:
        """Return the engine on an empty database of the server."""
        return engine

    def test_requests_in_threads(
        self, engine: Engine, adapter: SQLEventStorageAdapter, accounts: SyncAccounts
    ) -> None:
        """Each thread has a transaction of its own, all open at the same time."""
        barrier = threading.Barrier(4)

        def request(number: int) -> None:
            with engine.begin() as connection:
                inside = accounts.using(adapter.within(connection))
                for version in range(3):
                    note(connection, f"{number}-{version}")
                    inside.push_event(open_account(f"a{number}-{version}"))
                barrier.wait(20)

        with ThreadPoolExecutor(4) as pool:
            assert [None] * 4 == [*pool.map(request, range(4))]

        assert 12 == len(read_notes(engine))
        assert 12 == len([*accounts.iter_aggregate_ids()])
