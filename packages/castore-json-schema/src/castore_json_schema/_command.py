"""Commands whose input and output fit a JSON schema."""

from collections.abc import Awaitable, Callable
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeVar, Unpack

from castore_core import (
    Command,
    CommandOptions,
    EventStore,
    InvalidCommandInputError,
    InvalidCommandOutputError,
    JSONSchema,
)
from castore_json_schema._registry import SchemaRegistry
from castore_json_schema._validator import SchemaValidator

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741 the input
O = TypeVar("O")  # noqa: E741 the output
S = TypeVar("S", bound=tuple[EventStore, ...])


class JSONSchemaCommand(Command[I, S, P, O], Generic[I, S, P, O]):
    """A command whose input, output, or both are validated.

    The input is validated once, before the handler runs; the output after its last run. The
    context is not validated. The other options are those of `Command`.

    Args:
        input_schema: the JSON schema of the input, of draft 2020-12.
        output_schema: the one of what the handler returns.
        schema_registry: definitions that the schemas refer to, and formats of your own.

    Raises:
        InvalidSchemaError: a schema is broken.
    """

    def __init__(
        self,
        command_id: str,
        *,
        required_event_stores: S,
        handler: Callable[Concatenate[I, S, P], Awaitable[O]],
        input_schema: JSONSchema | None = None,
        output_schema: JSONSchema | None = None,
        schema_registry: SchemaRegistry | None = None,
        **options: Unpack[CommandOptions],
    ) -> None:
        super().__init__(
            command_id, required_event_stores=required_event_stores, handler=handler, **options
        )
        owner = f"command {command_id!r}"
        self._input, self._output = (
            None if schema is None else SchemaValidator(owner, name, schema, schema_registry)
            for name, schema in (("input", input_schema), ("output", output_schema))
        )

    @property
    def input_schema(self) -> JSONSchema | None:
        """A copy of the schema of the input."""
        return self._input.get_schema() if self._input else None

    @property
    def output_schema(self) -> JSONSchema | None:
        """A copy of the schema of the output."""
        return self._output.get_schema() if self._output else None

    def check_input(self, input: I) -> I:
        """Return the input, if it fits its schema.

        Raises:
            InvalidCommandInputError: it does not.
            NotJSONError: it is not made of JSON values.
        """
        if self._input and (violations := self._input.find_violations(input)):
            raise InvalidCommandInputError(self.command_id, violations)
        return input

    def check_output(self, output: O) -> O:
        """Return the output, if it fits its schema.

        Raises:
            InvalidCommandOutputError: it does not. The pushed events are written, but with
                an idempotency key nothing is.
            NotJSONError: it is not made of JSON values. The same holds.
        """
        if self._output and (violations := self._output.find_violations(output)):
            raise InvalidCommandOutputError(self.command_id, violations)
        return output


class _CommandDecorator(Protocol[S]):
    def __call__(
        self, handler: Callable[Concatenate[I, S, P], Awaitable[O]], /
    ) -> JSONSchemaCommand[I, S, P, O]: ...


def json_schema_command(
    command_id: str,
    *,
    required_event_stores: S,
    input_schema: JSONSchema | None = None,
    output_schema: JSONSchema | None = None,
    schema_registry: SchemaRegistry | None = None,
    **options: Unpack[CommandOptions],
) -> _CommandDecorator[S]:
    """Make a `JSONSchemaCommand` of the decorated handler. The options are those of the class."""

    def decorate(
        handler: Callable[Concatenate[I, S, P], Awaitable[O]],
    ) -> JSONSchemaCommand[I, S, P, O]:
        return JSONSchemaCommand(
            command_id,
            required_event_stores=required_event_stores,
            handler=handler,
            input_schema=input_schema,
            output_schema=output_schema,
            schema_registry=schema_registry,
            **options,
        )

    return decorate
