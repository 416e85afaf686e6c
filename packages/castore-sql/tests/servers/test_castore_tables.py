"""A table that Castore 2.4.2 made on PostgreSQL is read and written as it is.

recordings/ has its tables, and the rows that it wrote.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import (
    ABSENT,
    AssertedVersion,
    CastoreError,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    JSONValue,
    ListedAggregate,
    StorageError,
    VersionAssertionError,
    VersionGapError,
    parse_timestamp,
)
from castore_sql import SQLEventStorageAdapter
from sql_servers import ServerDatabase, read_log

RECORDINGS = Path(__file__).parent / "recordings"
STORE = "POKEMONS"
ID = "b0000000-0000-4000-8000-000000000001"
OTHER_ID = "b0000000-0000-4000-8000-000000000002"
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
SERIALS = {"bigint": "BIGSERIAL", "integer": "SERIAL"}

MakeTable = Callable[[str], Awaitable[SQLEventStorageAdapter]]


def load(folder: str) -> dict[str, Any]:
    """Return the recordings of a folder by their names."""
    paths = sorted((RECORDINGS / folder).glob("*.json"))
    return {each.stem: json.loads(each.read_text(), object_hook=untag) for each in paths}


def untag(value: dict[str, Any]) -> Any:
    """Return a recorded value: of those that JSON does not have, these reach a column."""
    if value.keys() == {"$number"}:
        return float(value["$number"])
    return int(value["$bigint"]) if value.keys() == {"$bigint"} else value


TABLES = load("ddl")
PUSHES = load("push")
GROUPS = load("group")
WITH_ROWS = {name: each["rows"] for name, each in (PUSHES | GROUPS).items() if each["rows"]}

# Castore changes these on their way to the column, or has no timestamp, or no id of its own.
CHANGED = {
    *("bytes-inside", "date-inside", "map-payload", "nan-and-infinity", "null-payload"),
    *("set-inside", "undefined-inside", "uppercase-uuid", "version-zero", "version-negative"),
    *("timestamp-empty-string", "timestamp-omitted", "timestamp-undefined-explicitly"),
    *("timestamp-date-only", "timestamp-year-only"),
}
WRITTEN = [name for name in PUSHES if PUSHES[name]["rows"] and name not in CHANGED]
REFUSED_VALUES = [
    *("array-metadata", "array-payload", "bigint-inside", "empty-array-payload", "false-payload"),
    *("number-payload", "string-payload", "true-payload"),
]
REFUSED_BY_BOTH = {
    "lone-surrogate": "surrogates",
    "non-uuid-aggregate-id": "UUIDs, in lower case, which 'pikachu1' is not",
    "nul-character": "payload of APPEARED has a NUL",
    "type-65-chars": "type holds 64 characters: 'T+' has 65",
}


def make_ddl(table: dict[str, Any], name: str) -> list[str]:
    """Return the statements that make a recorded table, by another name."""
    columns = [
        f"{each['name']} {SERIALS[each['type']]}"
        if (default := each["default"]) and default.startswith("nextval")
        else f"{each['name']} {each['type']}"
        f"{' NOT NULL' if each['not_null'] else ''}{f' DEFAULT {default}' if default else ''}"
        for each in table["columns"]
    ]
    rules = [each["def"] for each in table["constraints"]]
    own = {each["conname"] for each in table["constraints"]}
    return [
        f"CREATE TABLE {name} ({', '.join([*columns, *rules])})",
        *(
            each["def"].replace("public.event ", f"{name} ")
            for each in table["indexes"]
            if each["name"] not in own
        ),
    ]


def quote(value: str | None) -> str:
    """Return a literal of SQL, for a driver that takes percent signs for parameters."""
    return "NULL" if value is None else "'" + value.replace("'", "''").replace("%", "%%") + "'"


def insert(database: ServerDatabase, *rows: dict[str, Any], table: str = "event") -> None:
    """Insert recorded rows, as somebody else does."""
    columns = ("aggregate_name", "aggregate_id", "version", "type")
    texts = ("data_text", "metadata_text", "timestamp_text")
    database.run(
        *(
            f"INSERT INTO {table} ({', '.join(columns)}, data, metadata, timestamp) "  # noqa: S608 ours
            f"VALUES ({', '.join(quote(row[each]) for each in (*columns, *texts))})"
            for row in sorted(rows, key=lambda row: int(row["id"]))
        )
    )


def make_row(**changes: str | None) -> dict[str, Any]:
    """Return a row as the recordings have them."""
    row: dict[str, Any] = {
        "id": "1",
        "aggregate_name": STORE,
        "aggregate_id": ID,
        "version": "1",
        "type": "APPEARED",
        "data_text": None,
        "metadata_text": None,
        "timestamp_text": "2024-01-01 12:00:00+00",
    }
    return row | changes


def to_json(text: str | None) -> Any:
    """Return what a column of JSON has."""
    return ABSENT if text is None else json.loads(text)


def row_to_record(row: dict[str, Any]) -> EventRecord:
    """Return the event of a recorded row."""
    return EventRecord(
        row["aggregate_id"],
        int(row["version"]),
        row["type"],
        parse_timestamp(row["timestamp_iso"]),
        to_json(row["data_text"]),
        to_json(row["metadata_text"]),
    )


def to_record(event: dict[str, Any]) -> EventRecord:
    """Return the record of an event as Castore takes it."""
    return EventRecord(
        event["aggregateId"],
        event["version"],
        event["type"],
        parse_timestamp(event["timestamp"]),
        event.get("payload", ABSENT),
        event.get("metadata", ABSENT),
    )


def make_record(version: int = 1, aggregate_id: str = ID, payload: JSONValue = None) -> EventRecord:
    """Return an event to push."""
    return EventRecord(aggregate_id, version, "APPEARED", NOON, payload)


def to_key(row: dict[str, Any]) -> tuple[str, str]:
    """Return the store and the aggregate of a row."""
    return row["aggregate_name"], row["aggregate_id"]


def read_rows(database: ServerDatabase) -> list[tuple[Any, ...]]:
    """Return the columns that Castore knows, with its kind of numbers."""
    rows = database.run(
        "SELECT aggregate_name, aggregate_id::text, version, type, data::text, metadata::text, "
        "timestamp FROM event ORDER BY id"
    )
    return [(*each[:4], to_numbers(each[4]), to_numbers(each[5]), each[6]) for each in rows]


def to_expected(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what `read_rows` finds of a recorded row."""
    return (
        *(row["aggregate_name"], row["aggregate_id"], int(row["version"]), row["type"]),
        *(to_numbers(row["data_text"]), to_numbers(row["metadata_text"])),
        parse_timestamp(row["timestamp_iso"]),
    )


