"""What users do wrong is told, and what they did before is not undone."""

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine, create_engine, text

from castore_core import EventRecord, GroupedRecord, InvalidEventGroupError, StorageError
from castore_sql import SQLEventStorageAdapter

RECORD = EventRecord("pikachu1", 1, "PUSHED", datetime(2024, 1, 1, tzinfo=UTC))


async def test_a_transaction_of_the_user_is_not_undone() -> None:
    """On a shared connection, a push inside the user's transaction is refused."""
    engine = create_engine("sqlite://")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE note (body TEXT)"))

    with engine.begin() as connection:
        connection.execute(text("INSERT INTO note VALUES ('mine')"))
        with pytest.raises(StorageError, match="transaction of yours"):
            await adapter.push_event("STORE", RECORD)

    with engine.connect() as connection:
        assert ["mine"] == list(connection.scalars(text("SELECT body FROM note")))
    assert [] == await adapter.get_events("STORE", "pikachu1")
    engine.dispose()


@pytest.mark.parametrize("force", [False, True])
async def test_one_event_twice_through_two_adapters(
    adapter: SQLEventStorageAdapter, engine: Engine, *, force: bool
) -> None:
    """Two adapters of one table cannot both write a version in one group."""
    other = SQLEventStorageAdapter(engine)
    group = [GroupedRecord("STORE", RECORD, each) for each in (adapter, other)]

    with pytest.raises(InvalidEventGroupError, match="two events of version 1"):
        await adapter.push_event_group(group, force=force)

    assert [] == await adapter.get_events("STORE", "pikachu1")


async def test_parameters_of_another_style(tmp_path: Path) -> None:
    """The engine's style of parameters is its user's affair."""
    engine = create_engine(f"sqlite:///{tmp_path}/named.db", paramstyle="named")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()

    await adapter.push_event("STORE", RECORD)

    assert [RECORD] == await adapter.get_events("STORE", "pikachu1")
    engine.dispose()


def test_an_url_is_no_engine() -> None:
    """The error says what is wanted."""
    with pytest.raises(TypeError, match="not an engine of SQLAlchemy: 'sqlite"):
        SQLEventStorageAdapter(cast("Any", "sqlite:///events.db"))


async def test_a_thread_that_does_not_start(
    adapter: SQLEventStorageAdapter, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The push that needed the thread fails; the next one tries to start it again."""
    fresh_engine = create_engine(engine.url)
    fresh = SQLEventStorageAdapter(fresh_engine)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            await fresh.push_event("STORE", RECORD)
    await asyncio.wait_for(fresh.push_event("STORE", RECORD), timeout=10)

    assert [RECORD] == await adapter.get_events("STORE", "pikachu1")
    fresh_engine.dispose()


@pytest.mark.parametrize("column", ["data", "metadata", "timestamp"])
async def test_a_row_that_somebody_spoilt(
    adapter: SQLEventStorageAdapter, engine: Engine, column: str
) -> None:
    """What cannot be read is told with its place, by reads of the aggregate and of the log."""
    await adapter.push_event("STORE", RECORD)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE event SET {column} = '<xml/>'"))  # noqa: S608 a name of ours

    with pytest.raises(StorageError, match="event 1 of aggregate 'pikachu1' cannot be read"):
        await adapter.get_events("STORE", "pikachu1")
    with pytest.raises(StorageError, match="event 1 of aggregate 'pikachu1' cannot be read"):
        await adapter.read_events()
