"""What is pushed comes back as the same value, of the same class in all of its parts."""

import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from functools import cached_property
from ipaddress import IPv6Address
from pathlib import Path, PurePath, PureWindowsPath
from types import new_class
from typing import Annotated, Any, Generic, NamedTuple, TypeVar
from uuid import UUID, uuid1
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    SerializeAsAny,
    field_serializer,
    field_validator,
    model_serializer,
)
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import CoreSchema, core_schema

from castore_core import InvalidEventDataError
from castore_pydantic import PydanticEvent
from castore_pydantic._comparison import find_change

NOW = datetime(2022, 1, 1, tzinfo=UTC)
NAIVE = NOW.replace(tzinfo=None)
NEW_YORK = ZoneInfo("America/New_York")


def hold(annotation: Any, payload: Any) -> PydanticEvent:
    """Return an event whose payload is of a type."""
    held: Any = new_class(
        "Held",
        (PydanticEvent,),
        {"type": "HELD"},
        lambda body: body.update(__annotations__={"payload": annotation}),
    )
    event: PydanticEvent = held("a", 1, timestamp=NOW, payload=payload)
    return event


def push_and_read(annotation: Any, payload: Any) -> Any:
    """Return what a payload is after it was stored."""
    event = hold(annotation, payload)
    read: Any = type(event).from_record(event.to_record())
    return read.payload


class Text(str):
    """A text of another class."""

    __slots__ = ()


class Size(str, Enum):  # noqa: UP042 it is what older programs have
    """An enum whose members equal their texts."""

    BIG = "big"


class Level(IntEnum):
    """An enum whose members equal their numbers."""

    ONE = 1


class Moment(datetime):
    """A moment of another class, as libraries have them."""


class Noted(datetime):
    """A moment that knows more."""

    note = ""


def noted() -> Noted:
    """Return a moment that knows more."""
    moment = Noted(2022, 1, 1)
    moment.note = "x"
    return moment


# Values that compare equal, and are not the same


@dataclass
class Loose:
    """A dataclass that trusts its callers: pydantic does not look into an instance."""

    number: int = 1
    ratio: float = 1.0
    text: str = "a"
    opens: time = field(default=time(9), compare=False)


@dataclass(frozen=True, slots=True)
class Slotted:
    """A dataclass without a ``__dict__``."""

    name: str
    opens: time = field(default=time(9), compare=False)


@pydantic_dataclass(config=ConfigDict(extra="allow"))
class Open:
    """A dataclass of pydantic, which takes keys that it does not store."""

    name: str


class Shop(BaseModel):
    """A model that says of all shops that they are equal."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)

    opens_at: time = time(9)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shop)

    def __hash__(self) -> int:
        return 1


class Base(BaseModel):
    """A model that others extend."""

    number: int = 1


class Derived(Base):
    """It has more fields."""

    name: str = "a"


class Twin(Base):
    """It has no more fields, and is another class."""


class Free(BaseModel):
    """A model that takes any key."""

    model_config = ConfigDict(extra="allow")


class Chosen(BaseModel):
    """A model whose default is of another kind than what is read."""

    model_config = ConfigDict(use_enum_values=True)
    size: Size = Size.BIG


class Masked(BaseModel):
    """A model that writes a part of what it holds, wherever it is written."""

    card: str

    @field_serializer("card")
    def write(self, card: str) -> str:
        """Write the end."""
        return card[-4:]


class Dropping(BaseModel):
    """A model that does not write all of its fields."""

    name: str = ""
    note: str = ""

    @model_serializer
    def write(self) -> dict[str, str]:
        """Leave out the note."""
        return {"name": self.name}


class Adding(BaseModel):
    """A model that writes more than it holds."""

    model_config = ConfigDict(extra="allow")
    name: str = ""

    @model_serializer
    def write(self) -> dict[str, str]:
        """Add a key."""
        return {"name": self.name, "kind": "adding"}


class Growing(BaseModel):
    """A model whose validator gives another answer each time."""

    number: int

    @field_validator("number")
    @classmethod
    def grow(cls, number: int) -> int:
        """Add one."""
        return number + 1


class Trimmed(BaseModel):
    """A model that changes what it validates."""

    model_config = ConfigDict(str_strip_whitespace=True)
    name: str = Field(max_length=5)


class Secretive:
    """A class of one's own, whose ``__eq__`` fails."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell that it is written as a number."""
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: 1),
        )

    def __eq__(self, other: object) -> bool:
        raise LookupError("hunter2")

    def __hash__(self) -> int:
        return 1


