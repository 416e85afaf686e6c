"""Commands: functions that read aggregates and push events, and run again after a conflict."""

from collections.abc import Awaitable, Callable
from copy import copy
from typing import (
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
)

from castore_core._awaiting import check_awaitable
from castore_core._conflicts import (
    DEFAULT_PAUSE,
    DEFAULT_RETRIES,
    ConflictCallback,
    ConflictRetries,
)
from castore_core._idempotency import CommandKey, KeyedRun, check_key, find_adapter
from castore_core._json import ABSENT, Absent, JSONValue, check_json
from castore_core._operations import describe_command
from castore_core._store import EventStore
from castore_core._telemetry import observed
from castore_core._unit_of_work import UnitOfWork
from castore_core.errors import NotJSONError

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741 the input
O = TypeVar("O")  # noqa: E741 the output
S = TypeVar("S", bound=tuple[EventStore, ...])


class CommandOptions(TypedDict, total=False):
    """The options that all kinds of command have: see `Command`."""

    event_already_exists_retries: int
    event_already_exists_pause: float
    on_event_already_exists: ConflictCallback | None


class Command(Generic[I, S, P, O]):
    """A function of an input, some event stores and a context.

    Args:
        command_id: the name of the command.
        required_event_stores: stores of the kinds that the handler takes, in that order.
        handler: ``async def handler(input, event_stores, *context, **context)``.
        event_already_exists_retries: how many times the whole handler runs again, 0 or more,
            after an `EventAlreadyExistsError`. The default lets dozens of writers of one aggregate
            all succeed; Castore's is 2.
        event_already_exists_pause: how many seconds, at most, the first retry waits. The bound
            doubles with each retry, up to a second; each pause is drawn at random below it, so
            that writers which met once do not meet again. 0 runs again at once, as Castore does.
        on_event_already_exists: called (and awaited, if need be) with each such error, before the
            handler runs again or the error is raised. It is the place to log.

    Raises:
        TypeError: ``required_event_stores`` is no tuple of event stores.
        ValueError: the number of retries, or the pause, is not 0 or more.
    """

    def __init__(
        self,
        command_id: str,
        *,
        required_event_stores: S,
        handler: Callable[Concatenate[I, S, P], Awaitable[O]],
        event_already_exists_retries: int = DEFAULT_RETRIES,
        event_already_exists_pause: float = DEFAULT_PAUSE,
        on_event_already_exists: ConflictCallback | None = None,
    ) -> None:
        _check_stores(command_id, required_event_stores)
        self.command_id = command_id
        self.required_event_stores = required_event_stores
        self._retries = ConflictRetries(
            event_already_exists_retries, event_already_exists_pause, on_event_already_exists
        )
        self._handle = handler
        self._key: CommandKey | None = None
        self.__doc__ = handler.__doc__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.command_id!r})"

    @property
    def handler_function(self) -> Callable[..., Awaitable[O]]:
        """The function that the command was made of; its annotations tell of the input."""
        return self._handle

    @property
    def event_already_exists_retries(self) -> int:
        """How many times the handler runs again after a conflict."""
        return self._retries.retries

    @property
    def on_event_already_exists(self) -> ConflictCallback | None:
        """Called with each conflict."""
        return self._retries.callback

    def with_idempotency_key(self, key: str) -> Self:
        """Return the same command, bound to a key: of all its calls, one has an effect.

        The pushes of the handler, through the stores that it is given, are collected. When it
        returns, they are written in one group, all or none, together with an event of the store
        `COMMANDS_STORE_ID` that records the key and the output. That event is in the storage of
        the first store. Any later call with the key, in any process, returns an equal output and
        pushes nothing. If the storage's answer is lost, the command looks for its record, and runs
        again if there is none. If the handler raises, nothing is written or recorded.

        Raises:
            ValueError: ``key`` is no text of 1 to 1,000 characters.
        """
        bound = copy(self)
        bound._key = CommandKey((self.command_id,), check_key(key))
        return bound

    @observed(describe_command)
    async def __call__(self, input: I, event_stores: S, *args: P.args, **kwargs: P.kwargs) -> O:
        """Run the command, again after a conflict.

        Raises:
            EventAlreadyExistsError: the last attempt ended with a conflict too.
            InvalidCommandInputError: a subclass refused the input. The handler did not run.
            InvalidCommandOutputError: a subclass refused the output of the handler.
            IdempotencyKeyReusedError: the command has run with its key and another input.
            NotJSONError: the command has a key, and its output is not made of JSON values. Nothing
                was written.
            EventDecodeError: the output of the first run does not fit the command any more.
        """
        return await self._run(self.check_input(input), event_stores, *args, **kwargs)

    async def handler(self, input: I, event_stores: S, *args: P.args, **kwargs: P.kwargs) -> O:
        """Run the command: Castore's name for calling it."""
        return await self(input, event_stores, *args, **kwargs)

    def check_input(self, input: I) -> I:
        """Return the input that the handler gets. Subclasses that validate override this.

        It is called once, before the handler runs.

        Raises:
            InvalidCommandInputError: the input is not valid.
        """
        return input

    def check_output(self, output: O) -> O:
        """Return the output that the caller gets. Subclasses that validate override this.

        It is called once, after the last run of the handler. With an idempotency key, it is called
        after each run, before anything is written.

        Raises:
            InvalidCommandOutputError: the output is not valid. The pushed events are written,
                but with an idempotency key nothing is.
        """
        return output

    def encode_input(self, input: I) -> JSONValue | Absent:
        """Return the JSON value by which inputs are compared, for idempotency keys.

        Its SHA-256 digest is recorded. An input that is not made of JSON values is `ABSENT`: it is
        not compared, unless a subclass overrides this.
        """
        try:
            check_json(input, "input")
        except NotJSONError:
            return ABSENT
        return cast("JSONValue", input)

    def encode_output(self, output: O) -> JSONValue:
        """Return an output as it is recorded for an idempotency key.

        Subclasses that know how to encode other values override this, and `decode_output`.

        Raises:
            NotJSONError: the output is not made of JSON values.
            InvalidCommandOutputError: a subclass would decode it as another output.
        """
        check_json(output, "output")
        return cast("JSONValue", output)

    def decode_output(self, encoded: JSONValue) -> O:
        """Return a recorded output as the handler returned it.

        Any error of this becomes an `EventDecodeError`.
        """
        return cast("O", encoded)

    async def _run(self, input: I, event_stores: S, *args: P.args, **kwargs: P.kwargs) -> O:
        if self._key is not None:
            return await self._run_with_key(self._key, input, event_stores, *args, **kwargs)

        async def attempt() -> O:
            answer = self._handle(input, event_stores, *args, **kwargs)
            return await check_awaitable(answer, f"the handler of {self!r}")

        return self.check_output(await self._retries.run(attempt))

    async def _run_with_key(
        self, key: CommandKey, input: I, event_stores: S, *args: P.args, **kwargs: P.kwargs
    ) -> O:
        adapter = find_adapter(repr(self), event_stores)
        run = KeyedRun(key, adapter, self.encode_input(input), self._retries)

        async def attempt() -> O:
            with UnitOfWork(looks_first=run.looks_first) as unit:
                answer = self._handle(input, unit.copy_stores(event_stores), *args, **kwargs)
                handled: O = await check_awaitable(answer, f"the handler of {self!r}")
                output = self.check_output(handled)
                await run.push(self.encode_output(output), unit.write)
            return output

        async def restore(encoded: JSONValue) -> O:
            try:
                return self.decode_output(encoded)
            except Exception as error:
                raise run.refuse_output() from error

        return await run.run(attempt, restore)


class _CommandDecorator(Protocol[S]):
    def __call__(
        self, handler: Callable[Concatenate[I, S, P], Awaitable[O]], /
    ) -> Command[I, S, P, O]: ...


def command(
    command_id: str,
    *,
    required_event_stores: S,
    **options: Unpack[CommandOptions],
) -> _CommandDecorator[S]:
    """Make a `Command` of the decorated handler. The options are those of the class."""

    def decorate(handler: Callable[Concatenate[I, S, P], Awaitable[O]]) -> Command[I, S, P, O]:
        return Command(
            command_id, required_event_stores=required_event_stores, handler=handler, **options
        )

    return decorate


def _check_stores(command_id: str, event_stores: object) -> None:
    if not isinstance(event_stores, tuple):
        raise TypeError(
            f"required_event_stores of command {command_id!r} is a tuple, such as (pokemons,), "
            f"and not {type(event_stores).__qualname__}"
        )
    for each in cast("tuple[object, ...]", event_stores):
        if not isinstance(each, EventStore):
            raise TypeError(
                f"required_event_stores of command {command_id!r} has {type(each).__qualname__}, "
                "which is no EventStore"
            )
