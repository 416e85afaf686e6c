"""PostgreSQL gives back what was pushed, or refuses it; whatever its settings are."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import (
    ABSENT,
    AssertedVersion,
    CastoreError,
    EventRecord,
    GroupedRecord,
    InvalidEventError,
    JSONValue,
    StorageError,
    VersionAssertionError,
)
from castore_sql import SQLEventStorageAdapter
from sql_servers import Kind, ServerDatabase, dispose, read_log

STORE = "NOTES"
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
NOTE = EventRecord("a", 1, "NOTED", NOON, {"a": 1})

CASTORE_TABLE = """\
CREATE TABLE event (
  id SERIAL PRIMARY KEY, aggregate_name VARCHAR(50) NOT NULL, aggregate_id VARCHAR(128) NOT NULL,
  version INTEGER NOT NULL, type VARCHAR(100) NOT NULL, data JSONB, metadata JSONB,
  timestamp TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  UNIQUE (aggregate_name, aggregate_id, version)
)"""

# Code points order them in this way, and languages do not.
IDS = ["A", "B", "Z", "_", "a", "a b", "a-b", "ab", "b", "z", "ß", "é", "ﬀ", "😀"]


async def create(engine: Engine | AsyncEngine, table_name: str = "event") -> SQLEventStorageAdapter:
    """Return an adapter whose table is there."""
    adapter = SQLEventStorageAdapter(engine, table_name=table_name)
    await adapter.create_tables()
    return adapter


async def read(adapter: SQLEventStorageAdapter, aggregate_id: str = "a") -> list[EventRecord]:
    """Read the events of an aggregate."""
    return await adapter.get_events(STORE, aggregate_id)


async def list_ids(adapter: SQLEventStorageAdapter, **options: Any) -> list[str]:
    """Return the ids of all aggregates, from pages of two."""
    found: list[str] = []
    cursor: JSONValue = None
    while True:
        page = await adapter.list_aggregate_ids(STORE, limit=2, cursor=cursor, **options)
        found += [each.aggregate_id for each in page.aggregates]
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.fixture
async def adapter(engine: Engine | AsyncEngine) -> SQLEventStorageAdapter:
    """Give an adapter whose table is there."""
    return await create(engine)


def with_settings(database: ServerDatabase, kind: Kind, settings: dict[str, str]) -> Any:
    """Return an engine whose sessions have settings."""
    settings = {"search_path": database.name, **settings}
    if kind.driver == "postgresql+asyncpg":
        return database.make_engine(kind, connect_args={"server_settings": settings})
    options = " ".join(
        f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in settings.items()
    )
    return database.make_engine(kind, connect_args={"options": options})


@pytest.mark.parametrize(
    ("field", "store", "record"),
    [
        ("event_store_id", "NO\0TES", NOTE),
        ("aggregate_id", STORE, NOTE._replace(aggregate_id="\0")),
        ("type", STORE, NOTE._replace(type="NOTED\0")),
        ("payload", STORE, NOTE._replace(payload="\0")),
        ("payload", STORE, NOTE._replace(payload={"a": ["\\\\u0000", {"\0": 1}]})),
        ("metadata", STORE, NOTE._replace(metadata=[{"a": {"b": "x\0y"}}])),
    ],
)
async def test_a_nul_is_refused(
    adapter: SQLEventStorageAdapter, field: str, store: str, record: EventRecord
) -> None:
    """The error names the field, and nothing is written."""
    group = [
        GroupedRecord(STORE, NOTE._replace(aggregate_id="b"), adapter),
        GroupedRecord(store, record, adapter),
    ]
    for push in (
        adapter.push_event(store, record),
        adapter.push_event(store, record, force=True),
        adapter.push_event_group(group),
    ):
        with pytest.raises(InvalidEventError, match="has a NUL") as caught:
            await push
        assert field == caught.value.field
    assert [] == await list_ids(adapter)


@pytest.mark.parametrize(
    "value",
    [
        "\\u0000",
        "\\\\u0000",
        "\\",
        "\\\\",
        "\\u0000 \\0",
        {"\\u0000": "\\x00"},
        "\\ud800",
        "\u0001",
    ],
)
async def test_escapes_are_texts(adapter: SQLEventStorageAdapter, value: JSONValue) -> None:
    """A backslash, a u and digits are six characters, and no NUL."""
    record = NOTE._replace(payload=value, metadata=[value])

    await adapter.push_event(STORE, record)

    assert [record] == await read(adapter)


@pytest.mark.parametrize(
    "number",
    [
        *(1.0, 1e15, 9999999999999998.0, 1e16, 1.2345678901234567e17, 1e22, 1e23, 1e300),
        *(-1.5e308, 1.7976931348623157e308, 5e-324, 1e-7, 0.1, 123456.5),
        *(2**53, 2**53 + 1, -(2**64), 10**39 + 7, -(10**40), 10**308),
    ],
)
async def test_numbers_keep_their_kind(adapter: SQLEventStorageAdapter, number: JSONValue) -> None:
    """A float comes back as the same float, and an int as the same int."""
    value: dict[str, JSONValue] = {"n": number, "list": [number], "text": "1e16"}

    await adapter.push_event(STORE, NOTE._replace(payload=value, metadata=number))

    (record,) = await read(adapter)
    assert isinstance(record.payload, dict)
    assert repr([value, number]) == repr([{**value, **record.payload}, record.metadata])


async def test_a_negative_zero_loses_its_sign(adapter: SQLEventStorageAdapter) -> None:
    """JSONB keeps decimal numbers, which have one zero. It is a float still."""
    await adapter.push_event(STORE, NOTE._replace(payload=[-0.0, -0.5]))

    (record,) = await read(adapter)
    assert "[0.0, -0.5]" == repr(record.payload)


async def test_keys_come_back_in_the_order_of_jsonb(adapter: SQLEventStorageAdapter) -> None:
    """The shorter ones come first."""
    await adapter.push_event(STORE, NOTE._replace(payload={"zz": 1, "b": 2, "aaa": 3, "a": 4}))

    (record,) = await read(adapter)
    assert isinstance(record.payload, dict)
    assert ["a", "b", "zz", "aaa"] == [*record.payload]


@pytest.mark.parametrize(
    ("store", "record"),
    [
        ("\ud800", NOTE),
        (STORE, NOTE._replace(aggregate_id="\udfff")),
        (STORE, NOTE._replace(type="\ud800")),
        (STORE, NOTE._replace(payload="\ud800")),
        (STORE, NOTE._replace(metadata={"\udc00": 1})),
    ],
)
async def test_a_lone_surrogate_is_refused(
    adapter: SQLEventStorageAdapter, store: str, record: EventRecord
) -> None:
    """It is no character, and the pushes beside it go on."""
    others = [NOTE._replace(aggregate_id=f"b{number}") for number in range(4)]

    outcomes = await asyncio.gather(
        adapter.push_event(STORE, others[0]),
        adapter.push_event(STORE, others[1]),
        adapter.push_event(store, record),
        adapter.push_event(STORE, others[2]),
        adapter.push_event_group([GroupedRecord(STORE, others[3], adapter)]),
        return_exceptions=True,
    )

    assert [True, True, False, True, True] == [each is None for each in outcomes]
    assert isinstance(outcomes[2], CastoreError)
    assert "surrogate" in str(outcomes[2])
    assert ["b0", "b1", "b2", "b3"] == await list_ids(adapter)


def make_text(length: int) -> str:
    """Return a text that nothing makes shorter."""
    return "".join(
        random.Random(length).choices("0123456789abcdefghijklmnopqrstuvwxyzABCDEF", k=length)
    )


async def test_long_ids_are_kept(adapter: SQLEventStorageAdapter) -> None:
    """1,000 characters of the aggregate, and as many of the store."""
    store, record = make_text(1001), NOTE._replace(aggregate_id=make_text(1000))

    await adapter.push_event(store, record)

    assert [record] == await adapter.get_events(store, record.aggregate_id)
    assert [record.aggregate_id] == [
        each.aggregate_id for each in (await adapter.list_aggregate_ids(store)).aggregates
    ]


async def test_ids_too_long_for_an_index_are_refused(adapter: SQLEventStorageAdapter) -> None:
    """The error says so, and the pushes beside it go on."""
    record = NOTE._replace(aggregate_id=make_text(3000))

    outcomes = await asyncio.gather(
        adapter.push_event(STORE, NOTE),
        adapter.push_event(STORE, NOTE._replace(aggregate_id="b")),
        adapter.push_event(STORE, record),
        adapter.push_event(STORE, NOTE._replace(aggregate_id="c")),
        return_exceptions=True,
    )

    assert [None, None, None] == [*outcomes[:2], outcomes[3]]
    assert isinstance(outcomes[2], StorageError)
    assert "too long for an index" in str(outcomes[2])
    assert ["a", "b", "c"] == await list_ids(adapter)
    with pytest.raises(StorageError, match="too long for an index"):
        await adapter.push_event_group(
            [GroupedRecord(STORE, each, adapter) for each in (NOTE._replace(version=2), record)]
        )
    assert [NOTE] == await read(adapter)


@pytest.mark.parametrize(
    "settings",
    [
        {"TimeZone": "America/St_Johns", "DateStyle": "SQL, DMY"},
        {"TimeZone": "Asia/Kathmandu", "DateStyle": "German", "IntervalStyle": "sql_standard"},
        {"TimeZone": "Pacific/Kiritimati", "DateStyle": "Postgres, MDY"},
        {"TimeZone": "Etc/GMT+12", "DateStyle": "ISO, YMD", "IntervalStyle": "iso_8601"},
        {
            "extra_float_digits": "-15",
            "bytea_output": "escape",
            "standard_conforming_strings": "on",
        },
    ],
    ids=lambda settings: settings.get("DateStyle"),
)
async def test_settings_of_the_session_change_nothing(
    database: ServerDatabase, kind: Kind, settings: dict[str, str]
) -> None:
    """Moments are those that were pushed, from the year 1 to 9999, whatever a session shows."""
    engine = with_settings(database, kind, settings)
    adapter = await create(engine)
    moments = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1582, 10, 10, 3, 4, 5, 6000, tzinfo=UTC),
        datetime(1883, 11, 18, 12, 3, 57, tzinfo=UTC),
        datetime(2024, 2, 3, 4, 5, 6, 7000, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
    ]
    records = [
        EventRecord(str(number), 1, "NOTED", moment, 0.1 + 0.2)
        for number, moment in enumerate(moments)
    ]
    for each in records:
        await adapter.push_event(STORE, each)

    assert records == [(await read(adapter, each.aggregate_id))[0] for each in records]
    listed = (await adapter.list_aggregate_ids(STORE)).aggregates
    assert moments == [each.initial_event_timestamp for each in listed]
    assert ["0", "1", "2", "3", "4"] == await list_ids(adapter)
    assert ["3", "2"] == await list_ids(
        adapter, initial_event_after=moments[2], initial_event_before=moments[3], reverse=True
    )
    await dispose(engine)


@pytest.mark.parametrize("moment", ["12024-01-01", "0044-03-15 BC"])
async def test_a_moment_beyond_those_of_python_is_named(
    database: ServerDatabase, adapter: SQLEventStorageAdapter, moment: str
) -> None:
    """Somebody else's row that is no event of ours is an error of castore."""
    database.run(
        "INSERT INTO event (aggregate_name, aggregate_id, version, type, timestamp) "  # noqa: S608 ours
        f"VALUES ('NOTES', 'a', 1, 'NOTED', '{moment}')"
    )

    with pytest.raises(StorageError):
        await read(adapter)
    with pytest.raises(StorageError):
        await adapter.list_aggregate_ids(STORE)


