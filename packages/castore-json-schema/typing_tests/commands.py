"""What type checkers know of validated commands, and what they refuse."""

from typing import Any, TypedDict, assert_type

from definitions import STRING_SCHEMA, AppearedPayload, PokemonAppeared, PokemonStore, pokemons

from castore_core import Command, ConflictAttempt, EventAlreadyExistsError, JSONSchema
from castore_json_schema import JSONSchemaCommand, json_schema_command


class Appear(TypedDict):
    """The input of a command."""

    name: str


async def appear(
    input: Appear, event_stores: tuple[PokemonStore], now: int, *, generate_id: str
) -> str:
    """Handle a command."""
    (store,) = event_stores
    assert_type(store, PokemonStore)
    payload: AppearedPayload = {"name": input["name"], "level": now}
    await store.push_event(PokemonAppeared.draft(payload=payload).to_event(generate_id, 1))
    return generate_id


appear_command = JSONSchemaCommand(
    "APPEAR",
    required_event_stores=(pokemons,),
    handler=appear,
    input_schema={"type": "object", "properties": {"name": {"type": "string"}}},
    output_schema=STRING_SCHEMA,
)


@json_schema_command("APPEAR", required_event_stores=(pokemons,), output_schema=STRING_SCHEMA)
async def appear_decorated(
    input: Appear, event_stores: tuple[PokemonStore], now: int, *, generate_id: str
) -> str:
    """Handle a command."""
    return await appear(input, event_stores, now, generate_id=generate_id)


@json_schema_command("RENAME", required_event_stores=(pokemons,), event_already_exists_retries=0)
async def rename(input: dict[str, int], event_stores: tuple[PokemonStore]) -> None:
    """Handle a command without schemas, a context and an output."""


async def run_commands() -> None:
    """Know the input, the stores, the context and the output."""
    assert_type(appear_command.required_event_stores, tuple[PokemonStore])
    assert_type(appear_command.input_schema, JSONSchema | None)
    assert_type(await appear_command({"name": "Mew"}, (pokemons,), 1, generate_id="m"), str)
    assert_type(await appear_command.handler({"name": "Mew"}, (pokemons,), 1, generate_id="m"), str)
    assert_type(await appear_decorated({"name": "Mew"}, (pokemons,), 1, generate_id="m"), str)
    await rename({"level": 1}, (pokemons,))

    await appear_command({"name": 1}, (pokemons,), 1, generate_id="m")  # type: ignore[typeddict-item]
    await appear_command({"name": "Mew"}, (), 1, generate_id="m")  # type: ignore[arg-type]
    await appear_command({"name": "Mew"}, (pokemons,), "1", generate_id="m")  # type: ignore[arg-type]
    await appear_command({"name": "Mew"}, (pokemons,), 1)  # type: ignore[call-arg]
    await appear_decorated({"name": "Mew"}, (pokemons,), 1)  # type: ignore[call-arg]
    await rename({"level": "1"}, (pokemons,))  # type: ignore[dict-item]


JSONSchemaCommand("APPEAR", required_event_stores=(), handler=appear)  # type: ignore[misc]
JSONSchemaCommand(
    "APPEAR",
    required_event_stores=(pokemons,),
    handler=appear,
    input_schema="string",  # type: ignore[arg-type]
)


def misunderstand_conflict(error: str, attempt: ConflictAttempt) -> None:
    """Take another argument."""


async def log_conflict(error: EventAlreadyExistsError, attempt: ConflictAttempt) -> None:
    """Take both arguments."""


JSONSchemaCommand(
    "APPEAR",
    required_event_stores=(pokemons,),
    handler=appear,
    on_event_already_exists=log_conflict,
)
JSONSchemaCommand(
    "APPEAR",
    required_event_stores=(pokemons,),
    handler=appear,
    on_event_already_exists=misunderstand_conflict,  # type: ignore[arg-type]
)


def take_any_command(command: Command[Any, Any, ..., Any]) -> str:
    """Take whatever comes."""
    return command.command_id


take_any_command(appear_command)
take_any_command(rename)
