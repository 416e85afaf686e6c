"""What type checkers know of events, and what they refuse."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Generic, TypedDict, TypeVar, assert_type

from definitions import (
    AppearedPayload,
    Pokemon,
    PokemonAppeared,
    PokemonCaught,
    PokemonEvent,
    PokemonLeveledUp,
    Trigger,
    appeared,
)

from castore_core import (
    ABSENT,
    Absent,
    Event,
    EventDraft,
    EventRecord,
    JSONSchema,
    JSONValue,
    draft,
)

# Fields

assert_type(appeared.aggregate_id, str)
assert_type(appeared.version, int)
assert_type(appeared.type, str)
assert_type(appeared.timestamp, datetime)
assert_type(appeared.payload, AppearedPayload)
assert_type(appeared.payload["level"], int)
assert_type(appeared.metadata, Trigger | None)
assert_type(PokemonAppeared.type, str)

# Construction

PokemonCaught(aggregate_id="pikachu1", version=2, timestamp=datetime.now(UTC))
PokemonAppeared(
    aggregate_id="pikachu1",
    version=1,
    payload={"name": "Pikachu", "level": 5},
    metadata={"trigger": "random"},
)
assert_type(replace(appeared, version=2), PokemonAppeared)

PokemonAppeared(aggregate_id="pikachu1", version=1)  # type: ignore[call-arg]
PokemonAppeared(version=1, payload={"name": "Pikachu", "level": 5})  # type: ignore[call-arg]
PokemonAppeared(
    aggregate_id="pikachu1",
    version=1,
    payload={"name": "Pikachu"},  # type: ignore[typeddict-item]
)
PokemonAppeared(
    aggregate_id="pikachu1",
    version=1,
    payload={"name": "Pikachu", "level": 5, "hp": 35},  # type: ignore[typeddict-unknown-key]
)
PokemonAppeared(
    aggregate_id="pikachu1",
    version=1,
    payload={"name": "Pikachu", "level": "5"},  # type: ignore[typeddict-item]
)
PokemonAppeared(
    aggregate_id="pikachu1",
    version=1,
    payload=None,  # type: ignore[arg-type]
)
PokemonCaught(aggregate_id="pikachu1", version="2")  # type: ignore[arg-type]
PokemonCaught(aggregate_id=1, version=2)  # type: ignore[arg-type]
PokemonCaught(aggregate_id="pikachu1", version=2, timestamp="now")  # type: ignore[arg-type]
PokemonCaught(aggregate_id="pikachu1", version=2, payload={})  # type: ignore[call-arg]

# The id and the version may be given by position, and nothing else.

assert_type(PokemonCaught("pikachu1", 2), PokemonCaught)
PokemonAppeared("pikachu1", 1, payload={"name": "Pikachu", "level": 5})
PokemonAppeared("pikachu1", version=1, payload={"name": "Pikachu", "level": 5})

PokemonCaught("pikachu1")  # type: ignore[call-arg]
PokemonCaught(2, "pikachu1")  # type: ignore[arg-type]
PokemonCaught("pikachu1", 2, datetime.now(UTC))  # type: ignore[call-arg]
PokemonAppeared("pikachu1", 1)  # type: ignore[call-arg]
PokemonAppeared("pikachu1", 1, appeared.payload)  # type: ignore[call-arg, arg-type]

# Events are frozen

appeared.version = 2  # type: ignore[misc]
appeared.payload = {"name": "Raichu", "level": 5}  # type: ignore[misc]
appeared.payload["lvl"]  # type: ignore[typeddict-item]

# Drafts: both checkers know what is drafted, and what the function draft() is given.

assert_type(PokemonCaught.draft(), EventDraft[PokemonCaught])
assert_type(PokemonCaught.draft(timestamp=datetime.now(UTC)), EventDraft[PokemonCaught])
assert_type(
    PokemonAppeared.draft(payload={"name": "Pikachu", "level": 5}), EventDraft[PokemonAppeared]
)
assert_type(appeared.draft(payload={"name": "Pikachu", "level": 5}), EventDraft[PokemonAppeared])
assert_type(PokemonCaught.draft().to_event("pikachu1", 2), PokemonCaught)
assert_type(draft(PokemonCaught), EventDraft[PokemonCaught])
assert_type(
    draft(PokemonAppeared, payload={"name": "Pikachu", "level": 5}, metadata=None),
    EventDraft[PokemonAppeared],
)

draft(PokemonAppeared)  # type: ignore[call-arg]
draft(PokemonAppeared, payload={"name": "Pikachu"})  # type: ignore[typeddict-item]
draft(PokemonAppeared, payload={"name": "Pikachu", "level": "5"})  # type: ignore[typeddict-item]
draft(PokemonAppeared, payload={"nme": "Pikachu", "level": 5})  # type: ignore[typeddict-item]
draft(PokemonAppeared, payload={"name": "Pikachu", "level": 5}, hp=35)  # type: ignore[call-arg]
draft(PokemonCaught, payload={"name": "Pikachu", "level": 5})  # type: ignore[call-arg]
draft(PokemonCaught, timestamp="now")  # type: ignore[arg-type]
draft(PokemonCaught, aggregate_id="pikachu1")  # type: ignore[call-arg]
draft(PokemonCaught, "pikachu1")  # type: ignore[call-arg, arg-type]
draft(Pokemon, name="Pikachu")  # type: ignore[type-var]

# Of the attribute, pyright refuses the same; mypy sees no arguments.

PokemonAppeared.draft()  # pyright: ignore[reportCallIssue]
PokemonAppeared.draft(payload={"name": "Pikachu"})  # pyright: ignore[reportArgumentType]
PokemonAppeared.draft(payload={"nme": "Pikachu", "level": 5})  # pyright: ignore[reportArgumentType]
PokemonAppeared.draft(payload={"name": 1, "level": 5})  # pyright: ignore[reportArgumentType]
PokemonAppeared.draft(payload={"name": "Pikachu", "level": 5}, hp=35)  # pyright: ignore[reportCallIssue]
PokemonCaught.draft(payload={"name": "Pikachu", "level": 5})  # pyright: ignore[reportCallIssue]
PokemonCaught.draft(timestamp="now")  # pyright: ignore[reportArgumentType]
PokemonCaught.draft(version=2)  # pyright: ignore[reportCallIssue]
PokemonCaught.draft("pikachu1", 2)  # pyright: ignore[reportCallIssue]

# Records and the codec seam

assert_type(appeared.to_record(), EventRecord)
assert_type(appeared.to_record().payload, JSONValue | Absent)
assert_type(PokemonAppeared.field_schema("payload"), JSONSchema | None)
assert_type(PokemonAppeared.from_record(appeared.to_record()), PokemonAppeared)

payload = appeared.to_record().payload
if payload is not ABSENT:
    assert_type(payload, JSONValue)


# Inheritance: fields of an abstract base count, and so do type parameters.


class Audited(Event):
    """An abstract base."""

    metadata: Trigger


class PokemonHealed(Audited, type="POKEMON_HEALED"):
    """It has a metadata that it did not declare."""

    payload: int = 1


healed = PokemonHealed(aggregate_id="pikachu1", version=1, metadata={"trigger": "random"})
assert_type(healed.metadata, Trigger)
assert_type(healed.payload, int)
PokemonHealed(aggregate_id="pikachu1", version=1)  # type: ignore[call-arg]

T = TypeVar("T")


class Box(TypedDict, Generic[T]):
    """A payload with a type parameter."""

    content: T


class Boxed(Event, Generic[T]):
    """An abstract base with a type parameter."""

    payload: Box[T]


class NumberBoxed(Boxed[int], type="NUMBER_BOXED"):
    """It is one of numbers."""


assert_type(
    NumberBoxed(aggregate_id="b", version=1, payload={"content": 1}).payload["content"], int
)


class Dated(Event, type="DATED"):
    """It holds what JSON does not."""

    payload: datetime

    @classmethod
    def encode_field(cls, name: str, value: Any) -> JSONValue:
        """Write a moment."""
        encoded: str = value.isoformat()
        return super().encode_field(name, encoded)

    @classmethod
    def decode_field(cls, name: str, value: JSONValue) -> Any:  # noqa: ARG003 has one field
        """Read a moment."""
        return datetime.fromisoformat(str(value))


assert_type(Dated(aggregate_id="d", version=1, payload=datetime.now(UTC)).payload, datetime)


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
