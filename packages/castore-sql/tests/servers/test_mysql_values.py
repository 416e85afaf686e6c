"""MySQL gives back what was pushed, or refuses it; whatever its settings are."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from sqlalchemy import Engine, NullPool, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import (
    LOG_START,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    InvalidEventError,
    JSONValue,
    StorageError,
)
from castore_sql import SQLEventStorageAdapter
from private_mysql import private_mysql
from sql_servers import KINDS, MARIADB_KINDS, Kind, ServerDatabase, dispose

STORE = "NOTES"
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
IDS = [
    "a",
    "a ",
    "a  ",
    "A",
    "á",
    "a\u0301",
    "\0",
    "a\0",
    "ß",
    "ss",
    "😀",
    "😁",
    "",
    " ",
    "\n",
    "\x1a",
]
TRICKY = ["\\", "\\'", "'", '"', "\\\\'; DROP TABLE event; -- ", "%s", "%(a)s", "%", ":a", "\0'"]


@pytest.fixture(params=[*MARIADB_KINDS, "asyncmy-mysql"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Give each driver, and each server."""
    return KINDS[request.param]


async def create(engine: Engine | AsyncEngine, table_name: str = "event") -> SQLEventStorageAdapter:
    """Return an adapter whose table is there."""
    adapter = SQLEventStorageAdapter(engine, table_name=table_name)
    await adapter.create_tables()
    return adapter


def get_sync_engine(engine: Engine | AsyncEngine) -> Engine:
    """Return the engine that has the events of SQLAlchemy."""
    return engine.sync_engine if isinstance(engine, AsyncEngine) else engine


@pytest.fixture
async def adapter(engine: Engine | AsyncEngine) -> SQLEventStorageAdapter:
    """Give an adapter whose table is there."""
    return await create(engine)


def make_note(aggregate_id: str, version: int = 1, payload: JSONValue = None) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "NOTED", NOON, payload)


async def check_texts(adapter: SQLEventStorageAdapter) -> None:
    """Push texts that are hard to quote as ids, types, payloads and metadata, and read them."""
    texts = IDS + TRICKY
    pushed = {each: EventRecord(each, 1, each, NOON, {each: [each]}, each) for each in texts}
    await asyncio.gather(*(adapter.push_event(each, pushed[each]) for each in texts[::2]))
    for each in texts[1::2]:
        await adapter.push_event(each, pushed[each])
        await adapter.push_event(each, pushed[each]._replace(version=2))
        await adapter.push_event(each, pushed[each], force=True)
    for number, each in enumerate(texts):
        expected = [pushed[each], pushed[each]._replace(version=2)][: 1 + number % 2]
        assert expected == await adapter.get_events(each, each)
        listed = (await adapter.list_aggregate_ids(each)).aggregates
        assert [each] == [one.aggregate_id for one in listed]
    log = (await adapter.read_events(texts, LOG_START, 1000)).entries
    assert len(texts) + len(texts) // 2 == len(log)
    assert set(texts) == {each.event_store_id for each in log}


async def test_texts_are_kept_apart(adapter: SQLEventStorageAdapter) -> None:
    """Neither spaces at the end, nor case, accents or normal forms make two texts equal."""
    await asyncio.gather(*(adapter.push_event(STORE, make_note(each, 1, each)) for each in IDS))

    for each in IDS:
        assert [make_note(each, 1, each)] == await adapter.get_events(STORE, each)
    listed = (await adapter.list_aggregate_ids(STORE)).aggregates
    assert sorted(IDS) == [each.aggregate_id for each in listed]  # by code points


MODES = [
    "",
    "ANSI_QUOTES",
    "NO_BACKSLASH_ESCAPES",
    "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE,IGNORE_SPACE",
    "TRADITIONAL",
    "PAD_CHAR_TO_FULL_LENGTH,NO_AUTO_VALUE_ON_ZERO,ONLY_FULL_GROUP_BY",
]


@pytest.mark.parametrize("mode", MODES)
async def test_modes_of_sql_change_no_text(database: ServerDatabase, kind: Kind, mode: str) -> None:
    """Nor do they let one out of its quotes."""
    statement = f"SET SESSION sql_mode = '{mode}'"
    engine = database.make_engine(kind, connect_args={"init_command": statement})
    adapter = await create(engine)
    await check_texts(adapter)
    await adapter.push_event(STORE, make_note("x"))
    with pytest.raises(InvalidEventError, match="aggregate_id"):
        await adapter.push_event(STORE, make_note("x" * 513))
    await dispose(engine)


