"""Events on SQLite, told through EventBridge and SQS, and what a consumer made of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import aioboto3
import boto3
import pytest
from sqlalchemy import create_engine

from castore_core import ConnectedEventStore, NotificationMessage, NotificationMessageBus
from castore_event_bridge import EventBridgeMessageBusAdapter, event_pattern
from castore_sql import SQLEventStorageAdapter
from castore_sqs import SQSMessageContext, SQSMessageQueueAdapter, SQSWorker
from pokemon import (
    CatchPokemon,
    GameStarted,
    LevelUpPokemon,
    Pokemon,
    PokemonEvent,
    PokemonStore,
    TrainerStore,
    WildPokemonAppear,
    catch_pokemon,
    level_up_pokemon,
    pokemons,
    trainers,
    wild_pokemon_appear,
)

ACCOUNT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}
POKEMONS = 12


class Pokedex:
    """Keeps the events that it is told, in whatever order they come, and knows all pokemons."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, int], PokemonEvent] = {}
        self.replays = 0

    async def handle(
        self, message: NotificationMessage[PokemonEvent], context: SQSMessageContext
    ) -> None:
        """Keep an event; one that it has already changes nothing."""
        await asyncio.sleep(0)
        self.replays += context.replay
        self.events[message.event.aggregate_id, message.event.version] = message.event

    def list_pokemons(self) -> dict[str, Pokemon | None]:
        """Return the pokemons as they are after the events so far."""
        ids = {aggregate_id for aggregate_id, _ in self.events}
        return {each: pokemons.build_aggregate(self._list_events(each)) for each in ids}

    def _list_events(self, aggregate_id: str) -> list[PokemonEvent]:
        return [event for key, event in sorted(self.events.items()) if key[0] == aggregate_id]


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


@pytest.fixture
async def stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[PokemonStore, TrainerStore]]:
    """Give the stores of pokemons and of trainers, on one database."""
    engine = create_engine(f"sqlite:///{tmp_path / 'pokemon.db'}")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    for store in (pokemons, trainers):
        monkeypatch.setattr(store, "storage_adapter", adapter)
    yield pokemons, trainers
    engine.dispose()


async def play(pokemons: PokemonStore, trainers: TrainerStore) -> None:
    """Let pokemons appear, become stronger, and be caught."""
    numbers = count()
    await trainers.push_event(
        GameStarted(aggregate_id="ash", version=1, payload={"trainer_name": "Ash"})
    )

    async def live() -> None:
        pokemon_id = await wild_pokemon_appear(
            WildPokemonAppear("Pikachu", 5),
            (pokemons,),
            generate_id=lambda: f"pikachu{next(numbers)}",
        )
        for _ in range(3):
            await level_up_pokemon(LevelUpPokemon(pokemon_id), (pokemons,))

    await asyncio.gather(*(live() for _ in range(POKEMONS)))
    await catch_pokemon(CatchPokemon("pikachu3", "ash"), (pokemons, trainers))


async def list_stored(store: PokemonStore) -> dict[str, Pokemon | None]:
    """Return all pokemons of a store."""
    return {
        each: (await store.get_aggregate(each)).aggregate
        async for each in store.iter_aggregate_ids()
    }


async def list_messages(store: PokemonStore) -> list[NotificationMessage[PokemonEvent]]:
    """Return a message for each event of a store."""
    return [
        NotificationMessage(store.event_store_id, event)
        async for each in store.iter_aggregate_ids()
        for event in await store.get_events(each)
    ]


async def until_equal(pokedex: Pokedex, expected: dict[str, Pokemon | None]) -> None:
    """Wait until a consumer knows of all pokemons what is expected."""
    async with asyncio.timeout(20):
        while expected != pokedex.list_pokemons():  # noqa: ASYNC110 messages come when they come
            await asyncio.sleep(0.02)


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
