"""Stores keep pydantic's events beside plain ones, and say which stored event does not fit."""

import pickle
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from castore_core import (
    AggregateCommands,
    ConnectedEventStore,
    Event,
    EventDecodeError,
    EventDraft,
    EventRecord,
    EventStore,
    InvalidEventDataError,
    NotificationMessage,
    NotificationMessageQueue,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_pydantic import PydanticEvent

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Move(BaseModel):
    """Something that a pokemon can do."""

    name: str


class Appeared(BaseModel):
    """What is known of a pokemon."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True)
    first_seen: date
    moves: list[Move] = []


class PokemonAppeared(PydanticEvent, type="POKEMON_APPEARED"):
    """It is validated."""

    payload: Appeared


class PokemonRenamed(Event, type="POKEMON_RENAMED"):
    """It is not validated."""

    payload: str


PokemonEvent: TypeAlias = PokemonAppeared | PokemonRenamed


@dataclass(frozen=True)
class Pokemon:
    """An aggregate."""

    aggregate_id: str
    version: int
    first_seen: date
    name: str = ""


def reduce_pokemon(pokemon: Pokemon | None, event: PokemonEvent) -> Pokemon:
    """Compute the state."""
    match event:
        case PokemonAppeared(payload=Appeared(first_seen=first_seen)):
            return Pokemon(event.aggregate_id, event.version, first_seen)
        case PokemonRenamed(payload=name):
            assert pokemon is not None
            return Pokemon(event.aggregate_id, event.version, pokemon.first_seen, name)


@pytest.fixture
def store() -> EventStore[PokemonEvent, Pokemon]:
    """Return an empty store of events of both kinds."""
    return EventStore(
        "POKEMONS",
        event_types=[PokemonAppeared, PokemonRenamed],
        reduce=reduce_pokemon,
        storage_adapter=InMemoryEventStorageAdapter(),
    )


def appeared(**changes: Any) -> PokemonAppeared:
    """Return an event."""
    values: dict[str, Any] = {
        "aggregate_id": "pikachu1",
        "version": 1,
        "timestamp": NOW,
        "payload": Appeared(first_seen=date(1996, 2, 27)),
    }
    return PokemonAppeared(**values | changes)


async def test_events_of_both_kinds_build_an_aggregate(
    store: EventStore[PokemonEvent, Pokemon],
) -> None:
    """The reducer sees typed payloads."""
    renamed = PokemonRenamed(aggregate_id="pikachu1", version=2, timestamp=NOW, payload="Pika")
    await store.push_event(appeared())
    await store.push_event(renamed)
    loaded = await store.get_existing_aggregate("pikachu1")

    assert (appeared(), renamed) == loaded.events
    assert Pokemon("pikachu1", 2, date(1996, 2, 27), "Pika") == loaded.aggregate


async def test_stored_payload_that_no_longer_fits(store: EventStore[PokemonEvent, Pokemon]) -> None:
    """The error names store, aggregate, version, type and the path in the payload."""
    record = (
        appeared()
        .to_record()
        ._replace(version=7, payload={"firstSeen": "1996-02-27", "moves": [{"name": None}, {}]})
    )
    await store.get_storage_adapter().push_event("POKEMONS", record, force=True)

    with pytest.raises(EventDecodeError) as error:
        await store.get_events("pikachu1")

    assert (
        "event 7 of aggregate 'pikachu1' in event store 'POKEMONS' is no 'POKEMON_APPEARED': "
        "payload.moves[0].name: Input should be a valid string; "
        "payload.moves[1].name: Field required"
    ) == str(error.value)
    assert str(error.value) == str(pickle.loads(pickle.dumps(error.value)))  # noqa: S301


async def test_event_that_could_not_be_read_is_not_written(
    store: EventStore[PokemonEvent, Pokemon],
) -> None:
    """A payload that was changed to an invalid one does not reach the storage."""
    event = appeared(payload=Appeared(first_seen=date(1996, 2, 27), moves=[Move(name="Spark")]))
    broken: Any = event.payload.moves[0]
    broken.name = 1

    with pytest.raises(InvalidEventDataError):
        await store.push_event(event)
    assert [] == await store.get_events("pikachu1")


async def test_upcaster_works_on_records() -> None:
    """An upcaster sees what is stored, and what it returns is validated."""

    def rename(record: EventRecord) -> EventRecord:
        match record.payload:
            case {"seen": seen}:
                return record._replace(payload={"firstSeen": seen})
            case _:
                return record

    store = EventStore(
        "POKEMONS",
        event_types=[PokemonAppeared, PokemonRenamed],
        reduce=reduce_pokemon,
        storage_adapter=InMemoryEventStorageAdapter(),
        upcasters=[rename],
    )
    old = appeared().to_record()._replace(payload={"seen": "1996-02-27"})
    await store.get_storage_adapter().push_event("POKEMONS", old)

    assert [appeared()] == await store.get_events("pikachu1")


async def test_draft_of_an_aggregate_command_is_validated(
    store: EventStore[PokemonEvent, Pokemon],
) -> None:
    """A bad draft is refused before anything is pushed."""
    commands = AggregateCommands(store)

    @commands.handler
    def appear(pokemon: Pokemon | None, *, first_seen: str) -> EventDraft[PokemonAppeared]:  # noqa: ARG001
        payload: Any = {"firstSeen": first_seen}
        return PokemonAppeared.draft(payload=payload)

    pokemon = await appear("pikachu1", first_seen="1996-02-27")

    assert Pokemon("pikachu1", 1, date(1996, 2, 27)) == pokemon
    with pytest.raises(InvalidEventDataError, match=r"payload\.firstSeen"):
        await appear("eevee1", first_seen="long ago")


async def test_messages_are_typed(store: EventStore[PokemonEvent, Pokemon]) -> None:
    """A message has the event as it is stored, and is parsed back."""
    queue = NotificationMessageQueue("EVENTS", source_event_stores=(store,))
    message = NotificationMessage("POKEMONS", appeared())
    body = queue.message_to_record(message).body

    assert {"firstSeen": "1996-02-27", "moves": []} == body["event"]["payload"]  # type: ignore[index, call-overload]
    assert message == queue.parse_message(body)
    assert ConnectedEventStore(store, queue).event_types == store.event_types


def test_schemas_of_a_store(store: EventStore[PokemonEvent, Pokemon]) -> None:
    """The schemas of a store hold those of the payloads, whose references lead to their place."""
    schemas = store.get_json_schemas()
    payload = schemas["POKEMON_APPEARED"]["properties"]["payload"]

    assert {} == schemas["POKEMON_RENAMED"]["properties"]["payload"]
    assert ["firstSeen"] == payload["required"]
    assert {"$ref": "#/properties/payload/$defs/Move"} == payload["properties"]["moves"]["items"]
    assert ["name"] == payload["$defs"]["Move"]["required"]


# Whatever is pushed is read again


class Color(Enum):
    """Some colours."""

    RED = "red"
    BLUE = 2


class Circle(BaseModel):
    """One of two shapes."""

    shape: Literal["circle"] = "circle"
    radius: Decimal


class Square(BaseModel):
    """The other shape."""

    shape: Literal["square"] = "square"
    side: float


@dataclass(frozen=True)
class Point:
    """A dataclass."""

    x: int
    y: float | None = None
    tags: frozenset[str] = field(default_factory=frozenset[str])


class Rich(BaseModel):
    """It has a field of each kind, is strict, and is written under aliases."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)

    some_text: str
    number: int
    ratio: float
    price: Decimal
    moment: datetime
    day: date
    hour: time
    lapse: timedelta
    key: UUID
    color: Color
    address: IPv4Address
    raw_bytes: bytes
    point: Point
    shapes: list[Annotated[Circle | Square, Field(discriminator="shape")]]
    pair: tuple[int, str]
    by_number: dict[int, list[bool | None]]
    nested: "Rich | None" = None


FINITE = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
MOMENTS = st.datetimes(timezones=st.just(UTC))
SHAPES = st.builds(Circle, radius=DECIMALS) | st.builds(Square, side=FINITE)
POINTS = st.builds(Point, st.integers(), st.none() | FINITE, st.frozensets(TEXTS))


def rich(nested: st.SearchStrategy[Rich | None]) -> st.SearchStrategy[Rich]:
    """Return a strategy of models."""
    values = {
        "someText": TEXTS,
        "number": st.integers(),
        "ratio": FINITE,
        "price": DECIMALS,
        "moment": MOMENTS,
        "day": st.dates(),
        "hour": st.times(),
        "lapse": st.timedeltas(),
        "key": st.uuids(),
        "color": st.sampled_from(Color),
        "address": st.ip_addresses(v=4),
        "rawBytes": TEXTS.map(str.encode),
        "point": POINTS,
        "shapes": st.lists(SHAPES, max_size=3),
        "pair": st.tuples(st.integers(), TEXTS),
        "byNumber": st.dictionaries(st.integers(), st.lists(st.none() | st.booleans()), max_size=3),
        "nested": nested,
    }
    return st.fixed_dictionaries(values).map(TypeAdapter(Rich).validate_python)


class Enriched(PydanticEvent, type="ENRICHED"):
    """Its payload is rich."""

    payload: Rich
    metadata: Rich | None = None


@given(rich(st.none() | rich(st.none())), st.none() | rich(st.none()))
def test_what_is_pushed_is_read(payload: Rich, metadata: Rich | None) -> None:
    """A strict model of all kinds of values comes back equal, through JSON."""
    event = Enriched(aggregate_id="a", version=1, timestamp=NOW, payload=payload, metadata=metadata)

    assert event == Enriched.from_record(event.to_record())
