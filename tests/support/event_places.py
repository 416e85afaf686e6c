"""Storages of events on several backends, each empty, for operations on whole event stores."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from sqlalchemy import create_engine

from castore_core import ABSENT, Event, EventRecord, EventStorageAdapter, EventStore
from castore_dynamodb import DynamoDBEventStorageAdapter, create_table, table_definition
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from sql_servers import KINDS, ServerDatabase, dispose, using_servers

PLACES = ("memory", "sqlite", "postgres", "ministack", "moto")
LOGS = ("memory", "sqlite", "postgres")
MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


class Noted(Event, type="NOTED"):
    """Something was noted."""

    payload: Any
    metadata: Any = None


@dataclass(frozen=True)
class Notes:
    """How often something was noted."""

    aggregate_id: str
    version: int


def reduce_notes(_: Notes | None, event: Noted) -> Notes:
    """Count a note."""
    return Notes(event.aggregate_id, event.version)


NotesStore = EventStore[Noted, Notes]


def make_notes(adapter: EventStorageAdapter | None, store_id: str = "NOTES") -> NotesStore:
    """Return a store of notes."""
    return EventStore(store_id, event_types=[Noted], reduce=reduce_notes, storage_adapter=adapter)


def make_record(
    aggregate_id: str = "a", version: int = 1, payload: Any = ABSENT, **fields: Any
) -> EventRecord:
    """Return the record of a note."""
    given: dict[str, Any] = {
        "type": "NOTED",
        "timestamp": MOMENT + timedelta(seconds=version),
        **fields,
    }
    return EventRecord(aggregate_id, version, payload=payload, **given)


async def read_all(store: EventStore[Any, Any]) -> dict[str, list[EventRecord]]:
    """Return the records of all listed aggregates."""
    adapter = store.get_storage_adapter()
    return {
        each: [*await adapter.get_events(store.event_store_id, each)]
        async for each in store.iter_aggregate_ids()
    }


@asynccontextmanager
async def open_place(
    kind: str, tmp_path: Path, find_server: Callable[[str], str], **options: Any
) -> AsyncGenerator[EventStorageAdapter]:
    """Give an empty storage of a kind."""
    match kind:
        case "memory":
            yield InMemoryEventStorageAdapter(**options)
        case "sqlite":
            engine = create_engine(f"sqlite:///{tmp_path}/{uuid4().hex}.db")
            adapter = SQLEventStorageAdapter(engine, **options)
            await adapter.create_tables()
            yield adapter
            engine.dispose()
        case "postgres":
            async with _open_postgres(find_server("postgres"), options) as adapter:
                yield adapter
        case _:
            client = boto3.client("dynamodb", endpoint_url=find_server(kind), **_ACCOUNT)
            table = f"notes-{uuid4().hex}"
            await create_table(client, table_definition(table))
            yield DynamoDBEventStorageAdapter(client, table)
            client.delete_table(TableName=table)
            client.close()


_ACCOUNT: Mapping[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}


@asynccontextmanager
async def _open_postgres(
    url: str, options: Mapping[str, Any]
) -> AsyncGenerator[EventStorageAdapter]:
    database = ServerDatabase("postgres", url)
    database.create()
    engine = database.make_engine(KINDS["asyncpg"])
    with using_servers(alone=False):
        adapter = SQLEventStorageAdapter(engine, **options)
        await adapter.create_tables()
        yield adapter
    await dispose(engine)
    database.drop()