def open_with_more() -> Open:
    """Return an instance that type checkers would refuse."""
    make: Any = Open
    made: Open = make(name="a", note="x")
    return made


def default_dict() -> defaultdict[str, int]:
    """Return a dict that finds another number for a missing key than the type says."""
    return defaultdict(lambda: 5, {"a": 1})


FLOAT = PlainSerializer(float, when_used="json")
NEAR_ZERO = Annotated[float, PlainSerializer(abs, when_used="json")]
LOWER_PATH = Annotated[PurePath, PlainSerializer(lambda each: str(each).lower())]
WINDOWS = Annotated[
    PureWindowsPath,
    PlainValidator(lambda each: PureWindowsPath(each)),  # noqa: PLW0108 pydantic asks for one
    PlainSerializer(lambda each: str(each).lower()),
]


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        # moments
        (time, time(9, tzinfo=NEW_YORK), "payload: .* its time zone would be lost"),
        (list[time], [time(9), time(9, tzinfo=NEW_YORK)], r"payload\[1\]: .* time zone"),
        (datetime, datetime(1880, 1, 1, tzinfo=NEW_YORK), "payload: .* its difference from UTC"),
        (datetime, NAIVE.replace(fold=1), "payload: .* its fold would be lost"),
        (datetime, noted(), "payload: .* datetime in the place of Noted"),
        (Any, Moment(2022, 1, 1), "payload: .* str in the place of Moment"),
        # numbers
        (Annotated[Decimal, FLOAT], Decimal("1.00"), "payload: would be read as another value"),
        (NEAR_ZERO, -0.0, "payload: would be read as another value"),
        (Loose, Loose(number=True), r"payload\.number: .* int in the place of bool"),
        (Loose, Loose(number=Level.ONE), r"payload\.number: .* int in the place of Level"),
        (Loose, Loose(ratio=True), r"payload\.ratio: .* float in the place of bool"),
        # texts
        (Any, Text("a"), "payload: .* str in the place of Text"),
        (dict[str, Any], {"a": Size.BIG}, r"payload\.a: .* str in the place of Size"),
        (Loose, Loose(text=Size.BIG), r"payload\.text: .* str in the place of Size"),
        (Chosen, Chosen(), r"payload\.size: .* str in the place of Size"),
        (WINDOWS, PureWindowsPath("A"), "payload: would be read as another value"),
        (Masked, Masked(card="1111222233334444"), r"payload\.card: would be read as another"),
        # collections
        (Any, (1, 2), "payload: .* list in the place of tuple"),
        (Sequence[int], (1, 2), "payload: .* list in the place of tuple"),
        (Any, {"a": frozenset({1})}, r"payload\.a: .* list in the place of frozenset"),
        (deque[int], deque([1], maxlen=3), "payload: .* its maxlen would be another one"),
        (defaultdict[str, int], default_dict(), "payload: .* its default_factory would be"),
        (dict[Any, int], {1: 1}, r"payload\[1\]: .* it would be lost"),
        (dict[int | str, int], {1: 1, "1": 2}, r"payload\[1\]: .* it would be lost"),
        (Iterable[int], [1, 2], "payload: would be read as another value"),
        (
            Annotated[list[int], PlainSerializer(lambda each: each[:1])],
            [1, 2],
            "payload: .* it would have another length",
        ),
        (
            Annotated[dict[str, int], PlainSerializer(lambda each: each | {"z": 1})],
            {"a": 1},
            "payload: .* it would have more keys",
        ),
        (
            Annotated[set[Decimal], PlainSerializer(lambda each: [float(one) for one in each])],
            {Decimal("1.00")},
            "payload: .* an item of it would be another one",
        ),
        # dataclasses and models
        (Loose, Loose(opens=time(9, tzinfo=NEW_YORK)), r"payload\.opens: .* its time zone"),
        (Slotted, Slotted("a", time(9, tzinfo=NEW_YORK)), r"payload\.opens: .* its time zone"),
        (Any, Loose(), "payload: .* dict in the place of Loose"),
        (Any, Base(), "payload: .* dict in the place of Base"),
        (Open, open_with_more(), r"payload\.note: .* it would be lost"),
        (Shop, Shop(opens_at=time(9, tzinfo=NEW_YORK)), r"payload\.opensAt: .* its time zone"),
        (Base, Derived(), "payload: .* Base in the place of Derived: declare a discriminated"),
        (Base, Twin(), "payload: .* Base in the place of Twin"),
        (list[Base], [Base(), Derived()], r"payload\[1\]: .* Base in the place of Derived"),
        (SerializeAsAny[Base], Derived(), "payload: .* Base in the place of Derived"),
        (Free, Free(at=NOW), r"payload\.at: .* str in the place of datetime"),  # type: ignore[call-arg]
        (Free, Free(base=Base()), r"payload\.base: .* dict in the place of Base"),  # type: ignore[call-arg]
        (Dropping, Dropping(note="x"), r"payload\.note: would be read as another value"),
        (Adding, Adding(), "payload: .* it would have more keys"),
        (Growing, Growing(number=1), r"payload\.number: would be read as another value"),
        # others
        (Secretive, Secretive(), "payload: cannot be compared: its __eq__ raised LookupError"),
    ],
)
def test_value_that_would_change_is_refused(annotation: Any, value: Any, message: str) -> None:
    """The error has the path of what would change; nothing is stored."""
    with pytest.raises(InvalidEventDataError, match=message) as error:
        hold(annotation, value).to_record()
    assert re.search(message, str(error.value.violations[0]))
    assert "round_trip" == error.value.violations[0].code
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "broken",
    [
        Trimmed.model_construct(name=" a"),
        Trimmed.model_construct(name="much too long"),
        Trimmed.model_construct(name=5),
        Trimmed.model_construct(),
    ],
)
def test_model_that_was_never_validated_is_refused(broken: Trimmed) -> None:
    """What ``model_construct`` lets pass is validated before it is written."""
    with pytest.raises(InvalidEventDataError, match="payload"):
        hold(Trimmed, broken).to_record()


