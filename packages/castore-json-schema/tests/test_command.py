"""Commands validate their input before the handler runs, and their output after it."""

from dataclasses import dataclass
from typing import Any, TypedDict

import pytest

from castore_core import (
    Command,
    ConflictAttempt,
    Event,
    EventAlreadyExistsError,
    EventStore,
    InvalidCommandInputError,
    InvalidCommandOutputError,
    NotJSONError,
    Violation,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_json_schema import (
    InvalidSchemaError,
    JSONSchemaCommand,
    SchemaRegistry,
    json_schema_command,
)


class Amount(TypedDict):
    """The input of a command."""

    amount: int


AMOUNT_SCHEMA = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "minimum": 1}},
    "required": ["amount"],
    "additionalProperties": False,
}
TOTAL_SCHEMA = {"type": "object", "properties": {"total": {"type": "integer", "maximum": 10}}}


class Counted(Event, type="COUNTED"):
    """One more."""

    payload: Amount


@dataclass(frozen=True)
class Counter:
    """An aggregate."""

    aggregate_id: str
    version: int
    total: int


def count(counter: Counter | None, event: Counted) -> Counter:
    """Compute the state."""
    total = (counter.total if counter else 0) + event.payload["amount"]
    return Counter(event.aggregate_id, event.version, total)


CounterStore = EventStore[Counted, Counter]


counters = EventStore("COUNTERS", event_types=[Counted], reduce=count)


@pytest.fixture
def store() -> CounterStore:
    """Return an empty store."""
    return EventStore(
        "COUNTERS",
        event_types=[Counted],
        reduce=count,
        storage_adapter=InMemoryEventStorageAdapter(),
    )


