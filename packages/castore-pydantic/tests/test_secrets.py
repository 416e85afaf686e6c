"""No text, repr or note of an error of this package has a value of a payload, which may be secret.

Keys are no values: they are the path. pydantic's own error is the ``__cause__``, and has them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from types import new_class
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ByteSize,
    Discriminator,
    Field,
    ImportString,
    Json,
    NaiveDatetime,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    Tag,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from castore_core import (
    CastoreError,
    EventDecodeError,
    EventRecord,
    EventStore,
    InvalidCommandInputError,
    InvalidCommandOutputError,
    InvalidEventDataError,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_pydantic import PydanticCodec, PydanticCommand, PydanticEvent

SECRET = "hunter2"  # noqa: S105 it is no secret
NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Card(Enum):
    """Some cards."""

    GOLD = "gold"


def read_card(value: str) -> Card:
    """Return a card: on Python 3.14, pydantic takes no enumeration for a validator."""
    return Card(value)


class Cat(BaseModel):
    """One of two."""

    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    """The other one."""

    kind: Literal["dog"] = "dog"
    names: list[str] = []


@dataclass
class Point:
    """A dataclass."""

    x: int = 1


@dataclass
class Pin:
    """Another dataclass."""

    pin: str


class Account(BaseModel):
    """A model that tells all that it was given."""

    pin: str
    pins: list[str] = []

    @model_validator(mode="after")
    def check(self) -> "Account":
        """Refuse whatever it is."""
        raise ValueError(f"{self!r} is wrong: {self.pin!r}, {', '.join(self.pins)}")


class Named(BaseModel):
    """A model that fails as programs fail."""

    name: str

    @field_validator("name")
    @classmethod
    def check(cls, name: str) -> str:
        """Refuse whatever it is."""
        assert len(name) < 1, f"assert {name!r} == ''"
        return name


def refuse(value: object) -> object:
    """Refuse a value, with words of one's own."""
    raise ValueError(f"<{value}> is wrong")


def refuse_in_part(value: Any) -> object:
    """Refuse a value, and quote it as it is not."""
    raise PydanticCustomError("odd", "{it} is odd", {"it": str(value).strip().upper()})


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]
Either = Annotated[
    Annotated[int, Tag("int")] | Annotated[str, Tag("str")],
    Discriminator(lambda value: SECRET if value else None),
]


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        # pydantic's own words
        (int, SECRET, "payload: Input should be a valid integer"),
        (Literal["a", "b"], SECRET, "payload: Input should be 'a' or 'b'"),
        (Card, SECRET, "payload: Input should be 'gold'"),
        (UUID, SECRET, "payload: Input should be a valid UUID$"),
        (date, SECRET, "payload: Input should be a valid date"),
        (datetime, SECRET, "payload: Input should be a valid datetime"),
        (time, SECRET, "payload: Input should be in a valid time format"),
        (Decimal, SECRET, "payload: Input should be a valid decimal"),
        (AnyUrl, SECRET, "payload: Input should be a valid URL"),
        (ZoneInfo, SECRET, "payload: invalid timezone$"),
        (ByteSize, f"1{SECRET}", "payload: could not interpret byte unit$"),
        (ImportString, SECRET, "payload: Invalid python path$"),
        (Json, SECRET, "payload: Invalid JSON"),
        (Annotated[str, Field(max_length=3)], SECRET, "payload: String should have at most 3"),
        (Annotated[str, Field(pattern="^a$")], SECRET, "payload: String should match pattern"),
        (NaiveDatetime, NOW, "payload: Input should not have timezone info"),
        (dict[str, int], {"pin": SECRET}, r"payload\.pin: Input should be a valid integer"),
        (dict[str, Point], {"a": {"x": SECRET}}, r"payload\.a\.x: Input should be a valid int"),
        (Point, Pin(SECRET), "payload: Input should be a dictionary or an instance of Point"),
        (Pet, {"kind": SECRET}, "'kind' does not match any of the expected tags: 'cat', 'dog'"),
        (Pet, {"kind": "dog", "names": [1, SECRET]}, r"payload\.dog\.names\[0\]: Input should be"),
        (Either, SECRET, "does not match any of the expected tags: 'int', 'str'"),
        # those of validators
        (Annotated[str, AfterValidator(refuse)], SECRET, "payload: .*<the value> is wrong"),
        (Annotated[str, BeforeValidator(int)], SECRET, "payload: .* with base 10: the value"),
        (
            Annotated[str, AfterValidator(read_card)],
            SECRET,
            "payload: .*the value is not a valid Card",
        ),
        (Annotated[Any, AfterValidator(refuse)], SECRET.encode(), "payload: .*is wrong"),
        (Annotated[Any, AfterValidator(refuse)], [{"pin": SECRET}], "payload: .*is wrong"),
        (Annotated[Any, AfterValidator(refuse)], {1, SECRET}, "payload: .*is wrong"),
        (Annotated[Any, AfterValidator(refuse)], Pin(SECRET), "payload: .*is wrong"),
        (
            Annotated[str, AfterValidator(refuse_in_part)],
            f" {SECRET} ",
            "payload: the value is odd",
        ),
        (Account, {"pin": SECRET, "pins": [SECRET]}, "payload: Value error"),
        (Named, {"name": SECRET}, r"payload\.name: Assertion failed, assert the value == ''"),
    ],
)
def test_value_that_is_not_valid(annotation: Any, value: Any, reason: str) -> None:
    """Neither events nor commands tell it, whoever refused it, and wherever it came from."""
    held = declare(annotation)

    with pytest.raises(InvalidEventDataError, match=reason) as made:
        held("a", 1, payload=value)
    assert_silent(made.value)


