"""Any engine of the user's will do on PostgreSQL, and stays as it was."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import (
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    StorageError,
    VersionAssertionError,
)
from castore_sql import SQLEventStorageAdapter
from sql_servers import Kind, ServerDatabase, dispose, read_log

STORE = "NOTES"
NOTE = EventRecord("a", 1, "NOTED", datetime(2024, 1, 1, 12, tzinfo=UTC), {"a": [1, 2.5, None]})
LEVELS = ["SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED", "AUTOCOMMIT"]


def refuse(*_: Any) -> Any:
    """Fail, where nobody should call."""
    raise AssertionError("it is not asked for JSON")


OPTIONS: dict[str, dict[str, Any]] = {
    **{level: {"isolation_level": level} for level in LEVELS},
    "pre-ping": {"pool_pre_ping": True},
    "no pool": {"poolclass": NullPool},
    "no reset": {"pool_reset_on_return": None},
    "one connection": {"pool_size": 1, "max_overflow": 0},
    "recycling": {"pool_recycle": 0},
    "last in, first out": {"pool_use_lifo": True},
    "JSON": {"json_serializer": refuse, "json_deserializer": refuse},
    "echo off, hidden": {"echo": False, "hide_parameters": True},
    "settings of its own": {"execution_options": {"isolation_level": "SERIALIZABLE"}},
}


def get_sync_engine(engine: Engine | AsyncEngine) -> Engine:
    """Return the synchronous engine of either kind, which has the events of SQLAlchemy."""
    return engine.sync_engine if isinstance(engine, AsyncEngine) else engine


async def run(engine: Engine | AsyncEngine, function: Callable[[Connection], Any]) -> Any:
    """Run a function on the next connection that the user gets."""
    if isinstance(engine, AsyncEngine):
        async with engine.connect() as connection:
            return await connection.run_sync(function)
    with engine.connect() as connection:
        return function(connection)


def look(connection: Connection) -> dict[str, Any]:
    """Return the settings of a connection."""
    names = ("transaction_isolation", "transaction_read_only", "search_path", "TimeZone")
    return {
        "level": connection.get_isolation_level(),
        "autocommit": connection.dialect.detect_autocommit_setting(
            connection.connection.dbapi_connection  # pyright: ignore[reportArgumentType] it is open
        ),
        **{name: connection.scalar(text(f"SHOW {name}")) for name in names},
    }


async def use(engine: Engine | AsyncEngine) -> None:
    """Push, conflict, read, push groups, list, and read the log, on an empty table."""
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await adapter.push_event(STORE, NOTE)
    ids = [f"b{number}" for number in range(20)]
    await asyncio.gather(
        *(adapter.push_event(STORE, NOTE._replace(aggregate_id=each)) for each in ids)
    )
    with pytest.raises(EventAlreadyExistsError):
        await adapter.push_event(STORE, NOTE)
    await adapter.push_event(STORE, NOTE._replace(metadata=1), force=True)
    group = [GroupedRecord(STORE, NOTE._replace(version=version), adapter) for version in (2, 3)]
    with pytest.raises(VersionAssertionError):
        await adapter.push_event_group(group, asserted=[AssertedVersion(STORE, "b0", 2, adapter)])
    await adapter.push_event_group(group, asserted=[AssertedVersion(STORE, "b0", 1, adapter)])
    with pytest.raises(EventAlreadyExistsError):
        await adapter.push_event_group(group)

    expected = [NOTE._replace(metadata=1), *(each.record for each in group)]
    assert expected == await adapter.get_events(STORE, "a")
    listed = (await adapter.list_aggregate_ids(STORE)).aggregates
    assert sorted(["a", *ids]) == [each.aggregate_id for each in listed]
    entries = await read_log(adapter, 23)
    assert 23 == len(entries)
    assert entries[-1].position == await adapter.get_last_position()


@asynccontextmanager
async def using(database: ServerDatabase, kind: Kind, **options: Any) -> AsyncGenerator[Any]:
    """Make an engine, and dispose of it."""
    engine = database.make_engine(kind, **options)
    try:
        yield engine
    finally:
        await dispose(engine)


@pytest.mark.parametrize("name", OPTIONS)
async def test_options_of_an_engine_are_kept(
    database: ServerDatabase, kind: Kind, name: str
) -> None:
    """The next connection of the user's has the settings that it had before."""
    async with using(database, kind, **OPTIONS[name]) as engine:
        before = await run(engine, look)

        await use(engine)

        assert [before] * 3 == [await run(engine, look) for _ in range(3)]


