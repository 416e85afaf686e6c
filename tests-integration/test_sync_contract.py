"""Storages keep their contract where synchronous programs call them through façades."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from castore_core import EventStorageAdapter
from castore_core.sync import EventLoopThread
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from castore_test_tools import EventStorageAdapterTests
from through_facade import ThroughFacade


@pytest.fixture
def event_loop() -> Iterator[EventLoopThread]:
    """Give an event loop thread."""
    with EventLoopThread() as event_loop:
        yield event_loop


class TestInMemory(EventStorageAdapterTests):
    """In memory."""

    @pytest.fixture
    def adapter(self, event_loop: EventLoopThread) -> EventStorageAdapter:
        """Return an adapter without events."""
        return ThroughFacade(InMemoryEventStorageAdapter(), event_loop)


class TestSQLite(EventStorageAdapterTests):
    """On SQLite, in a file."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """Give an engine."""
        engine = create_engine(f"sqlite:///{tmp_path}/events.db")
        yield engine
        engine.dispose()

    @pytest.fixture
    async def adapter(self, engine: Engine, event_loop: EventLoopThread) -> EventStorageAdapter:
        """Return an adapter without events."""
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        return ThroughFacade(adapter, event_loop)

    @pytest.fixture
    def connect_again(
        self, engine: Engine, event_loop: EventLoopThread
    ) -> Callable[[], EventStorageAdapter]:
        """Make adapters on the same engine."""
        return lambda: ThroughFacade(SQLEventStorageAdapter(engine), event_loop)

    @pytest.fixture
    def break_backend(self, engine: Engine) -> Callable[[], None]:
        """Drop the table behind the adapter's back."""

        def drop() -> None:
            with engine.begin() as connection:
                connection.execute(text("DROP TABLE event"))

        return drop
