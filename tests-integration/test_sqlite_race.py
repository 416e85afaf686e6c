"""Commands that collide on SQLite, on purpose."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from castore_core import AggregateCommands, EventDraft
from castore_sql import SQLEventStorageAdapter
from castore_test_tools import mute_event_store, race
from pokemon import (
    CatchPokemon,
    GameStarted,
    Pokemon,
    PokemonAlreadyCaughtError,
    PokemonAppeared,
    PokemonLeveledUp,
    PokemonStore,
    TrainerStore,
    catch_pokemon,
    pokemons,
    trainers,
)

PIKACHU = "pikachu1"


@pytest.fixture
async def stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[PokemonStore, TrainerStore]]:
    """Give both stores, each with an adapter of its own on one database, and what they need."""
    engine = create_engine(f"sqlite:///{tmp_path / 'pokemon.db'}")
    await SQLEventStorageAdapter(engine).create_tables()
    for store in (pokemons, trainers):
        monkeypatch.setattr(store, "storage_adapter", SQLEventStorageAdapter(engine))
    await pokemons.push_event(
        PokemonAppeared(aggregate_id=PIKACHU, version=1, payload={"name": "Pikachu", "level": 5})
    )
    for name in ("ash", "misty"):
        await trainers.push_event(
            GameStarted(aggregate_id=name, version=1, payload={"trainer_name": name})
        )
    yield pokemons, trainers
    engine.dispose()


@pytest.mark.parametrize("index", [0, 1], ids=["pokemons", "trainers"])
async def test_commands_that_push_groups_collide(
    stores: tuple[PokemonStore, TrainerStore], index: int
) -> None:
    """One trainer catches the pokemon; the command of the other runs again, and is refused."""
    async with race(stores[index], 2) as raced:
        outcomes = await asyncio.gather(
            catch_pokemon(CatchPokemon(PIKACHU, "ash"), stores),
            catch_pokemon(CatchPokemon(PIKACHU, "misty"), stores),
            return_exceptions=True,
        )

    assert 1 == outcomes.count(None)
    assert 1 == sum(isinstance(each, PokemonAlreadyCaughtError) for each in outcomes)
    assert 1 == len(raced.conflicts)
    assert 1 == len(await pokemons.get_events(PIKACHU, min_version=2))
    assert {1, 2} == {len(await trainers.get_events(each)) for each in ("ash", "misty")}


async def test_aggregate_commands_collide(stores: tuple[PokemonStore, TrainerStore]) -> None:
    """Each happens, one after the other."""
    pokemons, _ = stores
    commands = AggregateCommands(pokemons)

    @commands.handler
    def train(_: Pokemon | None) -> EventDraft[PokemonLeveledUp]:
        return PokemonLeveledUp.draft()

    async with race(pokemons, 3) as raced:
        await asyncio.gather(*(train(PIKACHU) for _ in range(3)))

    assert len(raced.conflicts) >= 2
    assert [1, 2, 3, 4] == [each.version for each in await pokemons.get_events(PIKACHU)]


async def test_single_pushes_collide(stores: tuple[PokemonStore, TrainerStore]) -> None:
    """The first one wins."""
    pokemons, _ = stores
    leveled_up = PokemonLeveledUp(aggregate_id=PIKACHU, version=2)
    async with race(pokemons, 2) as raced:
        outcomes = await asyncio.gather(
            pokemons.push_event(leveled_up),
            pokemons.push_event(leveled_up),
            return_exceptions=True,
        )
    assert raced.conflicts == [outcomes[1]]


async def test_a_muted_store_writes_nothing_to_its_database(
    stores: tuple[PokemonStore, TrainerStore],
) -> None:
    """What was pushed while it was muted is not in the database."""
    pokemons, _ = stores
    with mute_event_store(pokemons):
        await pokemons.push_event(
            PokemonAppeared(aggregate_id="eevee1", version=1, payload={"name": "", "level": 1})
        )
        assert 1 == len(await pokemons.get_events("eevee1"))
    assert [] == await pokemons.get_events("eevee1")
    assert 1 == len(await pokemons.get_events(PIKACHU))
