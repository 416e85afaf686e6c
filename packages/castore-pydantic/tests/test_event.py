"""Events are validated by pydantic when they are made, pushed and read."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, Flag
from threading import Barrier, Thread
from types import new_class
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    Json,
    PlainSerializer,
    PrivateAttr,
    Secret,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    ValidationError,
    computed_field,
    field_serializer,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema
from typing_extensions import TypedDict

from castore_core import (
    ABSENT,
    Event,
    EventRecord,
    InvalidEventDataError,
    InvalidEventError,
    NotJSONError,
    Violation,
)
from castore_pydantic import PydanticEvent

NOW = datetime(2022, 1, 1, 12, tzinfo=UTC)

E = TypeVar("E", bound=PydanticEvent)


class Move(BaseModel):
    """Something that a pokemon can do."""

    model_config = ConfigDict(frozen=True)
    name: str
    power: int = Field(default=10, ge=0)


class Appeared(BaseModel):
    """What is known of a pokemon."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True)
    name: str
    first_seen: date
    moves: tuple[Move, ...] = ()


class Trigger(BaseModel):
    """What made an event happen."""

    model_config = ConfigDict(frozen=True)
    kind: Literal["random", "scripted"]


class PokemonAppeared(PydanticEvent, type="POKEMON_APPEARED"):
    """It has both fields, one of them optional."""

    payload: Appeared
    metadata: Trigger | None = None


class PokemonLeveledUp(PydanticEvent, type="POKEMON_LEVELED_UP"):
    """It has neither field."""


def make(event_type: type[E], **values: Any) -> E:
    """Return an event of whatever values, which type checkers would refuse."""
    envelope: dict[str, Any] = {"aggregate_id": "pikachu1", "version": 1, "timestamp": NOW}
    return event_type(**envelope | values)


def appeared(**changes: Any) -> PokemonAppeared:
    """Return an event."""
    payload = Appeared(name="Pikachu", first_seen=date(1996, 2, 27), moves=(Move(name="Spark"),))
    return make(PokemonAppeared, **{"payload": payload} | changes)


def pickled(value: object) -> Any:
    """Return what comes out of a pickle."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 it is our own


# Construction


def test_event_holds_the_given_model() -> None:
    """A model is not copied."""
    payload = Appeared(name="Pikachu", first_seen=date(1996, 2, 27))

    assert payload is appeared(payload=payload).payload


def test_event_holds_the_valid_value() -> None:
    """What is not of the type yet becomes so, as pydantic does it."""
    event = appeared(
        payload={"name": "Pikachu", "firstSeen": "1996-02-27", "moves": [{"name": "Spark"}]},
        metadata={"kind": "random"},
    )

    assert appeared(metadata=Trigger(kind="random")) == event


def test_invalid_payload_is_refused() -> None:
    """The error names the event type and the field, and lists each violation with its path."""
    with pytest.raises(InvalidEventDataError) as error:
        appeared(payload={"name": 1, "firstSeen": "1996-02-27", "moves": [{"power": -1}]})

    assert ("POKEMON_APPEARED", "payload") == (error.value.event_type, error.value.field)
    assert (
        Violation("payload.name", "Input should be a valid string", "string_type"),
        Violation("payload.moves[0].name", "Field required", "missing"),
        Violation(
            "payload.moves[0].power",
            "Input should be greater than or equal to 0",
            "greater_than_equal",
        ),
    ) == error.value.violations
    assert (
        "payload of POKEMON_APPEARED is not valid: "
        "payload.name: Input should be a valid string; payload.moves[0].name: Field required; "
        "payload.moves[0].power: Input should be greater than or equal to 0"
    ) == str(error.value)


def test_invalid_metadata_is_refused() -> None:
    """Metadata is validated too."""
    with pytest.raises(InvalidEventDataError, match=r"metadata of .* metadata\.kind: Input should"):
        appeared(metadata={"kind": "unknown"})


def test_error_is_of_both_worlds() -> None:
    """It is an error of castore and a ValueError, and its cause is pydantic's."""
    with pytest.raises(InvalidEventError) as error:
        appeared(payload=None)

    assert isinstance(error.value, ValueError)
    assert isinstance(error.value.__cause__, ValidationError)


