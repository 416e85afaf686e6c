"""What type checkers know of events, commands and codecs of pydantic, and what they refuse."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar, assert_type

from pydantic import BaseModel, Field

from castore_core import (
    AggregateCodec,
    Command,
    Event,
    EventDraft,
    EventStore,
    ExistingAggregate,
    JSONSchema,
)
from castore_pydantic import PydanticCodec, PydanticCommand, PydanticEvent, pydantic_command


class Appeared(BaseModel):
    """What is known of a pokemon that appears."""

    name: str
    first_seen: date


class Trigger(BaseModel):
    """What made an event happen."""

    kind: Literal["random", "scripted"]


class PokemonAppeared(PydanticEvent, type="POKEMON_APPEARED"):
    """A wild pokemon is here."""

    payload: Appeared
    metadata: Trigger | None = None


class PokemonHealed(PydanticEvent, type="POKEMON_HEALED"):
    """Its payload has a default."""

    payload: Annotated[int, Field(ge=1)] = 10


class PokemonCaught(Event, type="POKEMON_CAUGHT"):
    """A plain event."""


PokemonEvent: TypeAlias = PokemonAppeared | PokemonHealed | PokemonCaught

# Events

appeared = PokemonAppeared(
    aggregate_id="pikachu1",
    version=1,
    payload=Appeared(name="Pikachu", first_seen=date(1996, 2, 27)),
)
assert_type(appeared.payload, Appeared)
assert_type(appeared.payload.first_seen, date)
assert_type(appeared.metadata, Trigger | None)
assert_type(appeared.timestamp, datetime)
assert_type(PokemonAppeared.type, str)
assert_type(PokemonHealed("pikachu1", 2).payload, int)
assert_type(PokemonAppeared.draft(payload=appeared.payload), EventDraft[PokemonAppeared])
assert_type(PokemonAppeared.from_record(appeared.to_record()), PokemonAppeared)
assert_type(PokemonAppeared.field_schema("payload"), JSONSchema | None)
assert_type(replace(appeared, version=2), PokemonAppeared)

PokemonAppeared(aggregate_id="pikachu1", version=1)  # type: ignore[call-arg]
PokemonAppeared(
    aggregate_id="pikachu1",
    version=1,
    payload={"name": "Pikachu"},  # type: ignore[arg-type]
)
PokemonHealed(aggregate_id="pikachu1", version=1, payload="1")  # type: ignore[arg-type]
appeared.payload = None  # type: ignore[misc, assignment]

# Type parameters

T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    """A model with a type parameter."""

    content: T


class Boxed(PydanticEvent, Generic[T]):
    """An abstract base with a type parameter."""

    payload: Box[T]


class DateBoxed(Boxed[date], type="DATE_BOXED"):
    """It is one of dates."""


boxed = DateBoxed(aggregate_id="b", version=1, payload=Box(content=date(2022, 1, 1)))
assert_type(boxed.payload.content, date)

# Stores of both kinds


@dataclass(frozen=True)
class Pokemon:
    """An aggregate."""

    aggregate_id: str
    version: int
    name: str


class Egg(BaseModel):
    """Another aggregate."""

    aggregate_id: str
    version: int


class NoAggregate(BaseModel):
    """It has no version."""

    aggregate_id: str


def reduce_pokemon(pokemon: Pokemon | None, event: PokemonEvent) -> Pokemon:
    """Know the payload in its case, and that all cases are there."""
    match event:
        case PokemonAppeared(payload=payload):
            assert_type(payload, Appeared)
            return Pokemon(event.aggregate_id, event.version, payload.name)
        case PokemonHealed(payload=points):
            assert_type(points, int)
            return Pokemon(event.aggregate_id, event.version, pokemon.name if pokemon else "")
        case PokemonCaught():
            return Pokemon(event.aggregate_id, event.version, pokemon.name if pokemon else "")


pokemons = EventStore(
    "POKEMONS",
    event_types=[PokemonAppeared, PokemonHealed, PokemonCaught],
    reduce=reduce_pokemon,
    aggregate_codec=PydanticCodec(Pokemon),
)
PokemonStore: TypeAlias = EventStore[PokemonEvent, Pokemon]
assert_type(pokemons, PokemonStore)


async def load() -> None:
    """Know the events and the aggregate."""
    loaded = await pokemons.get_existing_aggregate("pikachu1")
    assert_type(loaded, ExistingAggregate[PokemonEvent, Pokemon])
    await pokemons.push_event(boxed)  # type: ignore[arg-type]


# Codecs

assert_type(PydanticCodec(Egg), PydanticCodec[Egg])
assert_type(PydanticCodec(Pokemon).decode({}), Pokemon)
assert_type(PydanticCodec(Egg | Pokemon), PydanticCodec[Egg | Pokemon])
assert_type(PydanticCodec(Egg | Pokemon).decode({}), Egg | Pokemon)
codec: AggregateCodec[Pokemon] = PydanticCodec(Pokemon)
other: AggregateCodec[Pokemon] = PydanticCodec(Egg)  # type: ignore[arg-type]
PydanticCodec(NoAggregate)  # type: ignore[type-var]
PydanticCodec(Pokemon).encode(Egg(aggregate_id="e", version=1))  # type: ignore[arg-type]

# Commands


class Catch(BaseModel):
    """An input."""

    pokemon_id: str


@pydantic_command("CATCH", required_event_stores=(pokemons,))
async def catch(input: Catch, event_stores: tuple[PokemonStore], *, now: datetime) -> bool:
    """Catch a pokemon."""
    (pokemons,) = event_stores
    assert_type(pokemons, PokemonStore)
    return input.pokemon_id == str(now)


async def rename(input: str | None, event_stores: tuple[PokemonStore], name: str) -> None:
    """Rename a pokemon."""


rename_pokemon = PydanticCommand(
    "RENAME", required_event_stores=(pokemons,), handler=rename, input_type=str | None
)


async def run_commands() -> None:
    """Know the input, the stores, the context and the output."""
    caught = Catch(pokemon_id="pikachu1")
    now = datetime.now()  # noqa: DTZ005 it is never run
    assert_type(await catch(caught, (pokemons,), now=now), bool)
    assert_type(await catch.handler(caught, (pokemons,), now=now), bool)
    assert_type(await catch.run_json({"pokemon_id": "a"}, (pokemons,), now=now), bool)
    assert_type(await catch.run_json(b"{}", (pokemons,), now=now), bool)
    keyed = catch.with_idempotency_key("key")
    assert_type(await keyed.run_json(b"{}", (pokemons,), now=now), bool)
    assert_type(catch.input_schema, JSONSchema)
    assert_type(catch.required_event_stores, tuple[PokemonStore])
    await rename_pokemon(None, (pokemons,), "Pika")

    await catch({"pokemon_id": "a"}, (pokemons,), now=now)  # type: ignore[arg-type]
    await catch(caught, (pokemons,))  # type: ignore[call-arg]
    await catch(caught, (pokemons,), now=1)  # type: ignore[arg-type]
    await catch(caught, (), now=now)  # type: ignore[arg-type]
    await catch.run_json(1, (pokemons,), now=now)  # type: ignore[arg-type]
    await catch.run_json("{}", (pokemons,))  # type: ignore[call-arg]
    await rename_pokemon(1, (pokemons,), "Pika")  # type: ignore[arg-type]


def take_any_command(command: Command[Any, Any, ..., Any]) -> str:
    """Take whatever command comes."""
    return command.command_id


take_any_command(catch)