async def check_order_and_pushes(adapter: SQLEventStorageAdapter) -> None:
    """Check that ids are ordered as code points are, and that all kinds of pushes work."""
    shuffled = random.Random(1).sample(IDS, len(IDS))
    await asyncio.gather(
        *(adapter.push_event(STORE, NOTE._replace(aggregate_id=each)) for each in shuffled)
    )
    assert IDS == await list_ids(adapter)
    assert IDS[::-1] == await list_ids(adapter, reverse=True)

    group = [
        GroupedRecord(STORE, NOTE._replace(version=each, aggregate_id="é"), adapter)
        for each in (2, 3)
    ]
    with pytest.raises(VersionAssertionError):
        await adapter.push_event_group(group, asserted=[AssertedVersion(STORE, "É", 1, adapter)])
    await adapter.push_event_group(group, asserted=[AssertedVersion(STORE, "E", 0, adapter)])
    assert [1, 2, 3] == [each.version for each in await read(adapter, "é")]
    await adapter.push_event(STORE, NOTE._replace(payload=ABSENT), force=True)
    assert [NOTE._replace(payload=ABSENT)] == await read(adapter)


@pytest.mark.parametrize("collation", ["en-x-icu", "C", "und-x-icu"])
async def test_columns_of_other_collations_list_ids_by_code_points(
    database: ServerDatabase, engine: Engine | AsyncEngine, collation: str
) -> None:
    """In a table of Castore's, whose columns have the collation of its database."""
    database.run(
        CASTORE_TABLE,
        f'ALTER TABLE event ALTER aggregate_id TYPE VARCHAR(128) COLLATE "{collation}", '
        f'ALTER aggregate_name TYPE VARCHAR(50) COLLATE "{collation}"',
    )
    adapter = SQLEventStorageAdapter(engine)

    await check_order_and_pushes(adapter)
    await adapter.upgrade_tables()
    assert IDS == await list_ids(adapter)
    assert len(IDS) + 2 == len(await read_log(adapter, len(IDS) + 2))


