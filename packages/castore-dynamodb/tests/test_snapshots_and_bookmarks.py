"""Snapshots and bookmarks keep their contracts, in the table of the events."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from json import loads
from typing import Any, TypeAlias

import pytest

from castore_aws import AWSClient
from castore_core import (
    Event,
    EventRecord,
    JSONValue,
    Snapshot,
    StorageError,
)
from castore_dynamodb import (
    DynamoDBBookmarkStorageAdapter,
    DynamoDBEventStorageAdapter,
    DynamoDBSnapshotStorageAdapter,
    DynamoDBStreamParser,
    TransactItems,
)
from castore_test_tools import (
    BookmarkStorageAdapterTests,
    SnapshotStorageAdapterTests,
)
from snapshot_stores import load_plainly, make_event, make_snapshots, make_store, push

MakeClient: TypeAlias = Callable[[str, str], Awaitable[Any]]

TEXTS = "texts"  # what goes with bookmarks


class Boto3:
    """Through threads."""

    @pytest.fixture
    async def client(self, make_client: MakeClient, find_server: Callable[[str], str]) -> Any:
        """Return a client of ministack."""
        return await make_client("boto3", find_server("ministack"))


class Aioboto3:
    """In the event loop."""

    works_in_several_event_loops = False

    @pytest.fixture
    async def client(self, make_client: MakeClient, find_server: Callable[[str], str]) -> Any:
        """Return a client of ministack."""
        return await make_client("aioboto3", find_server("ministack"))


class OneTable:
    """A table, and its mishaps."""

    @pytest.fixture
    async def table_name(self, client: Any, make_table: Callable[..., Awaitable[str]]) -> str:
        """Return a table without items."""
        return await make_table(client)

    @pytest.fixture
    def break_backend(self, client: Any, table_name: str) -> Callable[[], Awaitable[Any]]:
        """Drop the table behind the adapter's back."""
        return lambda: AWSClient(client, "dynamodb").call("delete_table", {"TableName": table_name})


class Snapshots(OneTable, SnapshotStorageAdapterTests):
    """The contract, on ministack."""

    integral_floats_stay_floats = False

    def holds_number(self, number: float) -> bool:
        """Tell whether a number has at most 38 digits and a magnitude from 1E-130 to 1E+126."""
        integral = number == int(number)
        _, digits, exponent = Decimal(int(number) if integral else repr(number)).as_tuple()
        assert isinstance(exponent, int)
        significant = "".join(map(str, digits)).strip("0")
        return len(significant) <= 38 and -130 <= exponent + len(digits) - 1 < 126

    @pytest.fixture
    def adapter(self, client: Any, table_name: str) -> DynamoDBSnapshotStorageAdapter:
        """Return an adapter without snapshots."""
        return DynamoDBSnapshotStorageAdapter(client, table_name)

    @pytest.fixture
    def connect_again(
        self, client: Any, table_name: str
    ) -> Callable[[], DynamoDBSnapshotStorageAdapter]:
        """Make adapters of the same table, with the same client."""
        return lambda: DynamoDBSnapshotStorageAdapter(client, table_name)


class Bookmarks(OneTable, BookmarkStorageAdapterTests):
    """The contract, on ministack."""

    @pytest.fixture
    def adapter(self, client: Any, table_name: str) -> DynamoDBBookmarkStorageAdapter:
        """Return an adapter without bookmarks."""
        return DynamoDBBookmarkStorageAdapter(client, table_name)

    @pytest.fixture
    def connect_again(
        self, client: Any, table_name: str
    ) -> Callable[[], DynamoDBBookmarkStorageAdapter]:
        """Make adapters of the same table, with the same client."""
        return lambda: DynamoDBBookmarkStorageAdapter(client, table_name)

    @pytest.fixture
    def join_transaction(self, client: Any, table_name: str) -> tuple[Any, Any]:
        """Write texts as items of the table, and read them all."""

        def write(writes: TransactItems, text: str) -> None:
            item = {"aggregateId": {"S": TEXTS}, "version": {"N": str(int(text, 36))}}
            writes.append({"Put": {"TableName": table_name, "Item": item | {"text": {"S": text}}}})

        async def read() -> list[str]:
            found = await AWSClient(client, "dynamodb").call(
                "query",
                {
                    "TableName": table_name,
                    "KeyConditionExpression": "aggregateId = :texts",
                    "ExpressionAttributeValues": {":texts": {"S": TEXTS}},
                    "ConsistentRead": True,
                },
            )
            return [each["text"]["S"] for each in found["Items"]]

        return write, read


class TestSnapshotsOfBoto3(Boto3, Snapshots):
    """Snapshots."""


class TestSnapshotsOfAioboto3(Aioboto3, Snapshots):
    """Snapshots."""


class TestBookmarksOfBoto3(Boto3, Bookmarks):
    """Bookmarks."""


class TestBookmarksOfAioboto3(Aioboto3, Bookmarks):
    """Bookmarks."""


@pytest.fixture
async def client(
    make_client: Callable[..., Awaitable[Any]], find_server: Callable[[str], str]
) -> Any:
    """Give a client of ministack."""
    return await make_client("boto3", find_server("ministack"))


@pytest.fixture
async def table_name(client: Any, make_table: Callable[..., Awaitable[str]]) -> str:
    """Give a table that all three share."""
    return await make_table(client)


