"""Aggregate commands: handlers that say what happens to one aggregate, and a runner."""

from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from inspect import isawaitable
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeAlias, TypeVar, cast

from castore_core._aggregate import A
from castore_core._conflicts import (
    DEFAULT_PAUSE,
    DEFAULT_RETRIES,
    ConflictCallback,
    ConflictRetries,
)
from castore_core._event import E, EventDraft
from castore_core._group import GroupedEvent
from castore_core._idempotency import CommandKey, KeyedRun, make_key
from castore_core._json import JSONValue, check_json
from castore_core._operations import describe_aggregate_command
from castore_core._results import LoadedAggregate
from castore_core._store import EventStore
from castore_core._telemetry import observed
from castore_core.errors import NotJSONError

C = TypeVar("C", bound="AggregateCommand[..., Any]")
P = ParamSpec("P")

Drafts: TypeAlias = EventDraft[E] | Sequence[EventDraft[E]] | None
"""What happens: one draft, several, or none."""

Decision: TypeAlias = Drafts[E] | Awaitable[Drafts[E]]
"""What a handler returns."""


class AggregateCommand(Generic[P, A, E]):
    """A handler with its runner: call it with an aggregate id and the handler's arguments.

    Made by `AggregateCommands.handler`, for the ``event_store`` of those commands.
    """

    def __init__(
        self,
        name: str,
        event_store: EventStore[E, A],
        run: Callable[
            Concatenate[EventStore[E, A], CommandKey | None, str, P], Awaitable[A | None]
        ],
    ) -> None:
        self.name = name
        self.event_store = event_store
        self._run = run
        self._key: str | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @observed(describe_aggregate_command)
    async def __call__(self, aggregate_id: str, /, *args: P.args, **kwargs: P.kwargs) -> A | None:
        """Run the command, and return the aggregate after it.

        Raises:
            EventAlreadyExistsError: the last attempt ended with a conflict too.
            IdempotencyKeyReusedError: the command has run with its key and other arguments.
        """
        key = self._key and make_key((self.event_store.event_store_id, self.name), self._key)
        return await self._run(self.event_store, key or None, aggregate_id, *args, **kwargs)

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
        bound._key = make_key((), key).key
        return bound


class ExistingAggregateCommand(AggregateCommand[P, A, E]):
    """A command of an aggregate that exists. Made by `AggregateCommands.existing_handler`."""

    async def __call__(self, aggregate_id: str, /, *args: P.args, **kwargs: P.kwargs) -> A:
        """Run the command, and return the aggregate after it.

        Raises:
            AggregateNotFoundError: the aggregate has no events. The handler did not run.
            EventAlreadyExistsError: the last attempt ended with a conflict too.
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
        return self._add(AggregateCommand(_get_name(handler), self.event_store, run))

    def existing_handler(
        self, handler: Callable[Concatenate[A, P], Decision[E]], /
    ) -> ExistingAggregateCommand[P, A, E]:
        """Add a handler that is given an aggregate that exists, under the name of the function.

        Of an aggregate without events, its command raises `AggregateNotFoundError`.

        Raises:
            ValueError: the name is taken.
        """
        run = self._make_runner(handler, must_exist=True)
        return self._add(ExistingAggregateCommand(_get_name(handler), self.event_store, run))

    async def run(self, name: str, aggregate_id: str, /, *args: Any, **kwargs: Any) -> A | None:
        """Run the command of that name, and return the aggregate after it.

        Raises:
            LookupError: there is no such command.
            AggregateNotFoundError: the command needs an aggregate that exists.
            EventAlreadyExistsError: the last attempt ended with a conflict too.
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
        async def run(
            event_store: EventStore[E, A],
            key: CommandKey | None,
            aggregate_id: str,
            /,
            *args: P.args,
            **kwargs: P.kwargs,
        ) -> A | None:
            load = event_store.get_existing_aggregate if must_exist else event_store.get_aggregate
            keyed: KeyedRun | None = None
            if key is not None:
                arguments = encode_arguments(aggregate_id, args, kwargs)
                adapter = event_store.get_storage_adapter()
                keyed = KeyedRun(key, adapter, arguments, self._retries)

            async def attempt() -> A | None:
                loaded = await load(aggregate_id)
                drafts = await _decide(handler(loaded.aggregate, *args, **kwargs))
                if keyed is None:
                    return await _push(event_store, aggregate_id, loaded, drafts)
                place = _find_place(aggregate_id, loaded, drafts)
                push = partial(_push, event_store, aggregate_id, loaded, drafts)
                return await keyed.push(place, push)

            if keyed is None:
                return await self._retries.run(attempt)
            return await keyed.run(attempt, partial(_restore, keyed, event_store))

        return run

    def _add(self, command: C) -> C:
        if command.name in self._commands:
            raise ValueError(f"there is a command {command.name!r} already")
        self._commands[command.name] = command
        return command


