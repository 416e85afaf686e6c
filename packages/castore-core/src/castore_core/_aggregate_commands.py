"""Aggregate commands: handlers that decide on one aggregate, and a runner."""

from collections.abc import Awaitable, Callable
from copy import copy
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from castore_core._aggregate import A
from castore_core._aggregate_run import AggregateRun
from castore_core._conflicts import (
    DEFAULT_PAUSE,
    DEFAULT_RETRIES,
    ConflictCallback,
    ConflictRetries,
)
from castore_core._drafts import Decision
from castore_core._event import E
from castore_core._idempotency import CommandKey, KeyedRun, check_key, encode_arguments
from castore_core._operations import describe_aggregate_command
from castore_core._store import EventStore, check_event_store
from castore_core._telemetry import observed

C = TypeVar("C", bound="AggregateCommand[..., Any]")
P = ParamSpec("P")


class AggregateCommand(Generic[P, A, E]):
    """A handler with its runner: call it with an aggregate id and the handler's arguments.

    `AggregateCommands.handler` makes it, for the ``event_store`` of those commands.
    """

    def __init__(
        self,
        name: str,
        event_store: EventStore[E, A],
        run: Callable[
            Concatenate[EventStore[E, A], CommandKey | None, str, P], Awaitable[A | None]
        ],
        handler: Callable[Concatenate[Any, P], Decision[E]],
    ) -> None:
        self.name = name
        self.event_store = event_store
        self._run = run
        self._handler = handler
        self._key: str | None = None
        self.__doc__ = handler.__doc__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def handler_function(self) -> Callable[Concatenate[Any, P], Decision[E]]:
        """The function that decides; its annotations tell of the arguments."""
        return self._handler

    @observed(describe_aggregate_command)
    async def __call__(self, aggregate_id: str, /, *args: P.args, **kwargs: P.kwargs) -> A | None:
        """Run the command, and return the aggregate after it.

        Raises:
            EventAlreadyExistsError: the last attempt ended with a conflict too.
            IdempotencyKeyReusedError: the command has run with its key and other arguments.
        """
        key = None
        if self._key is not None:
            key = CommandKey((self.event_store.event_store_id, self.name), self._key)
        return await self._run(self.event_store, key, aggregate_id, *args, **kwargs)

    def using(self, event_store: EventStore[E, A]) -> Self:
        """Return the same command, with the same options, for another store of the same kind.

        A test gives it a store of its own; a program, one for each tenant.

        Raises:
            TypeError: it is no event store, such as a storage adapter or a façade.
        """
        check_event_store("a command", event_store)
        bound = copy(self)
        bound.event_store = event_store
        return bound

    def with_idempotency_key(self, key: str) -> Self:
        """Return the same command, bound to a key: of all its calls, one has an effect.

        The key is recorded with the events, in one group. Any later call with it, in any process,
        pushes nothing, and returns the aggregate as it was after the first call. See
        `Command.with_idempotency_key`.

        Raises:
            ValueError: ``key`` is no text of 1 to 1,000 characters.
        """
        bound = copy(self)
        bound._key = check_key(key)
        return bound


class ExistingAggregateCommand(AggregateCommand[P, A, E]):
    """A command of an aggregate that exists. `AggregateCommands.existing_handler` makes it."""

    async def __call__(self, aggregate_id: str, /, *args: P.args, **kwargs: P.kwargs) -> A:
        """Run the command, and return the aggregate after it.

        Raises:
            AggregateNotFoundError: the aggregate has no events. The handler did not run.
            EventAlreadyExistsError: the last attempt ended with a conflict too.
            IdempotencyKeyReusedError: the command has run with its key and other arguments.
        """
        aggregate = await super().__call__(aggregate_id, *args, **kwargs)
        return cast("A", aggregate)  # it was there, and no reducer returns None


