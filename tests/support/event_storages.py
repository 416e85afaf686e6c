"""Event storages of each kind, empty ones, that tests open by a text: also in another process."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

import boto3
from botocore.config import Config
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import EventRecord, EventStorageAdapter, EventStore
from castore_dynamodb import DynamoDBEventStorageAdapter, create_table, table_definition
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from sql_servers import dispose

LOGS: Final = ("memory", "sqlite", "postgres")
"""The kinds that have a log."""

STORAGES: Final = (*LOGS, "ministack", "moto")
"""All kinds; the last two are servers of DynamoDB."""


class MakeStorage(Protocol):
    """Makes an empty storage of a kind."""

    async def __call__(self, kind: str, *, allow_gaps: bool = False) -> EventStorageAdapter:
        """Make one. Gaps are always allowed on DynamoDB."""
        ...


@cache
def get_client(url: str) -> Any:
    """Return the client of a server of DynamoDB, one for all tests."""
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106 of no account
        config=Config(max_pool_connections=32),
    )


@asynccontextmanager
async def new_storage(
    kind: str, folder: Path, find_server: Callable[[str], str]
) -> AsyncGenerator[str]:
    """Make an empty storage for a block, and give the text that opens it."""
    name = f"events_{uuid4().hex[:12]}"
    if kind in {"ministack", "moto"}:
        client = get_client(find_server(kind))
        await create_table(client, table_definition(name))
        try:
            yield f"{find_server(kind)} {name}"
        finally:
            client.delete_table(TableName=name)
        return
    if kind == "sqlite":
        place = f"sqlite:///{folder / name}.db {name}"
    else:
        url = make_url(find_server("postgres")).set(drivername="postgresql+asyncpg")
        place = f"{url.render_as_string(hide_password=False)} {name}"
    async with open_storage(place) as adapter:
        assert isinstance(adapter, SQLEventStorageAdapter)
        await adapter.create_tables()
    try:
        yield place
    finally:
        if kind == "postgres":
            await _drop_table(place)


@asynccontextmanager
async def open_storage(
    place: str, *, allow_gaps: bool = False
) -> AsyncGenerator[EventStorageAdapter]:
    """Open a storage for a block."""
    url, name = place.split(" ")
    if url.startswith("http"):
        yield DynamoDBEventStorageAdapter(get_client(url), name)
        return
    engine = _make_engine(url)
    try:
        yield SQLEventStorageAdapter(engine, table_name=name, allow_gaps=allow_gaps)
    finally:
        await dispose(engine)


@asynccontextmanager
async def temporary_storage(
    kind: str, folder: Path, find_server: Callable[[str], str], *, allow_gaps: bool = False
) -> AsyncGenerator[EventStorageAdapter]:
    """Make an empty storage for a block, and open it."""
    if kind == "memory":
        yield InMemoryEventStorageAdapter(allow_gaps=allow_gaps)
        return
    async with (
        new_storage(kind, folder, find_server) as place,
        open_storage(place, allow_gaps=allow_gaps) as adapter,
    ):
        yield adapter


async def read_all(store: EventStore[Any, Any]) -> dict[tuple[str, int], EventRecord]:
    """Return the records of all listed aggregates, by aggregate and version."""
    adapter = store.get_storage_adapter()
    return {
        (each.aggregate_id, each.version): each
        async for aggregate_id in store.iter_aggregate_ids()
        for each in await adapter.get_events(store.event_store_id, aggregate_id)
    }


def _make_engine(url: str) -> Engine | AsyncEngine:
    return create_async_engine(url) if "+async" in url else create_engine(url)


async def _drop_table(place: str) -> None:
    url, name = place.split(" ")
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"DROP TABLE {name}")
        await connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {name}_tx_offset()")
    await dispose(engine)
