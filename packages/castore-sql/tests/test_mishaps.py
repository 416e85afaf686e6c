"""What users do wrong is told, and what they did before is not undone."""

import asyncio
import re
import threading
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import (
    AssertedVersion,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    StorageError,
)
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


def test_an_asynchronous_driver_needs_another_engine() -> None:
    """The error says which, and comes with the construction."""
    engine = create_engine("sqlite+aiosqlite://")
    with pytest.raises(TypeError, match="make the engine with create_async_engine"):
        SQLEventStorageAdapter(engine)


@pytest.mark.parametrize("value", [Engine, SQLEventStorageAdapter, create_engine, None])
def test_a_class_is_no_engine(value: Any) -> None:
    """The error names what was given."""
    with pytest.raises(TypeError, match="not an engine of SQLAlchemy: "):
        SQLEventStorageAdapter(value)


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", None, 1])
def test_what_is_no_name_of_a_table(engine: Engine, name: Any) -> None:
    """It is refused at once, and not by the first statement."""
    with pytest.raises(ValueError, match="table_name is not the name of a table"):
        SQLEventStorageAdapter(engine, table_name=name)


@pytest.mark.parametrize("seconds", [-1, float("nan"), "30", None, True])
def test_what_is_no_number_of_seconds(engine: Engine, seconds: Any) -> None:
    """It is refused at once, and not by the first lock."""
    with pytest.raises(ValueError, match="busy_timeout is not 0 or more"):
        SQLEventStorageAdapter(engine, busy_timeout=seconds)


async def test_a_database_in_memory_from_another_thread() -> None:
    """Each thread has an empty one of its own, and the error says so."""
    engine = create_engine("sqlite://")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()

    def read() -> None:
        asyncio.run(adapter.read_events())

    with pytest.raises(StorageError, match="in memory, and each thread has its own"):
        await asyncio.to_thread(read)
    engine.dispose()


@pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite"])
@pytest.mark.parametrize(
    ("database", "reason", "named"),
    [
        ("{path}/missing/events.db", "unable to open database file", "'{path}/missing/events.db'"),
        ("{path}", "unable to open database file", "'{path}'"),
        ("{path}/text.db", "file is not a database", "'{path}/text.db'"),
        ("file:{path}/empty.db?mode=ro&uri=true", "readonly database", "'file:{path}/empty.db"),
    ],
)
async def test_a_file_that_cannot_be_used(
    tmp_path: Path, driver: str, database: str, reason: str, named: str
) -> None:
    """The error names the file, whoever pushes, reads or creates."""
    (tmp_path / "text.db").write_text("The quick brown fox jumps over the lazy dog. " * 100)
    await asyncio.to_thread(_create, tmp_path / "empty.db")
    make: Any = create_async_engine if "aiosqlite" in driver else create_engine
    engine = make(f"{driver}:///{database.format(path=tmp_path)}")
    adapter = SQLEventStorageAdapter(engine, busy_timeout=0)
    attempts: list[Awaitable[object]]
    attempts = [adapter.create_tables(), adapter.push_event("STORE", RECORD)]
    if "ro" not in database:
        attempts.append(adapter.get_events("STORE", "a"))
    for attempt in attempts:
        with pytest.raises(StorageError, match=re.escape(named.format(path=tmp_path))) as caught:
            await attempt
        assert reason in str(caught.value)
    disposal = engine.dispose()
    if disposal is not None:
        await disposal


def _create(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    adapter = SQLEventStorageAdapter(engine)
    asyncio.run(adapter.create_tables())
    engine.dispose()
    with engine.connect() as connection:  # or else a reader has to write files beside it
        connection.exec_driver_sql("PRAGMA journal_mode = DELETE")
    engine.dispose()


@pytest.mark.parametrize("force", [False, True])
async def test_one_table_under_two_names(
    adapter: SQLEventStorageAdapter, engine: Engine, *, force: bool
) -> None:
    """SQLite takes names that differ in the case of ASCII letters for one."""
    other = SQLEventStorageAdapter(engine, table_name="eVENT")
    group = [GroupedRecord("STORE", RECORD, each) for each in (adapter, other)]
    with pytest.raises(InvalidEventGroupError, match="two events of version 1"):
        await adapter.push_event_group(group, force=force)
    asserted = [AssertedVersion("STORE", "pikachu1", 0, other)]
    with pytest.raises(InvalidEventGroupError, match="asserts the version"):
        await adapter.push_event_group(group[:1], asserted=asserted, force=force)

    assert [] == await adapter.get_events("STORE", "pikachu1")


async def test_names_that_differ_in_other_letters(engine: Engine) -> None:
    """To SQLite they are two tables."""
    adapters = [
        SQLEventStorageAdapter(engine, table_name=each) for each in ("\xe9vent", "\xc9vent")
    ]
    for each in adapters:
        await each.create_tables()

    await adapters[0].push_event_group([GroupedRecord("STORE", RECORD, each) for each in adapters])

    assert [[RECORD]] * 2 == [await each.get_events("STORE", "pikachu1") for each in adapters]


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
