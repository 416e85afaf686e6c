"""Inputs of commands: their JSON schemas, and the arguments that a filled form stands for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from castore_core import AggregateCommand, AggregateSource, Command, GroupCommand
from castore_visualizer._annotation_schemas import (
    Schema,
    describe_parameters,
    describe_type,
    find_hints,
)
from castore_visualizer._annotation_values import decode
from castore_visualizer._commands import AnyCommand, CommandContext

AGGREGATE_ID: Final = "aggregate id"
"""The name of the field that an aggregate command has beside its arguments."""


def describe_input(command: AnyCommand) -> Schema:
    """Return the JSON schema of what a command is given."""
    match command:
        case CommandContext():
            return describe_input(command.command)
        case AggregateCommand():
            schema = describe_parameters(command.handler_function, 1)
            return _add_first(schema, {AGGREGATE_ID: {"type": "string"}})
        case GroupCommand():
            schema = describe_parameters(command.handler_function, len(command.sources))
            ids = map(_describe_ids, command.sources)
            return _add_first(schema, dict(zip(name_ids(command.sources), ids, strict=True)))
        case _:
            own: Any = getattr(command, "input_schema", None)
            if isinstance(own, dict):
                return cast("Schema", own)
            return describe_type(find_input_type(command))


def find_input_type(command: Command[Any, Any, Any, Any]) -> Any:
    """Return the annotation of a command's input, or ``Any`` where there is none."""
    hints = find_hints(command.handler_function)
    names = [each for each in hints if each != "return"]
    return hints[names[0]] if names else Any


def name_ids(sources: Sequence[AggregateSource[Any, Any, Any, Any]]) -> list[str]:
    """Return the names of the fields for the ids that a group command is called with."""
    return [_name_ids(number, each) for number, each in enumerate(sources, 1)]


def split_arguments(
    function: Callable[..., Any], value: Mapping[str, Any], id_names: Sequence[str]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the ids of aggregates, and the decoded arguments of a handler."""
    hints = find_hints(function)
    arguments = {
        name: decode(hints.get(name, Any), each)
        for name, each in value.items()
        if name not in id_names
    }
    return [value[each] for each in id_names], arguments


def _describe_ids(source: AggregateSource[Any, Any, Any, Any]) -> Schema:
    text: Schema = {"type": "string"}
    return {"type": "array", "items": text} if source.takes_several else text


def _name_ids(number: int, source: AggregateSource[Any, Any, Any, Any]) -> str:
    noun = "ids" if source.takes_several else "id"
    return f"{number}. {noun} of {source.event_store.event_store_id}"


def _add_first(schema: Schema, properties: Mapping[str, Schema]) -> Schema:
    return {
        **schema,
        "properties": {**properties, **schema["properties"]},
        "required": [*properties, *schema["required"]],
    }
