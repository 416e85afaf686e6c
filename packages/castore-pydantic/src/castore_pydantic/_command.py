"""Commands whose input and output are validated by pydantic."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, Unpack

from pydantic import ValidationError

from castore_core import (
    ABSENT,
    Absent,
    Command,
    CommandOptions,
    EventStore,
    InvalidCommandInputError,
    InvalidCommandOutputError,
    JSONSchema,
    JSONValue,
    NotJSONError,
    Violation,
    check_json,
)
from castore_pydantic._codec import ValueCodec
from castore_pydantic._handler import HandlerTypes
from castore_pydantic._violations import describe, explain_change, find_violations

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741 the input
O = TypeVar("O")  # noqa: E741 the output
S = TypeVar("S", bound=tuple[EventStore, ...])


class PydanticCommand(Command[I, S, P, O], Generic[I, S, P, O]):
    """A command whose input and output are validated.

    Their types are the annotations of the handler's first parameter and of what it returns, or
    those that are given. The input is validated once, before the handler runs; the output after
    its last run, where it is annotated. The handler gets the valid input, the caller the valid
    output. The context is not validated. The other options are those of `Command`.

    Args:
        input_type: the type of the input, where the handler's annotation does not say it.
        output_type: the type of the output, likewise.

    Raises:
        TypeError: nothing says what the type of the input is.
    """

    def __init__(
        self,
        command_id: str,
        *,
        required_event_stores: S,
        handler: Callable[Concatenate[I, S, P], Awaitable[O]],
        input_type: Any = None,
        output_type: Any = None,
        **options: Unpack[CommandOptions],
    ) -> None:
        super().__init__(
            command_id, required_event_stores=required_event_stores, handler=handler, **options
        )
        found = HandlerTypes(handler)
        if input_type is None and not found.has_input:
            raise TypeError(f"command {command_id!r}: annotate the input, or give its input_type")
        self._input: ValueCodec[I] = ValueCodec(
            found.find_input if input_type is None else lambda: input_type
        )
        self._output: ValueCodec[O] = ValueCodec(
            found.find_output if output_type is None else lambda: output_type
        )

    @property
    def input_schema(self) -> JSONSchema:
        """The JSON schema of the input, as `run_json` takes it."""
        return self._input.get_input_schema()

    @property
    def output_schema(self) -> JSONSchema:
        """The JSON schema of the output, as pydantic writes it."""
        return self._output.get_output_schema()

    def check_input(self, input: I) -> I:
        """Return the valid input, which the handler gets.

        Raises:
            InvalidCommandInputError: the input is not valid.
        """
        try:
            return self._input.validate(input)
        except ValidationError as error:
            raise self._refuse_input(error) from error

    def check_output(self, output: O) -> O:
        """Return the valid output, which the caller gets.

        Raises:
            InvalidCommandOutputError: the output is not valid. The pushed events are written,
                but with an idempotency key nothing is.
        """
        try:
            return self._output.validate(output)
        except ValidationError as error:
            violations = find_violations(error, "output")
            raise InvalidCommandOutputError(self.command_id, violations) from error

    def encode_input(self, input: I) -> JSONValue | Absent:
        """Return the JSON value by which inputs are compared, for idempotency keys.

        It has the fields that the sender gave, without defaults of the model: these may be another
        id each time, or may have been added to the model since. An input with a set is `ABSENT`.
        """
        try:
            return self._input.encode_given(input)
        except ValueError:  # also the serializer's
            return ABSENT

    def encode_output(self, output: O) -> JSONValue:
        """Return an output as it is recorded for an idempotency key, by its type.

        An output whose type nothing declares is read back as JSON values.

        Raises:
            InvalidCommandOutputError: there is no JSON for the output, or it would be read as
                something else. Nothing was written.
        """
        try:
            encoded = self._output.encode(output)
            change = self._output.find_change(output, encoded)
            check_json(encoded, "output")
        except NotJSONError as error:
            violations = [Violation(error.path, error.reason, "not_json")]
            raise InvalidCommandOutputError(self.command_id, violations) from error
        except ValueError as error:  # also the serializer's
            violations = find_violations(error, "output")
            raise InvalidCommandOutputError(self.command_id, violations) from error
        if change:
            violation = explain_change("output", encoded, change)
            raise InvalidCommandOutputError(self.command_id, [violation])
        return encoded

    def decode_output(self, encoded: JSONValue) -> O:
        """Return a recorded output as the handler returned it.

        Raises:
            ValueError: it is not valid. The text has the path to each violation.
        """
        try:
            return self._output.decode(encoded)
        except ValidationError as error:
            raise ValueError(describe(error, "output")) from error

    async def run_json(
        self,
        body: str | bytes | Mapping[str, Any] | Sequence[Any],
        event_stores: S,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> O:
        """Run the command with an input that came as JSON: a text, or what was parsed from it.

        The input is read as pydantic reads JSON: under its aliases, and a strict model takes a
        moment that is a text.

        Raises:
            InvalidCommandInputError: the body is no JSON, or not valid. The handler did not run.
            InvalidCommandOutputError, EventAlreadyExistsError: as a call does.
        """
        try:
            if isinstance(body, str | bytes):
                valid = self._input.decode_text(body)
            else:
                valid = self._input.decode(dict(body) if isinstance(body, Mapping) else body)
        except ValueError as error:
            raise self._refuse_input(error) from error
        return await self._run(valid, event_stores, *args, **kwargs)

    async def _run(self, input: I, event_stores: S, *args: P.args, **kwargs: P.kwargs) -> O:
        self._output.prepare()  # a type that pydantic cannot handle is no news for after the push
        return await super()._run(input, event_stores, *args, **kwargs)

    def _refuse_input(self, error: ValueError) -> InvalidCommandInputError:
        return InvalidCommandInputError(self.command_id, find_violations(error, "input"))


class _CommandDecorator(Protocol[S]):
    def __call__(
        self, handler: Callable[Concatenate[I, S, P], Awaitable[O]], /
    ) -> PydanticCommand[I, S, P, O]: ...


def pydantic_command(
    command_id: str,
    *,
    required_event_stores: S,
    input_type: Any = None,
    output_type: Any = None,
    **options: Unpack[CommandOptions],
) -> _CommandDecorator[S]:
    """Make a `PydanticCommand` of the decorated handler. The options are those of the class."""

    def decorate(
        handler: Callable[Concatenate[I, S, P], Awaitable[O]],
    ) -> PydanticCommand[I, S, P, O]:
        return PydanticCommand(
            command_id,
            required_event_stores=required_event_stores,
            handler=handler,
            input_type=input_type,
            output_type=output_type,
            **options,
        )

    return decorate
