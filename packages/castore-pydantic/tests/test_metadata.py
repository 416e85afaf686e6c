"""Events of pydantic have room for the metadata of a context where their models have fields."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NotRequired
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as validated
from typing_extensions import TypedDict

from castore_core import EventStore, InvalidEventDataError, event_metadata
from castore_in_memory import InMemoryEventStorageAdapter
from castore_pydantic import PydanticEvent

REQUEST = UUID("12345678-1234-5678-1234-567812345678")
VALUES: dict[str, Any] = {"correlation_id": str(REQUEST), "actor": "misty", "other": 1}


class Trace(BaseModel):
    """Metadata with aliases."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)
    correlation_id: UUID | None = None
    actor: str | None = None
    at: datetime | None = None


class Caught(PydanticEvent, type="CAUGHT"):
    """Its metadata are a model."""

    metadata: Trace | None = None


@dataclass(frozen=True)
class Pokemon:
    """An aggregate."""

    aggregate_id: str
    version: int


def reduce_pokemon(_: Pokemon | None, event: Caught) -> Pokemon:
    """Count its events."""
    return Pokemon(event.aggregate_id, event.version)


def fill(annotation: Any, metadata: Any = None, values: Any = VALUES) -> Any:
    """Return what metadata that are annotated so become."""
    body = {"__annotations__": {"metadata": annotation}, "__module__": __name__}
    kind: Any = type(PydanticEvent)
    event = kind("Noted", (PydanticEvent,), body, type="NOTED")("a", 1, metadata=metadata)
    return event.with_metadata(values).metadata


async def test_typed_values_under_aliases() -> None:
    """The event has values of the model's types, and they are stored under the aliases."""
    store = EventStore(
        "POKEMONS",
        event_types=[Caught],
        reduce=reduce_pokemon,
        storage_adapter=InMemoryEventStorageAdapter(),
    )

    with event_metadata(VALUES):
        pushed = await store.push_event(Caught("a", 1))

    assert Trace(correlation_id=REQUEST, actor="misty") == pushed.event.metadata
    assert [pushed.event] == await store.get_events("a")
    (record,) = await store.get_storage_adapter().get_events("POKEMONS", "a")
    assert {"correlationId": str(REQUEST), "actor": "misty", "at": None} == record.metadata


async def test_an_invalid_value() -> None:
    """A value that is not valid is an error that does not tell it, and nothing is written."""
    store = EventStore(
        "POKEMONS",
        event_types=[Caught],
        reduce=reduce_pokemon,
        storage_adapter=InMemoryEventStorageAdapter(),
    )

    reason = r"metadata\.correlationId: .*valid UUID"
    with (
        event_metadata(correlation_id="secret"),
        pytest.raises(InvalidEventDataError, match=reason) as e,
    ):
        await store.push_event(Caught("a", 1))

    assert "secret" not in str(e.value)
    assert [] == await store.get_events("a")


def test_what_was_given_wins() -> None:
    """A field that was given stays, also with its default; one that was not is filled."""
    now = datetime(2022, 1, 1, tzinfo=UTC)

    assert Trace(correlation_id=REQUEST, actor="brock", at=now) == fill(
        Trace, Trace(actor="brock", at=now)
    )
    assert Trace(correlation_id=REQUEST, actor=None) == fill(Trace, Trace(actor=None))


def test_values_that_were_not_given_are_kept() -> None:
    """A default of a factory is not made anew."""

    class Numbered(BaseModel):
        numbers: list[int] = Field(default_factory=list[int])
        actor: str | None = None

    numbered = Numbered()
    numbered.numbers.append(5)

    assert Numbered(numbers=[5], actor="misty") == fill(Numbered, numbered)


def test_required_fields() -> None:
    """A model that cannot be made of the values is not made."""

    class Reason(BaseModel):
        reason: str
        actor: str | None = None

    assert fill(Reason | None) is None
    assert Reason(reason="r", actor="misty") == fill(Reason | None, values={"reason": "r"} | VALUES)


def test_open_models() -> None:
    """A model with extra="allow" takes all values."""

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        actor: str | None = None

    assert VALUES == fill(Open | None).model_dump()
    assert {**VALUES, "actor": "brock", "other": 2} == fill(
        Open, Open.model_validate({"actor": "brock", "other": 2})
    ).model_dump()


def test_unions_of_models() -> None:
    """The model that is there counts; where there is none, what all of them take."""

    class First(BaseModel):
        actor: str | None = None
        first: int = 1

    class Second(BaseModel):
        actor: str | None = None
        other: int | None = None

    assert Second(actor="misty", other=1) == fill(First | Second | None, Second())
    assert First(actor="misty") == fill(First | Second | None)


class Typed(TypedDict):
    """Metadata that are a dictionary."""

    actor: NotRequired[str]


@validated
class Validated:
    """Metadata that are a dataclass of pydantic."""

    town: str = "Cerulean"
    correlation_id: Annotated[UUID | None, Field(alias="correlationId")] = None


@dataclass
class Plain:
    """Metadata that are a dataclass."""

    actor: str = ""
    town: str = "Cerulean"


@pytest.mark.parametrize(
    ("annotation", "metadata", "expected"),
    [
        (Typed | None, None, {"actor": "misty"}),
        (Typed, {"actor": "brock"}, {"actor": "brock"}),
        (dict[str, Any] | None, None, VALUES),
        (Any, None, VALUES),
        (Plain | None, None, Plain(actor="misty")),
        (Plain, Plain(town="Pewter"), Plain(actor="misty", town="Pewter")),
        (Plain, Plain(actor="brock"), Plain(actor="brock")),
        (str | None, None, None),
        (RootModel[str] | None, RootModel[str]("text"), RootModel[str]("text")),
        (
            RootModel[dict[str, Any]],
            RootModel[dict[str, Any]]({}),
            RootModel[dict[str, Any]](VALUES),
        ),
    ],
)
def test_kinds_of_metadata(annotation: object, metadata: object, expected: object) -> None:
    """Dictionaries and dataclasses have room for what they declare, and other values for none."""
    assert expected == fill(annotation, metadata)


def test_dataclasses_of_pydantic() -> None:
    """A field of one is filled under its alias, while it has its default."""
    filled = fill(Validated, fill(Validated | None))

    assert ("Cerulean", REQUEST) == (filled.town, filled.correlation_id)


@validated(frozen=True, slots=True)
class Slotted:
    """Metadata of a dataclass without a dictionary."""

    correlation_id: UUID | None = Field(default=None, alias="correlationId")
    actor: str | None = None


def test_a_dataclass_with_slots() -> None:
    """Its fields that are equal to their defaults are filled, as those of any dataclass are."""
    assert Slotted(correlationId=REQUEST, actor="ash") == fill(Slotted, Slotted(actor="ash"))
