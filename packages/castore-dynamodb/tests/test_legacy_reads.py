"""Tables that Castore's legacy adapter has written are read, and not written to."""

import json
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from castore_core import (
    ABSENT,
    AssertedVersion,
    EventRecord,
    GroupedRecord,
    JSONValue,
    StorageError,
    parse_timestamp,
)
from castore_dynamodb import (
    DynamoDBEventStorageAdapter,
    LegacyDynamoDBEventStorageAdapter,
    LegacyTableError,
)

# What the legacy adapter of @castore/event-storage-adapter-dynamodb 2.4.2 wrote and read.
HISTORY: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recordings/legacy/history.json").read_text(),
    object_hook=lambda value: int(value["$bigint"]) if "$bigint" in value else value,
)
STORE = "POKEMONS"


def to_record(event: dict[str, Any]) -> EventRecord:
    """Return a recorded event."""
    return EventRecord(
        event["aggregateId"],
        event["version"],
        event["type"],
        parse_timestamp(event["timestamp"]),
        event.get("payload", ABSENT),
        event.get("metadata", ABSENT),
    )


def to_pairs(aggregates: Any) -> list[tuple[str, Any]]:
    """Return the ids and moments of a recorded list."""
    return [
        (each["aggregateId"], parse_timestamp(each["initialEventTimestamp"])) for each in aggregates
    ]


@pytest.fixture(params=["ministack", "moto", "dynalite"])
async def client(
    request: pytest.FixtureRequest,
    make_client: Callable[..., Awaitable[Any]],
    find_server: Callable[[str], str],
) -> Any:
    """Give a client of each server."""
    return await make_client("boto3", find_server(request.param))


@pytest.fixture(params=["KEYS_ONLY", "ALL"])
async def legacy(
    request: pytest.FixtureRequest,
    client: Any,
    make_legacy_table: Callable[..., Awaitable[str]],
) -> LegacyDynamoDBEventStorageAdapter:
    """Give an adapter of the table that Castore left, with an index of either projection."""
    name = await make_legacy_table(client, ProjectionType=request.param)
    for item in HISTORY["storedItems"]:
        client.put_item(TableName=name, Item=item)
    return LegacyDynamoDBEventStorageAdapter(client, name, event_store_id=STORE)


async def test_events_of_castore_are_read(legacy: LegacyDynamoDBEventStorageAdapter) -> None:
    """They are the events that Castore itself reads, and those that it was given."""
    for aggregate_id, events in HISTORY["readBack"].items():
        expected = [to_record(each) for each in events]
        assert expected == await legacy.get_events(STORE, aggregate_id)

    (forced,) = await legacy.get_events(STORE, "forced")
    assert {"old": False} == forced.payload


async def test_aggregates_of_castore_are_listed(legacy: LegacyDynamoDBEventStorageAdapter) -> None:
    """Each of them once, at the moment of its first event, within the bounds."""
    bounds = HISTORY["between"]["options"]

    whole = await legacy.list_aggregate_ids(STORE)
    between = await legacy.list_aggregate_ids(
        STORE,
        initial_event_after=parse_timestamp(bounds["initialEventAfter"]),
        initial_event_before=parse_timestamp(bounds["initialEventBefore"]),
    )

    expected = to_pairs(HISTORY["listed"]["aggregateIds"])
    assert sorted(expected) == sorted(whole.aggregates)
    assert [each for _, each in expected] == [moment for _, moment in whole.aggregates]
    assert sorted(to_pairs(HISTORY["between"]["result"]["aggregateIds"])) == sorted(
        between.aggregates
    )


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_pages_of_equal_timestamps(
    legacy: LegacyDynamoDBEventStorageAdapter, limit: int
) -> None:
    """Five aggregates begin at one moment, and no page skips or repeats one."""
    whole = await legacy.list_aggregate_ids(STORE)
    found: list[Any] = []
    cursor: JSONValue = None
    for number in count():
        page = await legacy.list_aggregate_ids(STORE, limit=limit, cursor=cursor)
        found += page.aggregates
        cursor = page.cursor
        if cursor is None:
            break
        assert number < len(whole.aggregates)

    assert list(whole.aggregates) == found


