"""Group commands: handlers that decide on several aggregates, and a runner."""

from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from functools import partial
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Self,
    TypeAlias,
    TypeVar,
    TypeVarTuple,
    Unpack,
    cast,
    overload,
)

from castore_core._aggregate_sources import AggregateSource
from castore_core._command import CommandOptions
from castore_core._conflicts import (
    DEFAULT_PAUSE,
    DEFAULT_RETRIES,
    ConflictCallback,
    ConflictRetries,
)
from castore_core._group_run import AnySource, GroupRun
from castore_core._idempotency import (
    CommandKey,
    KeyedRun,
    check_key,
    encode_arguments,
    find_adapter,
)
from castore_core._json import JSONValue
from castore_core._operations import describe_group_command
from castore_core._store import EventStore
from castore_core._telemetry import observed

P = ParamSpec("P")
O = TypeVar("O")  # noqa: E741 the output
Ss = TypeVarTuple("Ss")

S1 = TypeVar("S1", bound=EventStore[Any, Any])
S2 = TypeVar("S2", bound=EventStore[Any, Any])
S3 = TypeVar("S3", bound=EventStore[Any, Any])
S4 = TypeVar("S4", bound=EventStore[Any, Any])
I1 = TypeVar("I1")
I2 = TypeVar("I2")
I3 = TypeVar("I3")
I4 = TypeVar("I4")
L1 = TypeVar("L1")
L2 = TypeVar("L2")
L3 = TypeVar("L3")
L4 = TypeVar("L4")
D1 = TypeVar("D1")
D2 = TypeVar("D2")
D3 = TypeVar("D3")
D4 = TypeVar("D4")
T = TypeVar("T")

_Answer: TypeAlias = T | Awaitable[T]
"""The answer of a plain function, or of a coroutine function."""


