"""Schemas change, stored events do not: a store reads all that was ever written."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

import pytest

from castore_core import (
    EventDecodeError,
    EventRecord,
    EventStorageAdapter,
    EventStore,
    UnknownEventTypeError,
)
from castore_json_schema import JSONSchemaEvent

NOW = datetime(2022, 1, 1, tzinfo=UTC)


def record(version: int, event_type: str, payload: Any) -> EventRecord:
    """Return an event as an old program wrote it."""
    return EventRecord("pikachu1", version, event_type, NOW + timedelta(days=version), payload)


# All that was ever written, by hand, as the programs of the day did.
HISTORY = [
    record(1, "POKEMON_APPEARED", {"pokemonName": "Pikachu"}),  # before the rename
    record(2, "POKEMON_CHANGED", {"change": "level", "to": 6}),  # before the split
    record(3, "POKEMON_CHANGED", {"change": "name", "to": "Pika"}),
    record(4, "POKEMON_PETTED", {"by": "Ash"}),  # retired
    record(5, "POKEMON_LEVELED_UP", {"level": 7}),  # before the optional field
    record(6, "POKEMON_LEVELED_UP", {"level": 8, "reason": "candy"}),
    record(7, "POKEMON_NAMED", {"name": "Pikachu the great"}),
]
LATER_HISTORY = [
    record(1, "POKEMON_APPEARED", {"name": "Pikachu"}),
    record(2, "POKEMON_LEVELED_UP", {"level": 8, "reason": "battle"}),
]

TEXT_SCHEMA = {"type": "string", "minLength": 1}


class Name(TypedDict):
    """A payload with a name."""

    name: str


NAME_SCHEMA = {
    "type": "object",
    "properties": {"name": TEXT_SCHEMA},
    "required": ["name"],
    "additionalProperties": False,
}


class PokemonAppeared(JSONSchemaEvent, type="POKEMON_APPEARED"):
    """Its ``name`` was a ``pokemonName``."""

    payload_schema = NAME_SCHEMA
    payload: Name


class PokemonNamed(JSONSchemaEvent, type="POKEMON_NAMED"):
    """It was a part of POKEMON_CHANGED."""

    payload_schema = NAME_SCHEMA
    payload: Name


class Level(TypedDict):
    """A payload with a level, and an optional field that was added later."""

    level: int
    reason: NotRequired[Literal["candy", "battle"]]


LEVEL_SCHEMA = {
    "type": "object",
    "properties": {"level": {"type": "integer"}, "reason": {"enum": ["candy", "battle"]}},
    "required": ["level"],
    "additionalProperties": False,
}


class PokemonLeveledUp(JSONSchemaEvent, type="POKEMON_LEVELED_UP"):
    """It was a part of POKEMON_CHANGED, too."""

    payload_schema = LEVEL_SCHEMA
    payload: Level


class PokemonPetted(JSONSchemaEvent, type="POKEMON_PETTED"):
    """Nothing writes it any more; its class stays, and takes whatever was written."""

    payload_schema = True
    payload: Any


PokemonEvent: TypeAlias = PokemonAppeared | PokemonNamed | PokemonLeveledUp | PokemonPetted


@dataclass(frozen=True)
class Pokemon:
    """An aggregate."""

    aggregate_id: str
    version: int
    name: str
    level: int = 1
    reasons: tuple[str, ...] = ()


def reduce_pokemon(pokemon: Pokemon | None, event: PokemonEvent) -> Pokemon:
    """Compute a pokemon."""
    if isinstance(event, PokemonAppeared):
        return Pokemon(event.aggregate_id, event.version, event.payload["name"])
    assert pokemon is not None
    pokemon = replace(pokemon, version=event.version)
    match event:
        case PokemonNamed(payload=payload):
            return replace(pokemon, name=payload["name"])
        case PokemonLeveledUp(payload=payload):
            reason = payload.get("reason", "unknown")
            return replace(pokemon, level=payload["level"], reasons=(*pokemon.reasons, reason))
        case PokemonPetted():
            return pokemon


def rename_pokemon_name(record: EventRecord) -> EventRecord:
    """Call the name of a pokemon a name."""
    match record:
        case EventRecord(type="POKEMON_APPEARED", payload={"pokemonName": name}):
            return record._replace(payload={"name": name})
        case _:
            return record


def split_pokemon_changed(record: EventRecord) -> EventRecord:
    """Make two types of the one that told by a field what it was."""
    match record:
        case EventRecord(type="POKEMON_CHANGED", payload={"change": "level", "to": level}):
            return record._replace(type="POKEMON_LEVELED_UP", payload={"level": level})
        case EventRecord(type="POKEMON_CHANGED", payload={"change": "name", "to": name}):
            return record._replace(type="POKEMON_NAMED", payload={"name": name})
        case _:
            return record


def new_store(adapter: EventStorageAdapter, **options: Any) -> EventStore[PokemonEvent, Pokemon]:
    """Return a store."""
    values: dict[str, Any] = {
        "event_types": [PokemonAppeared, PokemonNamed, PokemonLeveledUp, PokemonPetted],
        "upcasters": [rename_pokemon_name, split_pokemon_changed],
    }
    return EventStore(
        "POKEMONS", reduce=reduce_pokemon, storage_adapter=adapter, **values | options
    )


async def write(adapter: EventStorageAdapter, *records: EventRecord) -> None:
    """Write stored events, past all classes."""
    for each in records:
        await adapter.push_event("POKEMONS", each)


async def test_store_with_all_old_versions(adapter: EventStorageAdapter) -> None:
    """An aggregate is built from events of every age."""
    await write(adapter, *HISTORY)
    loaded = await new_store(adapter).get_existing_aggregate("pikachu1")

    assert (
        Pokemon("pikachu1", 7, "Pikachu the great", 8, ("unknown", "unknown", "candy"))
        == loaded.aggregate
    )
    assert [
        PokemonAppeared,
        PokemonLeveledUp,
        PokemonNamed,
        PokemonPetted,
        PokemonLeveledUp,
        PokemonLeveledUp,
        PokemonNamed,
    ] == [type(event) for event in loaded.events]


async def test_store_with_new_events_alone(adapter: EventStorageAdapter) -> None:
    """The upcasters leave alone what is new."""
    await write(adapter, *LATER_HISTORY)
    loaded = await new_store(adapter).get_existing_aggregate("pikachu1")

    assert Pokemon("pikachu1", 2, "Pikachu", 8, ("battle",)) == loaded.aggregate


async def test_new_events_follow_old_ones(adapter: EventStorageAdapter) -> None:
    """A new event is validated by the new schema only, and written as it is."""
    await write(adapter, *HISTORY)
    store = new_store(adapter)
    await store.push_event(
        PokemonLeveledUp(
            aggregate_id="pikachu1",
            version=8,
            timestamp=NOW,
            payload={"level": 9, "reason": "battle"},
        )
    )

    loaded = await store.get_existing_aggregate("pikachu1")
    assert (8, 9) == (loaded.aggregate.version, loaded.aggregate.level)
    stored = await adapter.get_events(
        "POKEMONS", "pikachu1", min_version=1, max_version=8, limit=None, reverse=False
    )
    assert HISTORY == stored[:7]


async def test_rename_without_an_upcaster(adapter: EventStorageAdapter) -> None:
    """A field that was renamed without an upcaster is noticed on reading."""
    await write(adapter, *HISTORY)

    with pytest.raises(EventDecodeError, match='payload: "name" is a required property') as error:
        await new_store(adapter, upcasters=[]).get_events("pikachu1")
    assert ("POKEMONS", "pikachu1", 1, "POKEMON_APPEARED") == (
        error.value.event_store_id,
        error.value.aggregate_id,
        error.value.version,
        error.value.event_type,
    )


async def test_retired_type_without_its_class(adapter: EventStorageAdapter) -> None:
    """A type whose class was deleted is not passed over."""
    await write(adapter, *HISTORY)
    store = new_store(adapter, event_types=[PokemonAppeared, PokemonNamed, PokemonLeveledUp])

    with pytest.raises(UnknownEventTypeError, match="POKEMON_PETTED"):
        await store.get_events("pikachu1")


async def test_schema_that_became_narrower(adapter: EventStorageAdapter) -> None:
    """A schema that refuses what was written makes old aggregates unreadable, and says so."""

    class NarrowLeveledUp(JSONSchemaEvent, type="POKEMON_LEVELED_UP"):
        payload_schema = LEVEL_SCHEMA | {"required": ["level", "reason"]}
        payload: Level

    await write(adapter, *HISTORY)
    event_types = [PokemonAppeared, PokemonNamed, NarrowLeveledUp, PokemonPetted]
    store = new_store(adapter, event_types=event_types)

    with pytest.raises(EventDecodeError, match='payload: "reason" is a required property'):
        await store.get_events("pikachu1")
