"""Commands validate their input before the handler runs, and their output after it."""

import json
import pickle
from collections.abc import Awaitable
from datetime import UTC, date, datetime
from functools import partial, wraps
from typing import Any

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PydanticSchemaGenerationError,
    ValidationError,
    computed_field,
)

from castore_core import (
    CastoreError,
    Command,
    ConflictAttempt,
    EventAlreadyExistsError,
    EventStore,
    InvalidCommandInputError,
    InvalidCommandOutputError,
    Violation,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_pydantic import PydanticCommand, pydantic_command
from catches import Caught, Store, Stores, reduce_last

NOW = datetime(2022, 1, 1, tzinfo=UTC)


@pytest.fixture
def store() -> Store:
    """Return an empty store."""
    return EventStore(
        "POKEMONS",
        event_types=[Caught],
        reduce=reduce_last,
        storage_adapter=InMemoryEventStorageAdapter(),
    )


class Catch(BaseModel):
    """The input: strict, and with an alias."""

    model_config = ConfigDict(strict=True, frozen=True)
    pokemon_id: str = Field(alias="pokemonId")
    at: datetime


class Result(BaseModel):
    """The output."""

    version: int = Field(ge=1)

    @computed_field
    @property
    def is_first(self) -> bool:
        """Whether it is the first version."""
        return self.version == 1


CATCH = Catch(pokemonId="pikachu1", at=NOW)
CATCH_JSON = {"pokemonId": "pikachu1", "at": "2022-01-01T00:00:00Z"}

blank: Store = EventStore("POKEMONS", event_types=[Caught], reduce=reduce_last)


@pydantic_command("CATCH", required_event_stores=(blank,))
async def catch(
    input: Catch, event_stores: Stores, version: int = 1, *, output: Any = None
) -> Result:
    """Catch a pokemon."""
    (pokemons,) = event_stores
    await pokemons.push_event(
        Caught(aggregate_id=input.pokemon_id, version=version, payload=input.at)
    )
    returned: Result = output or Result(version=version)
    return returned


# Input


async def test_valid_input(store: Store) -> None:
    """The handler gets the input and the context."""
    assert Result(version=1) == await catch(CATCH, (store,))
    assert Result(version=2) == await catch.handler(CATCH, (store,), 2)
    assert [NOW, NOW] == [each.payload for each in await store.get_events("pikachu1")]


async def test_invalid_input_is_refused(store: Store) -> None:
    """The error names the command and lists the violations; the handler did not run."""
    wrong: Any = {"pokemonId": 1, "at": "2022-01-01T00:00:00Z"}

    with pytest.raises(InvalidCommandInputError) as error:
        await catch(wrong, (store,))

    assert "CATCH" == error.value.command_id
    assert (
        Violation("input.pokemonId", "Input should be a valid string", "string_type"),
        Violation("input.at", "Input should be a valid datetime", "datetime_type"),
    ) == error.value.violations
    assert (
        "input of command 'CATCH' is not valid: input.pokemonId: Input should be a valid string; "
        "input.at: Input should be a valid datetime"
    ) == str(error.value)
    assert isinstance(error.value, CastoreError)
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value.__cause__, ValidationError)
    assert [] == await store.get_events("pikachu1")


async def test_handler_by_its_other_name_validates(store: Store) -> None:
    """Castore's name for calling a command is no way around."""
    wrong: Any = {}

    with pytest.raises(InvalidCommandInputError):
        await catch.handler(wrong, (store,))