async def test_a_database_of_another_collation_lists_ids_by_code_points(
    database: ServerDatabase, kind: Kind
) -> None:
    """It is that of a language, for all texts that say nothing else."""
    name = f"{database.name}_icu"
    database.run(
        f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
    )
    make = create_async_engine if kind.is_async else create_engine
    engine = make(database.get_url(kind.driver).set(database=name))
    try:
        adapter = await create(engine)
        await check_order_and_pushes(adapter)
        assert len(IDS) + 2 == len(await read_log(adapter, len(IDS) + 2))
    finally:
        await dispose(engine)
        database.run(f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_table_in_another_schema_is_found(
    database: ServerDatabase, kind: Kind, engine: Engine | AsyncEngine
) -> None:
    """On the search path of the session, behind one in which there is no table of this name."""
    empty = f"{database.name}_empty"
    database.run(f"CREATE SCHEMA {empty}", CASTORE_TABLE)
    behind = with_settings(database, kind, {"search_path": f"{empty},{database.name}"})
    try:
        adapter = SQLEventStorageAdapter(behind)
        await adapter.push_event(STORE, NOTE)
        await adapter.create_tables()
        await adapter.upgrade_tables()
        await adapter.push_event(STORE, NOTE._replace(version=2))

        direct = SQLEventStorageAdapter(engine)
        await direct.push_event(STORE, NOTE._replace(version=3))
        expected = [1, 2, 3]
        for each in (adapter, direct):
            assert expected == [record.version for record in await read(each)]
            entries = await read_log(each, 3)
            assert expected == [entry.record.version for entry in entries]
        assert [] == database.run(
            f"SELECT relname FROM pg_class WHERE relnamespace = '{empty}'::regnamespace"  # noqa: S608
        )
    finally:
        await dispose(behind)
        database.run(f"DROP SCHEMA {empty} CASCADE")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Event",
            "my events",
            'a"b',
            "it's",
            "100%",
            "%s",
            "%(id)s",
            "%(x)s",
            ":name",
            "a:b:c",
            "::text",
        ),
        *("\\:x", "a\\", "{table}", "$1", "select", "a.b", "événements", "😀", "--", "/*", ";"),
        *("x" * 44, "é" * 22, "%" * 44),
    ],
)
async def test_any_name_of_a_table_is_quoted(engine: Engine | AsyncEngine, name: str) -> None:
    """It can have what means something in SQL, or to a driver."""
    adapter = await create(engine, name)
    await adapter.create_tables()
    await adapter.upgrade_tables()
    group = [
        GroupedRecord(STORE, each, adapter)
        for each in (NOTE._replace(version=2), NOTE._replace(version=3))
    ]

    await adapter.push_event(STORE, NOTE)
    await adapter.push_event_group(group)
    await adapter.push_event(STORE, NOTE, force=True)
    await adapter.push_event_group(
        [GroupedRecord(STORE, NOTE._replace(aggregate_id="b"), adapter)],
        asserted=[AssertedVersion(STORE, "a", 3, adapter)],
    )

    assert [1, 2, 3] == [each.version for each in await read(adapter)]
    assert ["a", "b"] == await list_ids(adapter)
    entries = await read_log(adapter, 4)
    assert entries == (await adapter.read_events([STORE])).entries
    assert entries[-1].position == await adapter.get_last_position()
    assert entries[1].position == await adapter.find_position(STORE, "a", 2)