def to_numbers(text: str | None) -> Any:
    """Return what is in a JSON column; JavaScript has one kind of number."""
    return text if text is None else json.loads(text, parse_int=float)


@pytest.fixture
def make_table(database: ServerDatabase, engine: Engine | AsyncEngine) -> MakeTable:
    """Give a function that makes a table as Castore does, and an adapter on it."""

    async def make(recording: str) -> SQLEventStorageAdapter:
        database.run(*make_ddl(TABLES[recording], "event"))
        return SQLEventStorageAdapter(engine)

    return make


@pytest.fixture(params=TABLES)
async def adapter(make_table: MakeTable, request: pytest.FixtureRequest) -> SQLEventStorageAdapter:
    """Give an adapter on each table of Castore's."""
    return await make_table(request.param)


@pytest.fixture
async def default_adapter(make_table: MakeTable) -> SQLEventStorageAdapter:
    """Give an adapter on the table that Castore makes by default."""
    return await make_table("default")


@pytest.fixture
async def varchar_adapter(make_table: MakeTable) -> SQLEventStorageAdapter:
    """Give an adapter on a table whose ids are texts, and whose numbers are short."""
    return await make_table("second-table-all-options")


@pytest.mark.parametrize("name", WITH_ROWS)
async def test_recorded_rows_are_read(
    database: ServerDatabase, default_adapter: SQLEventStorageAdapter, name: str
) -> None:
    """Each row is an event, and each first event is an aggregate in the list."""
    rows = WITH_ROWS[name]

    insert(database, *rows)

    for key in {to_key(row) for row in rows}:
        expected = [row_to_record(row) for row in rows if to_key(row) == key]
        assert expected == await default_adapter.get_events(*key)
    for store in {row["aggregate_name"] for row in rows}:
        listed = [
            ListedAggregate(row["aggregate_id"], parse_timestamp(row["timestamp_iso"]))
            for row in rows
            if row["aggregate_name"] == store and row["version"] == "1"
        ]
        found = await default_adapter.list_aggregate_ids(store)
        assert sorted(listed, key=lambda each: each[::-1]) == found.aggregates