def test_error_pickles() -> None:
    """The error survives the way to another process."""
    with pytest.raises(InvalidEventDataError) as error:
        appeared(payload={"first name": 1})
    copied = pickled(error.value)

    assert str(error.value) == str(copied)
    assert error.value.violations == copied.violations


def test_error_does_not_tell_values() -> None:
    """A value that is refused may be a secret: only pydantic's own error has it."""
    with pytest.raises(InvalidEventDataError) as error:
        appeared(payload={"name": "Pikachu", "firstSeen": "hunter2"})

    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("secret", ["hunter2", "x, input_type=hunter2", ["hunter2", 1]], ids=repr)
def test_error_of_the_serializer_does_not_tell_values(secret: Any) -> None:
    """Neither where several values do not fit, nor where one looks like the text around it."""

    class Account(BaseModel):
        pin: int
        name: str

    class Opened(PydanticEvent, type="OPENED"):
        payload: Account

    event = make(Opened, payload=Account(pin=1, name="Ash"))
    vars(event.payload).update(pin=secret, name=[secret])

    with pytest.raises(
        InvalidEventDataError, match=r"'pin', input_type=.*'name', input_type=list"
    ) as error:
        event.to_record()
    assert "hunter2" not in str(error.value)


def test_error_of_many_violations_is_short() -> None:
    """The text tells the first ten; all are listed."""
    with pytest.raises(InvalidEventDataError, match=r"moves\[9\].*; and 90 more$") as error:
        appeared(payload={"name": "P", "firstSeen": "1996-02-27", "moves": [0] * 100})

    assert 100 == len(error.value.violations)


def test_path_quotes_what_is_no_identifier() -> None:
    """A key that is no identifier is told from a path."""

    class Tagged(PydanticEvent, type="TAGGED"):
        payload: dict[str, int]

    with pytest.raises(InvalidEventDataError, match=r"payload\['a\.b'\]: Input should be"):
        make(Tagged, payload={"a.b": "c"})


def test_envelope_is_checked_as_in_any_event() -> None:
    """The rules of plain events hold, and come first."""
    with pytest.raises(InvalidEventError, match="version of POKEMON_APPEARED") as error:
        appeared(version=0, payload=None)

    assert InvalidEventError is type(error.value)


def test_event_is_frozen() -> None:
    """No field can be set."""
    event = appeared()

    with pytest.raises(FrozenInstanceError):
        setattr(event, "payload", None)  # noqa: B010 type checkers know it


def test_abstract_base_has_no_events() -> None:
    """A base without a type cannot be instantiated."""

    class Base(PydanticEvent):
        payload: int

    with pytest.raises(TypeError, match="Base is abstract"):
        Base(aggregate_id="a", version=1, payload=1)


def test_replace_validates() -> None:
    """A changed copy is a new event."""
    assert appeared(version=2) == replace(appeared(), version=2)
    with pytest.raises(InvalidEventDataError):
        replace(appeared(), payload=None)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_event_is_copied_and_pickled(duplicate: Any) -> None:
    """Copies are equal."""
    assert appeared() == duplicate(appeared())


def test_draft_is_validated_when_it_is_numbered() -> None:
    """A draft takes anything; the event that is made of it does not."""
    payload: Any = {"name": "Pikachu"}
    draft = PokemonAppeared.draft(payload=payload)

    with pytest.raises(InvalidEventDataError, match=r"payload\.firstSeen: Field required"):
        draft.to_event("pikachu1", 1)


def test_event_matches() -> None:
    """Patterns reach into the payload."""
    event: PokemonAppeared | PokemonLeveledUp = appeared()

    match event:
        case PokemonAppeared(payload=Appeared(name=name, moves=(Move(power=power),))):
            assert ("Pikachu", 10) == (name, power)
        case _:
            pytest.fail("no match")


# Records


