"""Metadata of a context, and hooks, that type checkers accept, and those that they refuse."""

from dataclasses import replace
from typing import Any, TypeVar, assert_type

from definitions import (
    Pokemon,
    PokemonAppeared,
    PokemonCaught,
    PokemonEvent,
    PokemonLeveledUp,
    TrainerEvent,
    appeared,
    pokemons,
    reduce_pokemon,
)

from castore_core import (
    Event,
    EventStore,
    JSONValue,
    MetadataRoom,
    NotificationMessage,
    event_metadata,
    get_event_metadata,
)
from castore_core.workers import handling

T = TypeVar("T", bound=Event)

# Values are JSON.

with event_metadata(correlation_id="c", attempt=1, tags=["a"], place={"town": "Pewter"}, none=None):
    assert_type(get_event_metadata(), dict[str, JSONValue])
with event_metadata({"x-request-id": "c"}, actor="misty"):
    pass

event_metadata(actor=object())  # type: ignore[arg-type]
event_metadata({"actor": b""})  # type: ignore[dict-item]
event_metadata({1: "actor"})  # type: ignore[dict-item]

# An event stays of its class.

assert_type(appeared.with_metadata({"actor": "misty"}), PokemonAppeared)
assert_type(appeared.get_metadata_room(), MetadataRoom | None)

# What is handled is anything: a worker does not have to know.

with handling(NotificationMessage("POKEMONS", appeared), object(), is_apart=True):
    pass


# A hook takes and returns the events of the store, which are inferred all the same.


def look(event: PokemonEvent) -> PokemonEvent:
    """Return the event."""
    return event


def stamp(event: T) -> T:
    """Return an event of the same class."""
    return replace(event)


def forget(event: PokemonEvent) -> None:
    """Return nothing."""


def look_at_trainer(event: TrainerEvent) -> TrainerEvent:
    """Return an event of another store."""
    return event


assert_type(
    EventStore(
        "POKEMONS",
        event_types=[PokemonAppeared, PokemonCaught, PokemonLeveledUp],
        reduce=reduce_pokemon,
        prepare_event=look,
    ),
    EventStore[PokemonEvent, Pokemon],
)
assert_type(
    EventStore(
        "POKEMONS",
        event_types=[PokemonAppeared, PokemonCaught, PokemonLeveledUp],
        reduce=reduce_pokemon,
        prepare_event=stamp,
    ),
    EventStore[PokemonEvent, Pokemon],
)
pokemons.prepare_event = look
pokemons.prepare_event = stamp
pokemons.prepare_event = None
pokemons.prepare_event = forget  # type: ignore[assignment]
pokemons.prepare_event = look_at_trainer  # type: ignore[assignment]


# An event class says by itself what it has room for.


class Anything(Event, type="ANYTHING"):
    """Its metadata take all keys but one."""

    metadata: Any = None

    def get_metadata_room(self) -> MetadataRoom | None:
        """Return the room."""
        return MetadataRoom(is_open=True)
