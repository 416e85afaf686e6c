"""Events are validated when they are made, when they are written, and when they are read."""

import pickle
from copy import deepcopy
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from types import new_class
from typing import Any, NotRequired, TypedDict

import pytest

from castore_core import (
    ABSENT,
    Event,
    EventRecord,
    InvalidEventDataError,
    InvalidEventError,
    JSONValue,
    NotJSONError,
    Violation,
)
from castore_json_schema import JSONSchemaEvent

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Move(TypedDict):
    """What a pokemon can do."""

    name: str


class AppearedPayload(TypedDict):
    """What is known of a pokemon."""

    name: str
    level: int
    moves: NotRequired[list[Move]]


APPEARED_SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "level": {"type": "integer", "minimum": 1, "maximum": 100},
        "moves": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}},
                "required": ["name"],
            },
        },
    },
    "required": ["name", "level"],
    "additionalProperties": False,
}
TRIGGER_SCHEMA = {
    "type": "object",
    "properties": {"trigger": {"enum": ["random", "scripted"]}},
    "required": ["trigger"],
}


class PokemonAppeared(JSONSchemaEvent, type="POKEMON_APPEARED"):
    """It has both fields, one of them optional."""

    payload_schema = APPEARED_SCHEMA
    metadata_schema = TRIGGER_SCHEMA
    payload: AppearedPayload
    metadata: dict[str, JSONValue] | None = None


class PokemonRenamed(JSONSchemaEvent, type="POKEMON_RENAMED"):
    """Its payload is required; a null is none of a string."""

    payload_schema = {"type": "string"}
    payload: str | None


class PokemonCaught(JSONSchemaEvent, type="POKEMON_CAUGHT"):
    """Its metadata is not validated, and it has no payload."""

    metadata: dict[str, JSONValue]


def appeared(**changes: Any) -> PokemonAppeared:
    """Return an event."""
    values: dict[str, Any] = {
        "aggregate_id": "pikachu1",
        "version": 1,
        "timestamp": NOW,
        "payload": {"name": "Pikachu", "level": 5},
    }
    return PokemonAppeared(**values | changes)


def record(payload: Any = ABSENT, metadata: Any = ABSENT) -> EventRecord:
    """Return a stored event."""
    return EventRecord("pikachu1", 1, "POKEMON_APPEARED", NOW, payload, metadata)


# At construction


def test_valid_values_pass_through() -> None:
    """A payload that fits is the one that was given, not a copy, and not converted."""
    payload: AppearedPayload = {"name": "Pikachu", "level": 5, "moves": [{"name": "Thunder"}]}
    event = appeared(payload=payload, metadata={"trigger": "random"})

    assert payload is event.payload
    assert {"trigger": "random"} == event.metadata
    assert record(payload, {"trigger": "random"}) == event.to_record()


def test_every_violation_is_listed() -> None:
    """The error lists all that is wrong, in payload and metadata, with paths."""
    with pytest.raises(InvalidEventDataError) as error:
        appeared(
            payload={"level": "5", "moves": [{"name": "Thunder"}, {"name": 1}, {}], "a b": 0},
            metadata={"trigger": "bored"},
        )

    assert "POKEMON_APPEARED" == error.value.event_type
    assert "payload" == error.value.field
    assert {
        ("payload", '"name" is a required property'),
        ("payload.level", 'the value is not of type "integer"'),
        ("payload.moves[1].name", 'the value is not of type "string"'),
        ("payload.moves[2]", '"name" is a required property'),
        ("payload", "Additional properties are not allowed ('a b' was unexpected)"),
        ("metadata.trigger", 'the value is not one of "random" or "scripted"'),
    } == {(each.path, each.reason) for each in error.value.violations}
    assert 6 == len(error.value.violations)


def test_error_is_one_sentence() -> None:
    """The text names the field, the type and the place."""
    with pytest.raises(InvalidEventDataError) as error:
        appeared(payload={"name": "Pikachu", "level": 101})

    assert (
        "payload of POKEMON_APPEARED is not valid: "
        "payload.level: the value is greater than the maximum of 100"
    ) == str(error.value)