@pytest.mark.parametrize(
    "body",
    [CATCH_JSON, json.dumps(CATCH_JSON), json.dumps(CATCH_JSON).encode()],
    ids=["object", "text", "bytes"],
)
async def test_input_from_json(store: Store, body: Any) -> None:
    """JSON is read under the aliases, and a strict model takes a moment that is a text."""
    assert Result(version=1) == await catch.run_json(body, (store,))
    assert Result(version=2) == await catch.run_json(body, (store,), 2)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "input: Invalid JSON"),
        ("[]", "input: Input should be an object"),
        ([], "input: Input should be an object"),
        (None, "input: Input should be an object"),
        ({**CATCH_JSON, "at": "soon"}, r"input\.at: Input should be a valid datetime"),
        ({"pokemonId": {1}, "at": 1}, r"input\.pokemonId: Input should be a valid string"),
        ({"pokemonId": object()}, "input: Unable to serialize unknown type"),
    ],
)
async def test_bad_json_is_refused(store: Store, body: Any, message: str) -> None:
    """What is no JSON, or not valid, does not reach the handler."""
    with pytest.raises(InvalidCommandInputError, match=message):
        await catch.run_json(body, (store,))


async def test_input_that_is_a_list(store: Store) -> None:
    """What was parsed from JSON is no object always."""

    @pydantic_command("COUNT", required_event_stores=(blank,))
    async def count(input: tuple[date, ...], event_stores: Stores) -> int:  # noqa: ARG001
        return len(input)

    assert 2 == await count.run_json(["2022-01-01", "2022-01-02"], (store,))


async def test_input_is_validated_once(store: Store) -> None:
    """After a conflict, the handler gets the same valid input again."""
    inputs: list[dict[str, int]] = []

    @pydantic_command("RETRY", required_event_stores=(blank,), event_already_exists_retries=2)
    async def retry(input: dict[str, int], event_stores: Stores) -> None:
        inputs.append(input)
        await event_stores[0].push_event(Caught(aggregate_id="a", version=1, payload=NOW))

    await retry({"a": 1}, (store,))
    with pytest.raises(EventAlreadyExistsError):
        await retry({"a": 2}, (store,))

    assert 1 + 3 == len(inputs)
    assert inputs[1] is inputs[2] is inputs[3]


async def test_errors_of_a_handler_are_its_own(store: Store) -> None:
    """A ValueError of the handler is no invalid input."""

    @pydantic_command("FAIL", required_event_stores=(blank,))
    async def fail(input: int, event_stores: Stores) -> None:  # noqa: ARG001
        Result(version=0)

    with pytest.raises(ValidationError):
        await fail(1, (store,))
    with pytest.raises(ValidationError):
        await fail.run_json("1", (store,))


# Output


async def test_output_is_validated(store: Store) -> None:
    """The caller gets the valid output."""
    assert Result(version=7) == await catch(CATCH, (store,), output={"version": "7"})


async def test_invalid_output_says_that_events_are_written(store: Store) -> None:
    """The error lists the violations; nothing is taken back and nothing runs again."""
    with pytest.raises(
        InvalidCommandOutputError, match="what the command pushed is written"
    ) as error:
        await catch(CATCH, (store,), output={"version": 0})

    assert "CATCH" == error.value.command_id
    assert ["output.version"] == [each.path for each in error.value.violations]
    assert 1 == len(await store.get_events("pikachu1"))


async def test_unknown_output_type_is_told_before_the_handler_runs(store: Store) -> None:
    """A mistake in the annotation must not come up after the push."""

    class Unknown:
        pass

    async def handle(input: int, event_stores: Stores) -> Unknown:
        (store,) = event_stores
        await store.push_event(Caught(aggregate_id=str(input), version=1, payload=NOW))
        return Unknown()

    mistaken = PydanticCommand("MISTAKEN", required_event_stores=(blank,), handler=handle)

    with pytest.raises(PydanticSchemaGenerationError):
        await mistaken(1, (store,))
    with pytest.raises(PydanticSchemaGenerationError):
        await mistaken.run_json("1", (store,))
    assert [] == await store.get_events("1")


async def test_output_without_annotation_is_not_validated(store: Store) -> None:
    """Without an annotation, the output is anything."""

    async def handle(input: int, event_stores: Stores):  # noqa: ANN202, ARG001
        return input, store

    anything: Any = PydanticCommand("ANY", required_event_stores=(blank,), handler=handle)

    assert (1, store) == await anything(1, (store,))
    assert {} == anything.output_schema


