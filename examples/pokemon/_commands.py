"""What can be done with pokemons and trainers."""

from collections.abc import Callable
from dataclasses import dataclass

from castore_core import EventStore, command
from pokemon._pokemons import (
    PokemonAppeared,
    PokemonCaught,
    PokemonLeveledUp,
    PokemonStore,
    pokemons,
)
from pokemon._trainers import GameStarted, TrainerCaughtPokemon, TrainerStore, trainers


class PokemonAlreadyCaughtError(Exception):
    """Somebody caught the pokemon before."""

    def __init__(self, pokemon_id: str, trainer_id: str) -> None:
        super().__init__(pokemon_id, trainer_id)
        self.pokemon_id = pokemon_id
        self.trainer_id = trainer_id

    def __str__(self) -> str:
        return f"pokemon {self.pokemon_id!r} already belongs to trainer {self.trainer_id!r}"


@dataclass(frozen=True)
class WildPokemonAppear:
    """Which pokemon appears."""

    name: str
    level: int


@dataclass(frozen=True)
class StartPokemonGame:
    """Who begins to play."""

    trainer_name: str


@dataclass(frozen=True)
class LevelUpPokemon:
    """Which pokemon becomes stronger."""

    pokemon_id: str


@dataclass(frozen=True)
class CatchPokemon:
    """Who catches which pokemon."""

    pokemon_id: str
    trainer_id: str


@command("WILD_POKEMON_APPEAR", required_event_stores=(pokemons,))
async def wild_pokemon_appear(
    input: WildPokemonAppear,
    event_stores: tuple[PokemonStore],
    *,
    generate_id: Callable[[], str],
) -> str:
    """Let a wild pokemon appear, and return its id."""
    (pokemons,) = event_stores
    appeared = PokemonAppeared(
        aggregate_id=generate_id(),
        version=1,
        payload={"name": input.name, "level": input.level},
    )
    await pokemons.push_event(appeared)
    return appeared.aggregate_id


@command("START_POKEMON_GAME", required_event_stores=(trainers,))
async def start_pokemon_game(
    input: StartPokemonGame,
    event_stores: tuple[TrainerStore],
    *,
    generate_id: Callable[[], str],
) -> str:
    """Let a trainer begin to play, and return the trainer's id."""
    (trainers,) = event_stores
    started = GameStarted(
        aggregate_id=generate_id(), version=1, payload={"trainer_name": input.trainer_name}
    )
    await trainers.push_event(started)
    return started.aggregate_id


@command("LEVEL_UP_POKEMON", required_event_stores=(pokemons,))
async def level_up_pokemon(input: LevelUpPokemon, event_stores: tuple[PokemonStore]) -> None:
    """Make a pokemon one level stronger.

    Raises:
        AggregateNotFoundError: there is no such pokemon.
    """
    (pokemons,) = event_stores
    pokemon = (await pokemons.get_existing_aggregate(input.pokemon_id)).aggregate
    await pokemons.push_event(
        PokemonLeveledUp(aggregate_id=input.pokemon_id, version=pokemon.version + 1)
    )


@command("CATCH_POKEMON", required_event_stores=(pokemons, trainers))
async def catch_pokemon(
    input: CatchPokemon, event_stores: tuple[PokemonStore, TrainerStore]
) -> None:
    """Let a trainer catch a pokemon: both tell of it, or neither does.

    Raises:
        AggregateNotFoundError: there is no such pokemon, or no such trainer.
        PokemonAlreadyCaughtError: it is somebody's already.
    """
    pokemons, trainers = event_stores
    pokemon = (await pokemons.get_existing_aggregate(input.pokemon_id)).aggregate
    trainer = (await trainers.get_existing_aggregate(input.trainer_id)).aggregate
    if pokemon.trainer_id is not None:
        raise PokemonAlreadyCaughtError(input.pokemon_id, pokemon.trainer_id)
    await EventStore.push_event_group(
        pokemons.group_event(
            PokemonCaught(
                aggregate_id=input.pokemon_id,
                version=pokemon.version + 1,
                payload={"trainer_id": input.trainer_id},
            )
        ),
        trainers.group_event(
            TrainerCaughtPokemon(
                aggregate_id=input.trainer_id,
                version=trainer.version + 1,
                payload={"pokemon_id": input.pokemon_id},
            )
        ),
    )
