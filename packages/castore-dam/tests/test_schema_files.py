"""The schemas of all events are one JSON value, and one file."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from stat import S_IMODE
from typing import Annotated, Any, Literal, NewType, NotRequired

import pytest
from typing_extensions import TypedDict

from bare_aggregate import reduce_bare
from castore_core import Event, EventStore, JSONSchema, JSONValue
from castore_dam import (
    InvalidEventSchemasError,
    describe_event_schemas,
    load_event_schemas,
    save_event_schemas,
)
from postponed_events import Planted

TrainerId = NewType("TrainerId", str)


class Move(TypedDict):
    """A move, with those that follow."""

    name: str
    followers: "NotRequired[list[Move]]"


class Appeared(TypedDict):
    """The payload of an event."""

    level: Annotated[int, "from 1"]
    status: Literal["wild", "caught"]
    moves: Sequence[Move]
    trainer: NotRequired[TrainerId | None]
    weights: Mapping[str, float]
    more: Any
    at: datetime


class PokemonAppeared(Event, type="POKEMON_APPEARED"):
    """A wild pokemon is here."""

    payload: Appeared
    metadata: dict[str, JSONValue] | None = None


class Closed(TypedDict, closed=True):
    """A payload that has no other keys."""

    name: str


class Counted(TypedDict, extra_items=int):
    """A payload whose other keys are counts."""

    name: str


class PokemonNamed(Event, type="POKEMON_NAMED"):
    """A pokemon has a name."""

    payload: Closed
    metadata: Counted


def make_store(*event_types: type[Event], event_store_id: str = "POKEMONS") -> EventStore:
    """Return a store of event types."""
    return EventStore(event_store_id, event_types=list(event_types), reduce=reduce_bare)


def describe_type(event_type: type[Event]) -> Any:
    """Return the schema of one event type."""
    described = describe_event_schemas(make_store(event_type))
    return described["eventStores"]["POKEMONS"]["eventTypes"][event_type.type]


def test_plain_event() -> None:
    """A plain event is described by its annotations."""
    schema = describe_type(PokemonAppeared)

    assert {"$ref": "#/$defs/Appeared"} == schema["properties"]["payload"]
    assert {"anyOf": [{"type": "object", "additionalProperties": {}}, {"type": "null"}]} == schema[
        "properties"
    ]["metadata"]
    assert ["at", "level", "more", "moves", "status", "weights"] == schema["$defs"]["Appeared"][
        "required"
    ]
    assert {
        "level": {"type": "integer"},
        "status": {"enum": ["wild", "caught"]},
        "moves": {"type": "array", "items": {"$ref": "#/$defs/Move"}},
        "trainer": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "weights": {"type": "object", "additionalProperties": {"type": "number"}},
        "more": {},
        "at": {"unknownType": "datetime.datetime"},
    } == schema["$defs"]["Appeared"]["properties"]
    assert {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "followers": {"type": "array", "items": {"$ref": "#/$defs/Move"}},
        },
        "required": ["name"],
    } == schema["$defs"]["Move"]


def test_other_keys_of_typed_dicts() -> None:
    """A closed ``TypedDict`` has no other keys, and one with ``extra_items`` has such."""
    definitions = describe_type(PokemonNamed)["$defs"]

    assert definitions["Closed"]["additionalProperties"] is False
    assert {"type": "integer"} == definitions["Counted"]["additionalProperties"]


def test_event_that_encodes_by_itself() -> None:
    """The annotation of a field does not say how an event writes it."""

    class Dated(Event, type="DATED"):
        payload: datetime

        @classmethod
        def encode_field(cls, name: str, value: Any) -> JSONValue:
            return super().encode_field(name, value.isoformat())

    assert {"unknownType": "datetime.datetime"} == describe_type(Dated)["properties"]["payload"]


def test_event_with_a_schema() -> None:
    """An event that tells its schema is described by that."""

    class Told(Event, type="TOLD"):
        payload: Appeared

        @classmethod
        def field_schema(cls, name: str) -> JSONSchema | None:  # noqa: ARG003 has one field
            return {"type": "object"}

    assert {"type": "object"} == describe_type(Told)["properties"]["payload"]


def test_annotation_that_is_not_known() -> None:
    """A name that exists for type checkers alone is not known."""

    class Postponed(Event, type="POSTPONED"):
        payload: "NoSuchType"  # noqa: F821 # pyright: ignore[reportUndefinedVariable]

    assert {"unknownType": "NoSuchType"} == describe_type(Postponed)["properties"]["payload"]


def test_postponed_annotations() -> None:
    """Annotations that are texts say the same."""
    schema = describe_type(Planted)

    assert {} == schema["properties"]["metadata"]
    assert {
        "Tree": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "more": {"type": "object", "additionalProperties": {}},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
            },
            "required": ["name"],
        }
    } == schema["$defs"]


def test_two_typed_dicts_of_one_name() -> None:
    """Each has its definition."""

    class Inner:
        class Move(TypedDict):
            power: int

    class Learned(Event, type="LEARNED"):
        payload: Move
        metadata: Inner.Move

    schema = describe_type(Learned)

    assert 2 == len(schema["$defs"])
    assert schema["properties"]["payload"] != schema["properties"]["metadata"]


def test_several_stores(tmp_path: Path) -> None:
    """The order of stores, event types and keys does not show in the file."""
    path, other = tmp_path / "schemas.json", tmp_path / "other.json"
    trainers = make_store(PokemonNamed, event_store_id="TRAINERS")
    save_event_schemas(path, [trainers, make_store(PokemonAppeared, PokemonNamed)])
    save_event_schemas(other, (make_store(PokemonNamed, PokemonAppeared), trainers))

    assert path.read_bytes() == other.read_bytes()
    assert ["POKEMONS", "TRAINERS"] == list(load_event_schemas(path)["eventStores"])


def test_two_stores_of_one_id() -> None:
    """The schemas of one would hide those of the other."""
    with pytest.raises(ValueError, match="'POKEMONS'"):
        describe_event_schemas([make_store(PokemonNamed), make_store(PokemonAppeared)])


def test_saved_schemas_come_back(tmp_path: Path) -> None:
    """Loaded schemas are equal to those that were described."""
    store = make_store(PokemonAppeared, PokemonNamed)
    save_event_schemas(tmp_path / "schemas.json", store)

    assert describe_event_schemas(store) == load_event_schemas(tmp_path / "schemas.json")


def test_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    """The old file stays, and no other one is left behind."""

    class Odd(Event, type="ODD"):
        payload: str

        @classmethod
        def field_schema(cls, name: str) -> JSONSchema | None:  # noqa: ARG003 has one field
            return {"const": "\ud800"}

    path = tmp_path / "schemas.json"
    path.write_text("old")

    with pytest.raises(UnicodeEncodeError):
        save_event_schemas(path, make_store(Odd))
    assert "old" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_mode_of_the_file(tmp_path: Path) -> None:
    """A new file may be read by those whom the process lets, and an old one keeps its mode."""
    path = tmp_path / "schemas.json"
    mask = os.umask(0o027)
    try:
        save_event_schemas(path, make_store(PokemonNamed))
        assert 0o640 == S_IMODE(path.stat().st_mode)
        path.chmod(0o604)
        save_event_schemas(path, make_store(PokemonNamed))
        assert 0o604 == S_IMODE(path.stat().st_mode)
    finally:
        os.umask(mask)


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"format": "x"})])
def test_foreign_file_is_refused(tmp_path: Path, text: str) -> None:
    """A file that holds something else is not taken for one without schemas."""
    path = tmp_path / "schemas.json"
    path.write_text(text)

    with pytest.raises(InvalidEventSchemasError):
        load_event_schemas(path)


def test_file_of_a_later_format_is_refused(tmp_path: Path) -> None:
    """An error says which format the file has."""
    path = tmp_path / "schemas.json"
    save_event_schemas(path, make_store(PokemonNamed))
    path.write_text(path.read_text().replace('"formatVersion": 1', '"formatVersion": 2'))

    with pytest.raises(InvalidEventSchemasError, match="version 2"):
        load_event_schemas(path)
