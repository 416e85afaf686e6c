"""What Castore 2.4.2 wrote is read, and what is written is what Castore wrote.

recordings/ has what the npm packages sent to servers, and read back.
"""

import json
from base64 import b64decode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from castore_core import ABSENT, EventRecord, GroupedRecord, StorageError, parse_timestamp
from castore_dynamodb import DynamoDBEventStorageAdapter

RECORDINGS = Path(__file__).parent / "recordings"
STORE = "POKEMONS"


def load(folder: str) -> dict[str, Any]:
    """Return the recordings of a folder by their names."""
    paths = sorted((RECORDINGS / folder).glob("*.json"))
    return {each.stem: json.loads(each.read_text()) for each in paths}


PUSHES = load("push")
GROUPS = load("group")

NO_EVENTS = ["timestamp-not-iso", "timestamp-undefined-explicitly", "version-fraction"]
NOT_JSON = {"bytes-inside", "number-set-inside", "string-set-inside"}


READ = [name for name in PUSHES if name not in NO_EVENTS]
WRITTEN = [name for name in READ if name not in NOT_JSON]


TAGS: dict[str, Callable[[Any], Any]] = {
    "$undefined": lambda _: ABSENT,
    "$bigint": int,
    "$number": float,
    "$set": list,
    "$map": dict,
    "$bytes_base64": str,
}


def untag(value: Any) -> Any:
    """Return a recorded value as JSON: what is undefined is not there."""
    if isinstance(value, list):
        return [item for item in map(untag, cast("list[Any]", value)) if item is not ABSENT]
    if not isinstance(value, dict):
        return value
    values = cast("dict[str, Any]", value)
    for tag in values.keys() & TAGS.keys():
        return TAGS[tag](values[tag])
    items = {key: untag(item) for key, item in values.items()}
    return {key: item for key, item in items.items() if item is not ABSENT}


def to_record(event: dict[str, Any]) -> EventRecord:
    """Return a recorded event."""
    event = untag(event)
    return EventRecord(
        event["aggregateId"],
        event["version"],
        event["type"],
        parse_timestamp(event["timestamp"]),
        event.get("payload", ABSENT),
        event.get("metadata", ABSENT),
    )


def to_text(item: dict[str, Any]) -> str:
    """Return an item as it was sent, but for the one attribute that Castore does not know."""
    return json.dumps({name: each for name, each in item.items() if name != "writeToken"})


def to_stored(attribute: Any) -> Any:
    """Return a recorded attribute value as boto3 takes it."""
    if isinstance(attribute, list):
        return [to_stored(item) for item in cast("list[Any]", attribute)]
    if not isinstance(attribute, dict):
        return attribute
    items = cast("dict[str, Any]", attribute)
    if "B" in items:
        return {"B": b64decode(items["B"])}
    return {key: to_stored(item) for key, item in items.items()}


class Requests:
    """What a client writes, as its JSON on the wire."""

    def __init__(self, client: Any) -> None:
        self.bodies: list[dict[str, Any]] = []
        client.meta.events.register("before-send.dynamodb", self._note)

    def _note(self, request: Any, **_: Any) -> None:
        if not request.headers["X-Amz-Target"].endswith(b".Query"):
            self.bodies.append(json.loads(request.body))


@pytest.fixture
async def client(
    make_client: Callable[..., Awaitable[Any]], find_server: Callable[[str], str]
) -> Any:
    """Give a client of ministack."""
    return await make_client("boto3", find_server("ministack"))


@pytest.fixture
async def adapter(
    client: Any, make_table: Callable[..., Awaitable[str]]
) -> DynamoDBEventStorageAdapter:
    """Give an adapter without events."""
    return DynamoDBEventStorageAdapter(client, await make_table(client))


@pytest.mark.parametrize("name", WRITTEN)
async def test_an_event_is_written_as_castore_does(
    client: Any, adapter: DynamoDBEventStorageAdapter, name: str
) -> None:
    """The item on the wire is the same, byte for byte, and so is the condition."""
    recording = PUSHES[name]
    requests = Requests(client)
    force = recording["input"]["options"].get("force", False)

    await adapter.push_event(STORE, to_record(recording["input"]["event"]), force=force)

    ((expected, sent),) = zip(recording["wire"], requests.bodies, strict=True)
    assert to_text(expected["body"]["Item"]) == to_text(sent["Item"])
    assert expected["body"].get("ConditionExpression") == sent.get("ConditionExpression")
    assert expected["body"].get("ExpressionAttributeNames") == sent.get("ExpressionAttributeNames")


@pytest.mark.parametrize("name", READ)
async def test_an_event_of_castore_is_read(
    client: Any, adapter: DynamoDBEventStorageAdapter, name: str
) -> None:
    """What Castore stored is the event that Castore reads, and its aggregate is listed."""
    recording = PUSHES[name]["moto"]
    for item in recording["storedItems"]:
        client.put_item(TableName=adapter.table_name, Item=to_stored(item))
    expected = [to_record(each) for each in recording["readBack"]["result"]["events"]]
    listed = [each["aggregateId"] for each in recording["listed"]["result"]["aggregateIds"]]

    assert expected == await adapter.get_events(STORE, expected[0].aggregate_id)
    found = await adapter.list_aggregate_ids(STORE)
    assert listed == [each.aggregate_id for each in found.aggregates]


@pytest.mark.parametrize("name", NO_EVENTS)
async def test_what_is_no_event_is_named(
    client: Any, adapter: DynamoDBEventStorageAdapter, name: str
) -> None:
    """Castore checks nothing at run time; an item that it made of nonsense is no silent skip."""
    (item,) = PUSHES[name]["moto"]["storedItems"]
    client.put_item(TableName=adapter.table_name, Item=item)

    with pytest.raises(StorageError, match="POKEMONS#b0000000"):
        await adapter.get_events(STORE, "b0000000-0000-4000-8000-000000000001")


@pytest.mark.parametrize("name", GROUPS)
async def test_a_group_is_written_as_castore_does(
    client: Any, adapter: DynamoDBEventStorageAdapter, name: str
) -> None:
    """The items of the transaction are the same, byte for byte; one event needs none."""
    recording = GROUPS[name]
    requests = Requests(client)
    force = recording["args"][0].get("force", False)
    group = [
        GroupedRecord(each["eventStoreId"], to_record(each["event"]), adapter)
        for each in recording["args"]
        if "event" in each
    ]

    await adapter.push_event_group(group, force=force)

    (expected,) = (each["body"]["TransactItems"] for each in recording["wire"])
    (sent,) = requests.bodies
    puts = [each["Put"] for each in sent["TransactItems"]] if len(group) > 1 else [sent]
    assert [to_text(each["Put"]["Item"]) for each in expected] == [
        to_text(each["Item"]) for each in puts
    ]
