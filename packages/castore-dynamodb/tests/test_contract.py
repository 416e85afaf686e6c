"""DynamoDB keeps the contract, on each server, through each kind of client."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from castore_aws import AWSClient
from castore_core import AssertedVersion, EventRecord, EventStorageAdapter
from castore_dynamodb import DynamoDBEventStorageAdapter
from castore_test_tools import overrides_contract
from dynamodb_limits import DynamoDBLimits

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


class DynamoDBContract(DynamoDBLimits):
    """The fixtures of the single table."""

    characters_refused_in_event_store_ids = "#"

    kind: str
    server: str

    def make_adapter(self, client: Any, table_name: str) -> DynamoDBEventStorageAdapter:
        """Return an adapter that refuses gaps, or allows them."""
        return DynamoDBEventStorageAdapter(client, table_name, allow_gaps=not self.refuses_gaps)

    @overrides_contract("a transaction checks single items, and does not look for the last one")
    async def test_an_assertion_looks_beyond_a_gap(self, adapter: EventStorageAdapter) -> None:
        """An aggregate is at a version that is stored, where the next one is not."""
        for version in (1, 9):
            record = EventRecord("a1", version, "NOTED", MOMENT)
            await adapter.push_event("NOTES", record, force=True)
        for version in (1, 9):
            asserted = [AssertedVersion("NOTES", "a1", version, adapter)]
            await adapter.push_event_group([], asserted=asserted)

    @pytest.fixture
    async def proxy(
        self,
        request: pytest.FixtureRequest,
        make_proxy: Callable[[str], Awaitable[Any]],
        find_server: Callable[[str], str],
    ) -> Any:
        """Return what is between the client and the server, where answers are to be lost."""
        if "lose_next_answer" not in request.fixturenames:
            return None
        return await make_proxy(find_server(self.server))

    @pytest.fixture
    async def client(
        self,
        proxy: Any,
        make_client: Callable[..., Awaitable[Any]],
        find_server: Callable[[str], str],
    ) -> Any:
        """Return the client that all adapters of a test have."""
        url = find_server(self.server) if proxy is None else proxy.url
        return await make_client(self.kind, url)

    @pytest.fixture
    async def adapter(
        self, client: Any, make_table: Callable[..., Awaitable[str]]
    ) -> DynamoDBEventStorageAdapter:
        """Return an adapter without events."""
        return self.make_adapter(client, await make_table(client))

    @pytest.fixture
    async def sibling_adapter(
        self, client: Any, make_table: Callable[..., Awaitable[str]]
    ) -> DynamoDBEventStorageAdapter:
        """Return an adapter of another table."""
        return self.make_adapter(client, await make_table(client))

    @pytest.fixture
    async def foreign_adapter(
        self,
        make_client: Callable[..., Awaitable[Any]],
        find_server: Callable[[str], str],
        make_table: Callable[..., Awaitable[str]],
    ) -> DynamoDBEventStorageAdapter:
        """Return an adapter with another client, which might be of another account or region."""
        client = await make_client(self.kind, find_server(self.server))
        return self.make_adapter(client, await make_table(client))

    @pytest.fixture
    def connect_again(
        self, client: Any, adapter: DynamoDBEventStorageAdapter
    ) -> Callable[[], DynamoDBEventStorageAdapter]:
        """Make adapters of the same table, with the same client."""
        return lambda: self.make_adapter(client, adapter.table_name)

    @pytest.fixture
    def lose_next_answer(self, proxy: Any) -> Callable[[], None]:
        """Have the proxy drop an answer, so that the client repeats the write."""
        return proxy.drop_next_answer

    @pytest.fixture
    def break_backend(
        self, client: Any, adapter: DynamoDBEventStorageAdapter
    ) -> Callable[[], Awaitable[Any]]:
        """Drop the table behind the adapter's back."""
        drop = partial(AWSClient(client, "dynamodb").call, "delete_table")
        return lambda: drop({"TableName": adapter.table_name})


class TestBoto3OnMinistack(DynamoDBContract):
    """Through threads."""

    kind, server = "boto3", "ministack"


class TestAioboto3OnMinistack(DynamoDBContract):
    """In the event loop."""

    kind, server = "aioboto3", "ministack"
    works_in_several_event_loops = False


class TestBoto3OnMoto(DynamoDBContract):
    """A second opinion."""

    kind, server = "boto3", "moto"


class TestBoto3OnMinistackWithoutGaps(DynamoDBContract):
    """Each push above version 1 is a transaction."""

    kind, server, refuses_gaps = "boto3", "ministack", True


class TestBoto3OnMotoWithoutGaps(DynamoDBContract):
    """A second opinion."""

    kind, server, refuses_gaps = "boto3", "moto", True


class TestAioboto3OnDynalite(DynamoDBContract):
    """A third one, on single items."""

    kind, server = "aioboto3", "dynalite"
    works_in_several_event_loops = False