class Handler:
    """Raises its errors, one a run, and then returns its input."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = [*errors]
        self.inputs: list[Any] = []

    async def __call__(self, input: Any, _: tuple[EventStore, ...]) -> Any:
        """Raise or return."""
        self.inputs.append(input)
        if self.errors:
            raise self.errors.pop(0)
        return input


def new_command(handler: Handler, **options: Any) -> JSONSchemaCommand[Any, Any, Any, Any]:
    """Return a command."""
    return JSONSchemaCommand("COUNT", required_event_stores=(), handler=handler, **options)


@json_schema_command(
    "COUNT",
    required_event_stores=(counters,),
    input_schema=AMOUNT_SCHEMA,
    output_schema=TOTAL_SCHEMA,
)
async def count_command(
    input: Amount, event_stores: tuple[CounterStore], aggregate_id: str
) -> dict[str, int]:
    """Count."""
    (store,) = event_stores
    loaded = await store.get_aggregate(aggregate_id)
    version = loaded.aggregate.version + 1 if loaded.aggregate else 1
    event = Counted(aggregate_id=aggregate_id, version=version, payload=input)
    await store.push_event(event)
    counter = (await store.get_existing_aggregate(aggregate_id)).aggregate
    return {"total": counter.total}


# Input


async def test_valid_command_runs(store: CounterStore) -> None:
    """Input, context and output pass through."""
    assert {"total": 3} == await count_command({"amount": 3}, (store,), "c")
    assert {"total": 7} == await count_command.handler({"amount": 4}, (store,), "c")


async def test_invalid_input_does_not_reach_the_handler() -> None:
    """The error lists every violation, and the handler did not run."""
    handler = Handler()
    command = new_command(handler, input_schema=AMOUNT_SCHEMA)

    with pytest.raises(InvalidCommandInputError) as error:
        await command({"amount": "3", "extra": 1}, ())

    assert [] == handler.inputs
    assert "COUNT" == error.value.command_id
    assert [
        ("input", "Additional properties are not allowed ('extra' was unexpected)"),
        ("input.amount", 'the value is not of type "integer"'),
    ] == sorted((each.path, each.reason) for each in error.value.violations)


async def test_handler_by_its_castore_name_validates_too() -> None:
    """`handler` is the call by another name."""
    with pytest.raises(InvalidCommandInputError):
        await new_command(Handler(), input_schema=AMOUNT_SCHEMA).handler({}, ())


async def test_input_that_is_not_json() -> None:
    """An input with a schema is JSON."""
    with pytest.raises(NotJSONError, match=r"input\.amount is not JSON: set"):
        await new_command(Handler(), input_schema=AMOUNT_SCHEMA)({"amount": {3}}, ())


async def test_input_is_validated_once() -> None:
    """A handler that runs again gets the input that was found to be valid."""
    seen: list[str] = []

    def is_seen(text: str) -> bool:
        seen.append(text)
        return True

    handler = Handler(*(EventAlreadyExistsError("COUNTERS", "c", 1) for _ in range(2)))
    command = new_command(
        handler,
        input_schema={"format": "seen"},
        schema_registry=SchemaRegistry(formats={"seen": is_seen}),
    )

    assert "one" == await command("one", ())
    assert ["one"] == seen
    assert ["one"] * 3 == handler.inputs


# Output


async def test_invalid_output(store: CounterStore) -> None:
    """An output that does not fit is an error of the program; what was pushed stays."""
    with pytest.raises(InvalidCommandOutputError) as error:
        await count_command({"amount": 11}, (store,), "c")

    expected = Violation("output.total", "the value is greater than the maximum of 10")
    assert ("COUNT", (expected,)) == (error.value.command_id, error.value.violations)
    assert 1 == len(await store.get_events("c"))


async def test_invalid_output_is_no_value_error() -> None:
    """Whoever answers a bad request to a ValueError does not take this for one."""
    with pytest.raises(InvalidCommandOutputError) as error:
        await new_command(Handler(), output_schema=False)("input", ())
    assert not isinstance(error.value, ValueError)


async def test_command_without_schemas_is_a_plain_command() -> None:
    """Either schema may be missing."""
    value = object()
    command = new_command(Handler())

    assert value is await command(value, ())
    assert (None, None) == (command.input_schema, command.output_schema)


# Options


def test_command_has_its_definition() -> None:
    """A command shows what it was made of."""
    assert isinstance(count_command, Command)
    assert "COUNT" == count_command.command_id
    assert "JSONSchemaCommand('COUNT')" == repr(count_command)
    assert "Count." == count_command.__doc__
    assert (AMOUNT_SCHEMA, TOTAL_SCHEMA) == (
        count_command.input_schema,
        count_command.output_schema,
    )


async def test_later_changes_of_a_schema_have_no_effect() -> None:
    """A command keeps the schemas that it was made with."""
    schema: dict[str, Any] = {"type": "integer"}
    command = new_command(Handler(), input_schema=schema)
    schema["type"] = "string"
    told: Any = command.input_schema
    told.clear()

    assert {"type": "integer"} == command.input_schema
    assert 5 == await command(5, ())


@pytest.mark.parametrize("name", ["input", "output"])
def test_broken_schema(name: str) -> None:
    """A broken schema fails when the command is made, and the error names the command."""
    with pytest.raises(InvalidSchemaError) as error:
        new_command(Handler(), **{f"{name}_schema": {"minLength": -1}})

    expected = Violation(f"{name}_schema.minLength", "-1 is less than the minimum of 0")
    assert ("command 'COUNT'", (expected,)) == (error.value.owner, error.value.violations)


async def test_options_of_a_command() -> None:
    """Retries and the callback are those of a command."""
    attempts: list[ConflictAttempt] = []

    def remember(_: EventAlreadyExistsError, attempt: ConflictAttempt) -> None:
        attempts.append(attempt)

    handler = Handler(*(EventAlreadyExistsError("COUNTERS", "c", 1) for _ in range(2)))
    command = new_command(
        handler,
        event_already_exists_retries=1,
        on_event_already_exists=remember,
    )

    with pytest.raises(EventAlreadyExistsError):
        await command("input", ())
    assert [(1, 1), (2, 0)] == attempts


def test_defaults_are_those_of_a_command() -> None:
    """A command that is given schemas behaves as before."""
    plain: Command[Any, Any, Any, Any] = Command(
        "COUNT", required_event_stores=(), handler=Handler()
    )
    validated = new_command(Handler())

    assert plain.event_already_exists_retries == validated.event_already_exists_retries
    assert plain.event_already_exists_retries == count_command.event_already_exists_retries