def test_error_of_metadata_alone() -> None:
    """The field of the error is the one that does not fit."""
    with pytest.raises(InvalidEventDataError) as error:
        appeared(metadata={})

    assert "metadata" == error.value.field
    assert (Violation("metadata", '"trigger" is a required property'),) == error.value.violations


def test_error_is_one_of_invalid_events() -> None:
    """Whoever catches InvalidEventError, or ValueError, catches it."""
    with pytest.raises(InvalidEventError, match=r"payload\.level"):
        appeared(payload={"name": "Pikachu", "level": 0})
    with pytest.raises(ValueError, match=r"payload\.level"):
        appeared(payload={"name": "Pikachu", "level": 0})


def test_own_fields_are_checked_first() -> None:
    """What no event may have is refused by the event itself."""
    with pytest.raises(InvalidEventError, match="version of POKEMON_APPEARED"):
        appeared(version=0, payload={})


def test_long_reason_is_shortened() -> None:
    """A large schema does not fill the log; the end of the reason is kept."""

    class Chosen(JSONSchemaEvent, type="CHOSEN"):
        payload_schema = {"const": "5" * 10_000}
        payload: str

    with pytest.raises(InvalidEventDataError) as error:
        Chosen(aggregate_id="a", version=1, payload="4")

    (violation,) = error.value.violations
    assert 199 == len(violation.reason)
    assert violation.reason.endswith('5" was expected')


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "null"}, 'the value is not of type "null"'),
        ({"not": {"minProperties": 1}}, '{"minProperties":1} is not allowed for the value'),
        ({"additionalProperties": False}, "False schema does not allow the value"),
        ({"additionalProperties": {"format": "uuid"}}, 'the value is not a "uuid"'),
        ({"properties": {"pins": {"contains": {"type": "null"}}}}, "None of the value are valid"),
        ({"properties": {"pins": {"uniqueItems": True}}}, "the value has non-unique elements"),
        ({"properties": {"pins": {"unevaluatedItems": {"type": "null"}}}}, "Unevaluated items are"),
        ({"oneOf": [{"enum": [1]}, {"maxProperties": 0}]}, "the value is not one of 1"),
    ],
)
def test_reason_does_not_tell_the_value(schema: Any, reason: str) -> None:
    """A value that does not fit may be a secret; only names of keys are told."""
    body = {"payload_schema": schema, "__annotations__": {"payload": Any}}
    signed: Any = new_class(
        "Signed", (JSONSchemaEvent,), {"type": "SIGNED"}, lambda names: names.update(body)
    )
    payload = {"pin": "hunter2", "pins": ["hunter2", "hunter2"]}

    with pytest.raises(InvalidEventDataError) as error:
        signed(aggregate_id="a", version=1, payload=payload)
    assert reason in str(error.value)
    assert "hunter2" not in str(error.value)


def test_violations_of_alternatives() -> None:
    """Where no alternative fits, each of them tells why."""

    class Traded(JSONSchemaEvent, type="TRADED"):
        payload_schema = {
            "anyOf": [{"type": "string"}, {"properties": {"price": {"type": "integer"}}}]
        }
        payload: str | dict[str, int]

    wrong: Any = {"price": "free"}
    with pytest.raises(InvalidEventDataError) as error:
        Traded(aggregate_id="a", version=1, payload=wrong)
    assert [
        ("payload", 'the value is not of type "string"'),
        ("payload.price", 'the value is not of type "integer"'),
    ] == [(each.path, each.reason) for each in error.value.violations]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("level", "payload.level"),
        ("été", "payload.été"),
        ("first name", "payload['first name']"),
        ("a.b", "payload['a.b']"),
        ("0", "payload['0']"),
        ("00", "payload['00']"),
        ("a/b~1", "payload['a/b~1']"),
        ("", "payload['']"),
        ("it's", 'payload["it\'s"]'),
    ],
)
def test_path_of_a_key(key: str, path: str) -> None:
    """A key that is no identifier is quoted, so that two places never have one path."""

    class Keyed(JSONSchemaEvent, type="KEYED"):
        payload_schema = {"additionalProperties": {"type": "integer"}}
        payload: dict[str, str]

    with pytest.raises(InvalidEventDataError) as error:
        Keyed(aggregate_id="a", version=1, payload={key: "x"})
    assert [path] == [each.path for each in error.value.violations]


