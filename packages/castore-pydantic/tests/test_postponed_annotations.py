"""Events and commands can be declared in a module whose annotations are postponed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, ClassVar, Generic, TypeVar

import pytest
from pydantic import BaseModel

from castore_core import EventStore
from castore_pydantic import PydanticCommand, PydanticEvent, pydantic_command

NOW = datetime(2022, 1, 1, tzinfo=UTC)

E = TypeVar("E", bound=PydanticEvent)

T = TypeVar("T")


def make(event_type: type[E], **values: Any) -> E:
    """Return an event of whatever values, which type checkers would refuse."""
    envelope: dict[str, Any] = {"aggregate_id": "a", "version": 1, "timestamp": NOW}
    return event_type(**envelope | values)


class Weighed(PydanticEvent, type="WEIGHED"):
    """Its payload is declared below, its metadata inside."""

    class Unit(BaseModel):
        """A class in the body of the event."""

        name: str

    payload: Weight
    metadata: Unit | None = None
    kind: ClassVar[type[Any]] = int


class Weight(BaseModel):
    """It is not there yet when the event type is declared."""

    grams: int
    parts: list[Weight] = []


class Boxed(PydanticEvent, Generic[T]):
    """A generic base."""

    payload: list[T]


class DateBoxed(Boxed[date], type="DATE_BOXED"):
    """One of dates."""

    metadata: type[int] | None = None


def reduce_last(last: Weighed | None, event: Weighed) -> Weighed:  # noqa: ARG001 keeps the last
    """Compute the state."""
    return event


store = EventStore("WEIGHTS", event_types=[Weighed], reduce=reduce_last)


def test_types_of_the_module_and_of_the_class_are_found() -> None:
    """A payload may be of a class that comes later, and of one in the event's own body."""
    event = make(Weighed, payload={"grams": "1", "parts": [{"grams": 2}]}, metadata={"name": "g"})

    assert Weight(grams=1, parts=[Weight(grams=2)]) == event.payload
    assert Weighed.Unit(name="g") == event.metadata
    assert event == Weighed.from_record(event.to_record())


def test_type_parameter_is_found() -> None:
    """The text `list[T]` is understood, and T is filled; `type` means the builtin."""
    event = make(DateBoxed, payload=["2022-01-01"], metadata=bool)

    assert [date(2022, 1, 1)] == event.payload


def test_local_types_are_found() -> None:
    """In a function, a type that was defined before the event type is known."""

    class Local(BaseModel):
        number: int

    class Base(PydanticEvent):
        metadata: Local | None = None

    class Counted(Base, type="COUNTED"):
        payload: dict[str, Local]

    event = make(Counted, payload={"a": {"number": 1}}, metadata={"number": 2})

    assert {"a": Local(number=1)} == event.payload
    assert Local(number=2) == event.metadata


def test_local_types_are_found_behind_a_hook() -> None:
    """A base of the user's may do something with its subclasses."""
    names: list[str] = []

    class Base(PydanticEvent):
        def __init_subclass__(cls, *, type: str | None = None) -> None:
            super().__init_subclass__(type=type)
            names.append(cls.__name__)

    class Local(BaseModel):
        number: int

    class Counted(Base, type="COUNTED"):
        payload: Local

    assert ["Counted"] == names
    assert Local(number=1) == make(Counted, payload={"number": 1}).payload


def test_unknown_type_is_named() -> None:
    """What does not exist is an error at the first use, that says where."""

    class Lost(PydanticEvent, type="LOST"):
        payload: Nowhere  # noqa: F821  # pyright: ignore[reportUndefinedVariable]

    with pytest.raises(TypeError, match=r"Lost\.payload is unknown: name 'Nowhere' is not defined"):
        make(Lost, payload=1)


async def test_types_of_a_command_are_found() -> None:
    """The annotations of a handler may be texts, of a module or of a function."""

    class Local(BaseModel):
        number: int

    @pydantic_command("LOCAL", required_event_stores=(store,))
    async def double(input: Local, event_stores: tuple[EventStore[Any, Any]]) -> Doubled:  # noqa: ARG001
        return Doubled(number=2 * input.number)

    async def weigh(input: Weight, event_stores: tuple[EventStore[Any, Any]]) -> int:  # noqa: ARG001
        return input.grams

    weigh_it = PydanticCommand("WEIGH", required_event_stores=(store,), handler=weigh)

    assert Doubled(number=8) == await double.run_json({"number": 4}, (store,))
    assert 3 == await weigh_it.run_json('{"grams": 3}', (store,))


class Doubled(BaseModel):
    """What a command returns."""

    number: int