async def test_no_statement_is_prepared_for_a_pooler_of_connections(
    database: ServerDatabase, kind: Kind
) -> None:
    """As PgBouncer has it, of which each transaction may be in another session."""
    args = database.get_connect_args(kind.driver)
    if kind.driver == "postgresql+asyncpg":
        args |= {"prepared_statement_cache_size": 0, "statement_cache_size": 0}
    else:
        args |= {"prepare_threshold": None}
    async with using(database, kind, connect_args=args, pool_size=1) as engine:
        await use(engine)

        count = text("SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql")
        own = 1 if kind.driver == "postgresql+asyncpg" else 0  # that of the question
        assert own >= await run(engine, lambda each: each.scalar(count))


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
async def test_sessions_may_begin_in_another_isolation_level(
    database: ServerDatabase, kind: Kind, level: str
) -> None:
    """As a role or a database may have it. What cannot be serialized is tried again."""
    settings = {
        "search_path": database.name,
        "default_transaction_isolation": level,
    }
    options = "".join(
        f" -c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in settings.items()
    )
    args = (
        {"server_settings": settings}
        if kind.driver == "postgresql+asyncpg"
        else {"options": options}
    )
    async with using(database, kind, connect_args=args) as engine:
        await use(engine)
        adapter = SQLEventStorageAdapter(engine)
        others = [SQLEventStorageAdapter(engine) for _ in range(3)]

        outcomes = await asyncio.gather(
            *(
                each.push_event_group(
                    [
                        GroupedRecord(STORE, NOTE._replace(aggregate_id=f"c{number}"), each),
                        GroupedRecord(STORE, NOTE._replace(aggregate_id=f"d{number}"), each),
                    ],
                    asserted=[AssertedVersion(STORE, "a", 3, each)],
                )
                for number in range(5)
                for each in [adapter, *others]
            ),
            return_exceptions=True,
        )

        assert 5 == outcomes.count(None)
        assert 15 == sum(isinstance(each, EventAlreadyExistsError) for each in outcomes)
        assert level == (await run(engine, look))["transaction_isolation"]


@pytest.mark.parametrize("level", LEVELS)
async def test_a_copy_of_an_engine_with_options_is_an_engine(
    database: ServerDatabase, kind: Kind, level: str
) -> None:
    """The copy and the original have one pool, and each its own settings."""
    async with using(database, kind, pool_size=1, max_overflow=0) as engine:
        copy = engine.execution_options(isolation_level=level, compiled_cache=None)
        before = await run(engine, look), await run(copy, look)

        await use(copy)

        assert before == (await run(engine, look), await run(copy, look))
        adapter = SQLEventStorageAdapter(engine)
        assert 3 == len(await adapter.get_events(STORE, "a"))
        assert before == (await run(engine, look), await run(copy, look))


async def test_listeners_of_the_pool_are_called(database: ServerDatabase, kind: Kind) -> None:
    """What they set for a session is kept, also where they leave a transaction open."""
    calls: list[str] = []
    async with using(database, kind, pool_size=1, max_overflow=0) as engine:
        pool = get_sync_engine(engine).pool

        def on_connect(connection: Any, _: Any) -> None:
            calls.append("connect")
            cursor = connection.cursor()
            cursor.execute("SET TimeZone TO 'Asia/Kathmandu'")
            cursor.close()  # and no commit

        def on_checkout(connection: Any, *_: Any) -> None:
            calls.append("checkout")
            cursor = connection.cursor()
            cursor.execute("SET application_name TO 'a user'")
            cursor.close()

        def on_checkin(*_: Any) -> None:
            calls.append("checkin")

        event.listen(pool, "connect", on_connect)
        event.listen(pool, "checkout", on_checkout)
        event.listen(pool, "checkin", on_checkin)

        await use(engine)

        assert "Asia/Kathmandu" == (await run(engine, look))["TimeZone"]
        name = text("SHOW application_name")
        assert "a user" == await run(engine, lambda each: each.scalar(name))
    assert 1 == calls.count("connect")
    assert calls.count("checkout") == calls.count("checkin") > 10