class GroupCommand(Generic[P, O, *Ss]):
    """A handler with its runner: call it with the ids of each source, and the handler's arguments.

    `group_command` makes it.
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        sources: Sequence[AnySource],
        *,
        event_already_exists_retries: int = DEFAULT_RETRIES,
        event_already_exists_pause: float = DEFAULT_PAUSE,
        on_event_already_exists: ConflictCallback | None = None,
    ) -> None:
        _check_sources(sources)
        if isinstance(handler, GroupCommand):
            raise TypeError(f"{handler!r} is a command already: a handler is a function")
        self.command_id: str = getattr(handler, "__name__", repr(handler))
        self._handle = handler
        self._sources = tuple(sources)
        self._retries = ConflictRetries(
            event_already_exists_retries, event_already_exists_pause, on_event_already_exists
        )
        self._key: str | None = None
        self.__doc__ = handler.__doc__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.command_id!r})"

    @property
    def event_stores(self) -> tuple[*Ss]:
        """The store of each source."""
        return cast("tuple[*Ss]", tuple(each.event_store for each in self._sources))

    @property
    def sources(self) -> tuple[AnySource, ...]:
        """The sources of its aggregates, in the order of the ids that it is called with."""
        return self._sources

    @property
    def handler_function(self) -> Callable[..., Any]:
        """The function that decides; its annotations tell of the arguments."""
        return self._handle

    @property
    def event_already_exists_retries(self) -> int:
        """How many times the handler runs again after a conflict."""
        return self._retries.retries

    @property
    def on_event_already_exists(self) -> ConflictCallback | None:
        """Called with each conflict."""
        return self._retries.callback

    @observed(describe_group_command)
    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> O:
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
        count = len(self._sources)
        ids = self._list_ids(args[:count])

        def decide(*aggregates: Any) -> Any:
            return self._handle(*aggregates, *args[count:], **kwargs)

        run = GroupRun(repr(self), self._sources, ids, decide)
        keyed = self._make_keyed_run(ids, args[count:], kwargs)
        if keyed is None:
            aggregates = await self._retries.run(run.attempt)
        else:
            aggregates = await keyed.run(partial(run.attempt, keyed), partial(run.restore, keyed))
        return cast("O", aggregates[0] if count == 1 else aggregates)

    def using(self, *event_stores: *Ss) -> Self:
        """Return the same command, with the same options, on other stores of the same kinds.

        A test gives it stores of its own; a program, those of each tenant.

        Raises:
            TypeError: there is not one store for each source.
        """
        if len(event_stores) != len(self._sources):
            raise TypeError(f"{self!r} has {len(self._sources)} event stores")
        stores = cast("tuple[EventStore[Any, Any], ...]", event_stores)
        command = copy(self)
        command._sources = tuple(
            source.using(store) for source, store in zip(self._sources, stores, strict=True)
        )
        return command

    def with_idempotency_key(self, key: str) -> Self:
        """Return the same command, bound to a key: of all its calls, one has an effect.

        The key is recorded with the events, in one group. Any later call with it, in any process,
        pushes nothing, and returns the aggregates as they were after the first call. See
        `Command.with_idempotency_key`.

        Raises:
            ValueError: ``key`` is no text of 1 to 1,000 characters.
        """
        bound = copy(self)
        bound._key = check_key(key)
        return bound

    def _make_keyed_run(
        self, ids: Sequence[Sequence[str]], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> KeyedRun | None:
        if self._key is None:
            return None
        stores = [each.event_store for each in self._sources]
        name = (*(each.event_store_id for each in stores), self.command_id)
        key = CommandKey(name, self._key)
        adapter = find_adapter(repr(self), stores)
        arguments = encode_arguments(_sort(ids), args, kwargs)
        return KeyedRun(key, adapter, arguments, self._retries)

    def _list_ids(self, given: Sequence[object]) -> list[list[str]]:
        """Return the ids of each source.

        Raises:
            TypeError, ValueError: some are missing, are no ids, or are there twice.
        """
        if len(given) < len(self._sources):
            raise TypeError(f"{self!r} is called with the ids of {len(self._sources)} sources")
        ids = [source.list_ids(own) for source, own in zip(self._sources, given, strict=True)]
        self._refuse_repeated(ids)
        return ids

    def _refuse_repeated(self, ids: Sequence[Sequence[str]]) -> None:
        seen: set[tuple[int, str, str]] = set()
        for source, own in zip(self._sources, ids, strict=True):
            store = source.event_store
            for each in own:
                aggregate = id(store.get_storage_adapter()), store.event_store_id, each
                if aggregate in seen:
                    raise ValueError(
                        f"aggregate {each!r} of event store {store.event_store_id!r} "
                        f"is given twice to {self!r}"
                    )
                seen.add(aggregate)


def _sort(ids: Sequence[Sequence[str]]) -> JSONValue:
    """Return ids as a repeated call is compared by them: sorted, because sets have no order."""
    return [cast("JSONValue", sorted(own)) for own in ids]


@overload
def group_command(
    first: AggregateSource[S1, I1, L1, D1], /, **options: Unpack[CommandOptions]
) -> Callable[
    [Callable[Concatenate[L1, P], _Answer[D1 | None]]], GroupCommand[Concatenate[I1, P], L1, S1]
]: ...


@overload
def group_command(
    first: AggregateSource[S1, I1, L1, D1],
    second: AggregateSource[S2, I2, L2, D2],
    /,
    **options: Unpack[CommandOptions],
) -> Callable[
    [Callable[Concatenate[L1, L2, P], _Answer[tuple[D1, D2] | None]]],
    GroupCommand[Concatenate[I1, I2, P], tuple[L1, L2], S1, S2],
]: ...


@overload
def group_command(
    first: AggregateSource[S1, I1, L1, D1],
    second: AggregateSource[S2, I2, L2, D2],
    third: AggregateSource[S3, I3, L3, D3],
    /,
    **options: Unpack[CommandOptions],
) -> Callable[
    [Callable[Concatenate[L1, L2, L3, P], _Answer[tuple[D1, D2, D3] | None]]],
    GroupCommand[Concatenate[I1, I2, I3, P], tuple[L1, L2, L3], S1, S2, S3],
]: ...


@overload
def group_command(
    first: AggregateSource[S1, I1, L1, D1],
    second: AggregateSource[S2, I2, L2, D2],
    third: AggregateSource[S3, I3, L3, D3],
    fourth: AggregateSource[S4, I4, L4, D4],
    /,
    **options: Unpack[CommandOptions],
) -> Callable[
    [Callable[Concatenate[L1, L2, L3, L4, P], _Answer[tuple[D1, D2, D3, D4] | None]]],
    GroupCommand[Concatenate[I1, I2, I3, I4, P], tuple[L1, L2, L3, L4], S1, S2, S3, S4],
]: ...


def group_command(*sources: AnySource, **options: Unpack[CommandOptions]) -> Any:
    """Make a `GroupCommand` of the decorated handler, under the name of the function.

    The handler is given the aggregates of each source and arguments of its own. It returns a
    decision on each source: with one source, that decision; with several, a tuple of them. It is
    a plain function or a coroutine function, and should have no effects but its drafts::

        @group_command(one(orders), several_existing(products))
        def place_order(
            order: Order | None, products: Mapping[str, Product], *, lines: dict[str, int]
        ) -> tuple[EventDraft[OrderPlaced], dict[str, EventDraft[StockReserved]]]:
            ...

        order, products = await place_order("order-1", ["bike", "bell"], lines=lines)

    The runner loads the aggregates, a few at a time, numbers the drafts, and pushes them as one
    group, all or none. The group asserts the versions of the aggregates that were loaded and get
    no event, unless their source is not ``asserted``. After a conflict it all happens again: see
    `Command` for the options. If nothing happens, nothing is written, and nothing asserted.

    Raises:
        TypeError: there is no source, or an argument is none.
        ValueError: an option is not valid.
    """
    _check_sources(sources)

    def decorate(handler: Callable[..., Any]) -> GroupCommand[..., Any, *tuple[Any, ...]]:
        return GroupCommand(handler, sources, **options)

    return decorate


def _check_sources(sources: Sequence[object]) -> None:
    if not sources:
        raise TypeError("a group command needs a source, such as one(orders)")
    for each in sources:
        if not isinstance(each, AggregateSource):
            raise TypeError(
                "sources are made by one(), one_existing(), several() or several_existing(), "
                f"and not {type(each).__qualname__}"
            )
