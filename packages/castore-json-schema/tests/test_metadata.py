"""Events with a schema have room for the metadata of a context that the schema allows."""

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pytest

from castore_core import EventStore, InvalidEventDataError, MetadataRoom, event_metadata
from castore_in_memory import InMemoryEventStorageAdapter
from castore_json_schema import JSONSchemaEvent, SchemaRegistry

TRACE: dict[str, Any] = {
    "type": "object",
    "properties": {"actor": {"type": "string"}, "correlationId": {"type": "string"}},
    "additionalProperties": False,
}
OPEN: dict[str, Any] = {"type": "object", "properties": {"actor": {"type": "string"}}}


class Caught(JSONSchemaEvent, type="CAUGHT"):
    """Its metadata have two keys."""

    metadata_schema = TRACE
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True)
class Pokemon:
    """An aggregate."""

    aggregate_id: str
    version: int


def reduce_pokemon(_: Pokemon | None, event: Caught) -> Pokemon:
    """Count its events."""
    return Pokemon(event.aggregate_id, event.version)


def make_store() -> EventStore[Caught, Pokemon]:
    """Return a store of its own memory."""
    return EventStore(
        "POKEMONS",
        event_types=[Caught],
        reduce=reduce_pokemon,
        storage_adapter=InMemoryEventStorageAdapter(),
    )


async def test_keys_of_the_schema() -> None:
    """Keys that the schema does not allow are left out."""
    store = make_store()

    with event_metadata(correlation_id="c", actor="misty", other=1):
        await store.push_event(Caught("a", 1))

    (event,) = await store.get_events("a")
    assert {"correlationId": "c", "actor": "misty"} == event.metadata


async def test_an_invalid_value() -> None:
    """A value that does not fit the schema is an error, and nothing is written."""
    store = make_store()

    with event_metadata(actor=5), pytest.raises(InvalidEventDataError, match=r"metadata\.actor"):
        await store.push_event(Caught("a", 1))

    assert [] == await store.get_events("a")


class Trace(TypedDict):
    """The keys that a type declares."""

    correlation_id: NotRequired[str]


def test_schema_and_annotation() -> None:
    """An open schema takes all keys, and those of its annotation where that declares some."""

    class Opened(JSONSchemaEvent, type="OPENED"):
        metadata_schema = OPEN
        metadata: dict[str, Any] | None = None

    class Declared(JSONSchemaEvent, type="DECLARED"):
        metadata_schema = OPEN
        metadata: Trace | None = None

    values = {"correlation_id": "c", "other": 1}
    assert values == Opened("a", 1).with_metadata(values).metadata
    assert {"correlation_id": "c"} == Declared("a", 1).with_metadata(values).metadata


def test_shared_definitions() -> None:
    """A schema may be in the registry."""

    class Referring(JSONSchemaEvent, type="REFERRING"):
        metadata_schema = {"anyOf": [{"$ref": "urn:trace"}, {"type": "null"}]}
        schema_registry = SchemaRegistry({"urn:trace": TRACE})
        metadata: dict[str, Any] | None = None

    room = MetadataRoom(frozenset({"actor", "correlationId"}))
    assert [room] * 2 == [Referring("a", 1).get_metadata_room() for _ in range(2)]


def test_without_a_schema() -> None:
    """The annotation tells, where there is no schema."""

    class Unchecked(JSONSchemaEvent, type="UNCHECKED"):
        metadata: dict[str, Any] | None = None

    assert MetadataRoom(is_open=True) == Unchecked("a", 1).get_metadata_room()
