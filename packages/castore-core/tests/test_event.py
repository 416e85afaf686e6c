"""Events are frozen, checked when they are made, and become records and back."""

import copy
import pickle
from dataclasses import FrozenInstanceError, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from types import new_class
from typing import Any, ClassVar, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    ABSENT,
    AGGREGATE_EXISTS,
    REPLAYED,
    Event,
    EventDraft,
    EventRecord,
    InvalidEventError,
    InvalidEventTypeError,
    JSONValue,
    NotJSONError,
    draft,
)

NOW = datetime(2022, 1, 1, 12, tzinfo=UTC)
MAX_VERSION = 2**53 - 1


class AppearedPayload(TypedDict):
    """What is known of a pokemon."""

    name: str
    level: int


class PokemonAppeared(Event, type="POKEMON_APPEARED"):
    """It has both fields, one of them optional."""

    payload: AppearedPayload
    metadata: dict[str, JSONValue] | None = None


class PokemonCaught(Event, type="POKEMON_CAUGHT"):
    """It has neither field."""


class PokemonRenamed(Event, type="POKEMON_RENAMED"):
    """Its payload is required, and may be null."""

    payload: str | None


def new_items() -> list[JSONValue]:
    """Return a new list."""
    return ["potion"]


class PokemonHealed(Event, type="POKEMON_HEALED"):
    """Its fields have defaults that are not None."""

    payload: int | None = 10
    metadata: list[JSONValue] = field(default_factory=new_items)


class PokemonBorn(Event, type="POKEMON_BORN"):
    """Its payload is not JSON: a codec of its own turns it into JSON and back."""

    payload: date

    @classmethod
    def encode_field(cls, name: str, value: Any) -> JSONValue:
        """Write a date."""
        return {name: super().encode_field(name, value.isoformat())}

    @classmethod
    def decode_field(cls, name: str, value: JSONValue) -> Any:
        """Read a date."""
        match super().decode_field(name, value):
            case {"payload": str(text)}:
                return date.fromisoformat(text)
            case _:
                raise ValueError("no date")


def appeared(**changes: Any) -> PokemonAppeared:
    """Return an event."""
    values: dict[str, Any] = {
        "aggregate_id": "pikachu1",
        "version": 1,
        "timestamp": NOW,
        "payload": {"name": "Pikachu", "level": 5},
    }
    return PokemonAppeared(**values | changes)


# What an event is


def test_event_has_its_values() -> None:
    """An event has what it was made of, and the type of its class."""
    event = appeared(metadata={"trigger": "random"})

    assert "POKEMON_APPEARED" == event.type == PokemonAppeared.type
    assert "pikachu1" == event.aggregate_id
    assert 1 == event.version
    assert NOW == event.timestamp
    assert {"name": "Pikachu", "level": 5} == event.payload
    assert {"trigger": "random"} == event.metadata


@pytest.mark.parametrize("name", ["aggregate_id", "version", "timestamp", "payload", "type"])
def test_event_is_frozen(name: str) -> None:
    """No field can be set, nor deleted."""
    event = appeared()

    with pytest.raises(FrozenInstanceError):
        setattr(event, name, "other")
    with pytest.raises(FrozenInstanceError):
        delattr(event, name)
    assert appeared() == event


def test_place_of_an_event_may_be_positional() -> None:
    """The aggregate id and the version come first."""
    event = PokemonCaught("pikachu1", 2, timestamp=NOW)

    assert PokemonCaught(aggregate_id="pikachu1", version=2, timestamp=NOW) == event


def test_other_fields_are_keyword_only() -> None:
    """A payload or a timestamp in a third place is refused."""
    construct: Any = PokemonAppeared

    with pytest.raises(TypeError, match="positional argument"):
        construct("pikachu1", 1, NOW)


