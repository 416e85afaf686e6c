"""The parts that a visualizer shows: event stores, and all that belongs to them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar, cast

from castore_core import (
    ConnectedEventStore,
    EventStore,
    MessageChannel,
    ReversibleEventLog,
    is_reversible_event_log,
)
from castore_core.sync import Facade
from castore_visualizer._commands import AnyCommand, get_command_name
from castore_visualizer._log_followers import LogFollower

T = TypeVar("T")


@dataclass(frozen=True)
class Inventory:
    """The parts that are shown, each by its name."""

    stores: Mapping[str, EventStore]
    projections: Mapping[str, LogFollower]
    channels: Mapping[str, MessageChannel[Any]]
    commands: Mapping[str, AnyCommand]

    @classmethod
    def collect(
        cls,
        stores: Iterable[EventStore] | EventStore,
        projections: Iterable[LogFollower],
        channels: Iterable[MessageChannel[Any]],
        commands: Iterable[AnyCommand],
    ) -> "Inventory":
        """Take the parts that a program has. The channels of connected stores are added.

        Raises:
            ValueError: there is no store, or two parts of one kind have one name.
            TypeError: a store is none.
        """
        listed = [stores] if isinstance(stores, EventStore) else [*map(_unwrap, stores)]
        by_id = _index("event stores", ((each.event_store_id, each) for each in listed))
        if not by_id:
            raise ValueError("give at least one event store")
        carried = [*channels, *_list_channels(listed)]
        unique = {id(each): each for each in carried}.values()
        return cls(
            by_id,
            _index("projections", ((each.name, each) for each in map(_unwrap_any, projections))),
            _index("channels", ((each.message_channel_id, each) for each in unique)),
            _index("commands", ((get_command_name(each), each) for each in commands)),
        )

    @property
    def has_snapshots(self) -> bool:
        """Whether a store has snapshots."""
        return any(each.snapshots is not None for each in self.stores.values())

    def list_logs(self) -> list[tuple[ReversibleEventLog, list[str]]]:
        """Return the logs of the stores, each with the ids of the stores that it has."""
        logs: dict[int, tuple[ReversibleEventLog, list[str]]] = {}
        for store_id, store in self.stores.items():
            log = find_log(store)
            if log is not None:
                logs.setdefault(id(log), (log, []))[1].append(store_id)
        return list(logs.values())


def find_log(store: EventStore) -> ReversibleEventLog | None:
    """Return the storage adapter of a store, if it is a log that is read backwards, too."""
    adapter = store.storage_adapter
    return adapter if is_reversible_event_log(adapter) else None


def _unwrap(store: object) -> EventStore:
    found = _unwrap_any(store)
    if not _is_store(found):
        raise TypeError(f"create_app takes event stores, not {type(found).__qualname__}")
    return found


def _is_store(value: object) -> TypeGuard[EventStore]:
    return isinstance(value, EventStore)


def _unwrap_any(value: Any) -> Any:
    """Return what is behind a façade of `castore_core.sync`."""
    if not isinstance(value, Facade):
        return value
    targets = (
        getattr(cast("object", value), each, None)
        for each in ("event_store", "projection", "relay")
    )
    return next((each for each in targets if each is not None), cast("object", value))


def _list_channels(stores: Iterable[EventStore]) -> list[MessageChannel[Any]]:
    carriers = (channel for each in stores for channel in iter_channels(each))
    return [each for each in carriers if isinstance(each, MessageChannel)]


def iter_channels(store: EventStore) -> Iterator[object]:
    """Walk the channels to which a store publishes at each push."""
    while isinstance(store, ConnectedEventStore):
        yield store.message_channel
        store = store.event_store


def _index(kind: str, named: Iterable[tuple[str, T]]) -> dict[str, T]:
    indexed: dict[str, T] = {}
    for name, value in named:
        if name in indexed:
            raise ValueError(f"two {kind} have the name {name!r}")
        indexed[name] = value
    return indexed
