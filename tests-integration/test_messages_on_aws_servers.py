"""Events on SQLite, told through EventBridge and SQS, and what a consumer made of them."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import aioboto3
import boto3
import pytest

from castore_core import ConnectedEventStore, NotificationMessageBus
from castore_event_bridge import EventBridgeMessageBusAdapter, event_pattern
from castore_sqs import SQSMessageQueueAdapter, SQSWorker
from pokedex import POKEMONS, Pokedex, list_messages, list_stored, play, until_equal
from pokemon import PokemonStore, TrainerStore, pokemons

ACCOUNT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}


@pytest.fixture(params=["moto", "ministack"])
def url(request: pytest.FixtureRequest, find_server: Callable[[str], str]) -> str:
    """Give the URL of a server."""
    return find_server(request.param)


@pytest.fixture
def bus_and_queue(url: str) -> Iterator[tuple[str, str]]:
    """Create a bus whose rule has a queue as its target, and give its name and the queue's URL."""
    events: Any = boto3.client("events", endpoint_url=url, **ACCOUNT)
    sqs: Any = boto3.client("sqs", endpoint_url=url, **ACCOUNT)
    name = f"bus-{uuid4()}"
    with ExitStack() as stack:
        stack.callback(sqs.close)
        stack.callback(events.close)
        queue_url = sqs.create_queue(QueueName=name)["QueueUrl"]
        stack.callback(sqs.delete_queue, QueueUrl=queue_url)
        attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        events.create_event_bus(Name=name)
        stack.callback(events.delete_event_bus, Name=name)
        pattern = event_pattern(event_store_id="POKEMONS", event_types=pokemons.event_types)
        events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps(pattern))
        stack.callback(events.delete_rule, Name=name, EventBusName=name)
        target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
        events.put_targets(Rule=name, EventBusName=name, Targets=[target])
        stack.callback(events.remove_targets, Rule=name, EventBusName=name, Ids=["queue"])
        yield name, queue_url


@pytest.fixture(params=["boto3", "aioboto3"])
async def clients(request: pytest.FixtureRequest, url: str) -> AsyncIterator[tuple[Any, Any]]:
    """Give clients of EventBridge and of SQS, of either kind."""
    if request.param == "boto3":
        sync_clients: Any = [
            boto3.client(each, endpoint_url=url, **ACCOUNT) for each in ("events", "sqs")
        ]
        yield tuple(sync_clients)
        for each in sync_clients:
            each.close()
        return
    session = aioboto3.Session(**ACCOUNT)
    async with (
        session.client("events", endpoint_url=url) as events,
        session.client("sqs", endpoint_url=url) as sqs,
    ):
        yield events, sqs


async def test_the_consumer_knows_what_the_store_knows(
    stores: tuple[PokemonStore, TrainerStore],
    clients: tuple[Any, Any],
    bus_and_queue: tuple[str, str],
) -> None:
    """Live, and when all is replayed to a consumer that knows nothing yet."""
    pokemons, trainers = stores
    events, sqs = clients
    bus_name, queue_url = bus_and_queue
    bus = NotificationMessageBus(
        "POKEMON_EVENTS",
        source_event_stores=(pokemons,),
        message_channel_adapter=EventBridgeMessageBusAdapter(events, bus_name),
    )
    queue = SQSMessageQueueAdapter(sqs, queue_url)

    live = Pokedex()
    async with SQSWorker(bus, live.handle, adapter=queue, wait_time=1):
        await play(ConnectedEventStore(pokemons, bus), trainers)
        stored = await list_stored(pokemons)
        await until_equal(live, stored)

    replayed = Pokedex()
    async with SQSWorker(bus, replayed.handle, adapter=queue, wait_time=1):
        await bus.publish_messages(await list_messages(pokemons), replay=True)
        await until_equal(replayed, stored)

    assert POKEMONS == len(stored)
    assert 4 * POKEMONS + 1 == len(live.events) == len(replayed.events)
    assert 0 == live.replays
    assert replayed.replays >= 4 * POKEMONS + 1