# Values that are the same


class Pair(NamedTuple):
    """A tuple with names."""

    first: int
    second: str


class Lazy(BaseModel):
    """A model that keeps what it computed, and what it does not store."""

    number: int = 1
    note: str = Field(default="", exclude=True)
    hint: int = Field(default=0, exclude_if=lambda hint: hint < 0)

    @cached_property
    def double(self) -> int:
        """Compute something."""
        return 2 * self.number


@dataclass
class Cached:
    """A dataclass that does the same."""

    number: int = 1
    _: KW_ONLY
    note: Annotated[str, Field(exclude=True)] = ""

    @cached_property
    def double(self) -> int:
        """Compute something."""
        return 2 * self.number


def computed(value: Any) -> Any:
    """Return a value that was asked for what it computes."""
    assert value.double
    return value


class Unequal:
    """A class of one's own without an ``__eq__``."""

    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell that it is written as its number."""
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls(value),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value.number
            ),
        )


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    """A model with a type parameter."""

    content: T


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (time, time(9, tzinfo=timezone(timedelta(hours=1)))),
        (datetime, datetime(2022, 11, 6, 1, tzinfo=NEW_YORK, fold=1)),
        (datetime, datetime(2022, 1, 1, tzinfo=UTC, fold=1)),
        (datetime, Moment(2022, 1, 1)),
        (timedelta, timedelta(days=-1, microseconds=1)),
        (Loose, Loose(ratio=1)),
        (float, -0.0),
        (Decimal, Decimal("1E+2")),
        (Decimal, Decimal("-0.00")),
        (complex, complex(1, 2)),
        (Pair, Pair(1, "a")),
        (deque[int], deque([1])),
        (defaultdict[str, int], defaultdict(int, a=1)),
        (OrderedDict[str, int], OrderedDict(b=1, a=2)),
        (Counter[str], Counter("aab")),
        (dict[Level, set[Size]], {Level.ONE: {Size.BIG}}),
        (dict[bool, dict[float, int]], {True: {1.0: 1}}),
        (UUID, uuid1()),
        (Path, Path("A/b")),
        (IPv6Address, IPv6Address("fe80::1%eth0")),
        (AnyUrl, AnyUrl("http://a.b/?c#d")),
        (Slotted, Slotted("a")),
        (Shop, Shop(opens_at=time(10))),
        (Free, Free(a=[1, None, {"b": 1.0}])),  # type: ignore[call-arg]
        (Lazy, computed(Lazy(number=2, note="x", hint=-1))),
        (Cached, computed(Cached(number=2, note="x"))),
        (Box[Any], Box[int](content=1)),
        (Box, Box[int](content=1)),
        (Unequal, Unequal(1)),
    ],
)
def test_same_value_is_kept(annotation: Any, value: Any) -> None:
    """What does not change is stored, and comes back."""
    assert find_change(value, push_and_read(annotation, value)) is None


def test_zone_of_a_moment_comes_back_as_its_difference_from_utc() -> None:
    """JSON has no zones: what the clock says is kept, and how far it is from UTC."""
    noon = datetime(2022, 7, 1, 12, tzinfo=NEW_YORK)
    read = push_and_read(datetime, noon)

    assert "2022-07-01T12:00:00-04:00" == read.isoformat() == noon.isoformat()


def test_order_of_keys_is_no_part_of_a_value() -> None:
    """Objects of JSON have none, and neither do the databases that store them."""
    annotation = Annotated[dict[str, int], PlainSerializer(lambda each: dict(sorted(each.items())))]

    assert {"b": 1, "a": 2} == push_and_read(annotation, {"b": 1, "a": 2})


def test_object_that_tells_nothing_is_refused() -> None:
    """Of a class without an ``__eq__`` and without attributes, nobody knows what is kept."""
    event = hold(
        Annotated[object, PlainValidator(lambda _: object()), PlainSerializer(lambda _: 1)], 1
    )

    with pytest.raises(InvalidEventDataError, match="payload: would be read as another value"):
        event.to_record()


# Laws of the comparison

SCALARS: list[st.SearchStrategy[Any]] = [
    st.none(),
    st.booleans(),
    st.integers(0, 2),
    st.sampled_from([0.0, -0.0, 1.0, float("nan")]),
    st.sampled_from([Decimal(1), Decimal("1.0"), Decimal(0), Decimal("-0")]),
    st.sampled_from(["", "big", Text("big"), Size.BIG, Level.ONE]),
    st.sampled_from([b"a", bytearray(b"a"), 1j]),
    st.sampled_from([time(9), time(9, tzinfo=UTC), time(9, tzinfo=NEW_YORK), date(2022, 1, 1)]),
    st.sampled_from([NOW, NAIVE, NAIVE.replace(fold=1)]),
]  # fmt: skip
HASHABLE = st.one_of(SCALARS).filter(lambda each: not isinstance(each, bytearray))
VALUES = st.recursive(
    st.one_of(SCALARS) | st.sets(HASHABLE, max_size=3),
    lambda each: (
        st.lists(each, max_size=3)
        | st.lists(each, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE, each, max_size=3)
        | st.builds(Loose, each)
        | st.builds(Slotted, each)
        | st.builds(Base.model_construct, number=each)
    ),
    max_leaves=6,
)


@given(VALUES)
def test_copy_of_a_value_is_the_same(value: Any) -> None:
    """Whatever a value is made of, a copy of it is no change."""
    assert find_change(value, deepcopy(value)) is None


@given(VALUES, VALUES)
def test_same_values_look_the_same(before: Any, after: Any) -> None:
    """Where no change is found, the reprs are equal, which tell classes, signs and exponents."""
    if find_change(before, after) is None:
        assert spell(before) == spell(after)


def spell(value: Any) -> Any:
    """Return what a value is made of: classes, and reprs. An int is the float that it may be."""
    kind = get_class(value)
    if kind is int:
        return spell(float(value))
    if kind is set:
        return kind, sorted(map(repr, value))
    if kind is dict:
        return kind, sorted((repr(key), repr(spell(each))) for key, each in value.items())
    if kind in {list, tuple}:
        return kind, [spell(each) for each in value]
    if kind in {Loose, Slotted, Base}:
        names: list[str] = [*getattr(value, "__dataclass_fields__", {"number"})]
        return kind, [spell(getattr(value, each)) for each in names]
    return kind, repr(value)


def get_class(value: object) -> type[Any]:
    """Return the class of a value."""
    return type(value)


def nest(depth: int) -> list[Any]:
    """Return lists in lists."""
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


def test_nesting_has_an_end() -> None:
    """What is nested too deeply is refused as a change."""
    change = find_change(nest(10_000), nest(10_000))

    assert change is not None
    assert "is nested too deeply to be compared" == change.reason
