"""Event stores are migrated between all storages, and verified."""

import json
import random
import sys
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from castore_core import ABSENT, EventRecord, EventStorageAdapter
from castore_dam import (
    EventConflictError,
    Migration,
    migrate_event_store,
    verify_migration,
)
from castore_dynamodb import (
    DynamoDBEventStorageAdapter,
    LegacyDynamoDBEventStorageAdapter,
    create_table,
    table_definition,
)
from castore_sql import SQLEventStorageAdapter
from event_storages import STORAGES, MakeStorage, get_client, read_all
from git_history.commits import commit_store
from git_history.files import file_store
from git_history.git import Repository
from git_history.history import open_history
from git_history.importing import import_commits
from git_history.working_tree import WorkingTree
from notes import MOMENT
from pokemon import pokemons

PAYLOADS: list[Any] = [
    ABSENT,
    None,
    0,
    False,
    "",
    [],
    {},
    2.0,
    1.5,
    2**60,
    -0.1,
    "a'#/%é🙂\n",
    {"b": [1, ["c", None]], "a": {"c": {"d": 0}}},  # moto empties a map that is in a list
    [["x"], True],
]


def make_history(seed: int = 1) -> list[EventRecord]:
    """Return the events of aggregates with odd ids, mixed, some at one moment."""
    numbers = random.Random(seed)
    ids = ["a", "a#b", "a'%/", "é🙂", "x" * 300, *(f"n{each}" for each in range(12))]
    versions = dict.fromkeys(ids, 0)
    records: list[EventRecord] = []
    for index in range(200):
        aggregate_id = ids[index] if index < len(ids) else numbers.choice(ids)
        versions[aggregate_id] += 1
        records.append(
            EventRecord(
                aggregate_id,
                versions[aggregate_id],
                f"TYPE_{index % 7}",
                MOMENT + timedelta(milliseconds=index // 3),
                numbers.choice(PAYLOADS),
                numbers.choice(PAYLOADS),
            )
        )
    return records


async def fill(adapter: EventStorageAdapter, records: list[EventRecord]) -> None:
    """Push events one by one."""
    for each in records:
        await adapter.push_event("POKEMONS", each)


def change(record: EventRecord) -> list[EventRecord]:
    """Drop some events, and double others."""
    number = int(record.type[-1])
    return [record._replace(type=f"{record.type}_{each}") for each in range(min(number, 2))]


@pytest.mark.parametrize("target_kind", STORAGES)
@pytest.mark.parametrize("source_kind", STORAGES)
async def test_all_events_are_carried(
    make_storage: MakeStorage, source_kind: str, target_kind: str
) -> None:
    """Between any two storages, all events are there once, equal, and found again."""
    records = make_history()
    source = pokemons.using(await make_storage(source_kind))
    target = pokemons.using(await make_storage(target_kind))
    await fill(source.get_storage_adapter(), records)

    assert Migration(200, 200) == await migrate_event_store(source, target)
    assert Migration(200, 0, 200) == await migrate_event_store(source, target)

    assert (await verify_migration(source, target)).is_equal
    assert {(each.aggregate_id, each.version): each for each in records} == await read_all(target)


@pytest.mark.parametrize("target_kind", STORAGES)
@pytest.mark.parametrize("source_kind", ["sqlite", "ministack"])
async def test_transformed_events_are_carried(
    make_storage: MakeStorage, source_kind: str, target_kind: str
) -> None:
    """Versions have no gaps, and the verification expects what was written."""
    source = pokemons.using(await make_storage(source_kind))
    target = pokemons.using(await make_storage(target_kind))
    await fill(source.get_storage_adapter(), make_history(2))

    dry = await migrate_event_store(source, target, transform=change, dry_run=True)
    migration = await migrate_event_store(source, target, transform=change)

    assert dry == migration
    verification = await verify_migration(source, target, transform=change)
    assert verification.is_equal
    assert migration.events_written == verification.found_event_count > 200
    assert not (await verify_migration(source, target)).is_equal


@pytest.mark.parametrize("target_kind", STORAGES)
async def test_large_floats_are_found_again(make_storage: MakeStorage, target_kind: str) -> None:
    """A float is the same event on each storage, whatever digits the storage gives it."""
    source, target = (
        pokemons.using(await make_storage("memory")),
        pokemons.using(await make_storage(target_kind)),
    )
    numbers = [1e22, 1e23, 12345678901234567890.0, -3e37, 2.0**53, -0.0, 5e-7]
    if target_kind not in {"ministack", "moto"}:  # DynamoDB refuses these
        numbers += [1e100, sys.float_info.max, sys.float_info.min]
    await fill(source.get_storage_adapter(), [EventRecord("a", 1, "TYPE_0", MOMENT, [*numbers])])

    assert Migration(1, 1) == await migrate_event_store(source, target)
    assert Migration(1, 0, 1) == await migrate_event_store(source, target)
    assert (await verify_migration(source, target)).is_equal
    assert (await verify_migration(target, source)).is_equal


@pytest.mark.parametrize("target_kind", STORAGES)
async def test_another_event_stays(make_storage: MakeStorage, target_kind: str) -> None:
    """On each storage, a conflict is an error, and the event is left as it is."""
    records = make_history()
    source, target = (
        pokemons.using(await make_storage("memory")),
        pokemons.using(await make_storage(target_kind)),
    )
    mine = records[0]._replace(type="MINE")
    await fill(source.get_storage_adapter(), records)
    await fill(target.get_storage_adapter(), [mine])

    with pytest.raises(EventConflictError):
        await migrate_event_store(source, target)

    found = await target.get_storage_adapter().get_events("POKEMONS", mine.aggregate_id, limit=1)
    assert [mine] == [*found]


def _make_legacy_definition(table_name: str) -> dict[str, Any]:
    definition = table_definition(table_name)
    definition["AttributeDefinitions"][2] = {
        "AttributeName": "isInitialEvent",
        "AttributeType": "N",
    }
    definition["GlobalSecondaryIndexes"][0]["KeySchema"][0]["AttributeName"] = "isInitialEvent"
    return definition


@pytest.mark.parametrize("server", ["ministack", "moto"])
async def test_a_legacy_table_is_a_source(
    make_storage: MakeStorage, find_server: Callable[[str], str], server: str
) -> None:
    """The events of Castore's legacy adapter are carried to a single table."""
    client = get_client(find_server(server))
    source_adapter = await make_storage(server)
    assert isinstance(source_adapter, DynamoDBEventStorageAdapter)
    legacy_name = f"{source_adapter.table_name}_legacy"
    await create_table(client, _make_legacy_definition(legacy_name))
    records = make_history()
    await fill(source_adapter, records)
    for page in client.get_paginator("scan").paginate(TableName=source_adapter.table_name):
        for item in page["Items"]:
            item["aggregateId"]["S"] = item["aggregateId"]["S"].removeprefix("POKEMONS#")
            if item.pop("eventStoreId", None):
                item["isInitialEvent"] = {"N": "1"}
            client.put_item(TableName=legacy_name, Item=item)
    source = pokemons.using(
        LegacyDynamoDBEventStorageAdapter(client, legacy_name, event_store_id="POKEMONS")
    )
    target = pokemons.using(await make_storage(server))

    assert Migration(200, 200) == await migrate_event_store(source, target)

    assert (await verify_migration(source, target)).is_equal
    assert {(each.aggregate_id, each.version): each for each in records} == await read_all(target)
    client.delete_table(TableName=legacy_name)


def hash_records(records: dict[tuple[str, int], EventRecord]) -> str:
    """Return a hash of all there is in some events; the order of keys does not count."""
    digest = sha256()
    for _, record in sorted(records.items(), key=lambda item: item[0]):
        values = [repr(each) if each is ABSENT else each for each in record[4:]]
        digest.update(f"{record[:4]} {json.dumps(values, sort_keys=True)}".encode())
    return digest.hexdigest()


async def test_the_git_history_goes_around(make_storage: MakeStorage) -> None:
    """SQLite, PostgreSQL, DynamoDB and SQLite again: the events are equal, byte for byte."""
    first = await make_storage("sqlite")
    assert isinstance(first, SQLEventStorageAdapter)
    history = await open_history(first)
    repository = Repository.find(Path(__file__).parent)
    until = repository.head()
    await import_commits(history, repository, WorkingTree(), until=until)
    adapters = [
        first,
        await make_storage("postgres"),
        await make_storage("ministack"),
        await make_storage("sqlite"),
    ]

    for make_store in (file_store, commit_store):
        stores = [make_store(each) for each in adapters]
        hashes: set[str] = set()
        for index, each in enumerate(stores):
            if index:
                await migrate_event_store(stores[index - 1], each)
            hashes.add(hash_records(await read_all(each)))
        assert 1 == len(hashes)
        verification = await verify_migration(stores[0], stores[3])
        assert verification.is_equal
        assert verification.found_event_count > 0