def test_record_is_json_under_aliases() -> None:
    """What is stored is JSON, under the aliases of the models."""
    assert (
        EventRecord(
            "pikachu1",
            1,
            "POKEMON_APPEARED",
            NOW,
            {
                "name": "Pikachu",
                "firstSeen": "1996-02-27",
                "moves": [{"name": "Spark", "power": 10}],
            },
            {"kind": "random"},
        )
        == appeared(metadata={"kind": "random"}).to_record()
    )


def test_record_comes_back_typed() -> None:
    """What is read equals what was made."""
    event = appeared(metadata=Trigger(kind="scripted"))

    assert event == PokemonAppeared.from_record(event.to_record())


def test_optional_field_that_is_none_is_absent() -> None:
    """The rules of absent and null are those of any event."""

    class Renamed(PydanticEvent, type="RENAMED"):
        payload: date | None
        metadata: date | None = None

    event = make(Renamed, payload=None)
    record = event.to_record()

    assert (None, ABSENT) == (record.payload, record.metadata)
    assert event == Renamed.from_record(record)
    assert event == Renamed.from_record(record._replace(metadata=None))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (ABSENT, "payload is absent"),
        (None, "payload: Input should be an object"),
        ({"name": "P", "firstSeen": 1.5}, "payload.firstSeen: Datetimes provided to dates"),
        (
            {"name": "P", "firstSeen": "1996-02-27", "moves": [{"name": "a"}, {"name": None}]},
            r"payload.moves\[1\].name: Input should be a valid string",
        ),
    ],
)
def test_stored_payload_that_does_not_fit(payload: Any, message: str) -> None:
    """What does not fit any more is a ValueError with the path."""
    record = appeared().to_record()._replace(payload=payload)

    with pytest.raises(ValueError, match=message):
        PokemonAppeared.from_record(record)


def test_computed_field_is_not_stored() -> None:
    """What is computed is no fact, and a model that forbids other keys can be read again."""

    class Doubled(BaseModel):
        model_config = ConfigDict(extra="forbid")
        number: int

        @computed_field
        @property
        def double(self) -> int:
            return 2 * self.number

    class Counted(PydanticEvent, type="COUNTED"):
        payload: Doubled

    event = make(Counted, payload=Doubled(number=4))

    assert {"number": 4} == event.to_record().payload
    assert 8 == Counted.from_record(event.to_record()).payload.double
    schema: Any = Counted.field_schema("payload")
    assert ["number"] == list(schema["properties"])


class Strict(BaseModel):
    """A model that takes no text for a moment, but in JSON."""

    model_config = ConfigDict(strict=True)
    at: datetime
    price: Decimal
    numbers: set[int]


class Measured(PydanticEvent, type="MEASURED"):
    """Its payload is strict."""

    payload: Strict


def test_strict_model_is_strict() -> None:
    """Nothing is converted when an event is made."""
    with pytest.raises(InvalidEventDataError, match=r"payload\.at: .*; payload\.price: .*"):
        make(Measured, payload={"at": "2022-01-01T00:00:00Z", "price": "1", "numbers": {1}})


def test_strict_model_is_read_from_json() -> None:
    """What is stored is read as JSON is."""
    event = make(Measured, payload=Strict(at=NOW, price=Decimal("1.10"), numbers={1, 2}))

    assert event == Measured.from_record(event.to_record())


@pytest.mark.parametrize("by_name", [True, False])
def test_alias_is_stored_and_read_whatever_the_model_says(by_name: bool) -> None:
    """The wire has the aliases, also of models that take names only."""

    class Named(BaseModel):
        model_config = ConfigDict(validate_by_name=by_name, validate_by_alias=not by_name)
        pet_name: str = Field(alias="petName")

    class Renamed(PydanticEvent, type="RENAMED"):
        payload: Named

    event = make(Renamed, payload={"pet_name" if by_name else "petName": "Pika"})

    assert {"petName": "Pika"} == event.to_record().payload
    assert event == Renamed.from_record(event.to_record())


