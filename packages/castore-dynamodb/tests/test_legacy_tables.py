"""A table of Castore's legacy adapter is refused, and one of the right layout costs one query."""

import asyncio
import gc
import pickle
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from castore_aws import RetryPolicy
from castore_core import AssertedVersion, EventRecord, GroupedRecord
from castore_dynamodb import (
    DynamoDBEventStorageAdapter,
    DynamoDBSnapshotStorageAdapter,
    LegacyTableError,
)

MOMENT = datetime(2022, 1, 1, tzinfo=UTC)
RECORD = EventRecord("pikachu1", 1, "APPEARED", MOMENT)


LEGACY_ITEMS: Sequence[dict[str, Any]] = [
    {
        "aggregateId": {"S": "pikachu1"},
        "version": {"N": "1"},
        "type": {"S": "APPEARED"},
        "timestamp": {"S": "2022-01-01T00:00:00.000Z"},
        "isInitialEvent": {"N": "1"},
    },
    {
        "aggregateId": {"S": "pikachu1"},
        "version": {"N": "2"},
        "type": {"S": "LEVELED_UP"},
        "timestamp": {"S": "2022-01-02T00:00:00.000Z"},
    },
]


class Table:
    """A table of the legacy adapter, with two events, and an adapter that does not know."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.name = name
        self.adapter = DynamoDBEventStorageAdapter(client, name)

    def count(self) -> int:
        """Return the number of its items."""
        response = self.client.scan(TableName=self.name, Select="COUNT")
        return int(response["Count"])


@pytest.fixture(params=["ministack", "moto", "dynalite"])
async def client(
    request: pytest.FixtureRequest,
    make_client: Callable[..., Awaitable[Any]],
    find_server: Callable[[str], str],
) -> Any:
    """Give a client of each server."""
    return await make_client("boto3", find_server(request.param))


@pytest.fixture
async def table(client: Any, make_legacy_table: Callable[..., Awaitable[str]]) -> Table:
    """Give a table as the legacy adapter leaves it."""
    name = await make_legacy_table(client)
    for item in LEGACY_ITEMS:
        client.put_item(TableName=name, Item=item)
    return Table(client, name)


Call = Callable[[DynamoDBEventStorageAdapter], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "push": lambda adapter: adapter.push_event("POKEMONS", RECORD),
    "later push": lambda adapter: adapter.push_event("POKEMONS", RECORD._replace(version=3)),
    "forced push": lambda adapter: adapter.push_event("POKEMONS", RECORD, force=True),
    "group": lambda adapter: adapter.push_event_group(
        [GroupedRecord("POKEMONS", RECORD._replace(version=each), adapter) for each in (1, 2)]
    ),
    "assertion": lambda adapter: adapter.push_event_group(
        [], asserted=[AssertedVersion("POKEMONS", "pikachu1", 0, adapter)]
    ),
    "read": lambda adapter: adapter.get_events("POKEMONS", "pikachu1"),
    "list": lambda adapter: adapter.list_aggregate_ids("POKEMONS"),
    "list with bounds": lambda adapter: adapter.list_aggregate_ids(
        "POKEMONS", initial_event_after=MOMENT, limit=1, reverse=True
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
async def test_a_legacy_table_is_refused(table: Table, call: Call) -> None:
    """Each time: it does not read as empty, and takes no second history."""
    for _ in range(2):
        with pytest.raises(LegacyTableError, match=f"{table.name!r}.*LegacyDynamo"):
            await call(table.adapter)

    assert len(LEGACY_ITEMS) == table.count()


async def test_the_error_has_its_cause(table: Table) -> None:
    """It is what AWS answered, and the table has a name."""
    with pytest.raises(LegacyTableError) as info:
        await table.adapter.push_event("POKEMONS", RECORD)

    assert table.name == info.value.table_name
    assert isinstance(info.value.__cause__, ClientError)


async def test_a_group_is_refused_for_one_legacy_table(
    client: Any, table: Table, make_table: Callable[..., Awaitable[str]]
) -> None:
    """Nothing goes to the other table either."""
    other = DynamoDBEventStorageAdapter(client, await make_table(client))
    group = [
        GroupedRecord("TRAINERS", RECORD, other),
        GroupedRecord("POKEMONS", RECORD, table.adapter),
    ]

    with pytest.raises(LegacyTableError, match=table.name):
        await other.push_event_group(group)

    assert [] == await other.get_events("TRAINERS", "pikachu1")


async def test_the_index_of_a_legacy_table_finds_no_snapshots(table: Table) -> None:
    """The error says why."""
    with pytest.raises(LegacyTableError):
        await DynamoDBSnapshotStorageAdapter(table.client, table.name).delete_snapshots("POKEMONS")


def test_the_error_can_be_pickled() -> None:
    """A `LegacyTableError` pickles."""
    error = LegacyTableError("events")

    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 a pickle of ours

    assert ("events", str(error)) == (copied.table_name, str(copied))


# The price


class FakeClient:
    """A client of aioboto3 whose first queries of the index fail, one for each error."""

    def __init__(self, *errors: Exception, items: Sequence[dict[str, Any]] = ()) -> None:
        self.items = items
        self.meta = SimpleNamespace(service_model=SimpleNamespace(service_name="dynamodb"))
        self.errors = list(errors)
        self.queries: list[dict[str, Any]] = []
        self.writes = 0

    async def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        if operation == "PutItem":
            self.writes += 1
            return {}
        self.queries.append(parameters)
        if "IndexName" in parameters and self.errors:
            raise self.errors.pop(0)
        return {"Items": self.items, "Count": len(self.items)}

    async def query(self, **parameters: Any) -> Any:
        """Find items, or fail."""
        return await self._make_api_call("Query", parameters)

    async def put_item(self, **parameters: Any) -> Any:
        """Take a PutItem."""
        return await self._make_api_call("PutItem", parameters)


def make_error(code: str, message: str = "...") -> ClientError:
    """Return an error as AWS answers a query."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "Query")


