"""Façades inside a transaction of the user's, on SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from castore_core import StorageError
from sync_within_suite import SyncAccounts, SyncWithinTests, note, read_notes
from within_suite import open_account


class TestSyncWithinFile(SyncWithinTests):
    """In a file."""

    @pytest.fixture
    def engine(self, path: Path) -> Iterator[Engine]:
        """Give an engine on an empty file."""
        engine = create_engine(f"sqlite:///{path}")
        yield engine
        engine.dispose()

    def test_a_push_that_would_wait_for_its_own_caller(
        self, engine: Engine, accounts: SyncAccounts
    ) -> None:
        """It is refused at once, with the way out, where the caller's transaction has written."""
        with engine.begin() as connection:
            note(connection, "before")
            with pytest.raises(StorageError, match=r"push inside it, with adapter\.within"):
                accounts.push_event(open_account("ada"))

        assert ["before"] == read_notes(engine)
        accounts.push_event(open_account("ada"))