def test_timestamp_defaults_to_now() -> None:
    """Without a timestamp, an event happens now, to the millisecond."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    timestamp = PokemonCaught(aggregate_id="pikachu1", version=1).timestamp

    assert before <= timestamp <= datetime.now(UTC)
    assert 0 == timestamp.microsecond % 1000


def test_timestamp_is_in_utc_and_of_milliseconds() -> None:
    """A timestamp is converted to UTC, and cut to the millisecond."""
    moment = datetime(2022, 1, 1, 14, 0, 0, 1999, tzinfo=timezone(timedelta(hours=2)))
    timestamp = appeared(timestamp=moment).timestamp

    assert datetime(2022, 1, 1, 12, 0, 0, 1000, tzinfo=UTC) == timestamp
    assert UTC is timestamp.tzinfo


def test_equality_is_that_of_class_and_values() -> None:
    """Events are equal when their classes and all their values are."""
    assert appeared() == appeared()
    assert appeared() != appeared(version=2)
    assert appeared() != appeared(metadata={})
    caught = PokemonCaught(aggregate_id="pikachu1", version=1, timestamp=NOW)
    renamed = PokemonRenamed(aggregate_id="pikachu1", version=1, timestamp=NOW, payload=None)
    assert caught != renamed


def test_events_of_hashable_values_are_hashable() -> None:
    """Equal events have one hash, where their values have one."""
    one, twin = (PokemonCaught(aggregate_id="a", version=1, timestamp=NOW) for _ in range(2))

    assert {one} == {twin}
    with pytest.raises(TypeError, match="unhashable"):
        hash(appeared())


def test_repr_shows_every_value() -> None:
    """The repr reads as the construction does."""
    assert (
        "PokemonCaught(aggregate_id='pikachu1', version=1, "
        "timestamp=datetime.datetime(2022, 1, 1, 12, 0, tzinfo=datetime.timezone.utc))"
    ) == repr(PokemonCaught(aggregate_id="pikachu1", version=1, timestamp=NOW))


def test_event_is_matched_by_class_and_fields() -> None:
    """`match` on the class takes out its fields."""
    match appeared():
        case PokemonAppeared(payload={"level": level}, version=version):
            assert (5, 1) == (level, version)
        case _:
            pytest.fail("did not match")


@pytest.mark.parametrize(
    "event", [appeared(), PokemonAppeared.from_record(appeared().to_record())], ids=["new", "read"]
)
def test_event_can_be_copied_and_pickled(event: PokemonAppeared) -> None:
    """Copies are equal; a deep one shares nothing."""
    deep_copy = copy.deepcopy(event)

    assert event == copy.copy(event) == deep_copy == pickle.loads(pickle.dumps(event))  # noqa: S301 our own
    assert event.payload is not deep_copy.payload


def test_event_can_be_replaced() -> None:
    """`dataclasses.replace` makes another event, and checks it."""
    assert appeared(version=2) == replace(appeared(), version=2)
    with pytest.raises(InvalidEventError):
        replace(appeared(), version=0)


# Values that no event may have


@pytest.mark.parametrize(
    ("aggregate_id", "reason"),
    [
        ("", "is empty"),
        (None, "is not a string: None"),
        (1, "is not a string: 1"),
        (b"pikachu1", "is not a string: b'pikachu1'"),
        ("\ud800", r"is not well-formed Unicode: '\ud800'"),
    ],
)
def test_bad_aggregate_id(aggregate_id: Any, reason: str) -> None:
    """An aggregate id is a string that is not empty and can be written as UTF-8."""
    with pytest.raises(InvalidEventError) as error:
        appeared(aggregate_id=aggregate_id)

    assert ("POKEMON_APPEARED", "aggregate_id") == (error.value.event_type, error.value.field)
    assert f"aggregate_id of POKEMON_APPEARED {reason}" == str(error.value)


class Starter(str, Enum):  # noqa: UP042 StrEnum formats as its value, this does not
    """Ids that a user keeps in an enum."""

    PIKACHU = "pikachu1"


def test_aggregate_id_is_a_plain_string() -> None:
    """An enum's member becomes the text that it stands for: backends build keys of it."""
    event = appeared(aggregate_id=Starter.PIKACHU, version=1)

    assert "pikachu1" == f"{event.aggregate_id}"
    assert str is type(event.to_record().aggregate_id)


