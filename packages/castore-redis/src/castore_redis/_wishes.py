"""Which messages of a bus a listener wants, and the channels that it subscribes to for them."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from castore_core import (
    AGGREGATE_EXISTS,
    AggregateExistsMessageBus,
    Event,
    EventSource,
    MessageBus,
)
from castore_redis._channels import make_channel, make_pattern


class Wish(NamedTuple):
    """The messages that pass the filters of one listener.

    ``event_types`` is ``None`` where those of all types do, known or not, and ``replays`` where
    replays and others do.
    """

    store_ids: frozenset[str]
    event_types: tuple[type[Event], ...] | None
    replays: bool | None

    def wants(self, message: Any, *, replay: bool) -> bool:
        """Tell whether a message passes."""
        if message.event_store_id not in self.store_ids or self.replays not in (None, replay):
            return False
        return self.event_types is None or isinstance(message.event, self.event_types)


class Subscriptions(NamedTuple):
    """The channels and patterns of a listener, of which no two match one channel."""

    channels: tuple[str, ...]
    patterns: tuple[str, ...]


def make_wish(
    bus: MessageBus[Any],
    event_stores: Iterable[EventSource[Any, Any]] | None,
    event_types: Iterable[type[Event]] | None,
    *,
    replays: bool | None,
) -> Wish:
    """Check the filters of a listener.

    Raises:
        MessageChannelEventStoreNotFoundError: a store is no source of the bus.
        TypeError: an event type is no class of events.
        ValueError: a filter is empty, or no message of the bus can have an event of a type.
    """
    sources = bus.source_event_stores
    if event_stores is not None:
        sources = tuple(bus.get_source_event_store(each.event_store_id) for each in event_stores)
    if not sources:
        raise ValueError("event_stores is empty: leave it out to listen for all")
    types = None if event_types is None else _check_types(bus, sources, tuple(event_types))
    return Wish(frozenset(each.event_store_id for each in sources), types, replays)


def make_subscriptions(
    bus: MessageBus[Any], wishes: Sequence[Wish], prefix: str, *, has_patterns: bool
) -> Subscriptions:
    """Return what to subscribe to for some wishes.

    Where there are no patterns, as on a cluster, the types are those that the bus knows.
    """
    whole: set[str] = set()
    kinds: set[tuple[str, str]] = set()
    for wish in wishes:
        if wish.event_types is None and has_patterns and not _is_of_aggregates(bus):
            whole |= wish.store_ids
        else:
            kinds |= _get_kinds(bus, wish)
    flags = {flag for flag in (False, True) for wish in wishes if wish.replays in (None, flag)}
    channels = [
        make_channel(prefix, store_id, kind, replay=flag)
        for store_id, kind in kinds
        if store_id not in whole
        for flag in flags
    ]
    patterns = [make_pattern(prefix, each) for each in whole]
    return Subscriptions(tuple(sorted(channels)), tuple(sorted(patterns)))


def _get_kinds(bus: MessageBus[Any], wish: Wish) -> set[tuple[str, str]]:
    if _is_of_aggregates(bus):
        return {(each, AGGREGATE_EXISTS) for each in wish.store_ids}
    wanted = (Event,) if wish.event_types is None else wish.event_types
    return {
        (source.event_store_id, each.type)
        for source in bus.source_event_stores
        if source.event_store_id in wish.store_ids
        for each in source.event_types
        if issubclass(each, wanted)
    }


def _check_types(
    bus: MessageBus[Any],
    sources: Sequence[EventSource[Any, Any]],
    event_types: tuple[type[Event], ...],
) -> tuple[type[Event], ...]:
    if not event_types:
        raise ValueError("event_types is empty: leave it out to listen for all")
    known = [each for source in sources for each in source.event_types]
    for event_type in event_types:
        if not _is_event_class(event_type):
            raise TypeError(f"event_types has something that is no class of events: {event_type!r}")
        if _is_of_aggregates(bus) or not any(issubclass(each, event_type) for each in known):
            raise ValueError(f"{bus!r} has no messages with a {event_type.__name__}")
    return event_types


def _is_event_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Event)


def _is_of_aggregates(bus: MessageBus[Any]) -> bool:
    return isinstance(bus, AggregateExistsMessageBus)
