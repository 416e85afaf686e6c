"""Commands for synchronous programs.

scripts/generate_sync.py writes this file.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, Self

from castore_core._command import Command, I, O, P, S
from castore_core._conflicts import ConflictCallback
from castore_core._sync.event_loop import EventLoopThread
from castore_core._sync.facade import Facade


class SyncCommand(Facade[Command[I, S, P, O]], Generic[I, S, P, O]):
    """A command for synchronous programs: call it as the `Command`.

    The handler stays asynchronous, and so do the event stores that it is given::

        SyncCommand(catch_pokemon)("pikachu1", (pokemon_store,))
    """

    def __init__(
        self,
        command: Command[I, S, P, O],
        *,
        event_loop: EventLoopThread | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(command, event_loop=event_loop, timeout=timeout)

    @property
    def command(self) -> Command[I, S, P, O]:
        """The asynchronous command."""
        return self._target

    @property
    def command_id(self) -> str:
        """The ``command_id`` of the command."""
        return self._target.command_id

    @property
    def required_event_stores(self) -> S:
        """The ``required_event_stores`` of the command."""
        return self._target.required_event_stores

    @property
    def handler_function(self) -> Callable[..., Awaitable[O]]:
        """The function that the command was made of; its annotations tell of the input."""
        return self._target.handler_function

    @property
    def event_already_exists_retries(self) -> int:
        """How many times the handler runs again after a conflict."""
        return self._target.event_already_exists_retries

    @property
    def on_event_already_exists(self) -> ConflictCallback | None:
        """Called with each conflict."""
        return self._target.on_event_already_exists

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
        return self._wrap(self._target.with_idempotency_key(key))

    def __call__(self, input: I, event_stores: S, *args: P.args, **kwargs: P.kwargs) -> O:
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
        return self._run(self._target(input, event_stores, *args, **kwargs))

    def handler(self, input: I, event_stores: S, *args: P.args, **kwargs: P.kwargs) -> O:
        """Run the command: Castore's name for calling it."""
        return self._run(self._target.handler(input, event_stores, *args, **kwargs))