@pytest.mark.parametrize("aggregate_id", ["'", "#", "a/b%20", " ", "⚡", "x" * 1000, "\x00"])
def test_aggregate_id_is_data(aggregate_id: str) -> None:
    """Any other text is an aggregate id."""
    assert aggregate_id == appeared(aggregate_id=aggregate_id).aggregate_id


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (0, "is not from 1 to 2**53 - 1: 0"),
        (-1, "is not from 1 to 2**53 - 1: -1"),
        (2**53, "is not from 1 to 2**53 - 1: 9007199254740992"),
        (True, "is not an integer: True"),
        (1.5, "is not an integer: 1.5"),
        (1.0, "is not an integer: 1.0"),
        ("1", "is not an integer: '1'"),
        (None, "is not an integer: None"),
    ],
)
def test_bad_version(version: Any, reason: str) -> None:
    """A version is an integer from 1 to 2**53 - 1."""
    with pytest.raises(InvalidEventError) as error:
        appeared(version=version)

    assert ("POKEMON_APPEARED", "version") == (error.value.event_type, error.value.field)
    assert f"version of POKEMON_APPEARED {reason}" == str(error.value)


def test_greatest_version() -> None:
    """The greatest version is the greatest integer that JavaScript reads exactly."""
    assert 2**53 - 1 == appeared(version=2**53 - 1).version


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        (datetime(2022, 1, 1), "is naive: give it a tzinfo, such as datetime.UTC"),  # noqa: DTZ001
        ("2022-01-01T00:00:00Z", "is not a datetime: '2022-01-01T00:00:00Z'"),
        (date(2022, 1, 1), "is not a datetime: datetime.date(2022, 1, 1)"),
        (None, "is not a datetime: None"),
        (
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            "is outside the years 1 to 9999 of UTC",
        ),
    ],
)
def test_bad_timestamp(timestamp: Any, reason: str) -> None:
    """A timestamp is an aware datetime that UTC has a place for."""
    with pytest.raises(InvalidEventError) as error:
        appeared(timestamp=timestamp)

    assert ("POKEMON_APPEARED", "timestamp") == (error.value.event_type, error.value.field)
    assert f"timestamp of POKEMON_APPEARED {reason}" == str(error.value)


def test_bad_values_are_value_errors() -> None:
    """Whoever knows nothing of castore catches a ValueError."""
    with pytest.raises(ValueError, match="version"):
        appeared(version=0)


# Declarations


@pytest.mark.parametrize(
    ("event_type", "reason"),
    [
        (REPLAYED, "event type '__REPLAYED__' is reserved"),
        (AGGREGATE_EXISTS, "event type '__AGGREGATE_EXISTS__' is reserved"),
        ("", "event type '' is not a non-empty string"),
        (5, "event type '5' is not a non-empty string"),
        ("\ud800", r"event type '\ud800' is not well-formed Unicode"),
    ],
)
def test_bad_type(event_type: Any, reason: str) -> None:
    """A type is a string that is not empty, not reserved, and can be written as UTF-8."""
    with pytest.raises(InvalidEventTypeError) as error:
        new_class("Bad", (Event,), {"type": event_type})

    assert reason == str(error.value)
    assert ("type", str(event_type)) == (error.value.field, error.value.event_type)


def test_bad_type_in_the_class_body() -> None:
    """A type that was set without `type=` is checked too."""
    with pytest.raises(InvalidEventTypeError, match="reserved"):
        new_class("Bad", (Event,), exec_body=lambda body: body.update(type=REPLAYED))


def test_extra_field_is_refused() -> None:
    """An event type has no other fields than payload and metadata."""
    with pytest.raises(TypeError, match=r"Bad\.level: an event type declares no other fields"):

        class Bad(Event, type="BAD"):  # pyright: ignore[reportUnusedClass]
            level: int


def test_class_variables_are_welcome() -> None:
    """A ClassVar is no field."""

    class Counted(Event, type="COUNTED"):
        weight: ClassVar[int] = 3

    event = Counted(aggregate_id="a", version=1, timestamp=NOW)

    assert 3 == event.weight
    assert EventRecord("a", 1, "COUNTED", NOW) == event.to_record()


def test_event_itself_is_abstract() -> None:
    """An event is of some type."""
    with pytest.raises(TypeError, match="Event is abstract: it was declared without type="):
        Event(aggregate_id="a", version=1)