def make_snapshot(aggregate: JSONValue = 1) -> Snapshot:
    """Return a snapshot of the aggregate that has an event."""
    return Snapshot("NOTES", "a1", 1, "1", aggregate)


async def test_they_live_beside_events(client: Any, table_name: str) -> None:
    """Events, snapshots and bookmarks of the same names in one table do not see each other."""
    events = DynamoDBEventStorageAdapter(client, table_name)
    snapshots = DynamoDBSnapshotStorageAdapter(client, table_name)
    bookmarks = DynamoDBBookmarkStorageAdapter(client, table_name)
    record = EventRecord("a1", 1, "NOTED", datetime(2024, 1, 1, tzinfo=UTC))
    await events.push_event("NOTES", record)
    await snapshots.put_snapshot(make_snapshot())
    await bookmarks.acquire_lease("NOTES#a1", "ash", timedelta(minutes=1))

    await snapshots.delete_snapshots("NOTES")

    assert [record] == await events.get_events("NOTES", "a1")
    found = await events.list_aggregate_ids("NOTES")
    assert ["a1"] == [each.aggregate_id for each in found.aggregates]
    assert await snapshots.get_snapshot("NOTES", "a1", reducer_version="1") is None
    assert not await bookmarks.acquire_lease("NOTES#a1", "gary", timedelta(minutes=1))


async def test_a_stream_passes_over_them(client: Any, table_name: str) -> None:
    """Their items are of no event store."""
    await DynamoDBSnapshotStorageAdapter(client, table_name).put_snapshot(make_snapshot())
    bookmarks = DynamoDBBookmarkStorageAdapter(client, table_name)
    await bookmarks.acquire_lease("pokedex", "ash", timedelta(minutes=1))

    images = client.scan(TableName=table_name)["Items"]

    parser = DynamoDBStreamParser[Event](())
    records = [
        {"eventName": "INSERT", "dynamodb": {"NewImage": each, "SequenceNumber": "1"}}
        for each in images
    ]
    assert [None, None] == [parser.parse_record(each) for each in records]


async def test_a_snapshot_that_cannot_be_read(client: Any, table_name: str) -> None:
    """Where somebody changed its item, the error is the adapter's."""
    adapter = DynamoDBSnapshotStorageAdapter(client, table_name)
    await adapter.put_snapshot(make_snapshot())
    (item,) = client.scan(TableName=table_name)["Items"]
    del item["aggregateVersion"]
    client.put_item(TableName=table_name, Item=item)

    with pytest.raises(StorageError, match="snapshot of aggregate 'a1'"):
        await adapter.get_snapshot("NOTES", "a1", reducer_version="1")


async def test_snapshots_expire(client: Any, table_name: str) -> None:
    """The attribute for DynamoDB's time to live has the second in which they do."""
    adapter = DynamoDBSnapshotStorageAdapter(client, table_name, keep_for=timedelta(days=1))
    before = datetime.now(UTC) + timedelta(days=1)

    await adapter.put_snapshot(make_snapshot())

    (item,) = client.scan(TableName=table_name)["Items"]
    assert 0 <= int(item["expiresAt"]["N"]) - int(before.timestamp()) <= 60


async def test_snapshots_do_not_expire_by_themselves(client: Any, table_name: str) -> None:
    """Without keep_for they have no such attribute."""
    await DynamoDBSnapshotStorageAdapter(client, table_name).put_snapshot(make_snapshot())

    (item,) = client.scan(TableName=table_name)["Items"]
    assert "expiresAt" not in item


@pytest.mark.parametrize(
    ("aggregate", "reason"),
    [
        ("x" * 410_000, r"'a1' is 410\d{3} bytes"),
        ([10**39 + 1], "'a1': .* 40 digits"),
        (loads("[" * 400 + "]" * 400), "'a1': .* 32 deep"),
    ],
)
async def test_a_snapshot_that_dynamodb_does_not_hold(
    client: Any, table_name: str, aggregate: JSONValue, reason: str
) -> None:
    """It is refused before anything is sent."""
    adapter = DynamoDBSnapshotStorageAdapter(client, table_name)

    with pytest.raises(StorageError, match=reason):
        await adapter.put_snapshot(make_snapshot(aggregate))


async def test_a_store_goes_on_from_snapshots(client: Any, table_name: str) -> None:
    """Numbers that DynamoDB gives back as others are no corruption; old snapshots are pruned."""
    adapter = DynamoDBSnapshotStorageAdapter(client, table_name)
    snapshots = make_snapshots(adapter, every=2, keep=1)
    store = make_store(snapshots, DynamoDBEventStorageAdapter(client, table_name))
    values: list[Any] = ["é 🦆", 2.0, 1e22, 0.1, {"b": 1, "a": [None, True, -5.0]}, "end"]
    for version, value in enumerate(values, 1):
        await store.push_event(make_event(version, value))
    loaded = await store.get_aggregate("a1")
    assert (6, await load_plainly(store)) == (loaded.snapshot_version, loaded.aggregate)
    assert (await store.get_aggregate("a1", max_version=5)).snapshot_version is None
    await push(store, 3, text="new", force=True)
    for expected in (None, 6):
        loaded = await store.get_aggregate("a1")
        assert (expected, await load_plainly(store)) == (loaded.snapshot_version, loaded.aggregate)
    assert {"written": 4, "used": 2, "missing": 2} == snapshots.counts
