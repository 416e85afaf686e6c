"""What a server refuses is told in clear words, and was not written."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import (
    AssertedVersion,
    EventRecord,
    GroupedRecord,
    StorageError,
    UnknownOutcomeError,
)
from castore_sql import SQLEventStorageAdapter
from sql_servers import (
    KINDS,
    MARIADB_KINDS,
    MYSQL_KINDS,
    POSTGRES_KINDS,
    Kind,
    ServerDatabase,
    dispose,
)

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
TIMEOUT = 0.3

each_kind = pytest.mark.parametrize("kind", KINDS, indirect=True)


def make_record(aggregate_id: str) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, 1, "PUSHED", MOMENT)


@asynccontextmanager
async def pushed_within(
    engine: Engine | AsyncEngine,
    adapter: SQLEventStorageAdapter,
    aggregate_id: str,
    *,
    force: bool = False,
) -> AsyncGenerator[None]:
    """Keep a transaction open that has pushed an event, and roll it back."""
    record = make_record(aggregate_id)
    if isinstance(engine, AsyncEngine):
        async with engine.connect() as connection:
            await adapter.within(connection).push_event("STORE", record, force=force)
            yield
    else:
        with engine.connect() as sync_connection:
            await adapter.within(sync_connection).push_event("STORE", record, force=force)
            yield


async def make_adapter(
    engine: Engine | AsyncEngine, *, busy_timeout: float = TIMEOUT
) -> SQLEventStorageAdapter:
    """Return an adapter whose table is there."""
    adapter = SQLEventStorageAdapter(engine, busy_timeout=busy_timeout)
    await adapter.create_tables()
    return adapter


def with_setting(kind: Kind, database: ServerDatabase, setting: str) -> dict[str, Any]:
    """Return the arguments of an engine whose sessions have a setting."""
    name, _, value = setting.partition(" = ")
    if kind.server != "postgres":
        return {"init_command": f"SET SESSION {setting}"}
    if kind.driver == "postgresql+asyncpg":
        return {"server_settings": {"search_path": database.name, name: value}}
    return {"options": f"-c search_path={database.name} -c {name}={value}"}


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        *((each, "lock_timeout = 50") for each in POSTGRES_KINDS),
        *((each, "statement_timeout = 50") for each in POSTGRES_KINDS),
        *((each, "innodb_lock_wait_timeout = 1") for each in [*MARIADB_KINDS, *MYSQL_KINDS]),
        *((each, "max_statement_time = 0.05") for each in MARIADB_KINDS),
    ],
    indirect=["kind"],
)
async def test_a_limit_of_the_server(
    kind: Kind, database: ServerDatabase, engine: Engine | AsyncEngine, setting: str
) -> None:
    """A server that ends a statement which waits has written nothing, and the error says so."""
    adapter = await make_adapter(engine)
    limited = database.make_engine(kind, connect_args=with_setting(kind, database, setting))
    impatient = SQLEventStorageAdapter(limited, busy_timeout=TIMEOUT)
    async with pushed_within(engine, adapter, "a"):
        with pytest.raises(StorageError, match="nothing was written") as caught:
            await impatient.push_event("STORE", make_record("a"))
        assert not isinstance(caught.value, UnknownOutcomeError)
    assert [] == await adapter.get_events("STORE", "a")

    await impatient.push_event("STORE", make_record("a"))
    assert [make_record("a")] == await adapter.get_events("STORE", "a")
    await dispose(limited)


@pytest.mark.parametrize("kind", MYSQL_KINDS, indirect=True)
async def test_a_limit_of_the_server_for_reads(
    kind: Kind, database: ServerDatabase, engine: Engine | AsyncEngine
) -> None:
    """MySQL ends a read that waits in the middle of a push, which was not written."""
    adapter = await make_adapter(engine)
    await adapter.push_event("STORE", make_record("a"))
    options = with_setting(kind, database, "max_execution_time = 50")
    limited = database.make_engine(kind, connect_args=options)
    impatient = SQLEventStorageAdapter(limited)
    group = [GroupedRecord("STORE", make_record("b"), impatient)]
    asserted = [AssertedVersion("STORE", "a", 1, impatient)]
    async with pushed_within(engine, adapter, "a", force=True):
        with pytest.raises(StorageError, match=r"nothing was written") as caught:
            await impatient.push_event_group(group, asserted=asserted)
        assert not isinstance(caught.value, UnknownOutcomeError)
    assert [] == await adapter.get_events("STORE", "b")

    await impatient.push_event_group(group, asserted=asserted)
    assert [make_record("b")] == await adapter.get_events("STORE", "b")
    await dispose(limited)


@pytest.mark.parametrize("kind", POSTGRES_KINDS, indirect=True)
async def test_a_transaction_that_was_idle(
    kind: Kind, database: ServerDatabase, engine: Engine | AsyncEngine
) -> None:
    """A server ends a transaction of the user's: what was pushed in it is gone, and it is told."""
    adapter = await make_adapter(engine)
    options = with_setting(kind, database, "idle_in_transaction_session_timeout = 50")
    limited = database.make_engine(kind, connect_args=options)
    other = SQLEventStorageAdapter(limited)
    with pytest.raises(StorageError, match=r"idle|closed|connection"):
        await push_and_idle(limited, other)

    assert [] == await adapter.get_events("STORE", "a")
    await other.push_event("STORE", make_record("a"))
    await dispose(limited)


