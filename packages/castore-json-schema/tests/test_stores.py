"""Validated events live in stores like others, on every adapter, beside plain events."""

import json
import pickle
from asyncio import gather
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypedDict, assert_never

import pytest

from castore_core import (
    AggregateCommands,
    ConnectedEventStore,
    Event,
    EventDecodeError,
    EventDraft,
    EventRecord,
    EventStorageAdapter,
    EventStore,
    InvalidEventDataError,
    NotificationMessage,
    NotificationMessageQueue,
)
from castore_in_memory import InMemoryMessageQueueAdapter, MessageContext
from castore_json_schema import JSONSchemaEvent

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class AppearedPayload(TypedDict):
    """What is known of a pokemon."""

    name: str
    level: int


APPEARED_SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "level": {"$ref": "#/$defs/level"},
    },
    "required": ["name", "level"],
    "$defs": {"level": {"type": "integer", "minimum": 1}},
}


class PokemonAppeared(JSONSchemaEvent, type="POKEMON_APPEARED"):
    """It is validated."""

    payload_schema = APPEARED_SCHEMA
    payload: AppearedPayload
    metadata: dict[str, Any] | None = None


class PokemonLeveledUp(Event, type="POKEMON_LEVELED_UP"):
    """It is not."""


PokemonEvent: TypeAlias = PokemonAppeared | PokemonLeveledUp


@dataclass(frozen=True)
class Pokemon:
    """An aggregate."""

    aggregate_id: str
    version: int
    name: str
    level: int


def reduce_pokemon(pokemon: Pokemon | None, event: PokemonEvent) -> Pokemon:
    """Compute a pokemon."""
    match event:
        case PokemonAppeared(payload=payload):
            return Pokemon(event.aggregate_id, event.version, **payload)
        case PokemonLeveledUp():
            assert pokemon is not None
            return replace(pokemon, version=event.version, level=pokemon.level + 1)
        case _:
            assert_never(event)


PokemonStore: TypeAlias = EventStore[PokemonEvent, Pokemon]


@pytest.fixture
def pokemons(adapter: EventStorageAdapter) -> PokemonStore:
    """Return an empty store."""
    return EventStore(
        "POKEMONS",
        event_types=[PokemonAppeared, PokemonLeveledUp],
        reduce=reduce_pokemon,
        storage_adapter=adapter,
    )


def appeared(aggregate_id: str = "pikachu1") -> PokemonAppeared:
    """Return an event."""
    return PokemonAppeared(
        aggregate_id=aggregate_id,
        version=1,
        timestamp=NOW,
        payload={"name": "Pikachu", "level": 5},
        metadata={"café": [1, None, 0.5]},
    )


async def test_events_come_back(pokemons: PokemonStore) -> None:
    """Validated and plain events of one aggregate are written and read."""
    events = [appeared(), PokemonLeveledUp(aggregate_id="pikachu1", version=2, timestamp=NOW)]
    for event in events:
        await pokemons.push_event(event)

    assert events == await pokemons.get_events("pikachu1")
    loaded = await pokemons.get_existing_aggregate("pikachu1")
    assert Pokemon("pikachu1", 2, "Pikachu", 6) == loaded.aggregate


async def test_concurrent_pushes(pokemons: PokemonStore) -> None:
    """Many events are validated, written and read at once."""
    await gather(*(pokemons.push_event(appeared(f"p{number}")) for number in range(50)))
    loaded = await gather(*(pokemons.get_events(f"p{number}") for number in range(50)))

    assert [[appeared(f"p{number}")] for number in range(50)] == loaded


async def test_spoilt_event_is_not_written(pokemons: PokemonStore) -> None:
    """A payload that was changed to what does not fit is refused before the write."""
    event = appeared()
    event.payload["level"] = 0

    with pytest.raises(InvalidEventDataError):
        await pokemons.push_event(event)
    with pytest.raises(InvalidEventDataError):
        await EventStore.push_event_group(
            pokemons.group_event(appeared("eevee1")), pokemons.group_event(event)
        )
    assert [] == (await pokemons.list_aggregate_ids()).aggregate_ids


async def test_stored_event_that_does_not_fit(
    pokemons: PokemonStore, adapter: EventStorageAdapter
) -> None:
    """The error names the store, the aggregate, the version, the type, and every path."""
    stored = EventRecord("pikachu1", 1, "POKEMON_APPEARED", NOW, {"name": "", "level": "5"})
    await adapter.push_event("POKEMONS", stored)

    with pytest.raises(EventDecodeError) as error:
        await pokemons.get_events("pikachu1")

    assert (
        "event 1 of aggregate 'pikachu1' in event store 'POKEMONS' is no 'POKEMON_APPEARED': "
        "payload of POKEMON_APPEARED is not valid: "
        "payload.name: the value is shorter than 1 character; "
        'payload.level: the value is not of type "integer"'
    ) == str(error.value)
    cause = error.value.__cause__
    assert isinstance(cause, InvalidEventDataError)
    assert ["payload.name", "payload.level"] == [each.path for each in cause.violations]
    assert str(error.value) == str(pickle.loads(pickle.dumps(error.value)))  # noqa: S301 our own


async def test_aggregate_commands(pokemons: PokemonStore) -> None:
    """Drafts of validated events are validated when they are numbered."""
    commands = AggregateCommands(pokemons)

    @commands.handler
    def appear(pokemon: Pokemon | None, *, level: int) -> EventDraft[PokemonAppeared] | None:
        if pokemon:
            return None
        return PokemonAppeared.draft(payload={"name": "Eevee", "level": level})

    with pytest.raises(InvalidEventDataError):
        await appear("eevee1", level=0)
    assert Pokemon("eevee1", 1, "Eevee", 1) == await appear("eevee1", level=1)


async def test_messages(pokemons: PokemonStore) -> None:
    """A validated event is published, and parsed again."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(pokemons,))
    received: list[Event] = []

    async def worker(message: NotificationMessage[Any], _: MessageContext) -> None:
        received.append(message.event)

    queue_adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=worker)
    await ConnectedEventStore(pokemons, queue).push_event(appeared())
    await queue_adapter.join()
    await queue_adapter.aclose()

    assert [appeared()] == received


def test_json_schemas_of_a_store() -> None:
    """A store prints the schemas of all its events; references go on leading somewhere."""
    store = EventStore(
        "POKEMONS", event_types=[PokemonAppeared, PokemonLeveledUp], reduce=reduce_pokemon
    )
    schemas = json.loads(json.dumps(store.get_json_schemas()))

    assert ["POKEMON_APPEARED", "POKEMON_LEVELED_UP"] == list(schemas)
    payload = schemas["POKEMON_APPEARED"]["properties"]["payload"]
    assert APPEARED_SCHEMA["properties"] == payload["properties"] | {
        "level": {"$ref": "#/$defs/level"}
    }
    assert {"$ref": "#/properties/payload/$defs/level"} == payload["properties"]["level"]
    assert {} == schemas["POKEMON_APPEARED"]["properties"]["metadata"]
    assert "payload" not in schemas["POKEMON_LEVELED_UP"]["properties"]