@pytest.mark.parametrize("kind", [InvalidCommandInputError, InvalidCommandOutputError])
def test_errors_pickle(kind: type[InvalidCommandInputError]) -> None:
    """Errors survive the way to another process."""
    error = kind("CATCH", [Violation("input.at", "Field required", "missing")])
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 it is our own

    assert (str(error), error.violations) == (str(copied), copied.violations)


# Where the types are from


async def test_given_types_go_before_annotations(store: Store) -> None:
    """A type can be given, where the annotation says less, or nothing."""

    async def handle(input: Any, event_stores: Stores) -> Any:  # noqa: ARG001
        return input

    echo = PydanticCommand(
        "ECHO",
        required_event_stores=(blank,),
        handler=handle,
        input_type=int | None,
        output_type=str,
    )

    with pytest.raises(InvalidCommandInputError):
        await echo("x", (store,))
    with pytest.raises(InvalidCommandOutputError):
        await echo(1, (store,))


async def test_handlers_of_many_kinds(store: Store) -> None:
    """A method, an object, a partial and a wrapped function are read like a function."""

    class Handler:
        async def method(self, input: int, event_stores: Stores) -> int:  # noqa: ARG002
            return input

        def __call__(self, input: "int", event_stores: Stores) -> "Awaitable[int]":
            return self.method(input, event_stores)

    async def with_prefix(prefix: str, input: int, event_stores: Stores) -> int:  # noqa: ARG001
        return input

    @wraps(with_prefix)
    async def wrapper(*args: Any) -> Any:
        return await with_prefix(*args)

    handlers: list[Any] = [
        Handler().method,
        Handler(),
        partial(with_prefix, "a"),
        partial(wrapper, "a"),
    ]
    for handler in handlers:
        each: Any = PydanticCommand("KIND", required_event_stores=(blank,), handler=handler)
        assert 1 == await each("1", (store,))
        assert {"type": "integer"} == each.output_schema


def test_input_without_a_type_is_refused() -> None:
    """A command that could validate nothing is a mistake."""

    async def handle(input: int, event_stores: Stores) -> None: ...

    handle.__annotations__.clear()
    with pytest.raises(TypeError, match="command 'LOST': annotate the input, or give its input_ty"):
        PydanticCommand("LOST", required_event_stores=(blank,), handler=handle)


# A command like any other


def test_command_is_a_command() -> None:
    """It is a Command, with the name and the docstring of one."""
    assert isinstance(catch, Command)
    assert "PydanticCommand('CATCH')" == repr(catch)
    assert "Catch a pokemon." == catch.__doc__
    assert (blank,) == catch.required_event_stores


async def test_options_are_those_of_a_command(store: Store) -> None:
    """Retries and the callback are handed on."""
    attempts: list[ConflictAttempt] = []

    @pydantic_command(
        "RETRY",
        required_event_stores=(blank,),
        event_already_exists_retries=1,
        on_event_already_exists=lambda _, attempt: attempts.append(attempt),
    )
    async def conflict(input: int, event_stores: Stores) -> None:
        raise EventAlreadyExistsError(event_stores[0].event_store_id, "a", input)

    with pytest.raises(EventAlreadyExistsError):
        await conflict(1, (store,))
    assert [(1, 1), (2, 0)] == attempts


def test_schemas() -> None:
    """The schemas of input and output can be asked for."""
    assert {
        "title": "Catch",
        "description": "The input: strict, and with an alias.",
        "type": "object",
        "properties": {
            "pokemonId": {"title": "Pokemonid", "type": "string"},
            "at": {"title": "At", "type": "string", "format": "date-time"},
        },
        "required": ["pokemonId", "at"],
    } == catch.input_schema
    assert {
        "title": "Result",
        "description": "The output.",
        "type": "object",
        "properties": {
            "version": {"title": "Version", "type": "integer", "minimum": 1},
            "is_first": {
                "title": "Is First",
                "description": "Whether it is the first version.",
                "type": "boolean",
                "readOnly": True,
            },
        },
        "required": ["version", "is_first"],
    } == catch.output_schema
