"""Counters, and commands that count, on a storage that fails when it is told to."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from castore_core import (
    COMMANDS_STORE_ID,
    Command,
    Event,
    EventRecord,
    EventStore,
    GroupedRecord,
    LogSlice,
)
from castore_in_memory import InMemoryEventStorageAdapter


class Counted(Event, type="COUNTED"):
    """One more."""

    payload: str = ""


@dataclass(frozen=True)
class Counter:
    """An aggregate."""

    aggregate_id: str
    version: int


def count(_: Counter | None, event: Counted) -> Counter:
    """Compute the state."""
    return Counter(event.aggregate_id, event.version)


Store = EventStore[Counted, Counter]
Handler = Callable[[Any, tuple[Store]], Awaitable[Any]]


class Storage(InMemoryEventStorageAdapter):
    """A storage that counts what it is asked for, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.groups: list[list[str]] = []
        self.before_write: Callable[[], Awaitable[None]] | None = None
        self.after_write: list[Exception] = []
        self.on_read: list[Exception | None] = []

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Write a group."""
        if self.before_write is not None:
            before, self.before_write = self.before_write, None
            await before()
        await super().push_event_group(group, **options)
        self.groups.append([each.event_store_id for each in group])
        if self.after_write:
            raise self.after_write.pop(0)

    async def get_events(self, *args: Any, **options: Any) -> list[EventRecord]:
        """Read events."""
        self.reads += 1
        if self.on_read and (error := self.on_read.pop(0)) is not None:
            raise error
        return await super().get_events(*args, **options)


def make_store(storage: Storage, event_store_id: str = "COUNTERS", **options: Any) -> Store:
    """Return a store."""
    return EventStore(
        event_store_id,
        event_types=[Counted],
        reduce=count,
        storage_adapter=storage,
        **options,
    )


def make_command(store: Store, handler: Handler, **options: Any) -> Command[Any, Any, Any, Any]:
    """Return a command that does not pause."""
    return Command(
        "COUNT",
        required_event_stores=(store,),
        handler=handler,
        event_already_exists_pause=0,
        **options,
    )


async def count_one(input: str, event_stores: tuple[Store]) -> int:
    """Push the next event, and return its version."""
    (store,) = event_stores
    counter = (await store.get_aggregate(input)).aggregate
    version = counter.version + 1 if counter else 1
    await store.push_event(Counted(input, version), prev_aggregate=counter)
    return version


async def get_versions(store: Store, aggregate_id: str = "c") -> list[int]:
    """Return the versions that are stored."""
    return [each.version for each in await store.get_events(aggregate_id)]


async def get_runs(storage: Storage) -> list[EventRecord]:
    """Return the records of runs."""
    log: LogSlice = await storage.read_events([COMMANDS_STORE_ID])
    return [each.record for each in log.entries]