@pytest.mark.parametrize("text", ["null", "0", "false", '""', "[]", "{}", "-1.50", '"\\u00e9"'])
async def test_values_that_castore_drops_are_read(
    database: ServerDatabase, adapter: SQLEventStorageAdapter, text: str
) -> None:
    """A null of JSON is a value, and so are others that are false in JavaScript."""
    insert(database, make_row(data_text=text, metadata_text=text))

    expected = EventRecord(ID, 1, "APPEARED", NOON, json.loads(text), json.loads(text))
    assert [expected] == await adapter.get_events(STORE, ID)


async def test_microseconds_are_cut(
    database: ServerDatabase, adapter: SQLEventStorageAdapter
) -> None:
    """The column has room for more than the milliseconds of an event."""
    insert(database, make_row(timestamp_text="2024-01-01 12:00:00.123987+00"))

    (record,) = await adapter.get_events(STORE, ID)
    (listed,) = (await adapter.list_aggregate_ids(STORE)).aggregates
    expected = NOON.replace(microsecond=123000)
    assert (expected, expected) == (record.timestamp, listed.initial_event_timestamp)


@pytest.mark.parametrize("reverse", [False, True])
async def test_pages_end_between_microseconds(
    database: ServerDatabase, adapter: SQLEventStorageAdapter, *, reverse: bool
) -> None:
    """Each aggregate is on one page, though the cursor between them has milliseconds."""
    micros = {"3": "000", "1": "001", "2": "001", "5": "500", "4": "999"}
    insert(
        database,
        *(
            make_row(
                aggregate_id=ID[:-1] + number, timestamp_text=f"2024-01-01 12:00:00.123{micro}+00"
            )
            for number, micro in micros.items()
        ),
    )

    found: list[str] = []
    cursor: JSONValue = None
    for _ in micros:
        page = await adapter.list_aggregate_ids(STORE, limit=1, reverse=reverse, cursor=cursor)
        found += [each.aggregate_id[-1] for each in page.aggregates]
        cursor = page.cursor
    assert ([*micros][:: -1 if reverse else 1], None) == (found, cursor)


@pytest.mark.parametrize("name", WRITTEN)
async def test_a_pushed_row_is_castores(
    database: ServerDatabase,
    default_adapter: SQLEventStorageAdapter,
    engine: Engine | AsyncEngine,
    name: str,
) -> None:
    """The columns have the values that Castore, which allows gaps, gives them for that event."""
    assert default_adapter
    adapter = SQLEventStorageAdapter(engine, allow_gaps=True)
    recorded = PUSHES[name]

    force = recorded["input"]["options"].get("force", False)
    await adapter.push_event(STORE, to_record(recorded["input"]["event"]), force=force)

    assert [to_expected(each) for each in recorded["rows"]] == read_rows(database)


@pytest.mark.parametrize("name", ["two-stores-same-timestamp", "two-versions-of-one-aggregate"])
async def test_the_rows_of_a_group_are_castores(
    database: ServerDatabase, default_adapter: SQLEventStorageAdapter, name: str
) -> None:
    """The columns have the values that Castore gives them for the same group."""
    recorded = GROUPS[name]
    group = [
        GroupedRecord(each["eventStoreId"], to_record(each["event"]), default_adapter)
        for each in recorded["args"]
    ]

    await default_adapter.push_event_group(group)

    assert [to_expected(each) for each in recorded["rows"]] == read_rows(database)


@pytest.mark.parametrize("name", REFUSED_VALUES)
async def test_values_that_castore_refuses_are_written(
    default_adapter: SQLEventStorageAdapter, name: str
) -> None:
    """Any JSON is a payload, and metadata."""
    record = to_record(PUSHES[name]["input"]["event"])

    await default_adapter.push_event(STORE, record)

    assert [record] == await default_adapter.get_events(STORE, ID)


