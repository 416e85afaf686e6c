"""Annotations may name what is defined further down."""
# ruff: noqa: F821, TC004 the names of the last part come too late for checkers of Python 3.11

import sys
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

import pytest
from pydantic import BaseModel, Field

from castore_core import EventStore
from castore_pydantic import PydanticCommand, PydanticEvent, pydantic_command

if TYPE_CHECKING:
    from decimal import Decimal as Hidden

T = TypeVar("T")

NOW = datetime(2022, 1, 1, tzinfo=UTC)


def make(event_type: type[Any], **values: Any) -> Any:
    """Return an event of whatever values, which type checkers would refuse."""
    return event_type(aggregate_id="a", version=1, timestamp=NOW, **values)


class Weighed(PydanticEvent, type="WEIGHED"):
    """Its payload is of a class that is defined below, its metadata of this one."""

    payload: "Weight"
    metadata: "list[Weighed] | None" = None


def reduce_last(last: Weighed | None, event: Weighed) -> Weighed:  # noqa: ARG001 keeps the last
    """Compute the state."""
    return event


store = EventStore("WEIGHTS", event_types=[Weighed], reduce=reduce_last)

Stores = tuple[EventStore[Any, Any]]


@pydantic_command("ADD", required_event_stores=(store,))
async def add(input: "list[Weight]", event_stores: Stores) -> "Weight":  # noqa: ARG001
    """Add weights, which are defined below."""
    return Weight(grams=sum(each.grams for each in input))


class Weight(BaseModel):
    """It is not there yet when the event type and the command are declared."""

    grams: int


def test_quoted_types_of_an_event() -> None:
    """A payload may be of a class that comes later, and metadata of the event type itself."""
    first = make(Weighed, payload={"grams": 1})
    event = make(Weighed, payload={"grams": 2}, metadata=[first])

    assert Weight(grams=2) == event.payload
    assert [first] == event.metadata


async def test_quoted_types_of_a_command() -> None:
    """Input and output may be of a class that comes later."""
    assert Weight(grams=3) == await add.run_json([{"grams": 1}, {"grams": 2}], (store,))


if sys.version_info >= (3, 14):  # nothing needs quotes any more (PEP 649)

    class Box(BaseModel, Generic[T]):
        """It is there before what is put into it."""

        content: T

    class Measured(PydanticEvent, type="MEASURED"):
        """As above."""

        payload: Box[Length]
        metadata: list[Measured] | None = None

    @pydantic_command("UNBOX", required_event_stores=(store,))
    async def unbox(
        input: Annotated[Box[Length], Field(description="A box.")],
        event_stores: Stores,  # noqa: ARG001
    ) -> Length:
        """Take a length out of its box."""
        return input.content

    class Length(BaseModel):
        """It is not there yet."""

        metres: int

    def test_types_of_an_event() -> None:
        """A class that comes later may also be an argument of one that is there."""
        first = make(Measured, payload={"content": {"metres": 1}})
        event = make(Measured, payload={"content": {"metres": 2}}, metadata=[first])

        assert Box(content=Length(metres=2)) == event.payload
        assert [first] == event.metadata

    async def test_types_of_a_command() -> None:
        """The same holds for input and output, and what else the annotations say is kept."""
        assert Length(metres=3) == await unbox.run_json({"content": {"metres": 3}}, (store,))
        assert "A box." in str(unbox.input_schema)

    def test_local_types_of_an_event() -> None:
        """In a function, a type may be defined after the event type, also after a generic one."""

        class Boxed(PydanticEvent, Generic[T]):
            payload: dict[str, T]
            metadata: Box[Local] | None = None

        class WeightsBoxed(Boxed[Weight], type="WEIGHTS_BOXED"):
            pass

        class Local(BaseModel):
            number: int

        event = make(WeightsBoxed, payload={"a": {"grams": 1}}, metadata={"content": {"number": 2}})

        assert {"a": Weight(grams=1)} == event.payload
        assert Local(number=2) == event.metadata.content

    async def test_local_types_of_a_command() -> None:
        """In a function, input and output may be of types that are defined after the handler."""

        class Handler:
            async def __call__(self, input: Box[Local], event_stores: Stores) -> Local:  # noqa: ARG002
                return input.content

            def method(self, input: Box[Local], event_stores: Stores) -> Awaitable[Local]:
                return self(input, event_stores)

        handler: Any = Handler()
        commands = [
            PydanticCommand("UNBOX", required_event_stores=(store,), handler=each)
            for each in (handler, handler.method)
        ]

        class Local(BaseModel):
            number: int

        for each in commands:
            assert Local(number=1) == await each.run_json({"content": {"number": 1}}, (store,))

    def test_names_of_type_checkers_are_not_looked_up() -> None:
        """An annotation that describes no value of castore's may name what is never defined."""

        class Counted(PydanticEvent, type="COUNTED"):
            exact: ClassVar[Hidden]
            payload: int

        @pydantic_command("COUNT", required_event_stores=(store,))
        async def count(input: int, event_stores: Stores, exact: Hidden) -> int:  # noqa: ARG001
            return input

        assert 1 == make(Counted, payload="1").payload
        assert {"type": "integer"} == count.input_schema

    async def test_unknown_type_is_named() -> None:
        """What does not exist is an error at the first use, that says where."""

        class Lost(PydanticEvent, type="LOST"):
            payload: Hidden

        @pydantic_command("LOSE", required_event_stores=(store,))
        async def lose(input: int, event_stores: Stores) -> Hidden: ...

        with pytest.raises(TypeError, match=r"Lost\.payload is unknown: name 'Hidden' is not def"):
            make(Lost, payload=1)
        with pytest.raises(TypeError, match=r"output of .*lose is unknown: name 'Hidden' is not"):
            await lose.run_json("1", (store,))

    class metadata:  # noqa: N801 the name is the point
        """It stands for a module of the user's."""

        Trigger = Weight

    def test_attributes_of_the_class_hide_no_types() -> None:
        """`type` means the builtin, and the name of a field what it means outside of the class."""

        class Made(PydanticEvent, type="MADE"):
            payload: type[int]
            metadata: metadata.Trigger | None = None

        event = make(Made, payload=bool, metadata={"grams": 1})

        assert bool is event.payload
        assert Weight(grams=1) == event.metadata