def test_class_without_type_is_abstract() -> None:
    """A base without a type cannot be instantiated, and gives its fields to others."""

    class Audited(Event):
        metadata: dict[str, JSONValue]

    class Healed(Audited, type="HEALED"):
        payload: int

    with pytest.raises(TypeError, match="Audited is abstract"):
        Audited(aggregate_id="a", version=1, metadata={})
    event = Healed(aggregate_id="a", version=1, timestamp=NOW, payload=3, metadata={"by": "Joy"})
    assert EventRecord("a", 1, "HEALED", NOW, 3, {"by": "Joy"}) == event.to_record()


def test_subclass_of_a_type_is_abstract() -> None:
    """A type is not inherited: what is stored under a name is of one class."""

    class CaughtAgain(PokemonCaught):
        pass

    with pytest.raises(TypeError, match="CaughtAgain is abstract"):
        CaughtAgain(aggregate_id="a", version=1)


# Records


@given(
    aggregate_id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    version=st.integers(1, MAX_VERSION),
    timestamp=st.datetimes(timezones=st.just(UTC)),
    name=st.text(st.characters(exclude_categories=["Cs"])),
    metadata=st.sampled_from([None, {}, {"nested": [None, 0, False]}]),
)
def test_record_round_trip(
    aggregate_id: str, version: int, timestamp: datetime, name: str, metadata: Any
) -> None:
    """An event comes back from its record as it was."""
    event = PokemonAppeared(
        aggregate_id=aggregate_id,
        version=version,
        timestamp=timestamp,
        payload={"name": name, "level": 1},
        metadata=metadata,
    )

    assert event == PokemonAppeared.from_record(event.to_record())


def test_fields_that_are_not_declared_are_absent() -> None:
    """An event type without payload and metadata writes neither."""
    record = PokemonCaught(aggregate_id="a", version=1, timestamp=NOW).to_record()

    assert EventRecord("a", 1, "POKEMON_CAUGHT", NOW, ABSENT, ABSENT) == record


def test_optional_none_is_absent() -> None:
    """An optional field that is None is left out, and read back as None."""
    record = appeared(metadata=None).to_record()

    assert ABSENT is record.metadata
    assert PokemonAppeared.from_record(record).metadata is None


def test_required_none_is_null() -> None:
    """A required field that is None is written as null, and read back as None."""
    event = PokemonRenamed(aggregate_id="a", version=1, timestamp=NOW, payload=None)
    record = event.to_record()

    assert EventRecord("a", 1, "POKEMON_RENAMED", NOW, None) == record
    assert event == PokemonRenamed.from_record(record)


def test_none_in_a_field_of_another_default_is_null() -> None:
    """None is written as null where the default is something else, so that it comes back."""
    event = PokemonHealed(aggregate_id="a", version=1, timestamp=NOW, payload=None)
    record = event.to_record()

    assert record.payload is None
    assert event == PokemonHealed.from_record(record)


def test_default_is_written_and_read_where_absent() -> None:
    """A default is written like any value, and stands for a value that is absent."""
    event = PokemonHealed(aggregate_id="a", version=1, timestamp=NOW)
    record = event.to_record()

    assert (10, ["potion"]) == (record.payload, record.metadata)
    assert event == PokemonHealed.from_record(record._replace(payload=ABSENT, metadata=ABSENT))


def test_default_factory_makes_a_new_value_for_each_event() -> None:
    """Two events that were read do not share what stands for an absent value."""
    record = EventRecord("a", 1, "POKEMON_HEALED", NOW)
    one, other = (PokemonHealed.from_record(record) for _ in range(2))

    assert one.metadata == other.metadata
    assert one.metadata is not other.metadata


def test_null_of_an_optional_field_is_read_as_none() -> None:
    """Null is None, also where None would have been written as absent."""
    record = appeared().to_record()._replace(metadata=None)

    assert appeared(metadata=None) == PokemonAppeared.from_record(record)


def test_absent_required_field_is_refused() -> None:
    """A field without a default has to be there."""
    with pytest.raises(ValueError, match=r"^payload is absent$"):
        PokemonRenamed.from_record(EventRecord("a", 1, "POKEMON_RENAMED", NOW))