async def push_and_idle(engine: Engine | AsyncEngine, adapter: SQLEventStorageAdapter) -> None:
    """Push twice in one transaction, with a pause."""
    if isinstance(engine, AsyncEngine):
        async with engine.begin() as connection:
            await adapter.within(connection).push_event("STORE", make_record("a"))
            await asyncio.sleep(0.2)
            await adapter.within(connection).push_event("STORE", make_record("b"))
    else:
        with engine.begin() as sync_connection:
            await adapter.within(sync_connection).push_event("STORE", make_record("a"))
            await asyncio.sleep(0.2)
            await adapter.within(sync_connection).push_event("STORE", make_record("b"))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "port": ({"port": 9}, r"[Cc]onnect"),
    "user": ({"username": "nobody", "password": "wrong"}, r"nobody"),
    "database": ({"database": "missing_here"}, r"missing_here"),
}


@each_kind
@pytest.mark.parametrize("what", REFUSED)
async def test_a_server_that_is_not_there(kind: Kind, database: ServerDatabase, what: str) -> None:
    """A wrong URL fails at once, whoever pushes, reads or creates."""
    changes, reason = REFUSED[what]
    url = database.get_url(kind.driver).set(**changes)
    engine = (create_async_engine if kind.is_async else create_engine)(url)
    adapter = SQLEventStorageAdapter(engine)
    begin = time.monotonic()
    for attempt in (
        adapter.push_event("STORE", make_record("a")),
        adapter.get_events("STORE", "a"),
        adapter.create_tables(),
    ):
        with pytest.raises(StorageError, match=reason) as caught:
            await attempt
        assert not isinstance(caught.value, UnknownOutcomeError)
    assert 5 > time.monotonic() - begin
    await dispose(engine)


@each_kind
async def test_a_table_that_is_not_there(engine: Engine | AsyncEngine) -> None:
    """The error says what to do."""
    adapter = SQLEventStorageAdapter(engine)
    for attempt in (
        adapter.push_event("STORE", make_record("a")),
        adapter.get_events("STORE", "a"),
    ):
        with pytest.raises(StorageError, match=r"create_tables\(\)"):
            await attempt


