"""Commands that are offered, and the context that their handlers are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from castore_core import AggregateCommand, Command, GroupCommand


@dataclass(frozen=True)
class CommandContext:
    """A command, and the context that its handler is given: see `with_context`."""

    command: Command[Any, Any, Any, Any]
    values: Mapping[str, Any]


AnyCommand: TypeAlias = (
    Command[Any, Any, Any, Any]
    | AggregateCommand[Any, Any, Any]
    | GroupCommand[..., Any, *tuple[Any, ...]]
    | CommandContext
)
"""A command of any kind."""


def with_context(command: Command[Any, Any, Any, Any], **values: Any) -> CommandContext:
    """Give a command the keyword arguments that its handler takes beside the input.

    ::

        create_app(stores, commands=[with_context(wild_pokemon_appear, generate_id=new_id)])

    A rehearsal gives them to the handler, too: they should have no effect.
    """
    return CommandContext(command, values)


def get_command_name(command: AnyCommand) -> str:
    """Return the name of a command, which tells it from others."""
    match command:
        case CommandContext():
            return command.command.command_id
        case AggregateCommand():
            return f"{command.event_store.event_store_id}.{command.name}"
        case _:
            return command.command_id
