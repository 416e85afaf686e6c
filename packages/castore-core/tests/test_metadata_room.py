"""The type of an event tells which metadata it has room for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, NotRequired, Required, TypedDict, TypeVar

import pytest
from typing_extensions import TypeAliasType

from castore_core import Event, InvalidEventDataError, JSONValue, MetadataRoom, find_schema_room

T = TypeVar("T")


class Cause(TypedDict, total=False):
    """Keys that another type inherits."""

    correlation_id: str
    causation_id: Required[str]


class Trace(Cause):
    """Metadata that declare their keys."""

    actor: NotRequired[Annotated[str | None, "a name"]]
    reason: str


class Named(TypedDict):
    """Other metadata."""

    actor: str


@dataclass(frozen=True)
class Place:
    """Metadata of another class, which an event encodes."""

    town: str
    actor: str | None = None


class Inherited(Event):
    """An abstract base."""

    metadata: Trace | None = None


Alias = TypeAliasType("Alias", Annotated[Named | None, "metadata"])

TRACE = MetadataRoom(
    frozenset({"correlation_id", "causation_id", "actor", "reason"}),
    frozenset({"causation_id", "reason"}),
)
NAMED = MetadataRoom(frozenset({"actor"}), frozenset({"actor"}))
OPEN = MetadataRoom(is_open=True)


def make_event(annotation: Any) -> Event:
    """Return an event whose metadata are annotated so."""
    body = {"__annotations__": {"metadata": annotation}, "metadata": None, "__module__": __name__}
    kind: Any = type(Event)
    return kind("Noted", (Event,), body, type="NOTED")("a", 1)


def cases(*pairs: tuple[Any, MetadataRoom | None]) -> Sequence[tuple[Any, MetadataRoom | None]]:
    """Return annotations, of which type checkers know nothing, with their rooms."""
    return pairs


@pytest.mark.parametrize(
    ("annotation", "expected"),
    cases(
        (Trace, TRACE),
        (Trace | None, TRACE),
        ('Annotated[Trace, "first"] | None', TRACE),
        ("Trace | None", TRACE),
        (Alias, NAMED),
        (Named | Trace, MetadataRoom(frozenset({"actor"}), NAMED.required | TRACE.required)),
        (Named | dict[str, Any], NAMED),
        (dict[str, Any], OPEN),
        (dict, OPEN),
        (Mapping[str, JSONValue] | None, OPEN),
        (JSONValue, OPEN),
        (Any, OPEN),
        (object, OPEN),
        (Place, MetadataRoom(frozenset({"town", "actor"}), frozenset({"town"}))),
        (str | None, None),
        (list[str], None),
        (None, None),
    ),
)
def test_annotations(annotation: object, expected: MetadataRoom | None) -> None:
    """An annotation gives room for its keys, for all keys, or for none."""
    assert expected == make_event(annotation).get_metadata_room()


def test_inherited_fields() -> None:
    """A field of a base class has the room that is declared there."""

    class Moved(Inherited, type="MOVED"):
        """It moved."""

    assert TRACE == Moved("a", 1).get_metadata_room()


def test_no_field() -> None:
    """An event type without metadata has no room."""

    class Moved(Event, type="MOVED"):
        """It moved."""

    event = Moved("a", 1)

    assert event.get_metadata_room() is None
    assert event is event.with_metadata({"actor": "misty"})


def test_generic_events() -> None:
    """A type parameter tells nothing: there is no room."""

    class Base(Event, Generic[T]):
        """An abstract base."""

        metadata: T

    class Moved(Base[Named], type="MOVED"):
        """It moved."""

    event = Moved("a", 1, metadata={"actor": "misty"})

    assert event.get_metadata_room() is None


@pytest.mark.parametrize("annotation", ["Nowhere | None", "nowhere.Trace | None", "no type"])
def test_unknown_annotations(annotation: str, caplog: pytest.LogCaptureFixture) -> None:
    """An annotation that nobody knows at run time leaves no room, and says so once."""
    event = make_event(annotation)

    assert event is event.with_metadata({"actor": "misty"})
    assert event is event.with_metadata({"actor": "misty"})

    (record,) = caplog.records
    assert "event_metadata() adds nothing to " in record.message
    assert annotation in record.message


def test_unknown_names_within_an_annotation() -> None:
    """The values of a dictionary may be of a type that is known to type checkers alone."""
    event = make_event("dict[str, Nowhere] | None")

    assert {"actor": "misty"} == event.with_metadata({"actor": "misty"}).to_record().metadata


# What fits


def test_required_keys() -> None:
    """Metadata that would lack a required key are not made; those that are there get the value."""
    lacking = make_event(Trace | None)

    assert lacking is lacking.with_metadata({"actor": "misty"})
    filled: Any = lacking.with_metadata({"actor": "misty", "causation_id": "c", "reason": "r"})
    assert {"actor": "misty", "causation_id": "c", "reason": "r"} == filled.metadata


@pytest.mark.parametrize(
    ("declared", "given"),
    [("correlationId", "correlation_id"), ("correlation_id", "correlationId")],
)
def test_both_spellings(declared: str, given: str) -> None:
    """A value finds its key, however the type spells it; the exact spelling wins."""
    annotation: Any = TypedDict("Spelled", {declared: NotRequired[str]})  # type: ignore[misc]
    event: Any = make_event(annotation)

    assert {declared: "c"} == event.with_metadata({given: "c"}).metadata
    assert {declared: "exact"} == event.with_metadata({declared: "exact", given: "c"}).metadata
    assert {declared: "exact"} == event.with_metadata({given: "c", declared: "exact"}).metadata


def test_null_is_a_value() -> None:
    """A key that is null keeps its value."""
    event: Any = make_event(dict[str, Any]).with_metadata({"actor": None})

    assert {"actor": None} == event.metadata
    assert event is event.with_metadata({"actor": "misty"})


def test_nested_objects_are_not_merged() -> None:
    """A key has one value: that of the event."""
    event: Any = make_event(dict[str, Any]).with_metadata({"trace": {"id": 1}})

    assert {"trace": {"id": 1}} == event.with_metadata({"trace": {"span": 2}}).metadata


class Visited(Event, type="VISITED"):
    """It encodes its metadata."""

    metadata: Place | None = None

    @classmethod
    def encode_field(cls, name: str, value: Place) -> JSONValue:  # noqa: ARG003 there is one
        """Encode a place."""
        return {"town": value.town, "actor": value.actor}

    @classmethod
    def decode_field(cls, name: str, value: Any) -> Place:  # noqa: ARG003 there is one
        """Decode a place."""
        if not isinstance(value["actor"], str):
            raise ValueError("its actor has no name")
        return Place(**value)


def test_codecs_of_the_event() -> None:
    """An event that encodes its metadata gets the values through its codec."""
    event = Visited("a", 1, metadata=Place("Cerulean"))

    assert Place("Cerulean", "misty") == event.with_metadata({"actor": "misty"}).metadata
    assert event is event.with_metadata({"town": "Pewter"})


def test_values_that_do_not_fit() -> None:
    """A value that the codec refuses is an error."""
    event = Visited("a", 1, metadata=Place("Cerulean"))

    with pytest.raises(InvalidEventDataError, match="its actor has no name") as caught:
        event.with_metadata({"actor": 5})
    assert "metadata" == caught.value.field
    assert ["metadata"] == [each.path for each in caught.value.violations]


# Schemas

OBJECT: dict[str, Any] = {"type": "object", "properties": {"actor": {}, "never": False}}
ACTOR = frozenset({"actor"})


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (None, None),
        (False, None),
        (True, OPEN),
        ({}, OPEN),
        ({"type": "string"}, None),
        ({"type": ["object", "null"]}, OPEN),
        (OBJECT, MetadataRoom(ACTOR, is_open=True)),
        ({**OBJECT, "additionalProperties": False}, MetadataRoom(ACTOR)),
        ({**OBJECT, "unevaluatedProperties": False}, MetadataRoom(ACTOR)),
        ({**OBJECT, "required": ["actor"]}, MetadataRoom(ACTOR, ACTOR, is_open=True)),
        (
            {"anyOf": [{"type": "null"}, {**OBJECT, "additionalProperties": False}]},
            MetadataRoom(ACTOR),
        ),
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, None),
        (
            {"allOf": [OBJECT, {"$ref": "#/$defs/a~1b"}], "$defs": {"a/b": {"required": ["x"]}}},
            MetadataRoom(ACTOR, frozenset({"x"}), is_open=True),
        ),
        (
            {
                "$ref": "urn:a",
                "$defs": {"urn:a": {"$id": "urn:a", "$ref": "#/$defs/b", "$defs": {"b": False}}},
            },
            None,
        ),
        ({"$ref": "#/$defs/nowhere"}, OPEN),
        ({"$ref": "#anchor"}, OPEN),
        ({"$ref": "urn:elsewhere"}, OPEN),
        ({"$ref": "#"}, OPEN),
    ],
)
def test_schemas(schema: Any, expected: MetadataRoom | None) -> None:
    """A schema gives room for its properties, and for all keys that it does not refuse."""
    assert expected == find_schema_room(schema)


def test_schemas_that_are_closed_by_default() -> None:
    """A schema that is closed by default has room for its own properties only."""
    assert MetadataRoom(ACTOR) == find_schema_room(OBJECT, is_open_by_default=False)
    assert OPEN == find_schema_room({"type": "object"}, is_open_by_default=False)
