"""Aggregate commands for synchronous programs.

scripts/generate_sync.py writes this file.
"""

from collections.abc import Callable
from typing import Any, Concatenate, Generic, Self

from castore_core._aggregate import A
from castore_core._aggregate_commands import (
    AggregateCommand,
    AggregateCommands,
    ExistingAggregateCommand,
    P,
)
from castore_core._conflicts import ConflictCallback
from castore_core._drafts import Decision
from castore_core._event import E
from castore_core._store import EventStore
from castore_core._sync.event_loop import EventLoopThread
from castore_core._sync.facade import Facade


class SyncAggregateCommand(Facade[AggregateCommand[P, A, E]], Generic[P, A, E]):
    """An aggregate command for synchronous programs: call it as `AggregateCommand`."""

    def __init__(
        self,
        command: AggregateCommand[P, A, E],
        *,
        event_loop: EventLoopThread | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(command, event_loop=event_loop, timeout=timeout)

    @property
    def command(self) -> AggregateCommand[P, A, E]:
        """The asynchronous command."""
        return self._target

    @property
    def name(self) -> str:
        """The ``name`` of the command."""
        return self._target.name

    @property
    def handler_function(self) -> Callable[Concatenate[Any, P], Decision[E]]:
        """The function that decides; its annotations tell of the arguments."""
        return self._target.handler_function

    def __call__(self, aggregate_id: str, /, *args: P.args, **kwargs: P.kwargs) -> A | None:
        """Run the command, and return the aggregate after it.

        Raises:
            EventAlreadyExistsError: the last attempt ended with a conflict too.
            IdempotencyKeyReusedError: the command has run with its key and other arguments.
        """
        return self._run(self._target(aggregate_id, *args, **kwargs))

    def using(self, event_store: EventStore[E, A]) -> Self:
        """Return the same command, with the same options, for another store of the same kind.

        A test gives it a store of its own; a program, one for each tenant.

        Raises:
            TypeError: it is no event store, such as a storage adapter or a façade.
        """
        return self._wrap(self._target.using(event_store))

    def with_idempotency_key(self, key: str) -> Self:
        """Return the same command, bound to a key: of all its calls, one has an effect.

        The key is recorded with the events, in one group. Any later call with it, in any process,
        pushes nothing, and returns the aggregate as it was after the first call. See
        `Command.with_idempotency_key`.

        Raises:
            ValueError: ``key`` is no text of 1 to 1,000 characters.
        """
        return self._wrap(self._target.with_idempotency_key(key))


class SyncExistingAggregateCommand(Facade[ExistingAggregateCommand[P, A, E]], Generic[P, A, E]):
    """A command of an aggregate that exists, for synchronous programs."""

    def __init__(
        self,
        command: ExistingAggregateCommand[P, A, E],
        *,
        event_loop: EventLoopThread | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(command, event_loop=event_loop, timeout=timeout)

    @property
    def command(self) -> ExistingAggregateCommand[P, A, E]:
        """The asynchronous command."""
        return self._target

    @property
    def name(self) -> str:
        """The ``name`` of the command."""
        return self._target.name

    def __call__(self, aggregate_id: str, /, *args: P.args, **kwargs: P.kwargs) -> A:
        """Run the command, and return the aggregate after it.

        Raises:
            AggregateNotFoundError: the aggregate has no events. The handler did not run.
            EventAlreadyExistsError: the last attempt ended with a conflict too.
            IdempotencyKeyReusedError: the command has run with its key and other arguments.
        """
        return self._run(self._target(aggregate_id, *args, **kwargs))

    @property
    def handler_function(self) -> Callable[Concatenate[Any, P], Decision[E]]:
        """The function that decides; its annotations tell of the arguments."""
        return self._target.handler_function

    def using(self, event_store: EventStore[E, A]) -> Self:
        """Return the same command, with the same options, for another store of the same kind.

        A test gives it a store of its own; a program, one for each tenant.

        Raises:
            TypeError: it is no event store, such as a storage adapter or a façade.
        """
        return self._wrap(self._target.using(event_store))

    def with_idempotency_key(self, key: str) -> Self:
        """Return the same command, bound to a key: of all its calls, one has an effect.

        The key is recorded with the events, in one group. Any later call with it, in any process,
        pushes nothing, and returns the aggregate as it was after the first call. See
        `Command.with_idempotency_key`.

        Raises:
            ValueError: ``key`` is no text of 1 to 1,000 characters.
        """
        return self._wrap(self._target.with_idempotency_key(key))


class SyncAggregateCommands(Facade[AggregateCommands[E, A]], Generic[E, A]):
    """The commands of one event store, for synchronous programs, by their names.

    Handlers are declared with the `AggregateCommands`.
    """

    def __init__(
        self,
        commands: AggregateCommands[E, A],
        *,
        event_loop: EventLoopThread | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(commands, event_loop=event_loop, timeout=timeout)

    @property
    def commands(self) -> AggregateCommands[E, A]:
        """The asynchronous commands."""
        return self._target

    @property
    def event_store(self) -> EventStore[E, A]:
        """The ``event_store`` of the commands."""
        return self._target.event_store

    @property
    def event_already_exists_retries(self) -> int:
        """How many times a handler runs again after a conflict."""
        return self._target.event_already_exists_retries

    @property
    def on_event_already_exists(self) -> ConflictCallback | None:
        """Called with each conflict."""
        return self._target.on_event_already_exists

    @property
    def names(self) -> list[str]:
        """The names of the commands, in the order of their declaration."""
        return self._target.names

    def run(self, name: str, aggregate_id: str, /, *args: Any, **kwargs: Any) -> A | None:
        """Run the command of that name, and return the aggregate after it.

        Raises:
            LookupError: there is no such command.
            AggregateNotFoundError: the command needs an aggregate that exists.
            EventAlreadyExistsError: the last attempt ended with a conflict too.
            IdempotencyKeyReusedError: the command has run with its key and other arguments.
        """
        return self._run(self._target.run(name, aggregate_id, *args, **kwargs))

    def using(self, event_store: EventStore[E, A]) -> Self:
        """Return the commands that there are, with their options, for another store of that kind.

        A handler that is added to the one is not added to the other.

        Raises:
            TypeError: it is no event store, such as a storage adapter or a façade.
        """
        return self._wrap(self._target.using(event_store))

    def with_idempotency_key(self, key: str) -> Self:
        """Return the commands that there are, each bound to a key, to `run` one by its name.

        See `AggregateCommand.with_idempotency_key`.

        Raises:
            ValueError: ``key`` is no text of 1 to 1,000 characters.
        """
        return self._wrap(self._target.with_idempotency_key(key))
