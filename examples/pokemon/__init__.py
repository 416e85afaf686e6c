"""Pokemons, their trainers, and what happens to both: the running example of the documentation.

The event stores are definitions. Give each a ``storage_adapter`` before use.
"""

from pokemon._commands import (
    CatchPokemon,
    LevelUpPokemon,
    PokemonAlreadyCaughtError,
    StartPokemonGame,
    WildPokemonAppear,
    catch_pokemon,
    level_up_pokemon,
    start_pokemon_game,
    wild_pokemon_appear,
)
from pokemon._pokemons import (
    Pokemon,
    PokemonAppeared,
    PokemonCaught,
    PokemonEvent,
    PokemonLeveledUp,
    PokemonStore,
    pokemons,
    reduce_pokemon,
)
from pokemon._trainers import (
    GameStarted,
    Trainer,
    TrainerCaughtPokemon,
    TrainerEvent,
    TrainerStore,
    reduce_trainer,
    trainers,
)

__all__ = [
    "CatchPokemon",
    "GameStarted",
    "LevelUpPokemon",
    "Pokemon",
    "PokemonAlreadyCaughtError",
    "PokemonAppeared",
    "PokemonCaught",
    "PokemonEvent",
    "PokemonLeveledUp",
    "PokemonStore",
    "StartPokemonGame",
    "Trainer",
    "TrainerCaughtPokemon",
    "TrainerEvent",
    "TrainerStore",
    "WildPokemonAppear",
    "catch_pokemon",
    "level_up_pokemon",
    "pokemons",
    "reduce_pokemon",
    "reduce_trainer",
    "start_pokemon_game",
    "trainers",
    "wild_pokemon_appear",
]
