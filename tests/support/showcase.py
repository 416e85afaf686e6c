"""The examples with some history, for the visualizer: pokemons, the shop, and a git history."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import create_engine

from castore_core import EventStore, Snapshots, event_metadata, utc_now
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter
from castore_projections import Projection, ProjectionContext
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from castore_visualizer import create_app, with_context
from git_history.git import Repository
from git_history.history import open_adapter, open_history
from git_history.importing import import_commits, rebuild_tree
from git_history.working_tree import WorkingTree
from pokemon import (
    GameStarted,
    PokemonAppeared,
    PokemonCaught,
    PokemonLeveledUp,
    TrainerCaughtPokemon,
    catch_pokemon,
    level_up_pokemon,
    pokemons,
    trainers,
    wild_pokemon_appear,
)
from shop import OrderCancelled, OrderPaid, ProductListed, Shop

_NAMES = ("Pikachu", "Bulbasaur", "Charmander", "Squirtle", "Eevee", "Snorlax")
_TRAINERS = ("Ash", "Misty", "Brock")


async def make_pokemon_stores(start: datetime) -> list[EventStore[Any, Any]]:
    """Return the stores of the pokemons, with some days of history."""
    adapter, chance = InMemoryEventStorageAdapter(), random.Random(7)
    wild, players = pokemons.using(adapter), trainers.using(adapter)
    for name in _TRAINERS:
        await players.push_event(
            GameStarted(name.lower(), 1, timestamp=start, payload={"trainer_name": name})
        )
    moment = start
    for number in range(90):
        moment += timedelta(minutes=chance.randint(4, 60))
        name = chance.choice(_NAMES)
        await wild.push_event(
            PokemonAppeared(
                f"{name.lower()}-{number + 1}",
                1,
                timestamp=moment,
                payload={"name": name, "level": chance.randint(2, 20)},
            )
        )
    await _raise_pikachu(wild, players, start + timedelta(hours=1), chance)
    return [wild, players]


async def _raise_pikachu(
    wild: EventStore[Any, Any],
    players: EventStore[Any, Any],
    moment: datetime,
    chance: random.Random,
) -> None:
    appeared = PokemonAppeared(
        "pikachu", 1, timestamp=moment, payload={"name": "Pikachu", "level": 5}
    )
    await wild.push_event(appeared)
    for version in range(2, 26):
        moment += timedelta(minutes=chance.choice([1, 4, 30, 90, 170]))
        if version != 9:
            await wild.push_event(PokemonLeveledUp("pikachu", version, timestamp=moment))
            continue
        caught = PokemonCaught(
            "pikachu",
            version,
            timestamp=moment,
            payload={"trainer_id": "ash"},
            metadata={"ball": "great"},
        )
        told = TrainerCaughtPokemon("ash", 2, timestamp=moment, payload={"pokemon_id": "pikachu"})
        await EventStore.push_event_group(wild.group_event(caught), players.group_event(told))


async def make_pokemon_app(**options: Any) -> Any:
    """Return a visualizer of the pokemons, with their commands."""
    stores = options.pop("stores", None) or await make_pokemon_stores(
        utc_now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=60)
    )
    chance = random.Random(11)
    commands = [
        catch_pokemon,
        level_up_pokemon,
        with_context(
            wild_pokemon_appear, generate_id=lambda: str(UUID(int=chance.getrandbits(128)))
        ),
    ]
    defaults: dict[str, Any] = {"commands": commands, "title": "pokemon"}
    return create_app(stores, **(defaults | options))


@asynccontextmanager
async def open_shop_app(path: Path, **options: Any) -> AsyncGenerator[Any]:
    """Give a visualizer of a shop on SQLite, whose letters fail on some events."""
    engine = create_engine(f"sqlite:///{path}")
    events, bookmarks = SQLEventStorageAdapter(engine), SQLBookmarkStorageAdapter(engine)
    await events.create_tables()
    await bookmarks.create_tables()
    cache = Snapshots(InMemorySnapshotStorageAdapter(), every=5, in_background=False)
    shop = Shop(events, cache)
    await _trade(shop)
    letters = Projection("letters", event_stores=[shop.orders], bookmarks=bookmarks, max_attempts=1)
    late = Projection("statistics", event_stores=[shop.products], bookmarks=bookmarks, partitions=2)

    @letters.on(OrderPaid)
    async def thank(event: OrderPaid, context: ProjectionContext[Any]) -> None:
        del event, context

    @letters.on(OrderCancelled)
    async def regret(event: OrderCancelled, context: ProjectionContext[Any]) -> None:
        del context
        raise ConnectionError(f"the mail server refused the letter about {event.aggregate_id}")

    @late.on(ProductListed)
    async def count(event: ProductListed, context: ProjectionContext[Any]) -> None:
        del event, context

    await letters.run_once()
    try:
        defaults: dict[str, Any] = {
            "projections": [letters, late],
            "commands": [shop.pay, shop.place_order],
        }
        yield create_app([shop.products, shop.orders], title="shop", **(defaults | options))
    finally:
        engine.dispose()


async def _trade(shop: Shop) -> None:
    for name, price, stock in (("lamp", 4900, 20), ("chair", 12900, 8), ("ebook", 900, None)):
        with event_metadata(correlation_id=f"listing-{name}", actor="ada"):
            await shop.list_product(name, name=name.title(), price=price, stock=stock)
    for number in range(1, 13):
        order_id, request = f"order-{number}", f"request-{number:03}"
        with event_metadata(correlation_id=request, actor=f"customer-{number % 4}"):
            await shop.place_order(
                order_id,
                ["lamp", "ebook"],
                customer_id=f"customer-{number % 4}",
                quantities={"lamp": 1, "ebook": 1},
                prices={"lamp": 4900, "ebook": 900},
            )
            with event_metadata(causation_id=f"ORDERS#{order_id}#1"):
                if number % 3:
                    await shop.pay(order_id, payment_id=f"payment-{number}")
                else:
                    await shop.cancel_order(order_id, reason="changed my mind")


@asynccontextmanager
async def open_git_history(
    repository: Repository, database: Path
) -> AsyncGenerator[list[EventStore[Any, Any]]]:
    """Give the stores of the history of a repository."""
    with open_adapter(database) as adapter:
        history = await open_history(adapter)
        tree: WorkingTree = await rebuild_tree(history)
        await import_commits(history, repository, tree, until=repository.head())
        yield [history.files, history.commits]