@pytest.mark.parametrize("kind", ["asyncmy", "asyncmy-mysql"], indirect=True)
async def test_the_mode_of_a_transaction(database: ServerDatabase) -> None:
    """A mode that the user sets in the middle is minded, too."""
    engine = create_async_engine(database.get_url("mysql+asyncmy"))
    adapter = await create(engine)
    async with engine.begin() as connection:
        await connection.execute(text("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'"))
        inner = adapter.within(connection)
        for number, each in enumerate(TRICKY):
            await inner.push_event(STORE, make_note(str(number), 1, each))
    for number, each in enumerate(TRICKY):
        assert [make_note(str(number), 1, each)] == await adapter.get_events(STORE, str(number))
    await engine.dispose()


CHARSETS = ["latin1", "utf8mb3"]


@pytest.mark.parametrize("what", ["NAMES", "character_set_results ="])
@pytest.mark.parametrize("charset", CHARSETS)
async def test_a_charset_that_cannot_hold_all_texts(
    database: ServerDatabase, kind: Kind, what: str, charset: str
) -> None:
    """The adapter refuses to read and to write."""
    engine = database.make_engine(kind)

    def connect(connection: DBAPIConnection, _: object) -> None:
        with closing(connection.cursor()) as cursor:
            cursor.execute(f"SET {what} {charset}")

    event.listen(get_sync_engine(engine), "connect", connect)
    adapter = SQLEventStorageAdapter(engine)
    attempts: list[Callable[[], Awaitable[Any]]] = [
        adapter.create_tables,
        lambda: adapter.push_event(STORE, make_note("a")),
        lambda: adapter.get_events(STORE, "a"),
        adapter.read_events,
    ]
    for attempt in attempts:
        with pytest.raises(StorageError, match="charset=utf8mb4"):
            await attempt()
    await dispose(engine)


@pytest.mark.parametrize(
    ("field", "longest"), [("event_store_id", 191), ("aggregate_id", 512), ("type", 255)]
)
async def test_longest_texts(adapter: SQLEventStorageAdapter, field: str, longest: int) -> None:
    """They are counted in characters; longer ones are refused before anything is written."""
    store, record = STORE, make_note("a")
    for length in (longest, longest + 1):
        value = "😀" * length
        if field == "event_store_id":
            store = value
        else:
            record = record._replace(**{field: value})
        if length == longest:
            await adapter.push_event(store, record)
            assert [record] == await adapter.get_events(store, record.aggregate_id)
    with pytest.raises(InvalidEventError, match=field):
        await adapter.push_event_group(
            [
                GroupedRecord(STORE, make_note("other"), adapter),
                GroupedRecord(store, record, adapter),
            ]
        )
    assert [] == await adapter.get_events(STORE, "other")


@pytest.mark.parametrize("kind", ["pymysql", "pymysql-mysql"], indirect=True)
@pytest.mark.parametrize("year", [1, 999, 1969, 1970, 2038, 9999])
async def test_years(database: ServerDatabase, year: int) -> None:
    """All those of Python are kept, in any time zone of the session."""
    engine = create_engine(
        database.get_url("mysql+pymysql"),
        connect_args={"init_command": "SET time_zone = '-11:00'"},
    )
    adapter = await create(engine)
    moments = [datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, 59, 59, 999000, UTC)]
    for version, moment in enumerate(moments, 1):
        await adapter.push_event(STORE, make_note("a", version)._replace(timestamp=moment))
    assert moments == [each.timestamp for each in await adapter.get_events(STORE, "a")]
    page = await adapter.list_aggregate_ids(
        STORE, initial_event_after=moments[0], initial_event_before=moments[0]
    )
    assert ["a"] == [each.aggregate_id for each in page.aggregates]
    engine.dispose()