async def test_listeners_of_the_engine_do_not_see_our_statements(
    database: ServerDatabase, kind: Kind
) -> None:
    """They are about statements and transactions of SQLAlchemy's, which ours are not."""
    calls: list[str] = []
    async with using(database, kind) as engine:
        sync_engine = get_sync_engine(engine)
        for name in ("before_cursor_execute", "after_cursor_execute", "begin", "commit"):

            def note(*_: Any, name: str = name) -> None:
                calls.append(name)

            event.listen(sync_engine, name, note)

        await use(engine)

        assert [] == calls
        await run(engine, lambda each: each.scalar(text("SELECT 1")))
        assert ["begin", "before_cursor_execute", "after_cursor_execute"] == calls


@pytest.mark.parametrize("level", ["SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED"])
async def test_pushes_join_a_transaction_of_any_level(
    database: ServerDatabase, kind: Kind, level: str
) -> None:
    """The transaction of the user keeps its level, and ends as the user has it."""
    async with using(database, kind, isolation_level=level) as engine:
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        await adapter.push_event(STORE, NOTE)

        async def work(connection: Any) -> None:
            inner = adapter.within(connection)
            with pytest.raises(EventAlreadyExistsError):
                await inner.push_event(STORE, NOTE)
            await inner.push_event(STORE, NOTE._replace(version=2))
            with pytest.raises(EventAlreadyExistsError):
                await inner.push_event_group(
                    [GroupedRecord(STORE, NOTE._replace(version=each), inner) for each in (3, 2)]
                )
            await inner.push_event(STORE, NOTE._replace(version=3))

        if isinstance(engine, AsyncEngine):
            async with engine.begin() as connection:
                await work(connection)
                assert level == await connection.get_isolation_level()
        else:
            with engine.begin() as connection:
                await work(connection)
                assert level == connection.get_isolation_level()

        assert [1, 2, 3] == [each.version for each in await adapter.get_events(STORE, "a")]


async def test_a_session_that_only_reads_says_so(database: ServerDatabase, kind: Kind) -> None:
    """The error of the server is the reason of ours, and nothing else suffers."""
    async with using(database, kind) as engine:
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
    settings = {"search_path": database.name, "default_transaction_read_only": "on"}
    args = (
        {"server_settings": settings}
        if kind.driver == "postgresql+asyncpg"
        else {"options": "".join(f" -c {name}={value}" for name, value in settings.items())}
    )
    async with using(database, kind, connect_args=args) as engine:
        adapter = SQLEventStorageAdapter(engine)

        with pytest.raises(StorageError, match="read-only"):
            await adapter.push_event(STORE, NOTE)
        assert [] == await adapter.get_events(STORE, "a")


@pytest.mark.parametrize("driver", ["psycopg2", "pg8000"])
def test_other_drivers_are_refused(monkeypatch: pytest.MonkeyPatch, driver: str) -> None:
    """The error names those that are known."""
    module = ModuleType(driver)
    vars(module).update(__version__="2.9.9", paramstyle="pyformat", extras=None)
    monkeypatch.setitem(sys.modules, driver, module)
    engine = create_engine(f"postgresql+{driver}://127.0.0.1/none")

    with pytest.raises(ValueError, match=rf"'{driver}'.*postgresql\+asyncpg.*postgresql\+psycopg"):
        SQLEventStorageAdapter(engine)