def test_alias_choices_read_old_names() -> None:
    """A renamed key is read by either name."""

    class Named(BaseModel):
        name: str = Field(validation_alias=AliasChoices("name", "nick"), serialization_alias="name")

    class Renamed(PydanticEvent, type="RENAMED"):
        payload: Named

    event = make(Renamed, payload={"nick": "Pika"})

    assert {"name": "Pika"} == event.to_record().payload
    assert event == Renamed.from_record(event.to_record()._replace(payload={"nick": "Pika"}))


# What could not be read again is not written


def test_alias_that_cannot_be_read_is_refused() -> None:
    """A model that writes a name that it does not read would lose the event."""

    class Named(BaseModel):
        name: str = Field(serialization_alias="petName")

    class Renamed(PydanticEvent, type="RENAMED"):
        payload: Named

    with pytest.raises(InvalidEventDataError, match=r"payload\.name: Field required"):
        make(Renamed, payload=Named(name="Pika")).to_record()


class Renamed(BaseModel):
    """It writes a name that it does not read, and makes do without it."""

    name: str = Field(default="", serialization_alias="petName")


class Packed(BaseModel):
    """It writes bytes in another way than it reads them."""

    model_config = ConfigDict(ser_json_bytes="base64")
    data: bytes


class Counted(BaseModel):
    """It writes another number than it holds."""

    number: int

    @field_serializer("number")
    def write(self, number: int) -> int:
        """Write the next number."""
        return number + 1


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (Renamed(name="Pika"), "petName"),
        (Packed(data=b"Pika"), "data"),
        (Counted(number=1), "number"),
    ],
    ids=repr,
)
def test_what_would_be_read_as_something_else_is_refused(value: BaseModel, key: str) -> None:
    """A model that reads another value than it wrote would change the event."""

    class Changing(PydanticEvent, type="CHANGING"):
        payload: Renamed | Packed | Counted

    with pytest.raises(
        InvalidEventDataError, match=rf"payload\.{key}: would be read as another value"
    ):
        make(Changing, payload=value).to_record()


PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2024, 10, 27, 2, 30, tzinfo=PARIS),
        datetime(2024, 10, 27, 2, 30, tzinfo=PARIS, fold=1),
        datetime(2024, 3, 31, 2, 30, tzinfo=PARIS),
    ],
    ids=str,
)
def test_an_hour_that_the_clocks_repeat_or_skip(moment: datetime) -> None:
    """A moment in it comes back as the same moment, however deep in the payload it is."""

    class Seen(BaseModel):
        at: datetime
        before: dict[datetime, tuple[list[datetime], set[datetime]]]

    class Met(PydanticEvent, type="MET"):
        payload: Seen

    event = make(Met, payload=Seen(at=moment, before={moment: ([moment], {moment})}))

    read = Met.from_record(event.to_record()).payload
    assert moment.astimezone(UTC) == read.at.astimezone(UTC)
    assert {read.at: ([read.at], {read.at})} == read.before


def test_what_is_lost_on_purpose_is_no_fault() -> None:
    """A field that the model excludes is not stored."""

    class Noted(BaseModel):
        name: str
        note: str = Field(default="", exclude=True)

    class Taken(PydanticEvent, type="TAKEN"):
        payload: Noted

    event = make(Taken, payload=Noted(name="Pika", note="x"))
    assert {"name": "Pika"} == event.to_record().payload


@given(st.sets(st.integers(0, 300)), st.sets(st.integers(0, 300)))
def test_order_of_a_set_is_no_fault(numbers: set[int], removed: set[int]) -> None:
    """A set is the same in any order."""

    class Chosen(PydanticEvent, type="CHOSEN"):
        payload: set[int]

    event = make(Chosen, payload=(numbers | removed) - removed)
    assert event == Chosen.from_record(event.to_record())


class Mutable(BaseModel):
    """A model that can be changed."""

    level: int = Field(ge=1)


class Grew(PydanticEvent, type="GREW"):
    """Its payload can be changed."""

    payload: Mutable


@pytest.mark.parametrize("level", [0, "high", None])
def test_payload_that_was_changed_is_validated_before_it_is_written(level: Any) -> None:
    """A mutable model that is not valid any more is refused."""
    event = make(Grew, payload=Mutable(level=1))
    event.payload.level = level

    with pytest.raises(InvalidEventDataError, match="payload") as error:
        event.to_record()
    assert "GREW" == error.value.event_type