NAMES = ["a`b", "100%", "%s", "a:b", ":a", "with spaces", "é" * 64, "x" * 64, "select", "@", "'"]


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_of_a_table_is_quoted(engine: Engine | AsyncEngine, name: str) -> None:
    """Each statement finds the table."""
    adapter = await create(engine, name)
    await adapter.upgrade_tables()
    await adapter.push_event(STORE, make_note("a"))
    await adapter.push_event(STORE, make_note("a", 2))
    await adapter.push_event(STORE, make_note("a", 2), force=True)
    await asyncio.gather(*(adapter.push_event(STORE, make_note(each)) for each in "bcd"))
    assert 2 == len(await adapter.get_events(STORE, "a"))
    assert 4 == len((await adapter.list_aggregate_ids(STORE)).aggregates)
    found = await adapter.read_events([STORE])
    assert 5 == len(found.entries)
    assert found.position == await adapter.get_last_position()
    assert found.entries[0].position == await adapter.find_position(STORE, "a", 1)


async def test_groups_over_two_tables(
    adapter: SQLEventStorageAdapter, engine: Engine | AsyncEngine
) -> None:
    """Events of both tables are written, or none; each table has a log of its own."""
    other = await create(engine, "other")
    both = [GroupedRecord(STORE, make_note("a"), each) for each in (adapter, other)]
    await adapter.push_event_group(both)
    again = [GroupedRecord(STORE, make_note("b"), adapter), both[1]]
    with pytest.raises(EventAlreadyExistsError):
        await adapter.push_event_group(again)
    for each in (adapter, other):
        assert 1 == len((await each.read_events()).entries)


OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "autocommit": {"isolation_level": "AUTOCOMMIT"},
    "read uncommitted": {"isolation_level": "READ UNCOMMITTED"},
    "read committed": {"isolation_level": "READ COMMITTED"},
    "serializable": {"isolation_level": "SERIALIZABLE"},
    "pre ping": {"pool_pre_ping": True},
    "no pool": {"poolclass": NullPool},
    "no reset": {"pool_reset_on_return": None},
    "no reset, autocommit": {"pool_reset_on_return": None, "isolation_level": "AUTOCOMMIT"},
    "commit": {"pool_reset_on_return": "commit"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
async def test_options_of_engines(
    database: ServerDatabase, kind: Kind, options: dict[str, Any]
) -> None:
    """What others have pushed is seen by the next read, and sessions keep their settings."""
    engine, others = database.make_engine(kind, **options), database.make_engine(kind)
    adapter, other = await create(engine), await create(others)
    settings = await read_settings(engine)
    for version in range(1, 4):
        assert version - 1 == len(await adapter.get_events(STORE, "a"))
        found = await adapter.read_events()
        assert version - 1 == len(found.entries)
        await other.push_event(STORE, make_note("a", version))
        assert found.position < await adapter.get_last_position()
    await asyncio.gather(*(adapter.push_event(STORE, make_note(each)) for each in "bcd"))
    await adapter.push_event(STORE, make_note("a", 4))

    assert 7 == len((await other.read_events()).entries)
    assert settings == await read_settings(engine)
    await asyncio.sleep(0.11)  # the server looks again after 0.1 seconds without a query
    assert [] == database.run(
        "SELECT trx_id FROM information_schema.innodb_trx JOIN information_schema.processlist "
        "ON trx_mysql_thread_id = id WHERE db = DATABASE()"
    )
    for each in (engine, others):
        await dispose(each)


async def read_settings(engine: Engine | AsyncEngine) -> list[Any]:
    """Return all settings of a session, and the isolation that its next transaction has."""
    query = text(
        "SHOW SESSION VARIABLES WHERE Variable_name "
        "NOT REGEXP 'time|gtid|rand|last|pseudo|identity|insert_id|statement_id'"
    )
    if isinstance(engine, AsyncEngine):
        async with engine.connect() as connection:
            return list(await connection.execute(query))
    with engine.connect() as sync_connection:
        return list(sync_connection.execute(query))


@pytest.mark.parametrize("kind", ["pymysql"], indirect=True)
async def test_the_url_of_mariadb(database: ServerDatabase) -> None:
    """It means the same server."""
    engine = create_engine(database.get_url("mariadb+pymysql"))
    adapter = await create(engine)
    await adapter.push_event(STORE, make_note("a"))
    assert 1 == len((await adapter.read_events()).entries)
    engine.dispose()


@pytest.mark.parametrize("kind", MARIADB_KINDS.values(), ids=MARIADB_KINDS)
async def test_a_password_of_mysql(
    make_database: Callable[[str], ServerDatabase], kind: Kind
) -> None:
    """The server's default way to prove a password works without TLS, also at the first time."""
    database = make_database("mysql")
    user, secret = f"user_{database.name}", database.name
    database.run(
        f"CREATE USER {user} IDENTIFIED BY '{secret}'",
        f"GRANT ALL ON {database.name}.* TO {user}",
    )
    url = database.get_url(kind.driver).set(username=user, password=secret)
    engine = (create_async_engine if kind.is_async else create_engine)(url)
    adapter = await create(engine)
    await adapter.push_event(STORE, make_note("a"))
    assert [make_note("a")] == await adapter.get_events(STORE, "a")
    await dispose(engine)
    database.run(f"DROP USER {user}")


LIMIT = 1024 * 1024  # bytes; the least that a server is likely to have


@pytest.fixture(scope="module")
def find_narrow() -> Iterator[Callable[[str], ServerDatabase]]:
    """Give a function that returns a database on a server that takes small packets."""
    with ExitStack() as stack:

        @cache
        def find(server: str) -> ServerDatabase:
            url = stack.enter_context(private_mysql(server, f"--max-allowed-packet={LIMIT}"))
            database = ServerDatabase(server, url)
            database.create()
            return database

        yield find


@pytest.fixture
async def narrow_adapter(
    find_narrow: Callable[[str], ServerDatabase], kind: Kind
) -> AsyncIterator[SQLEventStorageAdapter]:
    """Give an adapter on that server, whose one connection has to live on."""
    narrow = find_narrow(kind.server)
    engine = narrow.make_engine(kind, pool_size=1, max_overflow=0)
    opened: list[Any] = []
    event.listen(get_sync_engine(engine), "connect", lambda *each: opened.append(each))
    yield await create(engine)
    assert 1 == len(opened)
    await dispose(engine)
    narrow.run("DROP TABLE event")


@pytest.mark.parametrize("letter", ["x", "'", "😀", "\n"])
async def test_events_about_as_large_as_a_packet(
    narrow_adapter: SQLEventStorageAdapter, letter: str
) -> None:
    """Each is stored, or refused before it is sent: the connection lives on."""
    adapter = narrow_adapter
    bytes_each = {"x": 1, "'": 2, "😀": 4, "\n": 3}[letter]  # as the driver sends it
    aggregate_id = "\n" * 511  # its bytes count as well
    is_stored: list[bool] = []
    for number, size in enumerate(range(LIMIT - 21_000, LIMIT + 2_000, 2_000)):
        record = make_note(f"{aggregate_id}{chr(97 + number)}", 1, letter * (size // bytes_each))
        (outcome,) = await asyncio.gather(adapter.push_event(STORE, record), return_exceptions=True)
        assert outcome is None or "max_allowed_packet" in str(outcome)
        is_stored.append(outcome is None)
        found = await adapter.get_events(STORE, record.aggregate_id)
        assert ([record] if outcome is None else []) == found
    assert sorted(is_stored, reverse=True) == is_stored
    assert {True, False} == set(is_stored)


async def test_an_event_that_is_too_large_fails_alone(
    narrow_adapter: SQLEventStorageAdapter,
) -> None:
    """Those that are pushed at the same time are stored, more of them than fit a packet."""
    adapter = narrow_adapter
    half = "x" * (LIMIT // 2)
    sizes = [half, half, "x" * LIMIT, half, half, half]
    outcomes = await asyncio.gather(
        *(
            adapter.push_event(STORE, make_note(str(number), 1, payload))
            for number, payload in enumerate(["", *sizes])
        ),
        return_exceptions=True,
    )
    assert [None, None, None, StorageError, None, None, None] == [
        each and type(each) for each in outcomes
    ]
    with pytest.raises(StorageError, match="max_allowed_packet"):
        await adapter.push_event_group(
            [
                GroupedRecord(STORE, make_note("g", version, payload), adapter)
                for version, payload in enumerate(sizes[:3], 1)
            ]
        )
    assert 6 == len((await adapter.read_events()).entries)


async def test_an_event_of_nearly_sixteen_megabytes(adapter: SQLEventStorageAdapter) -> None:
    """The drivers split it where the protocol wants it."""
    for version, size in enumerate((2**24 - 20_000, 2**23), 1):
        record = make_note("a", version, "x" * size)
        await adapter.push_event(STORE, record)
        assert [record] == await adapter.get_events(STORE, "a", min_version=version)
