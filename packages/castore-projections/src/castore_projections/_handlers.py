"""The handlers of a projection: which there are, and for which events."""

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

from castore_core import Event, EventStore, LogEntry, UnknownEventTypeError
from castore_projections._context import ProjectionContext

E = TypeVar("E", bound=Event)
T = TypeVar("T")

OnUnknownType: TypeAlias = Literal["refuse", "park", "skip"]
"""The treatment of stored events whose type their store does not have."""

Handler: TypeAlias = Callable[[E, ProjectionContext[T]], Coroutine[Any, Any, None]]
"""Handles an event, given a context with the transaction of the bookmark."""

AddHandler: TypeAlias = Callable[[Handler[E, T]], Handler[E, T]]
"""A decorator of handlers."""

AnyHandler: TypeAlias = Handler[Any, Any]


class Handlers:
    """The handlers of a projection, by the classes of events.

    Args:
        event_stores: the stores of the projection, by their ids.
        on_unknown_type: what becomes of an event of a type that its store does not have.
    """

    def __init__(
        self, event_stores: Mapping[str, EventStore], on_unknown_type: OnUnknownType
    ) -> None:
        self._event_stores = event_stores
        self._on_unknown_type = on_unknown_type
        self._handlers: dict[type[Event], list[AnyHandler]] = {}
        self._known = {
            store_id: {each.type: each for each in store.event_types}
            for store_id, store in event_stores.items()
        }

    def check(self, event_types: Sequence[type[Event]]) -> None:
        """Check that a handler can be added for these classes of events.

        Raises:
            TypeError: there is none, or something else is among them.
            ValueError: no store of the projection has one of them.
        """
        if not event_types:
            raise TypeError("name the classes of events: @projection.on(PokemonCaught)")
        known = {each for store in self._event_stores.values() for each in store.event_types}
        for each in event_types:
            if not _is_event_type(each):
                raise TypeError(
                    f"{each!r} is no class of events: name each one, @projection.on(PokemonCaught)"
                )
            if each not in known:
                stores = ", ".join(self._event_stores)
                raise ValueError(f"no event store of the projection ({stores}) has {each!r}")

    def add(self, event_types: Iterable[type[Event]], handler: AnyHandler) -> None:
        """Add a handler of some classes of events.

        Raises:
            TypeError: the handler is no coroutine function.
        """
        if not is_coroutine_function(handler):
            raise TypeError(f"a handler is an async function, and {handler!r} is none")
        for each in event_types:
            self._handlers.setdefault(each, []).append(handler)

    @property
    def is_empty(self) -> bool:
        """Whether there is no handler at all."""
        return not self._handlers

    def wants(self, entry: LogEntry) -> bool:
        """Tell whether an event has a handler, or must not be passed over."""
        store = self._event_stores[entry.event_store_id]
        if store.upcasters:  # which may change the type
            return True
        event_type = self._known[entry.event_store_id].get(entry.record.type)
        if event_type is not None:
            return event_type in self._handlers
        return self._on_unknown_type != "skip"

    def find(self, entry: LogEntry) -> tuple[Event | None, list[AnyHandler]]:
        """Return an event, and its handlers in the order in which they were added.

        Raises:
            UnknownEventTypeError: its store does not have the type, and that is not passed over.
            EventDecodeError: it does not fit its type.
        """
        try:
            event = self.decode(entry)
        except UnknownEventTypeError:
            if self._on_unknown_type == "skip":
                return None, []
            raise
        return event, self._handlers.get(event.__class__, [])

    def decode(self, entry: LogEntry) -> Event:
        """Return the event, which shares nothing with the entry: a handler may change it.

        Raises:
            UnknownEventTypeError: its store does not have the type.
            EventDecodeError: it does not fit its type.
        """
        store = self._event_stores[entry.event_store_id]
        event: Event = store.event_from_record(entry.record.copy())
        return event

    def refuses(self, error: BaseException) -> bool:
        """Tell whether an error ends the projection."""
        return isinstance(error, UnknownEventTypeError) and self._on_unknown_type == "refuse"


def _is_event_type(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Event)


def is_coroutine_function(handler: Any) -> bool:
    """Tell whether a call returns a coroutine: also that of a partial, or of an object."""
    while isinstance(handler, partial):
        handler = handler.func
    call = getattr(handler, "__call__", None)  # noqa: B004 of an object that can be called
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)
