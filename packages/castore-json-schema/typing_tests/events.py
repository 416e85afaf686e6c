"""What type checkers know of validated events, and what they refuse: what they do of plain ones."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Generic, TypedDict, TypeVar, assert_type

from definitions import (
    APPEARED_SCHEMA,
    STRING_SCHEMA,
    AppearedPayload,
    Pokemon,
    PokemonAppeared,
    PokemonCaught,
    PokemonEvent,
    PokemonLeveledUp,
    PokemonNamed,
    PokemonStore,
    Trigger,
    appeared,
    pokemons,
    reduce_pokemon,
)

from castore_core import Event, EventDraft, EventRecord, EventStore, JSONSchema
from castore_json_schema import JSONSchemaEvent, SchemaRegistry

# Fields

assert_type(appeared.aggregate_id, str)
assert_type(appeared.version, int)
assert_type(appeared.type, str)
assert_type(appeared.timestamp, datetime)
assert_type(appeared.payload, AppearedPayload)
assert_type(appeared.payload["level"], int)
assert_type(appeared.metadata, Trigger | None)
assert_type(PokemonNamed(aggregate_id="a", version=1, payload="Pika").payload, str)

# Construction

PokemonCaught(aggregate_id="pikachu1", version=2)
PokemonAppeared(
    aggregate_id="pikachu1",
    version=1,
    payload={"name": "Pikachu", "level": 5},
    metadata={"trigger": "random"},
)
assert_type(replace(appeared, version=2), PokemonAppeared)
assert_type(
    PokemonAppeared.draft(payload=appeared.payload).to_event("pikachu1", 1), PokemonAppeared
)
assert_type(PokemonCaught.draft(), EventDraft[PokemonCaught])
assert_type(appeared.to_record(), EventRecord)
assert_type(PokemonAppeared.from_record(appeared.to_record()), PokemonAppeared)

PokemonAppeared(aggregate_id="pikachu1", version=1)  # type: ignore[call-arg]
PokemonAppeared(
    aggregate_id="pikachu1",
    version=1,
    payload={"name": "Pikachu"},  # type: ignore[typeddict-item]
)
PokemonAppeared(
    aggregate_id="pikachu1",
    version=1,
    payload={"name": "Pikachu", "level": "5"},  # type: ignore[typeddict-item]
)
PokemonCaught(aggregate_id="pikachu1", version=2, payload={})  # type: ignore[call-arg]
assert_type(PokemonCaught("pikachu1", 2), PokemonCaught)

# Schemas are class variables: no constructor takes them.

PokemonCaught(aggregate_id="pikachu1", version=2, payload_schema={})  # type: ignore[call-arg]
assert_type(PokemonAppeared.field_schema("payload"), JSONSchema | None)
assert_type(JSONSchemaEvent.payload_schema, JSONSchema | None)


class WrongSchema(JSONSchemaEvent, type="WRONG"):
    """Its schema is none."""

    payload_schema = "string"  # type: ignore[assignment]
    payload: str


class WrongRegistry(JSONSchemaEvent, type="WRONG_REGISTRY"):
    """Its registry is none."""

    schema_registry = {"https://example.com": STRING_SCHEMA}  # type: ignore[assignment]  # noqa: RUF012 refused anyway


SchemaRegistry({"https://example.com": STRING_SCHEMA}, formats={"short": lambda text: text == ""})
SchemaRegistry(formats={"short": 3})  # type: ignore[dict-item]

# Events are frozen.

appeared.version = 2  # type: ignore[misc]
appeared.payload = {"name": "Raichu", "level": 5}  # type: ignore[misc]

# Inheritance


class Audited(JSONSchemaEvent):
    """An abstract base."""

    metadata_schema = STRING_SCHEMA
    metadata: str


class PokemonHealed(Audited, type="POKEMON_HEALED"):
    """It has a metadata that it did not declare."""

    payload: int = 1


healed = PokemonHealed(aggregate_id="pikachu1", version=1, metadata="random")
assert_type(healed.metadata, str)
assert_type(healed.payload, int)
PokemonHealed(aggregate_id="pikachu1", version=1)  # type: ignore[call-arg]

T = TypeVar("T")


class Box(TypedDict, Generic[T]):
    """A payload with a type parameter."""

    content: T


class Boxed(JSONSchemaEvent, Generic[T]):
    """An abstract base with a type parameter."""

    payload: Box[T]


class NumberBoxed(Boxed[int], type="NUMBER_BOXED"):
    """It is one of numbers."""

    payload_schema = APPEARED_SCHEMA


assert_type(
    NumberBoxed(aggregate_id="b", version=1, payload={"content": 1}).payload["content"], int
)

# Stores are inferred, of validated and plain events alike.

assert_type(pokemons, PokemonStore)
assert_type(pokemons, EventStore[PokemonEvent, Pokemon])
assert_type(pokemons.get_json_schemas(), dict[str, dict[str, Any]])


async def use_store(foreign: PokemonNamed) -> None:
    """Know what comes back, and refuse what does not belong to the store."""
    assert_type(await pokemons.get_events("pikachu1"), list[PokemonEvent])
    assert_type((await pokemons.get_aggregate("pikachu1")).aggregate, Pokemon | None)
    await pokemons.push_event(appeared)
    await pokemons.push_event(foreign)  # type: ignore[arg-type]


EventStore("POKEMONS", event_types=[PokemonAppeared, PokemonCaught], reduce=reduce_pokemon)
EventStore("POKEMONS", event_types=[PokemonNamed], reduce=reduce_pokemon)  # type: ignore[list-item]

# Matching narrows, and is checked for exhaustiveness.


def narrow(event: PokemonEvent) -> None:
    """Know the payload in its case."""
    match event:
        case PokemonAppeared(payload=payload, version=version):
            assert_type(event, PokemonAppeared)
            assert_type(payload, AppearedPayload)
            assert_type(version, int)
        case PokemonCaught():
            assert_type(event, PokemonCaught)
        case _:
            assert_type(event, PokemonLeveledUp)


def forget_an_event_type(pokemon: Pokemon | None, event: PokemonEvent) -> Pokemon:  # type: ignore[return]
    """Return nothing where a pokemon levels up."""
    match event:  # type: ignore[exhaustive-match]
        case PokemonAppeared(payload=payload):
            return Pokemon(event.aggregate_id, event.version, payload["name"])
        case PokemonCaught():
            return Pokemon(event.aggregate_id, event.version, pokemon.name if pokemon else "")


def take_any_event(event: Event) -> str:
    """Take whatever comes."""
    return event.type


take_any_event(appeared)
