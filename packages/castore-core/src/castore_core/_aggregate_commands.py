"""Aggregate commands: handlers that say what happens to one aggregate, and a runner."""

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any, Concatenate, Generic, ParamSpec, TypeAlias, cast

from castore_core._aggregate import A
from castore_core._command import (
    DEFAULT_RETRIES,
    ConflictCallback,
    check_retries,
    retry_on_conflict,
)
from castore_core._event import E, EventDraft
from castore_core._store import EventStore, GroupedEvent

P = ParamSpec("P")

Drafts: TypeAlias = EventDraft[E] | Sequence[EventDraft[E]] | None
"""What a handler returns: one draft, several, or none."""


class AggregateCommand(Generic[P, A, E]):
    """A handler with its runner: call it with an aggregate id and the handler's arguments.

    Made by `AggregateCommands.handler`, for the ``event_store`` of those commands.
    """

    def __init__(
        self,
        name: str,
        event_store: EventStore[E, A],
        run: Callable[Concatenate[EventStore[E, A], str, P], Awaitable[A | None]],
    ) -> None:
        self.name = name
        self.event_store = event_store
        self._run = run

    def __repr__(self) -> str:
        return f"AggregateCommand({self.name!r})"

    async def __call__(self, aggregate_id: str, /, *args: P.args, **kwargs: P.kwargs) -> A | None:
        """Run the command, and return the aggregate after it.

        Raises:
            EventAlreadyExistsError: the last attempt ended with a conflict too.
        """
        return await self._run(self.event_store, aggregate_id, *args, **kwargs)

    def using(self, event_store: EventStore[E, A]) -> "AggregateCommand[P, A, E]":
        """Return the same command, with the same options, for another store of the same kind.

        A test gives it a store of its own; a program, one for each tenant.
        """
        return AggregateCommand(self.name, event_store, self._run)


class AggregateCommands(Generic[E, A]):
    """The commands of one event store.

    A handler is given the aggregate (``None`` before its first event) and arguments of its own,
    and returns drafts of what happens: none, one, or several::

        pokemon_commands = AggregateCommands(pokemons)

        @pokemon_commands.handler
        def level_up(pokemon: Pokemon | None, *, levels: int) -> list[EventDraft[PokemonLeveledUp]]:
            return [PokemonLeveledUp.draft() for _ in range(levels)]

        pikachu = await level_up("pikachu1", levels=2)

    The runner loads the aggregate, numbers the drafts, pushes them all or none, and does it all
    again after a conflict, at most ``event_already_exists_retries`` times. A handler is a plain
    function or a coroutine function; it should have no effects but its drafts.
    """

    def __init__(
        self,
        event_store: EventStore[E, A],
        *,
        event_already_exists_retries: int = DEFAULT_RETRIES,
        on_event_already_exists: ConflictCallback | None = None,
    ) -> None:
        self.event_store = event_store
        self.event_already_exists_retries: int = check_retries(event_already_exists_retries)
        self.on_event_already_exists = on_event_already_exists
        self._commands: dict[str, AggregateCommand[..., A, E]] = {}

    @property
    def names(self) -> list[str]:
        """The names of the commands, in the order of their declaration."""
        return list(self._commands)

    def handler(
        self, handler: Callable[Concatenate[A | None, P], Drafts[E] | Awaitable[Drafts[E]]], /
    ) -> AggregateCommand[P, A, E]:
        """Add a handler, under the name of the function.

        Raises:
            ValueError: the name is taken.
        """
        name = getattr(handler, "__name__", repr(handler))
        if name in self._commands:
            raise ValueError(f"there is a command {name!r} already")

        async def run(
            event_store: EventStore[E, A], aggregate_id: str, /, *args: P.args, **kwargs: P.kwargs
        ) -> A | None:
            async def attempt() -> A | None:
                return await _attempt(
                    event_store, aggregate_id, lambda aggregate: handler(aggregate, *args, **kwargs)
                )

            return await retry_on_conflict(
                attempt, self.event_already_exists_retries, self.on_event_already_exists
            )

        added = AggregateCommand(name, self.event_store, run)
        self._commands[name] = added
        return added

    async def run(self, name: str, aggregate_id: str, /, **arguments: Any) -> A | None:
        """Run the command of that name, and return the aggregate after it.

        Raises:
            LookupError: there is no such command.
            EventAlreadyExistsError: the last attempt ended with a conflict too.
        """
        if name not in self._commands:
            raise LookupError(f"no command {name!r}: there are {', '.join(self._commands)}")
        return await self._commands[name](aggregate_id, **arguments)

    def using(self, event_store: EventStore[E, A]) -> "AggregateCommands[E, A]":
        """Return the commands that there are, with their options, for another store of that kind.

        A handler that is added to the one is not added to the other.
        """
        commands = AggregateCommands(
            event_store,
            event_already_exists_retries=self.event_already_exists_retries,
            on_event_already_exists=self.on_event_already_exists,
        )
        commands._commands.update(
            {name: each.using(event_store) for name, each in self._commands.items()}
        )
        return commands


async def _attempt(
    event_store: EventStore[E, A],
    aggregate_id: str,
    decide: Callable[[A | None], Drafts[E] | Awaitable[Drafts[E]]],
) -> A | None:
    loaded = await event_store.get_aggregate(aggregate_id)
    decided = decide(loaded.aggregate)
    drafts = await decided if isawaitable(decided) else decided
    version = loaded.last_event.version if loaded.last_event else 0
    group: list[GroupedEvent[E, A]] = []
    aggregate = loaded.aggregate
    for draft in _to_sequence(drafts):
        version += 1
        event = draft.to_event(aggregate_id, version)
        group.append(event_store.group_event(event, prev_aggregate=aggregate))
        aggregate = event_store.build_aggregate([event], aggregate)
    await EventStore.push_event_group(*group)
    return aggregate


def _to_sequence(drafts: Drafts[E]) -> Sequence[EventDraft[E]]:
    if drafts is None:
        return ()
    if isinstance(drafts, EventDraft):
        return (drafts,)
    _check_drafts(drafts)
    return drafts


def _check_drafts(drafts: object) -> None:
    if isinstance(drafts, Sequence):
        kinds = {type(each) for each in cast("Sequence[object]", drafts)}
        if kinds <= {EventDraft}:
            return
    raise TypeError(f"a handler returns drafts, made by draft() of an event type: {drafts!r}")
