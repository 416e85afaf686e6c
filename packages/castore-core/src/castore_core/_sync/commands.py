"""Commands for synchronous programs.

scripts/generate_sync.py writes this file.
"""

from typing import Generic

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
        """That of the command."""
        return self._target.command_id

    @property
    def required_event_stores(self) -> S:
        """That of the command."""
        return self._target.required_event_stores

    @property
    def event_already_exists_retries(self) -> int:
        """How many times the handler runs again after a conflict."""
        return self._target.event_already_exists_retries

    @property
    def on_event_already_exists(self) -> ConflictCallback | None:
        """Called with each conflict."""
        return self._target.on_event_already_exists

    def __call__(self, input: I, event_stores: S, *args: P.args, **kwargs: P.kwargs) -> O:
        """Run the command, again after a conflict.

        Raises:
            EventAlreadyExistsError: the last attempt ended with a conflict too.
            InvalidCommandInputError: a subclass refused the input. The handler did not run.
            InvalidCommandOutputError: a subclass refused what the handler returned.
        """
        return self._run(self._target(input, event_stores, *args, **kwargs))

    def handler(self, input: I, event_stores: S, *args: P.args, **kwargs: P.kwargs) -> O:
        """Run the command: Castore's name for calling it."""
        return self._run(self._target.handler(input, event_stores, *args, **kwargs))