@pytest.mark.parametrize(
    ("kind", "context", "reason"),
    [
        ("bytes_invalid_encoding", {"encoding": "hex", "encoding_error": SECRET}, "valid hex"),
        ("datetime_object_invalid", {"error": SECRET}, "Invalid datetime object"),
        ("get_attribute_error", {"error": SECRET}, "Error extracting attribute"),
        ("iteration_error", {"error": SECRET}, "Error iterating over object"),
        ("mapping_type", {"error": SECRET}, "Input should be a valid mapping"),
        ("timezone_offset", {"tz_expected": 3600, "tz_actual": 7200}, "offset of 3600 required"),
    ],
)
def test_words_of_pydantic_that_quote(kind: Any, context: dict[str, Any], reason: str) -> None:
    """They are left out, whatever they quote."""

    def fail(_: object) -> object:
        raise PydanticKnownError(kind, context)

    with pytest.raises(InvalidEventDataError, match=f"{reason}$") as error:
        declare(Annotated[Any, PlainValidator(fail)])("a", 1, payload=1)
    assert_silent(error.value)


def test_error_without_a_context() -> None:
    """A validator may use a name of pydantic's for an error of its own."""

    def fail(_: object) -> object:
        raise PydanticCustomError("union_tag_invalid", "odd")

    with pytest.raises(InvalidEventDataError, match="payload: Input tag found using"):
        declare(Annotated[Any, PlainValidator(fail)])("a", 1, payload=1)


def declare(annotation: Any) -> Any:
    """Return a class of events whose payload is of a type."""
    return new_class(
        "Held",
        (PydanticEvent,),
        {"type": "HELD"},
        lambda body: body.update(__annotations__={"payload": annotation}),
    )


def assert_silent(error: BaseException) -> None:
    """Look for the secret, and for a part of it, wherever an error speaks."""
    texts = [str(error), repr(error), repr(error.args), *getattr(error, "__notes__", ())]
    assert not [each for each in texts if re.search("hunter|unter2", each, re.IGNORECASE)]


class Writing(BaseModel):
    """A model whose serializer fails."""

    pin: str

    @field_serializer("pin")
    def write(self, pin: str) -> str:
        """Tell what cannot be written."""
        raise LookupError(f"{pin}\n{pin}")


class Counting(BaseModel):
    """A model whose values may be changed to those of another type."""

    number: int = 1


def change_number(value: object) -> Counting:
    """Return a model that is not valid any more."""
    model = Counting()
    vars(model)["number"] = value
    return model


def nest(value: Any) -> Any:
    """Return a value in more lists than can be written."""
    for _ in range(300):
        value = [value]
    return value


def surround(value: list[Any]) -> list[Any]:
    """Return a list that contains itself."""
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        (Any, SecretStr(SECRET), "payload: would be read as asterisks"),
        (Any, (SECRET,), "payload: .* list in the place of tuple"),
        (dict[Any, str], {1: SECRET}, r"payload\[1\]: .* it would be lost"),
        (Annotated[str, PlainSerializer(str.upper)], SECRET, "payload: would be read as another"),
        (
            bytes,
            f"{SECRET}\xff".encode("latin-1"),
            "is not well-formed Unicode",
        ),
        (Any, f"{SECRET}\ud800", "payload: .*"),
        (Any, nest(SECRET), "payload: .*depth"),
        (Any, surround([SECRET]), "payload: Circular reference"),
        (Writing, Writing(pin=SECRET), "payload: Error calling function `write`: LookupError$"),
        (Counting, change_number(SECRET), "payload: .*Expected `int`"),
        (Counting, change_number([{"pin": SECRET}]), "payload: .*Expected `int`"),
    ],
)
def test_value_that_cannot_be_written(annotation: Any, value: Any, reason: str) -> None:
    """Neither an event nor a codec tells it."""
    event = declare(annotation)("a", 1, payload=value)

    with pytest.raises(InvalidEventDataError, match=reason) as pushed:
        event.to_record()
    assert_silent(pushed.value)


