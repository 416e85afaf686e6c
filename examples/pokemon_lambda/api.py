"""The functions that Lambda calls: `pokemon_lambda.api.level_up`."""

import os
from typing import Any
from uuid import uuid4

import boto3

from castore_core.sync import run
from castore_dynamodb import DynamoDBEventStorageAdapter
from pokemon import (
    LevelUpPokemon,
    WildPokemonAppear,
    level_up_pokemon,
    pokemons,
    wild_pokemon_appear,
)

# Once for each container: this is the cold start.
client: Any = boto3.client("dynamodb")
pokemons.storage_adapter = DynamoDBEventStorageAdapter(client, os.environ["EVENTS_TABLE"])


def wild_pokemon_appears(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Let a pokemon appear, and return its id."""
    appear = WildPokemonAppear(name=event["name"], level=event["level"])
    pokemon_id = run(wild_pokemon_appear(appear, (pokemons,), generate_id=lambda: str(uuid4())))
    return {"pokemonId": pokemon_id}


def level_up(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Make a pokemon stronger, and return its level."""
    return run(_level_up(event["pokemonId"]))


async def _level_up(pokemon_id: str) -> dict[str, Any]:
    await level_up_pokemon(LevelUpPokemon(pokemon_id), (pokemons,))
    loaded = await pokemons.get_existing_aggregate(pokemon_id)
    return {"pokemonId": pokemon_id, "level": loaded.aggregate.level}
