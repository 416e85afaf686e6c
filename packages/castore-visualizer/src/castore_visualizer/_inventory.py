"""What a visualizer shows: the event stores, and what belongs to them."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeGuard, TypeVar, cast

from castore_core import (
    AggregateCommand,
    Command,
    ConnectedEventStore,
    EventStore,
    GroupCommand,
    MessageChannel,
    ParkedEvent,
    ReversibleEventLog,
)
from castore_core.sync import Facade

T = TypeVar("T")


class ParkedGroup(Protocol):
    """Parked events of one kind of failure."""

    @property
    def kind(self) -> str:
        """What they have in common."""
        ...

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def first(self) -> ParkedEvent:
        """The first one in the log."""
        ...

    @property
    def last(self) -> ParkedEvent:
        """The last one in the log."""
        ...


class LogFollower(Protocol):
    """A projection or a relay of castore-projections."""

    @property
    def name(self) -> str:
        """Tells it from others."""
        ...

    async def status(self) -> Any:
        """Tell how far it has come."""
        ...

    async def group_parked_events(self) -> Sequence[ParkedGroup]:
        """Group the parked events by the kind of their failure."""
        ...

    def iter_parked_events(self) -> AsyncIterator[ParkedEvent]:
        """Walk the parked events."""
        ...

    async def retry_parked_events(self, *, kind: str | None = None) -> int:
        """Let parked events be tried again."""
        ...

    async def drop_parked_events(self, *, kind: str | None = None) -> int:
        """Pass over parked events for good."""
        ...


@dataclass(frozen=True)
class CommandContext:
    """A command, and the context that its handler is given: see `with_context`."""

    command: Command[Any, Any, Any, Any]
    values: Mapping[str, Any]


AnyCommand: TypeAlias = (
    Command[Any, Any, Any, Any]
    | AggregateCommand[Any, Any, Any]
    | GroupCommand[..., Any, *tuple[Any, ...]]
    | CommandContext
)
"""A command of any kind."""


def with_context(command: Command[Any, Any, Any, Any], **values: Any) -> CommandContext:
    """Give a command the keyword arguments that its handler takes beside the input.

    ::

        create_app(stores, commands=[with_context(wild_pokemon_appear, generate_id=new_id)])

    A rehearsal gives them to the handler, too: they should have no effect.
    """
    return CommandContext(command, values)


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
    has_log = hasattr(adapter, "read_events") and hasattr(adapter, "read_events_backwards")
    return cast("ReversibleEventLog", adapter) if has_log else None


def get_command_name(command: AnyCommand) -> str:
    """Return the name of a command, which tells it from others."""
    match command:
        case CommandContext():
            return command.command.command_id
        case AggregateCommand():
            return f"{command.event_store.event_store_id}.{command.name}"
        case _:
            return command.command_id


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
