"""The adapter of legacy tables reads as the contract says, what is written as Castore does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from castore_aws import AWSClient
from castore_core import (
    AggregateIdsSlice,
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
)
from castore_dynamodb import LegacyDynamoDBEventStorageAdapter
from castore_dynamodb._items import record_to_item
from dynamodb_limits import DynamoDBLimits


class LegacyTables:
    """Writes to a legacy table for each event store, and reads with the adapter."""

    def __init__(self, client: Any, make_table: Callable[..., Awaitable[str]]) -> None:
        self.client = client
        self._make_table = make_table
        self._adapters: dict[str, LegacyDynamoDBEventStorageAdapter] = {}
        self._lock = asyncio.Lock()

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write the item that Castore writes."""
        item = record_to_item("", record, None)
        item["aggregateId"] = {"S": record.aggregate_id}
        if item.pop("eventStoreId", None):
            item["isInitialEvent"] = {"N": "1"}
        table_name = (await self._get_adapter(event_store_id)).table_name
        parameters = {"TableName": table_name, "Item": item}
        if not force:
            parameters |= {
                "ConditionExpression": "attribute_not_exists(#version)",
                "ExpressionAttributeNames": {"#version": "version"},
            }
        try:
            await AWSClient(self.client, "dynamodb").call("put_item", parameters)
        except ClientError as error:
            if "ConditionalCheckFailed" not in str(error):
                raise
            raise EventAlreadyExistsError(event_store_id, *record[:2]) from error

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Refuse groups, as the adapter does."""
        store_id, _, _ = group[0]
        adapter = await self._get_adapter(store_id)
        await adapter.push_event_group(group, asserted=asserted, force=force)

    async def get_events(
        self, event_store_id: str, aggregate_id: str, **options: Any
    ) -> Sequence[EventRecord]:
        """Read from the table of the store."""
        adapter = await self._get_adapter(event_store_id)
        return await adapter.get_events(event_store_id, aggregate_id, **options)

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> AggregateIdsSlice:
        """List the table of the store."""
        adapter = await self._get_adapter(event_store_id)
        return await adapter.list_aggregate_ids(event_store_id, **options)

    async def _get_adapter(self, event_store_id: str) -> LegacyDynamoDBEventStorageAdapter:
        async with self._lock:
            if event_store_id not in self._adapters:
                self._adapters[event_store_id] = LegacyDynamoDBEventStorageAdapter(
                    self.client, await self._make_table(self.client), event_store_id=event_store_id
                )
        return self._adapters[event_store_id]


class LegacyContract(DynamoDBLimits):
    """The fixtures of legacy tables."""

    works_in_several_event_loops = False  # the tables are made where the test runs

    kind: str
    server: str

    @pytest.fixture
    async def adapter(
        self,
        make_client: Callable[..., Awaitable[Any]],
        find_server: Callable[[str], str],
        make_legacy_table: Callable[..., Awaitable[str]],
    ) -> LegacyTables:
        """Return tables without events."""
        return LegacyTables(
            await make_client(self.kind, find_server(self.server)), make_legacy_table
        )


class TestLegacyTablesOfBoto3OnMinistack(LegacyContract):
    """Through threads."""

    kind, server = "boto3", "ministack"


class TestLegacyTablesOfAioboto3OnMinistack(LegacyContract):
    """In the event loop."""

    kind, server = "aioboto3", "ministack"


class TestLegacyTablesOfBoto3OnMoto(LegacyContract):
    """A second opinion."""

    kind, server = "boto3", "moto"


class TestLegacyTablesOfAioboto3OnDynalite(LegacyContract):
    """A third one."""

    kind, server = "aioboto3", "dynalite"