@pytest.mark.parametrize("name", REFUSED_BY_BOTH)
async def test_what_the_columns_cannot_hold_is_refused(
    database: ServerDatabase, default_adapter: SQLEventStorageAdapter, name: str
) -> None:
    """The error names the field, and nothing is written."""
    record = to_record(PUSHES[name]["input"]["event"])

    with pytest.raises(CastoreError, match=REFUSED_BY_BOTH[name]):
        await default_adapter.push_event(STORE, record)
    assert [] == read_rows(database)


@pytest.mark.parametrize(
    "aggregate_id",
    ["", "pikachu1", ID.upper(), f"{{{ID}}}", ID.replace("-", ""), f"urn:uuid:{ID}", f" {ID}"],
)
async def test_ids_that_a_uuid_would_change_are_refused(
    database: ServerDatabase, default_adapter: SQLEventStorageAdapter, aggregate_id: str
) -> None:
    """PostgreSQL takes some spellings of a UUID, and gives all of them back in one."""
    record = make_record(aggregate_id=aggregate_id)
    group = [GroupedRecord(STORE, each, default_adapter) for each in (make_record(), record)]
    asserted = [AssertedVersion(STORE, aggregate_id, 0, default_adapter)]

    for push in (
        default_adapter.push_event(STORE, record),
        default_adapter.push_event(STORE, record, force=True),
        default_adapter.push_event_group(group),
        default_adapter.push_event_group(group[:1], asserted=asserted),
    ):
        with pytest.raises(StorageError, match=r"holds UUIDs, in lower case, which '.*' is not"):
            await push
    assert [] == read_rows(database)


@pytest.mark.parametrize("last", ["x", " "])
async def test_texts_that_are_longer_than_their_columns_are_refused(
    database: ServerDatabase, varchar_adapter: SQLEventStorageAdapter, last: str
) -> None:
    """Also those that end with spaces, which PostgreSQL would cut off without a word."""
    short = EventRecord("i" * 128, 1, "t" * 100, NOON)

    for column, store, record in (
        ("aggregate_name holds 50 characters", "n" * 50 + last, short),
        ("aggregate_id holds 128 characters", STORE, short._replace(aggregate_id="i" * 128 + last)),
        ("type holds 100 characters", STORE, short._replace(type="t" * 100 + last)),
    ):
        with pytest.raises(StorageError, match=column):
            await varchar_adapter.push_event(store, record)
    assert [] == read_rows(database)

    await varchar_adapter.push_event("é" * 50, short)
    assert [short] == await varchar_adapter.get_events("é" * 50, short.aggregate_id)


async def test_a_refused_push_takes_no_other_along(
    default_adapter: SQLEventStorageAdapter,
) -> None:
    """Of concurrent pushes, only the one that cannot be stored fails."""
    ids = [ID[:-2] + f"{number:02}" for number in range(20)]
    ids[7] = ids[7].upper()

    outcomes = await asyncio.gather(
        *(default_adapter.push_event(STORE, make_record(aggregate_id=each)) for each in ids),
        default_adapter.push_event("n" * 33, make_record()),
        return_exceptions=True,
    )

    failed = [number for number, each in enumerate(outcomes) if each is not None]
    listed = await default_adapter.list_aggregate_ids(STORE)
    assert [7, 20] == failed
    assert sorted({*ids} - {ids[7]}) == [each.aggregate_id for each in listed.aggregates]


async def test_a_taken_version_is_a_conflict(
    database: ServerDatabase, adapter: SQLEventStorageAdapter
) -> None:
    """It is that of the row that somebody else inserted, alone and within a group."""
    insert(database, make_row())

    with pytest.raises(EventAlreadyExistsError):
        await adapter.push_event(STORE, make_record())
    with pytest.raises(EventAlreadyExistsError) as caught:
        await adapter.push_event_group(
            [
                GroupedRecord(STORE, make_record(aggregate_id=OTHER_ID), adapter),
                GroupedRecord(STORE, make_record(), adapter),
            ]
        )
    assert (STORE, ID, 1) == caught.value.args
    assert 1 == len(read_rows(database))