def check_event_store(taker: str, event_store: object) -> None:
    """Refuse anything but an event store, to which a storage adapter or a façade comes close.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(event_store, EventStore):
        raise TypeError(f"{taker} takes an EventStore, not {type(event_store).__qualname__}")


def _get_name(handler: Callable[..., object]) -> str:
    if isinstance(handler, AggregateCommand):
        raise TypeError(f"{handler!r} is a command already: a handler is a function")
    name: str = getattr(handler, "__name__", repr(handler))
    return name


async def _decide(decision: Decision[E]) -> Sequence[EventDraft[E]]:
    return list_drafts(await decision if isawaitable(decision) else decision)


def list_drafts(drafts: Drafts[E]) -> Sequence[EventDraft[E]]:
    """Return what happens as a sequence.

    Raises:
        TypeError: it is anything but drafts.
    """
    if drafts is None:
        return ()
    if isinstance(drafts, EventDraft):
        return (drafts,)
    _check_drafts(drafts)
    return drafts


def _check_drafts(drafts: object) -> None:
    found = type(drafts).__qualname__
    if isinstance(drafts, Sequence) and not isinstance(drafts, str):
        kinds = {type(each) for each in cast("Sequence[object]", drafts)}
        if kinds <= {EventDraft}:
            return
        found += f" of {', '.join(sorted(each.__qualname__ for each in kinds))}"
    raise TypeError(f"a handler returns drafts, made by draft() of an event type, not {found}")


async def _push(
    event_store: EventStore[E, A],
    aggregate_id: str,
    loaded: LoadedAggregate[E, A],
    drafts: Sequence[EventDraft[E]],
    *marks: GroupedEvent,
) -> A | None:
    """Push drafts as the next events of an aggregate, and return the aggregate after them.

    Marks are more events of the same group.
    """
    group = group_drafts(event_store, aggregate_id, loaded, drafts)
    pushed_events = await EventStore.push_event_group(*group, *marks)
    return pushed_events[len(group) - 1].next_aggregate if group else loaded.aggregate


def group_drafts(
    event_store: EventStore[E, A],
    aggregate_id: str,
    loaded: LoadedAggregate[E, A],
    drafts: Sequence[EventDraft[E]],
) -> list[GroupedEvent[E, A]]:
    """Return the events that drafts become after what was loaded, side by side in a group."""
    first = get_version(loaded) + 1
    events = [draft.to_event(aggregate_id, each) for each, draft in enumerate(drafts, first)]
    group = [event_store.group_event(each, prev_aggregate=loaded.aggregate) for each in events[:1]]
    return group + [replace(event_store.group_event(each), follows=True) for each in events[1:]]


def get_version(loaded: LoadedAggregate[Any, Any]) -> int:
    """Return the version of what was loaded, which is 0 where there are no events."""
    return loaded.last_event.version if loaded.last_event else 0


def _find_place(
    aggregate_id: str, loaded: LoadedAggregate[E, A], drafts: Sequence[EventDraft[E]]
) -> JSONValue:
    """Return the output that is recorded: where the aggregate is found again as it is after."""
    return {"aggregateId": aggregate_id, "version": get_version(loaded) + len(drafts)}


async def _restore(keyed: KeyedRun, event_store: EventStore[E, A], output: JSONValue) -> A | None:
    """Return the aggregate as it was after the run that recorded the output."""
    match output:
        case {"version": 0}:
            return None
        case {"aggregateId": str(aggregate_id), "version": int(version)}:
            loaded = await event_store.get_aggregate(aggregate_id, max_version=version)
            return loaded.aggregate
        case _:
            raise keyed.refuse_output()


def encode_arguments(ids: JSONValue, args: Sequence[Any], kwargs: dict[str, Any]) -> JSONValue:
    """Return what a repeated call is compared by: the arguments, if they are JSON values."""
    arguments: list[Any] = [[*args], kwargs]
    try:
        check_json(arguments, "arguments")
    except NotJSONError:
        arguments = []
    return [ids, *arguments]
