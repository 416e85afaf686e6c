"""The same projection without a log: messages bring its events, and each is handled once."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest

from castore_core import EventStore, NotificationMessage, StateCarryingMessage
from castore_dynamodb import (
    DynamoDBBookmarkStorageAdapter,
    DynamoDBEventStorageAdapter,
    TransactItems,
    create_table,
    table_definition,
)
from castore_projections import Projection, ProjectionContext, ProjectionWaitTimeoutError
from counting import Counted, Counter, Counting, count

NAMES = ("a", "b", "a-b")
EVENTS = 8  # of each aggregate
TASKS = 32

Message = NotificationMessage[Counted]


class Table:
    """A table of DynamoDB with events, bookmarks, and counts of events."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name
        self.bookmarks = DynamoDBBookmarkStorageAdapter(client, name)
        self.store = EventStore(
            "COUNTERS",
            event_types=[Counted],
            reduce=count,
            storage_adapter=DynamoDBEventStorageAdapter(client, name),
        )

    def project(self) -> Projection[TransactItems]:
        """Return a projection that counts with the writes that move the bookmark."""
        projection = Projection(
            "counts",
            event_stores=[self.store],
            bookmarks=self.bookmarks,
            lease_duration=timedelta(seconds=10),
        )

        @projection.on(Counted)
        async def add(event: Counted, context: ProjectionContext[TransactItems]) -> None:
            update = {
                "TableName": self._name,
                "Key": self._make_key(event.aggregate_id),
                "UpdateExpression": "ADD n :one SET v = :version",
                "ExpressionAttributeValues": {
                    ":one": {"N": "1"},
                    ":version": {"N": str(event.version)},
                },
            }
            context.transaction.append({"Update": update})

        return projection

    async def read_count(self, aggregate_id: str) -> tuple[int, int]:
        """Return how many events were counted, and the version of the last."""
        answer = await asyncio.to_thread(
            self._client.get_item,
            TableName=self._name,
            Key=self._make_key(aggregate_id),
            ConsistentRead=True,
        )
        item = answer.get("Item", {"n": {"N": "0"}, "v": {"N": "0"}})
        return int(item["n"]["N"]), int(item["v"]["N"])

    def _make_key(self, aggregate_id: str) -> dict[str, Any]:
        return {"aggregateId": {"S": f"counts of {aggregate_id}"}, "version": {"N": "0"}}


@pytest.fixture
async def table(request: pytest.FixtureRequest, find_server: Callable[[str], str]) -> Table:
    """Return an empty table on a server."""
    client: Any = boto3.client(
        "dynamodb",
        region_name="eu-west-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106 it opens nothing
        endpoint_url=find_server(request.param),
    )
    name = f"counts-{uuid4().hex[:8]}"
    await create_table(client, table_definition(name))
    return Table(client, name)


async def push_all(store: EventStore[Counted, Counter]) -> list[Message]:
    """Push events, and return their messages."""
    messages: list[Message] = []
    for name in NAMES:
        for version in range(1, EVENTS + 1):
            event = Counted(name, version, payload="")
            await store.push_event(event)
            messages.append(NotificationMessage("COUNTERS", event))
    return messages


async def hand_over_by_many(
    make: Callable[[], Projection[Any]], messages: list[Message], tasks: int
) -> int:
    """Hand over all messages by many tasks of two processes, each in an order of its own."""
    projections = [make(), make()]

    async def hand_over(number: int) -> int:
        shuffled = random.Random(number).sample(messages, len(messages))
        return sum([await projections[number % 2].handle(each) for each in shuffled])

    return sum(await asyncio.gather(*map(hand_over, range(tasks))))


# Two writers at a time may both pass a condition on moto.
@pytest.mark.parametrize(
    ("table", "tasks"), [("ministack", TASKS), ("moto", 1)], indirect=["table"]
)
async def test_messages_of_dynamodb(table: Table, tasks: int) -> None:
    """Duplicates in any order, at the same time: each event is counted once."""
    messages = await push_all(table.store)
    handled = await hand_over_by_many(table.project, messages, tasks)

    assert len(messages) == handled
    for name in NAMES:
        assert (EVENTS, EVENTS) == await table.read_count(name)


@pytest.mark.parametrize("table", ["ministack"], indirect=True)
async def test_wait_for_on_dynamodb(table: Table) -> None:
    """A caller waits until the message of its event was handled."""
    projection = table.project()
    pushed = await table.store.push_event(Counted("a", 1, payload=""))
    with pytest.raises(ProjectionWaitTimeoutError):
        await projection.wait_for(pushed, timeout=0.1)
    waiting = asyncio.ensure_future(projection.wait_for(pushed))
    aggregate = Counter("a", 1)
    await projection.handle(StateCarryingMessage("COUNTERS", pushed.event, aggregate))
    await waiting
    assert (1, 1) == await table.read_count("a")


@pytest.mark.parametrize("place", ["asyncpg", "psycopg-sync"], indirect=True)
async def test_messages_on_postgresql(counting: Counting) -> None:
    """So it is with a read model on PostgreSQL."""
    messages = await push_all(counting.store)
    handled = await hand_over_by_many(counting.project, messages, TASKS)

    assert len(messages) == handled
    assert [] == await counting.find_faults()


@pytest.mark.parametrize("place", ["asyncpg"], indirect=True)
async def test_a_caller_that_is_cancelled(counting: Counting) -> None:
    """A message whose handling is cancelled comes again at once."""
    (first, *_) = await push_all(counting.store)
    is_waiting = asyncio.Event()
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(_event: Counted) -> Awaitable[None]:
        is_waiting.set()
        await never
        return never

    handling = asyncio.ensure_future(counting.project(before=wait, lease=60).handle(first))
    await is_waiting.wait()
    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling
    assert 1 == await counting.project().handle(first)