async def test_a_legacy_table_can_be_copied(
    client: Any,
    legacy: LegacyDynamoDBEventStorageAdapter,
    make_table: Callable[..., Awaitable[str]],
) -> None:
    """A single table that was given its events holds the same ones."""
    adapter = DynamoDBEventStorageAdapter(client, await make_table(client))
    listed = (await legacy.list_aggregate_ids(STORE)).aggregates

    for each in listed:
        for record in await legacy.get_events(STORE, each.aggregate_id):
            await adapter.push_event(STORE, record)

    copied = await adapter.list_aggregate_ids(STORE)
    assert sorted(listed) == sorted(copied.aggregates)
    for each in listed:
        expected = await legacy.get_events(STORE, each.aggregate_id)
        assert expected == await adapter.get_events(STORE, each.aggregate_id)


async def test_nothing_is_written(client: Any, legacy: LegacyDynamoDBEventStorageAdapter) -> None:
    """Pushes, groups and assertions are refused, also with force."""
    record = EventRecord("mew2", 1, "APPEARED", parse_timestamp("2022-01-01T00:00:00.000Z"))
    group = [GroupedRecord(STORE, record, legacy)]
    asserted = [AssertedVersion(STORE, "mew2", 0, legacy)]
    before = client.scan(TableName=legacy.table_name)["Items"]

    for force in (False, True):
        with pytest.raises(LegacyTableError, match="nothing was written"):
            await legacy.push_event(STORE, record, force=force)
        with pytest.raises(LegacyTableError, match=legacy.table_name):
            await legacy.push_event_group(group, asserted=asserted, force=force)

    assert before == client.scan(TableName=legacy.table_name)["Items"]


async def test_another_store_is_refused(legacy: LegacyDynamoDBEventStorageAdapter) -> None:
    """It does not read the events of the store that the table holds."""
    with pytest.raises(StorageError, match=r"holds event store 'POKEMONS', and not 'TRAINERS'"):
        await legacy.get_events("TRAINERS", "pikachu1")
    with pytest.raises(StorageError, match="'TRAINERS'"):
        await legacy.list_aggregate_ids("TRAINERS")


async def test_an_unknown_aggregate_has_no_events(
    legacy: LegacyDynamoDBEventStorageAdapter,
) -> None:
    """The table is as it should be."""
    assert [] == await legacy.get_events(STORE, "mew2")


async def test_a_single_table_is_refused(
    client: Any, make_table: Callable[..., Awaitable[str]]
) -> None:
    """It does not seem to be empty."""
    name = await make_table(client)
    record = to_record(HISTORY["readBack"]["pikachu1"][0])
    await DynamoDBEventStorageAdapter(client, name).push_event(STORE, record)
    legacy = LegacyDynamoDBEventStorageAdapter(client, name, event_store_id=STORE)

    for _ in range(2):
        with pytest.raises(StorageError, match=f"{name!r}.*Use DynamoDBEventStorageAdapter"):
            await legacy.get_events(STORE, "pikachu1")
        with pytest.raises(StorageError, match="Use DynamoDBEventStorageAdapter"):
            await legacy.list_aggregate_ids(STORE)


async def test_an_item_that_is_no_event_is_named(
    client: Any, legacy: LegacyDynamoDBEventStorageAdapter
) -> None:
    """It is no silent skip."""
    client.put_item(
        TableName=legacy.table_name, Item={"aggregateId": {"S": "odd"}, "version": {"N": "1"}}
    )

    with pytest.raises(StorageError, match="odd"):
        await legacy.get_events(STORE, "odd")


async def test_what_the_adapter_is(legacy: LegacyDynamoDBEventStorageAdapter) -> None:
    """It says which store it reads, and its repr names the table."""
    assert STORE == legacy.event_store_id
    assert f"LegacyDynamoDBEventStorageAdapter({legacy.table_name!r})" == repr(legacy)