def test_value_without_json_is_refused() -> None:
    """The serializer's error names the field."""

    class Held(PydanticEvent, type="HELD"):
        payload: Any

    with pytest.raises(InvalidEventDataError, match="payload: Unable to serialize unknown type"):
        make(Held, payload=object()).to_record()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_number_that_json_does_not_have(number: float) -> None:
    """The core's rules hold for what pydantic lets pass."""

    class Weighed(PydanticEvent, type="WEIGHED"):
        payload: dict[str, float]

    with pytest.raises(NotJSONError, match=r"payload\.kg is (nan|inf)"):
        make(Weighed, payload={"kg": number}).to_record()


def test_nesting_has_an_end() -> None:
    """What is nested deeper than pydantic reads is refused."""

    class Nested(PydanticEvent, type="NESTED"):
        payload: Any

    payload: list[Any] = []
    for _ in range(500):
        payload = [payload]

    with pytest.raises(InvalidEventDataError, match="depth exceeded"):
        make(Nested, payload=payload).to_record()


@pytest.mark.parametrize(
    ("annotation", "secret"),
    [
        (SecretStr, SecretStr("hunter2")),
        (SecretBytes, SecretBytes(b"hunter2")),
        (Secret[str], Secret[str]("hunter2")),
        (dict[str, list[SecretStr] | None], {"keys": [SecretStr("hunter2")]}),
        (Any, SecretStr("hunter2")),
    ],
)
def test_secret_without_a_serializer_is_refused(annotation: Any, secret: object) -> None:
    """Asterisks would be stored, and the secret be lost; the error says the way out."""
    signed: Any = new_class(
        "Signed",
        (PydanticEvent,),
        {"type": "SIGNED"},
        lambda body: body.update(__annotations__={"payload": annotation}),
    )

    with pytest.raises(InvalidEventDataError, match=r"asterisks.*field_serializer") as error:
        make(signed, payload=secret).to_record()
    assert "hunter2" not in str(error.value)


class Login(BaseModel):
    """It says how its secrets are written."""

    password: SecretStr
    pin: Annotated[SecretStr, PlainSerializer(SecretStr.get_secret_value)] = SecretStr("")
    note: SecretStr = Field(default=SecretStr("n"), exclude=True)

    @field_serializer("password", when_used="json")
    def write(self, password: SecretStr) -> str:
        """Tell the secret."""
        return password.get_secret_value()


def test_secret_with_a_serializer_is_kept() -> None:
    """A serializer that tells the secret is the user's decision to store it."""

    class LoggedIn(PydanticEvent, type="LOGGED_IN"):
        payload: Login

    event = make(LoggedIn, payload=Login(password=SecretStr("hunter2"), pin=SecretStr("0000")))

    assert {"password": "hunter2", "pin": "0000"} == event.to_record().payload
    read = LoggedIn.from_record(event.to_record())
    assert (event.payload.password, event.payload.pin) == (read.payload.password, read.payload.pin)


class Color(Enum):
    """Some colours."""

    RED = "red"


@pytest.mark.parametrize("value", [NOW, Decimal("1.10"), (1, 2), Color.RED], ids=repr)
def test_what_a_type_does_not_bring_back_is_refused(value: object) -> None:
    """Of a field that may be anything, pydantic reads what JSON has."""

    class Held(PydanticEvent, type="HELD"):
        payload: dict[str, Any]

    with pytest.raises(
        InvalidEventDataError, match=r"payload\.it: .* str in the place of|list in the place of"
    ):
        make(Held, payload={"it": value}).to_record()


def test_private_attribute_is_no_fault() -> None:
    """What a model keeps to itself is not stored, and not missed."""

    class Cached(BaseModel):
        level: int
        _made: object = PrivateAttr(default_factory=object)

    class Grown(PydanticEvent, type="GROWN"):
        payload: Cached

    assert {"level": 5} == make(Grown, payload=Cached(level=5)).to_record().payload


# Kinds of types