class Pokemon(BaseModel):
    """An aggregate."""

    aggregate_id: str
    version: int
    pin: Annotated[str, AfterValidator(refuse)]


def test_codec_does_not_tell_values() -> None:
    """Neither what it writes, nor what it reads, nor what is of another class."""
    codec = PydanticCodec(Pokemon)
    pokemon = Pokemon.model_construct(aggregate_id="a", version=1, pin=SECRET)
    other: Any = Pin(SECRET)
    uses: list[Callable[[], object]] = [
        lambda: codec.encode(pokemon),
        lambda: codec.encode(other),
        lambda: codec.decode({"aggregate_id": SECRET, "version": SECRET, "pin": SECRET}),
        lambda: codec.decode(SECRET),
    ]

    for use in uses:
        with pytest.raises((TypeError, ValueError), match="aggregate") as error:
            use()
        assert_silent(error.value)


class Signed(PydanticEvent, type="SIGNED"):
    """An event with both fields."""

    payload: Annotated[str, AfterValidator(refuse)]
    metadata: dict[str, int] | None = None


def keep_last(last: Any, event: Signed) -> Any:  # noqa: ARG001 the reducer's signature
    """Compute the state."""
    return event


async def run(input: Pokemon, event_stores: tuple[EventStore]) -> int:  # noqa: ARG001 not called
    """Return what is not of the type."""
    wrong: Any = SECRET
    number: int = wrong
    return number


async def test_stores_and_commands_do_not_tell_values() -> None:
    """A stored event that does not fit, an input, a body and an output."""
    adapter = InMemoryEventStorageAdapter()
    store = EventStore("S", event_types=[Signed], reduce=keep_last, storage_adapter=adapter)
    await adapter.push_event("S", EventRecord("a", 1, "SIGNED", NOW, SECRET, {"pin": SECRET}))
    command = PydanticCommand("RUN", required_event_stores=(store,), handler=run)
    free: Any = PydanticCommand(
        "RUN", required_event_stores=(store,), handler=run, input_type=dict[str, str]
    )
    wrong: Any = {"aggregate_id": 1, "version": SECRET, "pin": SECRET}

    errors: list[CastoreError] = []
    with pytest.raises(EventDecodeError) as read:
        await store.get_events("a")
    errors.append(read.value)
    with pytest.raises(InvalidCommandInputError) as called:
        await command(wrong, (store,))
    errors.append(called.value)
    for body in (wrong, f'{{"pin": {SECRET}}}', f'"{SECRET}"', [SECRET]):
        with pytest.raises(InvalidCommandInputError) as came:
            await command.run_json(body, (store,))
        errors.append(came.value)
    with pytest.raises(InvalidCommandOutputError) as returned:
        await free({"pin": SECRET}, (store,))
    errors.append(returned.value)

    for each in errors:
        assert_silent(each)
    for shown in (repr(command), repr(PydanticCodec(Pokemon)), repr(store)):
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("no", "no wonder: the value <no> is not true"),  # too short to tell anything
        ("wonder", "no the value: the value <the value> is not true"),
        (True, "no wonder: the value <True> is not true"),
        (123, "no wonder: the value <the value> is not true"),
        (date(2022, 1, 1), "no wonder: the value <the value> is not true"),
        ([1, [None]], "no wonder: the value <[1, [None]]> is not true"),
        (Card.GOLD, "no wonder: the value <Card.the value> is not true"),
    ],
)
def test_words_of_a_validator_are_kept(value: object, told: str) -> None:
    """Only the value itself is taken out of them."""

    def wonder(value: object) -> object:
        raise ValueError(f"no wonder: the value <{value}> is not true")

    with pytest.raises(InvalidEventDataError) as error:
        declare(Annotated[Any, PlainValidator(wonder)])("a", 1, payload=value)
    assert f"Value error, {told}" == error.value.violations[0].reason
