"""Where a scenario takes place: mocks of its event stores, and what is done to them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

from castore_core import (
    AggregateCommand,
    Command,
    Event,
    EventStore,
    GroupCommand,
    PushedEvent,
)
from castore_test_tools._mock import MockEventStore, mock_event_store

GivenEvents: TypeAlias = tuple[EventStore, tuple[Event, ...]]
"""An event store, and the events that it begins with."""


class Stage:
    """The mocks of a scenario, and what is pushed to them."""

    def __init__(self, givens: Sequence[GivenEvents]) -> None:
        self.event_stores: dict[str, MockEventStore] = {}
        self._pushed: list[tuple[str, Event]] = []
        for event_store, events in _merge(givens).values():
            self._add(event_store, events)

    def get_mock(self, event_store: EventStore) -> EventStore:
        """Return the mock of a store: an empty one, if the store was not given."""
        if event_store.event_store_id not in self.event_stores:
            self._add(event_store, ())
        return self.event_stores[event_store.event_store_id]

    def find_mock(self, event: Event) -> EventStore:
        """Return the mock of the store that an event belongs to.

        Raises:
            TypeError: no given store has its type, or several have.
        """
        found = [each for each in self.event_stores.values() if type(event) in each.event_types]
        if len(found) != 1:
            how_many = f"{len(found)} given event stores have" if found else "no given store has"
            raise TypeError(f"{how_many} the event type {type(event).__name__}")
        return found[0]

    def get_pushed(self, event_store_id: str | None = None) -> list[Event]:
        """Return what was pushed, in that order, to one store or to all."""
        return [event for pushed_to, event in self._pushed if event_store_id in {None, pushed_to}]

    def _add(self, event_store: EventStore, events: Sequence[Event]) -> None:
        mock = mock_event_store(event_store, events)
        mock.on_event_pushed = self._remember(mock.event_store_id)
        self.event_stores[mock.event_store_id] = mock

    def _remember(self, event_store_id: str) -> Callable[[PushedEvent], Awaitable[None]]:
        async def remember(pushed_event: PushedEvent) -> None:
            self._pushed.append((event_store_id, pushed_event.event))

        return remember


def _merge(givens: Sequence[GivenEvents]) -> dict[str, GivenEvents]:
    """Put together what was given of one store."""
    merged: dict[str, GivenEvents] = {}
    for event_store, events in givens:
        first, before = merged.get(event_store.event_store_id, (event_store, ()))
        if first is not event_store:
            raise ValueError(f"two event stores were given with the id {first.event_store_id!r}")
        merged[event_store.event_store_id] = event_store, (*before, *events)
    return merged


class Act(Protocol):
    """The action of a scenario."""

    def prepare(self, stage: Stage) -> Callable[[], Awaitable[object]]:
        """Return what does it.

        Raises:
            TypeError: the stage does not have the stores. No scenario can expect that.
        """
        ...


@dataclass(frozen=True)
class RunCommand:
    """Run a command with the mocks of the stores that it requires."""

    command: Command[Any, Any, ..., Any]
    input: object
    args: tuple[object, ...]
    kwargs: Mapping[str, object]

    def __repr__(self) -> str:
        return repr(self.command)

    def prepare(self, stage: Stage) -> Callable[[], Awaitable[object]]:
        """Return what runs it, and returns its output."""
        __tracebackhide__ = True
        mocks = tuple(stage.get_mock(each) for each in self.command.required_event_stores)
        return partial(self.command, self.input, mocks, *self.args, **self.kwargs)


@dataclass(frozen=True)
class RunAggregateCommand:
    """Run an aggregate command on the mock of its store."""

    command: AggregateCommand[..., Any]
    aggregate_id: str
    args: tuple[object, ...]
    kwargs: Mapping[str, object]

    def __repr__(self) -> str:
        return repr(self.command)

    def prepare(self, stage: Stage) -> Callable[[], Awaitable[object]]:
        """Return what runs it, and returns the aggregate after it."""
        __tracebackhide__ = True
        command = self.command.using(stage.get_mock(self.command.event_store))
        return partial(command, self.aggregate_id, *self.args, **self.kwargs)


@dataclass(frozen=True)
class RunGroupCommand:
    """Run a group command on the mocks of its stores."""

    command: GroupCommand[..., Any, *tuple[Any, ...]]
    args: tuple[object, ...]
    kwargs: Mapping[str, object]

    def __repr__(self) -> str:
        return repr(self.command)

    def prepare(self, stage: Stage) -> Callable[[], Awaitable[object]]:
        """Return what runs it, and returns the aggregates after it."""
        __tracebackhide__ = True
        command = self.command.using(*map(stage.get_mock, self.command.event_stores))
        return partial(command, *self.args, **self.kwargs)


@dataclass(frozen=True)
class PushEvents:
    """Push events to the stores that they belong to."""

    events: tuple[Event, ...]

    def __repr__(self) -> str:
        return ", ".join(type(each).__name__ for each in self.events)

    def prepare(self, stage: Stage) -> Callable[[], Awaitable[object]]:
        """Return what pushes them one after the other."""
        __tracebackhide__ = True
        mocks = [stage.find_mock(each) for each in self.events]

        async def push() -> None:
            __tracebackhide__ = True
            for mock, event in zip(mocks, self.events, strict=True):
                await mock.push_event(event)

        return push
