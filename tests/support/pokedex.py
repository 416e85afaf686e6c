"""Pokemons that live on a database, and a consumer that knows them from messages alone."""

import asyncio
from itertools import count
from typing import Protocol

from castore_core import NotificationMessage
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
    wild_pokemon_appear,
)

POKEMONS = 12


class TellsReplay(Protocol):
    """The context of a handler, which says whether a message is a replay."""

    @property
    def replay(self) -> bool:
        """Whether the message is a replay."""
        ...


class Pokedex:
    """Keeps the events that it is told, in whatever order they come, and knows all pokemons."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, int], PokemonEvent] = {}
        self.replays = 0

    async def handle(
        self, message: NotificationMessage[PokemonEvent], context: TellsReplay
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