@each_kind
async def test_engines_of_several_event_loops(kind: Kind, database: ServerDatabase) -> None:
    """One event loop after the other uses an async engine that was disposed of in between."""
    engine = database.make_engine(kind)
    adapter = SQLEventStorageAdapter(engine)

    async def push(aggregate_id: str) -> list[EventRecord]:
        await adapter.create_tables()
        await adapter.push_event("STORE", make_record(aggregate_id))
        found = await adapter.get_events("STORE", aggregate_id)
        await dispose(engine)
        return found

    for each in "abc":
        assert [make_record(each)] == await asyncio.to_thread(asyncio.run, push(each))


@each_kind
async def test_a_user_without_rights(kind: Kind, database: ServerDatabase) -> None:
    """A read-only session refuses a push, which was not written."""
    engine = database.make_engine(kind)
    await make_adapter(engine)
    await dispose(engine)
    setting = "default_transaction_read_only = on"
    if kind.server != "postgres":
        setting = "transaction_read_only = 1" if kind.server == "mysql" else "tx_read_only = 1"
    limited = database.make_engine(kind, connect_args=with_setting(kind, database, setting))
    adapter = SQLEventStorageAdapter(limited)
    with pytest.raises(StorageError, match=r"read.only|READ ONLY"):
        await adapter.push_event("STORE", make_record("a"))

    assert [] == await adapter.get_events("STORE", "a")
    await dispose(limited)


@pytest.fixture
def narrow_user(kind: Kind, database: ServerDatabase) -> Iterator[str]:
    """Give a user who may have one session at a time."""
    user = f"narrow_{database.name}"
    if kind.server == "postgres":
        database.run(
            f"CREATE ROLE {user} LOGIN CONNECTION LIMIT 1",
            f"GRANT ALL ON SCHEMA {database.name} TO {user}",
            *(
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA {database.name} GRANT ALL ON {each} TO {user}"
                for each in ("TABLES", "SEQUENCES")
            ),
        )
        yield user
        database.run(f"DROP OWNED BY {user}", f"DROP ROLE {user}")
    else:
        database.run(f"CREATE USER {user}@'%%' WITH MAX_USER_CONNECTIONS 1")
        database.run(f"GRANT ALL ON {database.name}.* TO {user}@'%%'")
        yield user
        database.run(f"DROP USER {user}@'%%'")


@each_kind
async def test_too_many_connections(
    kind: Kind, database: ServerDatabase, engine: Engine | AsyncEngine, narrow_user: str
) -> None:
    """A server that takes no further session refuses the push at once, and it was not written."""
    adapter = await make_adapter(engine)
    narrow = database.make_engine(kind, username=narrow_user)
    other = SQLEventStorageAdapter(narrow)
    async with pushed_within(narrow, other, "a"):
        with pytest.raises(StorageError, match=r"too many connections|max_user_connections"):
            await other.push_event("STORE", make_record("b"))
    await other.push_event("STORE", make_record("c"))
    await dispose(narrow)

    assert [] == await adapter.get_events("STORE", "b")
    assert [make_record("c")] == await adapter.get_events("STORE", "c")


LOSE_TABLE = """\
CREATE FUNCTION lose_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('search_path', 'pg_catalog', false);
  RETURN NULL;
END $$"""
LOSE_TABLE_AFTER_LAST = """\
CREATE TRIGGER lose_table AFTER INSERT ON event FOR EACH ROW
WHEN (new.aggregate_id = 'last') EXECUTE FUNCTION lose_table()"""


@pytest.mark.parametrize("kind", POSTGRES_KINDS, indirect=True)
async def test_a_refusal_after_a_part_of_a_batch_was_written(
    database: ServerDatabase, engine: Engine | AsyncEngine
) -> None:
    """Events that a statement has written are pushed, whatever becomes of the next statement."""
    adapter = await make_adapter(engine)
    await adapter.push_event("STORE", make_record("taken"))
    database.run(LOSE_TABLE, LOSE_TABLE_AFTER_LAST)

    outcomes = await asyncio.gather(
        *(adapter.push_event("STORE", make_record(each)) for each in ("first", "last", "taken")),
        return_exceptions=True,
    )

    assert [None, None, StorageError] == [each and type(each) for each in outcomes]
