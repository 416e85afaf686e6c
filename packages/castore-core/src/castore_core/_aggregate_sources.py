"""Sources of aggregates: which ones a group command loads, and how its handler decides on them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, cast

from castore_core._aggregate import A
from castore_core._checks import checked_aggregate_id
from castore_core._drafts import Drafts, list_drafts
from castore_core._event import E, EventDraft
from castore_core._results import LoadedAggregate
from castore_core._store import EventStore, check_event_store

S = TypeVar("S", bound=EventStore[Any, Any])
Ids = TypeVar("Ids")
Loaded = TypeVar("Loaded")
Decided = TypeVar("Decided")


class AggregateIds(Protocol):
    """The ids of several aggregates: a list, tuple, set, or mapping of them, but no text."""

    def __contains__(self, value: object, /) -> bool:
        """Tell whether an id is among them."""
        ...

    def __iter__(self) -> Iterator[str]:
        """Go through the ids."""
        ...

    def __len__(self) -> int:
        """Return how many there are."""
        ...


@dataclass(frozen=True)
class AggregateSource(Generic[S, Ids, Loaded, Decided]):
    """The aggregates that a group command loads of one event store.

    `one`, `one_existing`, `several` and `several_existing` make them. The type parameters are the
    store, the ids that the command is called with, the argument of the handler, and its decision.
    """

    takes_several: ClassVar[bool] = False
    """Whether the command is called with a collection of ids, and not with one."""

    event_store: S
    must_exist: bool
    asserted: bool

    def __post_init__(self) -> None:
        check_event_store("a source", self.event_store)

    def using(self, event_store: S) -> Self:
        """Return the same source of another store."""
        return replace(self, event_store=event_store)

    async def load(
        self, aggregate_id: str, version: int | None = None
    ) -> LoadedAggregate[Any, Any]:
        """Load one of the aggregates, as it is or as it was at a version, 0 for before all events.

        Raises:
            AggregateNotFoundError: it must exist, and has no events.
        """
        if version == 0:
            return LoadedAggregate(None, (), None)
        if self.must_exist:
            return await self.event_store.get_existing_aggregate(aggregate_id, max_version=version)
        return await self.event_store.get_aggregate(aggregate_id, max_version=version)

    def list_ids(self, ids: Ids) -> list[str]:
        """Return the ids, in the order in which they were given.

        Raises:
            TypeError, ValueError: they are no ids.
        """
        raise NotImplementedError

    def arrange(self, aggregates: dict[str, Any]) -> Loaded:
        """Return the aggregates, by their ids, as the handler takes them."""
        raise NotImplementedError

    def split(self, decision: Decided, ids: Sequence[str]) -> dict[str, Sequence[EventDraft[Any]]]:
        """Return the drafts of a decision by the ids of their aggregates.

        Raises:
            TypeError: the decision is not made of drafts.
            ValueError: it is on an aggregate that was not loaded.
        """
        raise NotImplementedError


class _One(AggregateSource[S, str, Any, Any]):
    """One aggregate."""

    def list_ids(self, ids: str) -> list[str]:
        return [checked_aggregate_id(ids)]

    def arrange(self, aggregates: dict[str, Any]) -> Any:
        (aggregate,) = aggregates.values()
        return aggregate

    def split(self, decision: Any, ids: Sequence[str]) -> dict[str, Sequence[EventDraft[Any]]]:
        return {ids[0]: list_drafts(decision)}


class _Several(AggregateSource[S, AggregateIds, Any, Any]):
    """Any number of aggregates."""

    takes_several = True

    def list_ids(self, ids: AggregateIds) -> list[str]:
        if isinstance(ids, str):
            raise TypeError(f"ids of several aggregates are a list, not a text: {ids!r}")
        return [checked_aggregate_id(each) for each in ids]

    def arrange(self, aggregates: dict[str, Any]) -> Mapping[str, Any]:
        return aggregates

    def split(self, decision: Any, ids: Sequence[str]) -> dict[str, Sequence[EventDraft[Any]]]:
        if decision is None:
            return {}
        if not isinstance(decision, Mapping):
            raise TypeError(
                "a handler decides on several aggregates by a mapping of their ids to drafts, "
                f"not {type(decision).__qualname__}"
            )
        decisions = cast("Mapping[str, Drafts[Any]]", decision)
        if unknown := decisions.keys() - ids:
            raise ValueError(
                f"a handler decided on {', '.join(sorted(map(repr, unknown)))} of event store "
                f"{self.event_store.event_store_id!r}, which the command did not load"
            )
        return {aggregate_id: list_drafts(each) for aggregate_id, each in decisions.items()}


def one(
    event_store: EventStore[E, A], *, asserted: bool = True
) -> AggregateSource[EventStore[E, A], str, A | None, Drafts[E]]:
    """Load one aggregate for a `group_command`; it is ``None`` before its first event.

    The command is called with its id, and the handler decides on it by drafts: one, several, or
    none.

    With ``asserted``, a group is written only if the aggregate is still as it was loaded. Without,
    the aggregate may have changed meanwhile, unless the group has events of it: that suits an
    aggregate that many commands write and no rule depends on.
    """
    return _One(event_store, must_exist=False, asserted=asserted)


def one_existing(
    event_store: EventStore[E, A], *, asserted: bool = True
) -> AggregateSource[EventStore[E, A], str, A, Drafts[E]]:
    """Load one aggregate that has events for a `group_command`, as `one` does.

    Of an aggregate without events, the command raises `AggregateNotFoundError`.
    """
    return _One(event_store, must_exist=True, asserted=asserted)


def several(
    event_store: EventStore[E, A], *, asserted: bool = True
) -> AggregateSource[
    EventStore[E, A], AggregateIds, Mapping[str, A | None], Mapping[str, Drafts[E]] | None
]:
    """Load any number of aggregates of one store for a `group_command`.

    The command is called with their ids. The handler is given a mapping of the ids, in that order,
    to the aggregates (``None`` before their first event), and decides by a mapping of ids to
    drafts. Ids that it leaves out, or ``None`` as a whole, mean that nothing happens to them.

    ``asserted`` is as for `one`.
    """
    return _Several(event_store, must_exist=False, asserted=asserted)


def several_existing(
    event_store: EventStore[E, A], *, asserted: bool = True
) -> AggregateSource[
    EventStore[E, A], AggregateIds, Mapping[str, A], Mapping[str, Drafts[E]] | None
]:
    """Load any number of aggregates that have events for a `group_command`, as `several` does.

    If one of them has no events, the command raises `AggregateNotFoundError`.
    """
    return _Several(event_store, must_exist=True, asserted=asserted)