def make_adapter(client: Any) -> DynamoDBEventStorageAdapter:
    """Return an adapter that tries once."""
    return DynamoDBEventStorageAdapter(client, "events", retries=RetryPolicy(max_attempts=1))


async def test_the_layout_is_looked_at_before_the_first_push() -> None:
    """With the least query that there is, and never again."""
    client = FakeClient()
    adapter = make_adapter(client)

    for version in (1, 2, 3):
        await adapter.push_event("POKEMONS", RECORD._replace(version=version))
    await adapter.get_events("POKEMONS", "mew1")

    first, second = client.queries
    assert ("initialEvents", 1, "COUNT") == (first["IndexName"], first["Limit"], first["Select"])
    assert "IndexName" not in second
    assert 3 == client.writes


async def test_the_layout_is_looked_at_when_nothing_is_found() -> None:
    """Once; a read that has to find nothing sends nothing."""
    client = FakeClient()
    adapter = make_adapter(client)

    await adapter.get_events("POKEMONS", "mew1", min_version=2, max_version=1)
    assert [] == client.queries
    for _ in range(2):
        await adapter.get_events("POKEMONS", "mew1")

    assert [False, True, False] == ["IndexName" in each for each in client.queries]


async def test_events_that_are_found_cost_no_query() -> None:
    """They are where they belong."""
    item = {**LEGACY_ITEMS[1], "aggregateId": {"S": "POKEMONS#pikachu1"}}
    client = FakeClient(items=[item])

    (record,) = await make_adapter(client).get_events("POKEMONS", "pikachu1")

    assert ("pikachu1", 1) == (record.aggregate_id, len(client.queries))


@pytest.mark.parametrize(
    "error",
    [
        make_error("AccessDeniedException"),
        make_error("ValidationException", "The table does not have the specified index"),
        make_error("ValidationException", "Query condition missed key schema element: storeId"),
        make_error("ResourceNotFoundException"),
    ],
    ids=["no permission", "no index", "another index", "no table"],
)
async def test_where_the_index_tells_nothing_the_push_goes_on(error: ClientError) -> None:
    """A program that lists nothing needs no permission for the index, and no index."""
    client = FakeClient(error)
    adapter = make_adapter(client)

    for version in (1, 2):
        await adapter.push_event("POKEMONS", RECORD._replace(version=version))

    assert (1, 2) == (len(client.queries), client.writes)