# None and absence


def test_optional_none_is_not_validated() -> None:
    """A field that is left out has nothing to fit."""
    assert appeared(metadata=None).metadata is None
    assert ABSENT is appeared().to_record().metadata
    assert PokemonAppeared.from_record(appeared().to_record()).metadata is None


def test_required_none_is_validated() -> None:
    """Where None is written as null, the schema has to allow null."""
    with pytest.raises(InvalidEventDataError, match=r'payload: the value is not of type "string"'):
        PokemonRenamed(aggregate_id="a", version=1, payload=None)


def test_stored_null_is_validated() -> None:
    """A null is a value, also where the field is optional."""
    with pytest.raises(InvalidEventDataError, match="metadata: the value is not"):
        PokemonAppeared.from_record(record({"name": "Pikachu", "level": 5}, None))


def test_absent_required_field() -> None:
    """A payload that is not stored is missed by the event itself."""
    with pytest.raises(ValueError, match="payload is absent"):
        PokemonAppeared.from_record(record())


def test_field_without_a_schema_is_not_validated() -> None:
    """Either schema may be missing."""
    event = PokemonCaught(aggregate_id="a", version=1, timestamp=NOW, metadata={"any": ["thing"]})

    assert event == PokemonCaught.from_record(event.to_record())


# On reading


def test_stored_values_are_validated() -> None:
    """What does not fit any more is refused, with every violation."""
    with pytest.raises(InvalidEventDataError) as error:
        PokemonAppeared.from_record(record({"name": "", "level": 0}, {"trigger": "bored"}))

    assert ["payload.name", "payload.level", "metadata.trigger"] == [
        each.path for each in error.value.violations
    ]


def test_event_comes_back() -> None:
    """An event that was read is the one that was written."""
    event = appeared(metadata={"trigger": "scripted"})

    assert event == PokemonAppeared.from_record(event.to_record())


# On writing


def test_changed_payload_is_refused() -> None:
    """A payload that was spoilt after the construction is not written: nobody could read it."""
    event = appeared()
    event.payload["level"] = 0

    with pytest.raises(InvalidEventDataError, match=r"payload\.level: the value is less"):
        event.to_record()


def test_replace_validates() -> None:
    """A changed copy is a new event."""
    with pytest.raises(InvalidEventDataError, match=r"payload\.level"):
        replace(appeared(), payload={"name": "Pikachu", "level": 0})


def test_draft_is_validated_once_it_is_an_event() -> None:
    """A draft becomes an event that fits, or none."""
    payload: AppearedPayload = {"name": "Pikachu", "level": 5}
    draft = PokemonAppeared.draft(timestamp=NOW, payload=payload)

    assert appeared() == draft.to_event("pikachu1", 1)
    with pytest.raises(InvalidEventDataError, match=r"payload\.level"):
        PokemonAppeared.draft(payload={"name": "Pikachu", "level": 0}).to_event("pikachu1", 1)


# What is not JSON


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"name": "Pikachu", "level": {5}}, r"payload\.level is not JSON: set"),
        ({"name": "Pikachu", "level": date(2022, 1, 1)}, r"payload\.level is not JSON: date"),
        ({"name": "Pika", "level": 5, "\ud800": 5}, r"payload has a key that is not well-formed"),
        ({"name": "Pikachu", 5: 5}, r"payload has a key that is no string"),
        ({"name": "Pikachu", "level": float("nan")}, r"payload\.level is nan, which JSON does not"),
    ],
)
def test_payload_that_is_not_json(payload: Any, reason: str) -> None:
    """What has no place in JSON is told from what does not fit."""
    with pytest.raises(NotJSONError, match=reason):
        appeared(payload=payload)


