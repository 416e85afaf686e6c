"""What the typing tests speak of: pokemons whose events are validated."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, TypedDict

from castore_core import DataclassCodec, Event, EventStore, JSONSchema
from castore_json_schema import JSONSchemaEvent


class AppearedPayload(TypedDict):
    """What is known of a pokemon that appears."""

    name: str
    level: int


class Trigger(TypedDict):
    """What made an event happen."""

    trigger: Literal["random", "scripted"]


# Inferred as dict[str, object], dict[str, str], and told: all are schemas.
APPEARED_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "level": {"type": "integer"}},
    "required": ["name", "level"],
}
STRING_SCHEMA = {"type": "string"}
TRIGGER_SCHEMA: JSONSchema = {"properties": {"trigger": {"enum": ["random", "scripted"]}}}


class PokemonAppeared(JSONSchemaEvent, type="POKEMON_APPEARED"):
    """A wild pokemon is here."""

    payload_schema = APPEARED_SCHEMA
    metadata_schema = TRIGGER_SCHEMA
    payload: AppearedPayload
    metadata: Trigger | None = None


class PokemonCaught(JSONSchemaEvent, type="POKEMON_CAUGHT"):
    """Its constructor is the one of `PokemonLeveledUp`."""


class PokemonLeveledUp(Event, type="POKEMON_LEVELED_UP"):
    """It is a plain event."""


class PokemonNamed(JSONSchemaEvent, type="POKEMON_NAMED"):
    """Its schema is written in place."""

    payload_schema: ClassVar[JSONSchema | None] = {"type": "string", "minLength": 1}
    payload: str


PokemonEvent: TypeAlias = PokemonAppeared | PokemonCaught | PokemonLeveledUp


@dataclass(frozen=True)
class Pokemon:
    """An aggregate."""

    aggregate_id: str
    version: int
    name: str


def reduce_pokemon(pokemon: Pokemon | None, event: PokemonEvent) -> Pokemon:
    """Compute a pokemon."""
    match event:
        case PokemonAppeared(payload=payload):
            return Pokemon(event.aggregate_id, event.version, payload["name"])
        case PokemonCaught() | PokemonLeveledUp():
            return Pokemon(event.aggregate_id, event.version, pokemon.name if pokemon else "")


pokemons = EventStore(
    "POKEMONS",
    event_types=[PokemonAppeared, PokemonCaught, PokemonLeveledUp],
    reduce=reduce_pokemon,
    aggregate_codec=DataclassCodec(Pokemon),
)
PokemonStore: TypeAlias = EventStore[PokemonEvent, Pokemon]

appeared = PokemonAppeared(
    aggregate_id="pikachu1", version=1, payload={"name": "Pikachu", "level": 5}
)