def test_stored_values_without_a_field_are_passed_over() -> None:
    """What the class has no field for is not read."""
    record = EventRecord("a", 1, "POKEMON_CAUGHT", NOW, {"ball": "great"}, {"by": "Ash"})
    event = PokemonCaught.from_record(record)

    assert PokemonCaught(aggregate_id="a", version=1, timestamp=NOW) == event
    assert not hasattr(event, "payload")


def test_metadata_is_read_where_the_payload_is_passed_over() -> None:
    """Each field is read from its own place."""

    class Noted(Event, type="NOTED"):
        metadata: str

    event = Noted.from_record(EventRecord("a", 1, "NOTED", NOW, "payload", "metadata"))

    assert "metadata" == event.metadata


def test_metadata_that_is_not_json_is_refused() -> None:
    """The path to an offending value begins with its field."""
    with pytest.raises(NotJSONError, match=r"^metadata\.tags is not JSON: set "):
        appeared(metadata={"tags": {1}}).to_record()


# The codec seam


def test_codec_turns_values_into_json_and_back() -> None:
    """A class that overrides its codec holds what JSON does not."""
    event = PokemonBorn(aggregate_id="a", version=1, timestamp=NOW, payload=date(2020, 2, 29))
    record = event.to_record()

    assert {"payload": "2020-02-29"} == record.payload
    assert event == PokemonBorn.from_record(record)


def test_codec_refuses_a_stored_value() -> None:
    """A stored value that does not fit is a ValueError."""
    with pytest.raises(ValueError, match="no date"):
        PokemonBorn.from_record(EventRecord("a", 1, "POKEMON_BORN", NOW, 5))


def test_what_a_codec_returns_is_checked() -> None:
    """A codec that returns no JSON is found out at once."""

    class Careless(Event, type="CARELESS"):
        payload: int

        @classmethod
        def encode_field(cls, name: str, value: Any) -> Any:
            return [name, {value}]

    with pytest.raises(NotJSONError, match=r"^payload\[1\] is not JSON"):
        Careless(aggregate_id="a", version=1, payload=1).to_record()


# Drafts


def test_draft_of_another_class_is_refused() -> None:
    """At once, and not when a command numbers it."""
    make: Any = draft

    with pytest.raises(TypeError, match=r"^not a class of events: <class 'int'>$"):
        make(int)


def test_draft_becomes_an_event() -> None:
    """A draft has all but the aggregate id and the version."""
    draft = PokemonAppeared.draft(payload={"name": "Pikachu", "level": 5}, timestamp=NOW)

    assert isinstance(draft, EventDraft)
    assert appeared(version=3) == draft.to_event("pikachu1", 3)


def test_draft_is_checked_when_it_becomes_an_event() -> None:
    """A wrong value of a draft comes out when it becomes an event."""
    not_a_moment: Any = "now"

    with pytest.raises(InvalidEventError, match="timestamp"):
        PokemonCaught.draft(timestamp=not_a_moment).to_event("a", 1)


def test_draft_of_an_event_is_of_its_class() -> None:
    """A draft is made by the class, whichever event of it is at hand."""
    draft = appeared(version=2).draft(payload={"name": "Eevee", "level": 1}, timestamp=NOW)

    assert PokemonAppeared is draft.event_type


def test_draft_is_made_by_a_function_too() -> None:
    """The function, which both type checkers check, and the attribute are the same."""
    payload: AppearedPayload = {"name": "Pikachu", "level": 5}

    assert PokemonAppeared.draft(payload=payload) == draft(PokemonAppeared, payload=payload)


@pytest.mark.parametrize("name", ["aggregate_id", "version"])
def test_draft_has_no_place(name: str) -> None:
    """The command gives it, once it has read the aggregate."""
    values: dict[str, Any] = {name: 1}

    with pytest.raises(TypeError, match="a draft has no aggregate_id and no version"):
        PokemonCaught.draft(**values)
    with pytest.raises(TypeError, match="a draft has no aggregate_id and no version"):
        draft(PokemonCaught, **values)


def test_draft_has_no_positional_values() -> None:
    """What is left of the class is keyword-only."""
    make: Any = PokemonCaught.draft

    with pytest.raises(TypeError, match="a draft has no aggregate_id and no version"):
        make("pikachu1", 1)
