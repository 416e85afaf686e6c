"""Events on SQLite, relayed to a queue on Redis, and what a consumer made of them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any, cast
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from castore_core import NotificationMessageQueue
from castore_projections import Relay
from castore_redis import RedisBookmarkStorageAdapter, RedisMessageQueueAdapter, RedisWorker
from pokedex import POKEMONS, Pokedex, list_stored, play, until_equal
from pokemon import PokemonStore, TrainerStore


@pytest.fixture(params=["redis", "valkey"])
async def redis(
    request: pytest.FixtureRequest, find_server: Callable[[str], str]
) -> AsyncIterator[Any]:
    """Give a client of each server."""
    client = cast("Any", Redis).from_url(find_server(request.param))
    yield client
    await client.aclose()


def list_versions(pokedex: Pokedex) -> dict[str, list[int]]:
    """Return the versions of each pokemon in the order in which they came first."""
    versions: defaultdict[str, list[int]] = defaultdict(list)
    for aggregate_id, version in pokedex.events:
        versions[aggregate_id].append(version)
    return versions


@pytest.mark.parametrize("streams", [1, 3])
async def test_the_consumer_knows_what_the_store_knows(
    stores: tuple[PokemonStore, TrainerStore], redis: Any, streams: int
) -> None:
    """Live, and when the relay begins anew for a consumer that knows nothing yet."""
    pokemons, trainers = stores
    name = f"test-{uuid4()}"
    adapter = RedisMessageQueueAdapter(redis, stream=name, streams=streams)
    queue = NotificationMessageQueue(
        "POKEMON_EVENTS", source_event_stores=(pokemons,), message_channel_adapter=adapter
    )
    bookmarks = RedisBookmarkStorageAdapter(redis, key_prefix=f"{name}:bookmarks")
    relay = Relay(
        "to-redis",
        event_stores=[pokemons],
        channels=[queue],
        bookmarks=bookmarks,
        poll_interval=0.05,
    )
    await adapter.create_group()

    live, replayed = Pokedex(), Pokedex()
    async with relay:
        async with RedisWorker(queue, live.handle, wait_time=0.5):
            await play(pokemons, trainers)
            stored = await list_stored(pokemons)
            await until_equal(live, stored)
        async with RedisWorker(queue, replayed.handle, wait_time=0.5):
            await relay.reset()
            await until_equal(replayed, stored)

    assert POKEMONS == len(stored)
    assert 4 * POKEMONS + 1 == len(live.events) == len(replayed.events)
    assert (0, 4 * POKEMONS + 1) == (live.replays, replayed.replays)
    for each in (live, replayed):
        assert all(sorted(versions) == versions for versions in list_versions(each).values())