class AggregateCommands(Generic[E, A]):
    """The commands of one event store.

    A handler is given the aggregate (``None`` before its first event) and arguments of its own,
    and returns drafts of what happens: none, one, or several. One that needs the aggregate to exist
    is an `existing_handler`::

        pokemon_commands = AggregateCommands(pokemons)

        @pokemon_commands.existing_handler
        def level_up(pokemon: Pokemon, *, levels: int) -> list[EventDraft[PokemonLeveledUp]]:
            return [PokemonLeveledUp.draft() for _ in range(levels)]

        pikachu = await level_up("pikachu1", levels=2)

    The runner loads the aggregate, numbers the drafts, pushes them all or none, and does it all
    again after a conflict: see `Command` for the options. A handler is a plain
    function or a coroutine function; it should have no effects but its drafts.
    """

    def __init__(
        self,
        event_store: EventStore[E, A],
        *,
        event_already_exists_retries: int = DEFAULT_RETRIES,
        event_already_exists_pause: float = DEFAULT_PAUSE,
        on_event_already_exists: ConflictCallback | None = None,
    ) -> None:
        check_event_store("AggregateCommands", event_store)
        self.event_store = event_store
        self._retries = ConflictRetries(
            event_already_exists_retries, event_already_exists_pause, on_event_already_exists
        )
        self._commands: dict[str, AggregateCommand[..., A, E]] = {}

    def __repr__(self) -> str:
        return f"AggregateCommands({self.event_store!r})"

    @property
    def event_already_exists_retries(self) -> int:
        """How many times a handler runs again after a conflict."""
        return self._retries.retries

    @property
    def on_event_already_exists(self) -> ConflictCallback | None:
        """Called with each conflict."""
        return self._retries.callback

    @property
    def names(self) -> list[str]:
        """The names of the commands, in the order of their declaration."""
        return list(self._commands)

    def handler(
        self, handler: Callable[Concatenate[A | None, P], Decision[E]], /
    ) -> AggregateCommand[P, A, E]:
        """Add a handler, under the name of the function.

        Raises:
            ValueError: the name is taken.
        """
        run = self._make_runner(handler, must_exist=False)
        return self._add(AggregateCommand(_get_name(handler), self.event_store, run, handler))

    def existing_handler(
        self, handler: Callable[Concatenate[A, P], Decision[E]], /
    ) -> ExistingAggregateCommand[P, A, E]:
        """Add a handler that is given an aggregate that exists, under the name of the function.

        Of an aggregate without events, its command raises `AggregateNotFoundError`.

        Raises:
            ValueError: the name is taken.
        """
        run = self._make_runner(handler, must_exist=True)
        return self._add(
            ExistingAggregateCommand(_get_name(handler), self.event_store, run, handler)
        )

    async def run(self, name: str, aggregate_id: str, /, *args: Any, **kwargs: Any) -> A | None:
        """Run the command of that name, and return the aggregate after it.

        Raises:
            LookupError: there is no such command.
            AggregateNotFoundError: the command needs an aggregate that exists.
            EventAlreadyExistsError: the last attempt ended with a conflict too.
            IdempotencyKeyReusedError: the command has run with its key and other arguments.
        """
        if name not in self._commands:
            raise LookupError(f"no command {name!r}: there are {', '.join(self._commands)}")
        return await self._commands[name](aggregate_id, *args, **kwargs)

    def using(self, event_store: EventStore[E, A]) -> "AggregateCommands[E, A]":
        """Return the commands that there are, with their options, for another store of that kind.

        A handler that is added to the one is not added to the other.

        Raises:
            TypeError: it is no event store, such as a storage adapter or a façade.
        """
        check_event_store("a command", event_store)
        commands = copy(self)
        commands.event_store = event_store
        commands._commands = {
            name: each.using(event_store) for name, each in self._commands.items()
        }
        return commands

    def with_idempotency_key(self, key: str) -> Self:
        """Return the commands that there are, each bound to a key, to `run` one by its name.

        See `AggregateCommand.with_idempotency_key`.

        Raises:
            ValueError: ``key`` is no text of 1 to 1,000 characters.
        """
        commands = copy(self)
        commands._commands = {
            name: each.with_idempotency_key(key) for name, each in self._commands.items()
        }
        return commands

    def _make_runner(
        self, handler: Callable[Concatenate[Any, P], Decision[E]], *, must_exist: bool
    ) -> Callable[Concatenate[EventStore[E, A], CommandKey | None, str, P], Awaitable[A | None]]:
        async def call(
            event_store: EventStore[E, A],
            key: CommandKey | None,
            aggregate_id: str,
            /,
            *args: P.args,
            **kwargs: P.kwargs,
        ) -> A | None:
            def decide(aggregate: Any) -> Decision[E]:
                return handler(aggregate, *args, **kwargs)

            run = AggregateRun(event_store, aggregate_id, decide, must_exist)
            if key is None:
                return await self._retries.run(run.attempt)
            arguments = encode_arguments(aggregate_id, args, kwargs)
            keyed = KeyedRun(key, event_store.get_storage_adapter(), arguments, self._retries)
            return await keyed.run(partial(run.attempt, keyed), partial(run.restore, keyed))

        return call

    def _add(self, command: C) -> C:
        if command.name in self._commands:
            raise ValueError(f"there is a command {command.name!r} already")
        self._commands[command.name] = command
        return command


def _get_name(handler: Callable[..., object]) -> str:
    if isinstance(handler, AggregateCommand):
        raise TypeError(f"{handler!r} is a command already: a handler is a function")
    name: str = getattr(handler, "__name__", repr(handler))
    return name
