"""The commands of the example, on the storages that the documentation names."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from castore_core import AggregateNotFoundError, EventStorageAdapter, EventStore, ExistingAggregate
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from pokemon import (
    CatchPokemon,
    LevelUpPokemon,
    Pokemon,
    PokemonAlreadyCaughtError,
    PokemonAppeared,
    PokemonCaught,
    PokemonEvent,
    PokemonLeveledUp,
    PokemonStore,
    StartPokemonGame,
    Trainer,
    TrainerStore,
    WildPokemonAppear,
    catch_pokemon,
    level_up_pokemon,
    pokemons,
    start_pokemon_game,
    trainers,
    wild_pokemon_appear,
)


@pytest.fixture(params=["in memory", "SQLite"])
async def storage_adapter(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[EventStorageAdapter]:
    """Give each of the storages."""
    if request.param == "in memory":
        yield InMemoryEventStorageAdapter()
        return
    engine = create_engine(f"sqlite:///{tmp_path / 'pokemon.db'}")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    yield adapter
    engine.dispose()


@pytest.fixture
def stores(
    storage_adapter: EventStorageAdapter, monkeypatch: pytest.MonkeyPatch
) -> tuple[PokemonStore, TrainerStore]:
    """Give both stores, on one storage."""
    for store in (pokemons, trainers):
        monkeypatch.setattr(store, "storage_adapter", storage_adapter)
    return pokemons, trainers


@pytest.fixture
def generate_id() -> Callable[[], str]:
    """Give ids that a test can name: ``id1``, ``id2``, and so on."""
    numbers = count(1)
    return lambda: f"id{next(numbers)}"


async def test_a_pokemon_appears(
    stores: tuple[PokemonStore, TrainerStore], generate_id: Callable[[], str]
) -> None:
    """A pokemon that appeared is wild, and has the name and level that it appeared with."""
    pokemons, _ = stores

    pikachu = await wild_pokemon_appear(
        WildPokemonAppear("Pikachu", 5), (pokemons,), generate_id=generate_id
    )

    loaded = await pokemons.get_existing_aggregate(pikachu)
    assert Pokemon("id1", 1, "Pikachu", 5) == loaded.aggregate
    assert loaded.aggregate.status == "wild"


async def test_a_pokemon_levels_up(
    stores: tuple[PokemonStore, TrainerStore], generate_id: Callable[[], str]
) -> None:
    """Each level is an event of its own."""
    pokemons, _ = stores
    pikachu = await wild_pokemon_appear(
        WildPokemonAppear("Pikachu", 5), (pokemons,), generate_id=generate_id
    )

    for _ in range(2):
        await level_up_pokemon(LevelUpPokemon(pikachu), (pokemons,))

    loaded = await pokemons.get_existing_aggregate(pikachu)
    assert Pokemon("id1", 3, "Pikachu", 7) == loaded.aggregate
    assert [PokemonAppeared, PokemonLeveledUp, PokemonLeveledUp] == [
        type(event) for event in loaded.events
    ]


async def test_a_pokemon_that_never_appeared_cannot_level_up(
    stores: tuple[PokemonStore, TrainerStore],
) -> None:
    """The command names the pokemon that is missing."""
    pokemons, _ = stores

    with pytest.raises(AggregateNotFoundError, match="missingno"):
        await level_up_pokemon(LevelUpPokemon("missingno"), (pokemons,))


async def test_a_trainer_catches_a_pokemon(
    stores: tuple[PokemonStore, TrainerStore], generate_id: Callable[[], str]
) -> None:
    """Both the pokemon and the trainer know of it."""
    pokemons, trainers = stores
    pikachu, ash = await appear_and_start(stores, generate_id)

    await catch_pokemon(CatchPokemon(pikachu, ash), stores)

    pokemon = (await pokemons.get_existing_aggregate(pikachu)).aggregate
    trainer = (await trainers.get_existing_aggregate(ash)).aggregate
    assert Pokemon(pikachu, 2, "Pikachu", 5, trainer_id=ash) == pokemon
    assert pokemon.status == "caught"
    assert Trainer(ash, 2, "Ash", (pikachu,)) == trainer


async def test_a_pokemon_is_caught_once(
    stores: tuple[PokemonStore, TrainerStore], generate_id: Callable[[], str]
) -> None:
    """A second catch is refused, and leaves no event of the trainer behind."""
    _, trainers = stores
    pikachu, ash = await appear_and_start(stores, generate_id)
    await catch_pokemon(CatchPokemon(pikachu, ash), stores)

    with pytest.raises(PokemonAlreadyCaughtError, match="'id1' already belongs to trainer 'id2'"):
        await catch_pokemon(CatchPokemon(pikachu, ash), stores)

    assert len(await trainers.get_events(ash)) == 2


class StoreWhereTwoReadersMeet(EventStore[PokemonEvent, Pokemon]):
    """Holds its first two readers back until both have read."""

    def __init__(self, store: PokemonStore) -> None:
        super().__init__(
            store.event_store_id,
            event_types=store.event_types,
            reduce=store.reduce,
            storage_adapter=store.storage_adapter,
        )
        self._expected_readers = 2
        self._both_have_read = asyncio.Barrier(2)

    async def get_existing_aggregate(
        self, aggregate_id: str, *, max_version: int | None = None
    ) -> ExistingAggregate[PokemonEvent, Pokemon]:
        """Load the aggregate, and wait for the other reader."""
        loaded = await super().get_existing_aggregate(aggregate_id, max_version=max_version)
        if self._expected_readers:
            self._expected_readers -= 1
            await self._both_have_read.wait()
        return loaded


async def test_of_two_trainers_that_race_for_a_pokemon_one_catches_it(
    stores: tuple[PokemonStore, TrainerStore], generate_id: Callable[[], str]
) -> None:
    """Both saw it wild. The slower one's command runs again, and sees that it is gone."""
    pokemons, trainers = stores
    pikachu, ash = await appear_and_start(stores, generate_id)
    misty = await start_pokemon_game(
        StartPokemonGame("Misty"), (trainers,), generate_id=generate_id
    )
    raced = StoreWhereTwoReadersMeet(pokemons)

    outcomes = await asyncio.gather(
        catch_pokemon(CatchPokemon(pikachu, ash), (raced, trainers)),
        catch_pokemon(CatchPokemon(pikachu, misty), (raced, trainers)),
        return_exceptions=True,
    )

    [caught] = (await pokemons.get_events(pikachu))[1:]
    assert isinstance(caught, PokemonCaught)
    winner = caught.payload["trainer_id"]
    loser = misty if winner == ash else ash
    assert [PokemonAlreadyCaughtError(pikachu, winner).args] == [
        outcome.args for outcome in outcomes if isinstance(outcome, PokemonAlreadyCaughtError)
    ]
    assert (pikachu,) == (await trainers.get_existing_aggregate(winner)).aggregate.pokemon_ids
    assert () == (await trainers.get_existing_aggregate(loser)).aggregate.pokemon_ids


async def appear_and_start(
    stores: tuple[PokemonStore, TrainerStore], generate_id: Callable[[], str]
) -> tuple[str, str]:
    """Let Pikachu appear and Ash begin to play, and return the ids of both."""
    pokemons, trainers = stores
    pikachu = await wild_pokemon_appear(
        WildPokemonAppear("Pikachu", 5), (pokemons,), generate_id=generate_id
    )
    ash = await start_pokemon_game(StartPokemonGame("Ash"), (trainers,), generate_id=generate_id)
    return pikachu, ash
