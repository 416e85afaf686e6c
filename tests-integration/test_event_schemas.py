"""The schemas of events of each kind are compared, as their packages tell them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bare_aggregate import reduce_bare
from castore_core import Event, EventStore
from castore_dam import SchemaDiff, describe_event_schemas, diff_event_schemas
from castore_json_schema import JSONSchemaEvent, SchemaRegistry
from castore_pydantic import PydanticEvent

MONEY = "https://example.org/money"


def describe(event_type: type[Event]) -> dict[str, Any]:
    """Return the schemas of a store with one event type."""
    return describe_event_schemas(
        EventStore("POKEMONS", event_types=[event_type], reduce=reduce_bare)
    )


def diff_models(old: type[BaseModel], new: type[BaseModel]) -> SchemaDiff:
    """Compare an event with a model for its payload with one that has another."""

    def describe_model(model: type[BaseModel]) -> dict[str, Any]:
        class Appeared(PydanticEvent, type="APPEARED"):
            payload: model  # pyright: ignore[reportInvalidTypeForm]

        return describe(Appeared)

    return diff_event_schemas(describe_model(old), describe_model(new))


def say(diff: SchemaDiff) -> list[tuple[str, str, str]]:
    """Return the places, kinds and verdicts of the changes."""
    return [(each.path, each.kind, each.verdict) for each in diff.changes]


class Cat(BaseModel):
    """A member of a union."""

    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    """A member of a union."""

    kind: Literal["dog"] = "dog"
    name: str = ""


class Bird(BaseModel):
    """A member of a union."""

    kind: Literal["bird"] = "bird"


def test_field_with_a_default() -> None:
    """A model reads an old event without it, and ignores it where it is not known."""

    class Old(BaseModel):
        name: str

    class New(Old):
        level: int = 1

    assert [("/payload/level", "optional field added", "full")] == say(diff_models(Old, New))


def test_forbidden_extra() -> None:
    """A model that forbids what it does not know refuses the events of tomorrow."""

    class Old(BaseModel):
        model_config = ConfigDict(extra="forbid")
        name: str

    class New(Old):
        level: int = 1

    class Open(BaseModel):
        name: str

    assert [("/payload/level", "optional field added", "backward")] == say(diff_models(Old, New))
    assert [("/payload", "fields closed", "forward")] == say(diff_models(Open, Old))


def test_discriminated_union() -> None:
    """Members are told apart by their tags, also where these have defaults."""

    class Old(BaseModel):
        pet: Annotated[Cat | Dog, Field(discriminator="kind")]

    class New(BaseModel):
        pet: Annotated[Cat | Dog | Bird, Field(discriminator="kind")] | None = None

    assert [
        ("/payload/pet", "field made optional", "backward"),
        ("/payload/pet", "alternative added", "backward"),
        ("/payload/pet", "alternative added", "backward"),
    ] == say(diff_models(Old, New))


def test_models_of_another_name() -> None:
    """The name of a model is not stored."""

    class Old(BaseModel):
        pet: Cat | None
        parts: "list[Cat] | dict[str, int]"

    class Kitten(BaseModel):
        kind: Literal["cat"] = "cat"

    class New(BaseModel):
        pet: Kitten | None
        parts: list[Kitten] | dict[str, int]

    assert [] == say(diff_models(Old, New))


def describe_price(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas of an event whose payload is of a schema in a registry."""

    class Priced(JSONSchemaEvent, type="PRICED"):
        schema_registry = SchemaRegistry({MONEY: schema})
        payload_schema = {"properties": {"price": {"$ref": MONEY}}}
        payload: Any

    return describe(Priced)


def test_schema_of_a_registry() -> None:
    """A change of a shared schema is one of the events that refer to it."""
    old = {"type": "object", "properties": {"amount": {"type": "integer"}}}
    new = {"type": "object", "properties": {"amount": {"type": "number"}}}

    assert [("/payload/price/amount", "type widened", "backward")] == say(
        diff_event_schemas(describe_price(old), describe_price(new))
    )


def test_field_of_a_json_schema_event_without_schema() -> None:
    """Its annotation tells what it is."""

    class Caught(JSONSchemaEvent, type="CAUGHT"):
        metadata_schema = {"type": "object"}
        payload: int
        metadata: dict[str, str]

    schema = describe(Caught)["eventStores"]["POKEMONS"]["eventTypes"]["CAUGHT"]

    assert {"type": "integer"} == schema["properties"]["payload"]
    assert {"type": "object"} == schema["properties"]["metadata"]
