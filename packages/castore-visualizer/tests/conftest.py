"""A visualizer of some pokemons, and a client of it."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import pytest
from starlette.testclient import TestClient

from castore_in_memory import InMemoryEventStorageAdapter
from castore_visualizer import create_app
from pokemon import (
    GameStarted,
    PokemonAppeared,
    PokemonCaught,
    PokemonLeveledUp,
    PokemonStore,
    TrainerStore,
    pokemons,
    trainers,
)

T = TypeVar("T")
Serve: TypeAlias = Callable[..., TestClient]

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


class World:
    """Pikachu, who appears, is caught by Ash and levels up, each a day after the other."""

    def __init__(self) -> None:
        self.adapter = InMemoryEventStorageAdapter()
        self.pokemons: PokemonStore = pokemons.using(self.adapter)
        self.trainers: TrainerStore = trainers.using(self.adapter)

    @property
    def stores(self) -> list[Any]:
        """Both stores."""
        return [self.pokemons, self.trainers]

    async def play(self) -> None:
        """Push the events."""
        days = [START + timedelta(days=each) for each in range(4)]
        await self.trainers.push_event(
            GameStarted("ash", 1, timestamp=days[0], payload={"trainer_name": "Ash"})
        )
        for event in (
            PokemonAppeared("pikachu", 1, timestamp=days[0], payload={"name": "Pika", "level": 5}),
            PokemonCaught(
                "pikachu",
                2,
                timestamp=days[1],
                payload={"trainer_id": "ash"},
                metadata={"ball": "great"},
            ),
            PokemonLeveledUp("pikachu", 3, timestamp=days[2]),
        ):
            await self.pokemons.push_event(event)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run some work in an event loop of its own."""
        return asyncio.run(work)


@pytest.fixture
def world() -> World:
    """Give stores with some events."""
    world = World()
    world.do(world.play())
    return world


@pytest.fixture
def serve(world: World) -> Serve:
    """Give a function that makes a client of a visualizer with some options."""

    def make(**options: Any) -> TestClient:
        stores = options.pop("stores", world.stores)
        return TestClient(
            create_app(stores, **options), base_url="http://localhost", follow_redirects=False
        )

    return make


@pytest.fixture
def client(serve: Serve) -> TestClient:
    """Give a client of a visualizer that is read-only."""
    return serve()


def find_form_token(page: str) -> str:
    """Return the token of the form of a page."""
    match = re.search(r'name="csrf" value="([^"]+)"', page)
    assert match is not None
    return match[1]


@pytest.fixture
def send() -> Callable[..., Any]:
    """Give a function that sends the form of a page."""

    def post(client: TestClient, page: str, **fields: str) -> Any:
        token = find_form_token(client.get(page).text)
        return client.post(page.partition("?")[0], data={"csrf": token, **fields})

    return post
