"""Group commands for synchronous programs.

scripts/generate_sync.py writes this file.
"""

from collections.abc import Callable
from typing import Any, Generic, Self

from castore_core._conflicts import ConflictCallback
from castore_core._group_command import GroupCommand, O, P, Ss
from castore_core._group_run import AnySource
from castore_core._sync.event_loop import EventLoopThread
from castore_core._sync.facade import Facade


class SyncGroupCommand(Facade[GroupCommand[P, O, *Ss]], Generic[P, O, *Ss]):
    """A group command for synchronous programs: call it as the `GroupCommand`."""

    def __init__(
        self,
        command: GroupCommand[P, O, *Ss],
        *,
        event_loop: EventLoopThread | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(command, event_loop=event_loop, timeout=timeout)

    @property
    def command(self) -> GroupCommand[P, O, *Ss]:
        """The asynchronous command."""
        return self._target

    @property
    def command_id(self) -> str:
        """The ``command_id`` of the command."""
        return self._target.command_id

    @property
    def event_stores(self) -> tuple[*Ss,]:
        """The store of each source."""
        return self._target.event_stores

    @property
    def sources(self) -> tuple[AnySource, ...]:
        """The sources of its aggregates, in the order of the ids that it is called with."""
        return self._target.sources

    @property
    def handler_function(self) -> Callable[..., Any]:
        """The function that decides; its annotations tell of the arguments."""
        return self._target.handler_function

    @property
    def event_already_exists_retries(self) -> int:
        """How many times the handler runs again after a conflict."""
        return self._target.event_already_exists_retries

    @property
    def on_event_already_exists(self) -> ConflictCallback | None:
        """Called with each conflict."""
        return self._target.on_event_already_exists

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> O:
        """Run the command, and return the aggregates after it, as the handler was given them.

        Of one source, they are returned alone; of several, as a tuple.

        Raises:
            AggregateNotFoundError: an aggregate that must exist has no events. The handler did not
                run.
            ValueError: an aggregate was given twice, and nothing was read; or the handler decided
                on one that was not loaded, and nothing was written.
            TypeError: the handler did not return a decision on each source. Nothing was written.
            EventAlreadyExistsError, VersionAssertionError: the last attempt ended with a conflict
                too.
            InvalidEventGroupError: the stores cannot write together, or the group is too large for
                them. Nothing was written.
            IdempotencyKeyReusedError: the command has run with its key and other arguments.
        """
        return self._run(self._target(*args, **kwargs))

    def using(self, *event_stores: *Ss) -> Self:
        """Return the same command, with the same options, on other stores of the same kinds.

        A test gives it stores of its own; a program, those of each tenant.

        Raises:
            TypeError: there is not one store for each source.
        """
        return self._wrap(self._target.using(*event_stores))

    def with_idempotency_key(self, key: str) -> Self:
        """Return the same command, bound to a key: of all its calls, one has an effect.

        The key is recorded with the events, in one group. Any later call with it, in any process,
        pushes nothing, and returns the aggregates as they were after the first call. See
        `Command.with_idempotency_key`.

        Raises:
            ValueError: ``key`` is no text of 1 to 1,000 characters.
        """
        return self._wrap(self._target.with_idempotency_key(key))