def test_payload_that_only_looks_like_json() -> None:
    """A tuple is validated as an array; it is refused at the push, as in every event."""
    event = appeared(payload={"name": "Pikachu", "level": 5, "moves": ()})

    with pytest.raises(NotJSONError, match=r"payload\.moves is not JSON: tuple"):
        event.to_record()


TREE_SCHEMA = {"type": "array", "items": {"$ref": "#"}}


class Planted(JSONSchemaEvent, type="PLANTED"):
    """Its schema contains itself, so that a payload may be of any depth."""

    payload_schema = TREE_SCHEMA
    payload: list[Any]


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_payload_that_is_too_deep(depth: int) -> None:
    """A payload that nobody could write, or read, is refused; the process goes on."""
    tree: list[Any] = []
    for _ in range(depth):
        tree = [tree]
    planted = EventRecord("a", 1, "PLANTED", NOW, tree)

    with pytest.raises(NotJSONError, match="payload is nested too deeply"):
        Planted(aggregate_id="a", version=1, payload=tree)
    with pytest.raises(NotJSONError, match="payload is nested too deeply"):
        Planted.from_record(planted)


def test_payload_that_contains_itself() -> None:
    """A circle is refused; the process goes on."""
    tree: list[Any] = []
    tree.append(tree)

    with pytest.raises(NotJSONError, match="contains itself"):
        Planted(aggregate_id="a", version=1, payload=tree)


def test_deep_payload_that_does_not_fit() -> None:
    """A violation far down has its path, as any other."""
    tree: list[Any] = ["leaf"]
    for _ in range(300):
        tree = [tree]

    with pytest.raises(InvalidEventDataError) as error:
        Planted(aggregate_id="a", version=1, payload=tree)
    assert ["payload" + "[0]" * 301] == [each.path for each in error.value.violations]


# Drop-in


def test_schemas_are_no_fields() -> None:
    """The class has the fields of an event, and no others."""
    assert ["aggregate_id", "version", "timestamp", "payload", "metadata"] == [
        each.name for each in fields(PokemonAppeared)
    ]
    assert "schema" not in repr(appeared())


def test_event_matches_copies_and_pickles() -> None:
    """An event is an event like others."""
    event = appeared()
    copies = deepcopy(event), pickle.loads(pickle.dumps(event))  # noqa: S301 our own

    assert (event, event) == copies
    match event:
        case PokemonAppeared(payload={"level": level}, version=version):
            assert (5, 1) == (level, version)
        case _:
            pytest.fail("did not match")


class Born(JSONSchemaEvent, type="BORN"):
    """Its payload is a date, and the schema is that of its JSON."""

    payload_schema = {"type": "string", "format": "date"}
    payload: date

    @classmethod
    def encode_field(cls, name: str, value: Any) -> JSONValue:
        """Write a date."""
        return str(value) if name == "payload" else super().encode_field(name, value)

    @classmethod
    def decode_field(cls, name: str, value: JSONValue) -> Any:
        """Read a date."""
        return date.fromisoformat(str(value)) if name == "payload" else value


def test_schema_is_of_the_encoded_value() -> None:
    """A class may hold what it likes; what it writes has to fit."""
    event = Born(aggregate_id="a", version=1, timestamp=NOW, payload=date(2022, 1, 1))

    assert "2022-01-01" == event.to_record().payload
    assert event == Born.from_record(event.to_record())
    wrong: Any = "2022-02-30"
    with pytest.raises(InvalidEventDataError, match='is not a "date"'):
        Born(aggregate_id="a", version=1, payload=wrong)


def test_plain_event_is_not_validated() -> None:
    """A plain event passes a payload through that a validated one refuses."""

    class Plain(Event, type="PLAIN"):
        payload: dict[str, JSONValue]

    plain = Plain(aggregate_id="a", version=1, payload={"level": "5"})

    assert {"level": "5"} == plain.to_record().payload
