"""Commands: functions that read aggregates and push events, and run again after a conflict."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import (
    Any,
    Concatenate,
    Generic,
    NamedTuple,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
)

from castore_core._store import EventStore
from castore_core.errors import EventAlreadyExistsError

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741 the input
O = TypeVar("O")  # noqa: E741 the output
S = TypeVar("S", bound=tuple[EventStore, ...])

DEFAULT_RETRIES = 2


class ConflictAttempt(NamedTuple):
    """Which attempt of a command ended with a conflict, counted from 1, and how many are left."""

    attempt_number: int
    retries_left: int


ConflictCallback: TypeAlias = Callable[
    [EventAlreadyExistsError, ConflictAttempt], Awaitable[None] | None
]


class CommandOptions(TypedDict, total=False):
    """The options that all kinds of command have: see `Command`."""

    event_already_exists_retries: int
    on_event_already_exists: ConflictCallback | None


class Command(Generic[I, S, P, O]):
    """A function of an input, some event stores and a context.

    Args:
        command_id: the name of the command.
        required_event_stores: stores of the kinds that the handler takes, in that order.
        handler: ``async def handler(input, event_stores, *context, **context)``.
        event_already_exists_retries: how many times the whole handler runs again, 0 or more,
            after an `EventAlreadyExistsError`.
        on_event_already_exists: called (and awaited, if need be) with each such error, before the
            handler runs again or the error is raised. It is the place to log, or to wait.
    """

    def __init__(
        self,
        command_id: str,
        *,
        required_event_stores: S,
        handler: Callable[Concatenate[I, S, P], Awaitable[O]],
        event_already_exists_retries: int = DEFAULT_RETRIES,
        on_event_already_exists: ConflictCallback | None = None,
    ) -> None:
        self.command_id = command_id
        self.required_event_stores = required_event_stores
        self.event_already_exists_retries: int = check_retries(event_already_exists_retries)
        self.on_event_already_exists = on_event_already_exists
        self._handle = handler
        self.__doc__ = handler.__doc__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.command_id!r})"

    async def __call__(self, input: I, event_stores: S, *args: P.args, **kwargs: P.kwargs) -> O:
        """Run the command, again after a conflict.

        Raises:
            EventAlreadyExistsError: the last attempt ended with a conflict too.
            InvalidCommandInputError: a subclass refused the input. The handler did not run.
            InvalidCommandOutputError: a subclass refused what the handler returned.
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

        It is called once, after the last run of the handler.

        Raises:
            InvalidCommandOutputError: the output is not valid. What was pushed is written.
        """
        return output

    async def _run(self, input: I, event_stores: S, *args: P.args, **kwargs: P.kwargs) -> O:
        async def attempt() -> O:
            return await self._handle(input, event_stores, *args, **kwargs)

        return self.check_output(
            await retry_on_conflict(
                attempt, self.event_already_exists_retries, self.on_event_already_exists
            )
        )


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


async def retry_on_conflict(
    attempt: Callable[[], Awaitable[O]], retries: int, callback: ConflictCallback | None
) -> O:
    """Await ``attempt()``, again at most ``retries`` times after a retryable conflict."""
    for attempt_number in range(1, retries + 2):
        try:
            return await attempt()
        except EventAlreadyExistsError as error:
            retries_left = retries + 1 - attempt_number
            if not error.retryable:
                raise
            await _call(callback, error, ConflictAttempt(attempt_number, retries_left))
            if retries_left == 0:
                raise
    raise AssertionError("unreachable: the last attempt returned or raised")


def check_retries(retries: Any) -> int:
    """Refuse what is no number of retries."""
    if type(retries) is not int or retries < 0:
        raise ValueError(f"event_already_exists_retries is not 0 or more: {retries!r}")
    return retries


async def _call(
    callback: ConflictCallback | None, error: EventAlreadyExistsError, attempt: ConflictAttempt
) -> None:
    if callback is not None:
        awaitable = callback(error, attempt)
        if isawaitable(awaitable):
            await awaitable
