"""The codec turns aggregates into JSON values and back."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_serializer
from pydantic.alias_generators import to_camel

from castore_core import (
    EventStore,
    StateCarryingMessage,
    StateCarryingMessageQueue,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_pydantic import PydanticCodec, PydanticEvent

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Pokemon(BaseModel):
    """A model."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True)
    aggregate_id: str
    version: int
    status: Literal["wild", "caught"] = "wild"
    seen_at: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Trainer:
    """A dataclass of the standard library."""

    aggregate_id: str
    version: int
    money: Decimal = field(default=Decimal(0), metadata={"unit": "EUR"})


pokemon = Pokemon(aggregate_id="pikachu1", version=2, seen_at=(NOW,))
POKEMON_JSON = {
    "aggregateId": "pikachu1",
    "version": 2,
    "status": "wild",
    "seenAt": ["2022-01-01T00:00:00Z"],
}


def test_model() -> None:
    """A model is written under its aliases, and comes back."""
    codec = PydanticCodec(Pokemon)

    assert POKEMON_JSON == codec.encode(pokemon)
    assert pokemon == codec.decode(codec.encode(pokemon))


def test_dataclass() -> None:
    """A dataclass, with slots or without, comes back with its types."""
    codec = PydanticCodec(Trainer)
    trainer = Trainer("ash", 3, Decimal("1.10"))

    assert {"aggregate_id": "ash", "version": 3, "money": "1.10"} == codec.encode(trainer)
    assert trainer == codec.decode(codec.encode(trainer))


def test_union() -> None:
    """An aggregate may be of one of several classes."""
    codec = PydanticCodec(Pokemon | Trainer)
    trainer = Trainer("ash", 3)

    assert [pokemon, trainer] == [codec.decode(codec.encode(each)) for each in (pokemon, trainer)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "aggregate: Input should be an object"),
        ({**POKEMON_JSON, "seenAt": ["never"]}, r"aggregate\.seenAt\[0\]: Input should be a"),
        ({**POKEMON_JSON, "status": "lost"}, r"aggregate\.status: Input should be 'wild' or"),
    ],
)
def test_value_that_is_no_aggregate(value: Any, message: str) -> None:
    """The error is a ValueError with the path."""
    with pytest.raises(ValueError, match=message) as error:
        PydanticCodec(Pokemon).decode(value)
    assert isinstance(error.value.__cause__, ValidationError)


def test_aggregate_that_cannot_be_written() -> None:
    """An aggregate that holds another type than it says is refused."""
    broken = Pokemon.model_construct(aggregate_id="a", version=1, seen_at=["never"])

    with pytest.raises(ValueError, match=r"^aggregate: .*Expected `tuple") as error:
        PydanticCodec(Pokemon).encode(broken)
    assert "never" not in str(error.value)


@dataclass(frozen=True)
class Digimon:
    """It looks like an aggregate, and is another one."""

    aggregate_id: str
    version: int


@pytest.mark.parametrize(
    ("aggregate_type", "message"),
    [
        (Pokemon, "the aggregate is no Pokemon, but a Digimon"),
        (Trainer, "the aggregate is no Trainer, but a Digimon"),
        (Annotated[Pokemon | Trainer, "either"], "no Pokemon or Trainer, but a Digimon"),
    ],
)
def test_aggregate_of_another_class(aggregate_type: Any, message: str) -> None:
    """A reader would take it for what it is not."""
    with pytest.raises(TypeError, match=message):
        PydanticCodec(aggregate_type).encode(Digimon("agumon1", 1))


def test_type_of_which_nothing_is_known() -> None:
    """What is no class is left to pydantic."""
    kind: Any = NewType("Kind", Pokemon)

    assert POKEMON_JSON == PydanticCodec(kind).encode(pokemon)


def test_field_of_another_class() -> None:
    """A dataclass that holds another dataclass than it says is refused."""

    @dataclass
    class Team:
        aggregate_id: str
        version: int
        trainer: Trainer

    other: Any = Digimon("agumon1", 1)
    with pytest.raises(ValueError, match="aggregate: 'Digimon' object has no attribute"):
        PydanticCodec(Team).encode(Team("team1", 1, other))


class Rounded(BaseModel):
    """It reads less than it holds."""

    aggregate_id: str = "a"
    version: int = 1
    level: float

    @field_serializer("level", when_used="json")
    def write(self, level: float) -> float:
        """Write whole levels."""
        return round(level)


class Signed(BaseModel):
    """It has a secret."""

    aggregate_id: str = "a"
    version: int = 1
    key: SecretStr


@pytest.mark.parametrize(
    ("aggregate", "message"),
    [
        (Rounded(level=1.5), r"aggregate\.level: would be read as another value"),
        (Signed(key=SecretStr("hunter2")), r"aggregate\.key: would be read as asterisks"),
    ],
)
def test_aggregate_that_would_be_read_as_another_one(aggregate: Any, message: str) -> None:
    """A snapshot or a message would carry the wrong state."""
    codec: Any = PydanticCodec(Rounded | Signed)

    with pytest.raises(ValueError, match=message):
        codec.encode(aggregate)


def test_schema() -> None:
    """The JSON schema of the encoded aggregate can be asked for."""
    schema: Any = PydanticCodec(Pokemon).schema

    assert ["aggregateId", "version"] == schema["required"]


class Seen(PydanticEvent, type="SEEN"):
    """A pokemon was seen."""

    payload: datetime


def reduce_pokemon(pokemon: Pokemon | None, event: Seen) -> Pokemon:
    """Compute the state."""
    seen_at = (*(pokemon.seen_at if pokemon else ()), event.payload)
    return Pokemon(aggregate_id=event.aggregate_id, version=event.version, seen_at=seen_at)


async def test_state_carrying_message() -> None:
    """A message with the state has it in the codec's words, and is parsed back."""
    store = EventStore(
        "POKEMONS",
        event_types=[Seen],
        reduce=reduce_pokemon,
        storage_adapter=InMemoryEventStorageAdapter(),
        aggregate_codec=PydanticCodec(Pokemon),
    )
    queue = StateCarryingMessageQueue("STATES", source_event_stores=(store,))
    event = Seen(aggregate_id="pikachu1", version=1, timestamp=NOW, payload=NOW)
    seen = Pokemon(aggregate_id="pikachu1", version=1, seen_at=(NOW,))
    message = StateCarryingMessage("POKEMONS", event, seen)

    record = queue.message_to_record(message)

    assert {**POKEMON_JSON, "version": 1} == record.body["aggregate"]
    assert message == queue.parse_message(record.body)