@dataclass(frozen=True)
class Point:
    """A dataclass of the standard library."""

    x: int
    at: datetime


class Named(TypedDict):
    """A dictionary with a moment in it."""

    at: datetime


class Cat(BaseModel):
    """One of two."""

    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    """The other one."""

    kind: Literal["dog"] = "dog"
    lives: int = 1


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.mark.parametrize(
    ("annotation", "value", "stored"),
    [
        (datetime, NOW, "2022-01-01T12:00:00Z"),
        (Decimal, Decimal("1.10"), "1.10"),
        (Color, Color.RED, "red"),
        (Point, Point(1, NOW), {"x": 1, "at": "2022-01-01T12:00:00Z"}),
        (Named, {"at": NOW}, {"at": "2022-01-01T12:00:00Z"}),
        (Pet, Dog(), {"kind": "dog", "lives": 1}),
        (list[Pet], [Cat(), Dog()], [{"kind": "cat", "lives": 9}, {"kind": "dog", "lives": 1}]),
        (frozenset[int], frozenset({1}), [1]),
        (dict[int, bytes], {1: b"a"}, {"1": "a"}),
        (int | None, None, None),
        (tuple[int, str], (1, "a"), [1, "a"]),
        (Any, {"a": [2**70]}, {"a": [2**70]}),
    ],
)
def test_type_of_a_payload(annotation: Any, value: Any, stored: Any) -> None:
    """Whatever pydantic knows is stored as JSON, and comes back equal and of its type."""
    base: Any = PydanticEvent
    body = {"__module__": __name__, "__annotations__": {"payload": annotation}}
    held: Any = new_class("Held", (base,), {"type": "HELD"}, lambda names: names.update(body))
    event: Any = make(held, payload=value)
    read = held.from_record(event.to_record())

    assert stored == event.to_record().payload
    assert event == read
    assert type(value) is type(read.payload)


def test_default_is_what_it_is() -> None:
    """A default holds where the field is absent, in a call and in a record."""

    class Healed(PydanticEvent, type="HEALED"):
        payload: Annotated[int, Field(ge=1)] = 10

    event = Healed(aggregate_id="a", version=1, timestamp=NOW)

    assert 10 == event.payload
    assert event == Healed.from_record(EventRecord("a", 1, "HEALED", NOW))
    with pytest.raises(InvalidEventDataError, match="greater than or equal to 1"):
        Healed(aggregate_id="a", version=1, payload=0)


def test_field_of_pydantic_is_no_default() -> None:
    """A dataclass would take Field() for the value: the class is refused."""
    with pytest.raises(TypeError, match=r"Healed\.payload: .* write Annotated"):

        class Healed(PydanticEvent, type="HEALED"):  # pyright: ignore[reportUnusedClass]
            payload: int = Field(default=10, ge=1)


# Inheritance and type parameters


class Audited(PydanticEvent):
    """An abstract base."""

    metadata: Trigger


class Freed(Audited, type="FREED"):
    """It has a metadata that it did not declare."""

    payload: int


class FreedAgain(Freed, type="FREED_AGAIN"):
    """It declares its payload anew."""

    payload: bool


def test_field_of_a_base_is_validated() -> None:
    """Fields of an abstract base count."""
    event = make(Freed, payload=1, metadata={"kind": "random"})

    assert Trigger(kind="random") == event.metadata
    assert event == Freed.from_record(event.to_record())
    with pytest.raises(InvalidEventDataError, match="metadata"):
        make(Freed, payload=1, metadata=None)


def test_field_that_is_declared_anew() -> None:
    """A subclass has codecs of its own."""
    event = make(FreedAgain, payload="yes", metadata={"kind": "random"})

    assert True is event.payload
    with pytest.raises(InvalidEventDataError, match="valid integer"):
        make(Freed, payload="yes", metadata={"kind": "random"})


T = TypeVar("T")
U = TypeVar("U")


class Box(BaseModel, Generic[T]):
    """A model with a type parameter."""

    content: T


class Boxed(PydanticEvent, Generic[T]):
    """An abstract base with a type parameter."""

    payload: list[Box[T]] | None