@pytest.mark.parametrize(
    "error",
    [make_error("ThrottlingException"), EndpointConnectionError(endpoint_url="https://dynamodb")],
    ids=["throttled", "no connection"],
)
async def test_where_the_index_does_not_answer_the_push_goes_on(error: Exception) -> None:
    """The query is not tried again, so that a push loses no time; the next push sends its own."""
    client = FakeClient(error)
    adapter = DynamoDBEventStorageAdapter(client, "events")

    for version, queries in ((1, 1), (2, 2), (3, 2)):
        await adapter.push_event("POKEMONS", RECORD._replace(version=version))
        assert (queries, version) == (len(client.queries), client.writes)


LEGACY_INDEX = make_error(
    "ValidationException", "Query condition missed key schema element: isInitialEvent"
)


async def test_concurrent_first_pushes_share_the_query() -> None:
    """Of any number of first uses, one pays."""
    client = FakeClient()
    adapter = make_adapter(client)

    await asyncio.gather(
        *(adapter.push_event("POKEMONS", RECORD._replace(version=each)) for each in range(1, 9)),
        *(adapter.get_events("POKEMONS", "mew1") for _ in range(8)),
    )

    assert 1 == len([each for each in client.queries if "IndexName" in each])
    assert 8 == client.writes


async def test_concurrent_first_pushes_share_the_refusal() -> None:
    """One query refuses them all."""
    client = FakeClient(LEGACY_INDEX)
    adapter = make_adapter(client)

    errors = await asyncio.gather(
        *(adapter.push_event("POKEMONS", RECORD) for _ in range(8)), return_exceptions=True
    )

    assert [LegacyTableError] * 8 == [type(each) for each in errors]
    assert (1, 0) == (len(client.queries), client.writes)


@pytest.mark.parametrize("errors", [(), (LEGACY_INDEX,)], ids=["single table", "legacy table"])
async def test_a_cancelled_first_push_leaves_the_query_to_the_others(
    errors: Sequence[Exception],
) -> None:
    """The one that began it may be cancelled."""
    client = FakeClient(*errors)
    adapter = make_adapter(client)
    pushes = [asyncio.ensure_future(adapter.push_event("POKEMONS", RECORD)) for _ in range(3)]
    await asyncio.sleep(0)  # all wait

    pushes[0].cancel()
    first, *others = await asyncio.gather(*pushes, return_exceptions=True)

    assert isinstance(first, asyncio.CancelledError)
    assert [LegacyTableError if errors else None] * 2 == [each and type(each) for each in others]
    assert 1 == len(client.queries)


@pytest.mark.parametrize("errors", [(), (LEGACY_INDEX,)], ids=["single table", "legacy table"])
async def test_a_query_that_nobody_waits_for_ends_quietly(
    errors: Sequence[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """The only push was cancelled; asyncio logs nothing, and the next push is told."""
    client = FakeClient(*errors, *errors)
    adapter = make_adapter(client)
    push = asyncio.ensure_future(adapter.push_event("POKEMONS", RECORD))
    await asyncio.sleep(0)
    push.cancel()
    await asyncio.gather(push, return_exceptions=True)
    await asyncio.sleep(0.01)
    del push  # whose traceback refers to the query
    gc.collect()

    (result,) = await asyncio.gather(adapter.push_event("POKEMONS", RECORD), return_exceptions=True)

    assert (LegacyTableError if errors else None) == (result and type(result))
    assert [] == caplog.records


def test_a_query_of_another_event_loop_is_not_waited_for() -> None:
    """An adapter of a client of boto3 is used in several event loops, and one may stand still."""
    client = FakeClient()
    adapter = make_adapter(client)
    pushes: list[asyncio.Future[None]] = []

    async def begin() -> None:
        pushes.append(asyncio.ensure_future(adapter.push_event("POKEMONS", RECORD)))
        await asyncio.sleep(0)

    with asyncio.Runner() as still:
        still.run(begin())
        asyncio.run(asyncio.wait_for(adapter.push_event("POKEMONS", RECORD), 5))
        assert [1, False] == [client.writes, pushes[0].done()]
        still.run(asyncio.wait_for(pushes[0], 5))

    assert 2 == client.writes