async def test_a_gap_is_refused(adapter: SQLEventStorageAdapter) -> None:
    """A version needs the one before."""
    await adapter.push_event(STORE, make_record())

    with pytest.raises(VersionGapError):
        await adapter.push_event(STORE, make_record(3))
    await adapter.push_event(STORE, make_record(2))
    assert [1, 2] == [each.version for each in await adapter.get_events(STORE, ID)]


async def test_force_replaces_an_event(
    database: ServerDatabase, adapter: SQLEventStorageAdapter
) -> None:
    """All of it, and keeps its row."""
    insert(database, make_row(data_text="{}", metadata_text="{}"))

    await adapter.push_event(STORE, make_record(payload={"forced": True}), force=True)

    assert [make_record(payload={"forced": True})] == await adapter.get_events(STORE, ID)
    assert [(1,)] == database.run("SELECT id FROM event")


async def test_a_group_asserts_a_version(
    database: ServerDatabase, adapter: SQLEventStorageAdapter
) -> None:
    """Of an aggregate that it does not write, and leaves no trace of it."""
    insert(database, make_row())
    group = [GroupedRecord(STORE, make_record(aggregate_id=OTHER_ID), adapter)]

    with pytest.raises(VersionAssertionError):
        await adapter.push_event_group(group, asserted=[AssertedVersion(STORE, ID, 2, adapter)])
    await adapter.push_event_group(group, asserted=[AssertedVersion(STORE, ID, 1, adapter)])

    assert [ID, OTHER_ID] == [each[1] for each in read_rows(database)]


async def test_concurrent_pushes_share_statements(
    adapter: SQLEventStorageAdapter, other_engine: Engine | AsyncEngine
) -> None:
    """Of two adapters that push the same versions at once, one wins each."""
    other = SQLEventStorageAdapter(other_engine)
    ids = [ID[:-2] + f"{number:02}" for number in range(20)]

    outcomes = await asyncio.gather(
        *(
            each.push_event(STORE, make_record(aggregate_id=aggregate_id))
            for each in (adapter, other)
            for aggregate_id in ids
        ),
        return_exceptions=True,
    )

    pairs = list(zip(outcomes[:20], outcomes[20:], strict=True))
    assert all({type(None), EventAlreadyExistsError} == {*map(type, pair)} for pair in pairs)


async def test_short_numbers_bound_no_query(varchar_adapter: SQLEventStorageAdapter) -> None:
    """Versions are compared that the column cannot hold, and refused where they are pushed."""
    await varchar_adapter.push_event(STORE, make_record())

    assert 1 == len(await varchar_adapter.get_events(STORE, ID, max_version=2**40))
    assert [] == await varchar_adapter.get_events(STORE, ID, min_version=2**40)
    with pytest.raises(StorageError):
        await varchar_adapter.push_event(STORE, make_record(2**40), force=True)


async def test_the_log_is_there_after_an_upgrade(
    database: ServerDatabase, adapter: SQLEventStorageAdapter
) -> None:
    """Before, the error names what to call; afterwards, old rows come first."""
    insert(database, make_row(), make_row(aggregate_id=OTHER_ID))
    for read in (
        adapter.read_events(),
        adapter.get_last_position(),
        adapter.find_position(STORE, ID, 1),
        adapter.wait_for_events("", 0.1),
    ):
        with pytest.raises(StorageError, match=r"await upgrade_tables\(\)"):
            await read

    await adapter.upgrade_tables()
    await adapter.push_event(STORE, make_record(2))
    insert(database, make_row(version="3"))
    with pytest.raises(EventAlreadyExistsError):
        await adapter.push_event(STORE, make_record(2))

    entries = await read_log(adapter, 4)
    assert [(ID, 1), (OTHER_ID, 1), (ID, 2), (ID, 3)] == [
        (each.record.aggregate_id, each.record.version) for each in entries
    ]
    assert entries[-1].position == await adapter.get_last_position()
    assert entries[2].position == await adapter.find_position(STORE, ID, 2)
    assert None is await adapter.find_position(STORE, ID, 2**40)
    assert [] == (await adapter.read_events(after="7" + "f" * 15 + "7" + "f" * 15)).entries