class ListBoxed(Boxed[list[U]], Generic[U]):
    """An abstract base between."""

    metadata: Annotated[U, Field(description="one of them")]


class DatesBoxed(ListBoxed[date], type="DATES_BOXED"):
    """It is one of dates."""


def test_type_parameters_are_filled() -> None:
    """The arguments of generic bases reach the fields, through models and bases between."""
    event = make(DatesBoxed, payload=[{"content": ["2022-01-01"]}], metadata="2022-01-02")

    assert [Box[list[date]](content=[date(2022, 1, 1)])] == event.payload
    assert date(2022, 1, 2) == event.metadata
    assert event == DatesBoxed.from_record(event.to_record())
    assert {"type": "string", "format": "date", "description": "one of them"} == (
        DatesBoxed.field_schema("metadata")
    )


T_co = TypeVar("T_co", covariant=True)


class Content(Protocol[T_co]):
    """A protocol with a type parameter."""


class ProtocolBoxed(Content[int], Boxed[int], type="PROTOCOL_BOXED"):
    """It has a base that is no event."""


def test_base_that_is_a_protocol() -> None:
    """A generic base that declares no field is passed over."""
    assert [Box[int](content=1)] == make(ProtocolBoxed, payload=[{"content": "1"}]).payload


def test_type_parameter_that_is_left_open() -> None:
    """It stands for anything."""
    open_boxed: Any = new_class("OpenBoxed", (Boxed,), {"type": "OPEN_BOXED"})
    event: Any = make(open_boxed, payload=[{"content": "x"}, {"content": 1}])

    assert [{"content": "x"}, {"content": 1}] == event.to_record().payload


# First use


class Counting:
    """A type that counts how often pydantic is told of it."""

    built = 0

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell that it is an integer."""
        cls.built += 1
        return handler(int)


def test_validator_is_built_at_the_first_use_and_once() -> None:
    """Declaring an event type costs nothing; whatever number of threads use it first."""
    Counting.built = 0

    class Counted(PydanticEvent, type="COUNTED"):
        payload: Counting

    assert 0 == Counting.built
    barrier = Barrier(8)
    payloads: list[object] = []

    def use() -> None:
        barrier.wait()
        payload: Any = 1
        payloads.append(make(Counted, payload=payload).payload)

    threads = [Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [1] * 8 == payloads
    assert 1 == Counting.built


# JSON schemas


def test_schema_is_the_one_of_what_is_stored() -> None:
    """The schema has the aliases, and holds for a stored payload."""
    schema: Any = PokemonAppeared.field_schema("payload")

    assert ["name", "firstSeen"] == schema["required"]
    assert ["name", "firstSeen", "moves"] == list(schema["properties"])


class Mood(Flag):
    """Moods go together."""

    HAPPY = 1
    SLEEPY = 2


@pytest.mark.parametrize(
    ("annotation", "value", "schema"),
    [
        (
            Json[list[int]],
            "[1]",
            {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"type": "array", "items": {"type": "integer"}},
            },
        ),
        (Json, "[1]", {"type": "string", "contentMediaType": "application/json"}),
        (
            Mood,
            Mood.HAPPY | Mood.SLEEPY,
            {"type": "integer", "title": "Mood", "description": "Moods go together."},
        ),
    ],
)
def test_schema_where_pydantic_writes_something_else(
    annotation: Any, value: object, schema: Any
) -> None:
    """The schema fits what is stored, where pydantic's own would not."""
    event_type: Any = new_class(
        "Typed",
        (PydanticEvent,),
        {"type": "TYPED"},
        lambda body: body.update(__annotations__={"payload": annotation}),
    )

    stored = make(event_type, payload=value).to_record().payload
    assert {"string": str, "integer": int}[schema["type"]] is type(stored)
    assert schema == event_type.field_schema("payload")


def test_events_of_both_kinds_are_of_one_family() -> None:
    """A PydanticEvent is an Event."""
    assert issubclass(PokemonAppeared, Event)
    assert TypeAdapter(Appeared).json_schema(mode="serialization") == (
        PokemonAppeared.field_schema("payload")
    )