async def test_names_of_44_bytes_have_indexes_of_their_own(
    database: ServerDatabase, engine: Engine | AsyncEngine
) -> None:
    """Of two long names that differ at their end, each has both of its indexes."""
    names = ["x" * 43 + last for last in "ab"]
    for each in names:
        adapter = await create(engine, each)
        await adapter.upgrade_tables()

    found = database.run(
        f"SELECT tablename, indexname FROM pg_indexes WHERE schemaname = '{database.name}' "  # noqa: S608
        "AND indexname LIKE 'idx%%' ORDER BY 1, 2"
    )
    assert [
        (each, f"idx_{each}_{index}") for each in names for index in ("initial_events", "log")
    ] == [tuple(each) for each in found]


@pytest.mark.parametrize("name", ["x" * 45, "é" * 22 + "x", "😀" * 12])
def test_a_name_too_long_for_its_indexes_is_refused(
    engine: Engine | AsyncEngine, name: str
) -> None:
    """PostgreSQL would cut them, so that two tables would have indexes of one name."""
    with pytest.raises(ValueError, match=r"table_name has 4\d bytes: PostgreSQL has room for 44"):
        SQLEventStorageAdapter(engine, table_name=name)


async def test_an_order_of_ties_is_that_of_pages(
    adapter: SQLEventStorageAdapter,
) -> None:
    """First by the moment, then by the id."""
    for number, aggregate_id in enumerate(IDS):
        moment = NOON + timedelta(milliseconds=number % 2)
        await adapter.push_event(STORE, NOTE._replace(aggregate_id=aggregate_id, timestamp=moment))

    assert [*IDS[::2], *IDS[1::2]] == await list_ids(adapter)
