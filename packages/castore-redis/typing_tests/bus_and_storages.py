"""Types that are inferred for buses, bookmarks and snapshots. Checked by both, and never run."""

from dataclasses import dataclass
from typing import Any, assert_never, assert_type

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import Pipeline

from castore_core import (
    AggregateExistsMessage,
    AggregateExistsMessageBus,
    BookmarkStorageAdapter,
    DataclassCodec,
    Event,
    EventStore,
    Lease,
    MessageChannelAdapter,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    SnapshotStorageAdapter,
    StateCarryingMessage,
    StateCarryingMessageBus,
)
from castore_redis import (
    ConnectionLost,
    HandlerFailed,
    ListenerReport,
    MessageNotRead,
    MessagesMissed,
    RedisBookmarkStorageAdapter,
    RedisBusContext,
    RedisBusListener,
    RedisBusSubscription,
    RedisMessageBusAdapter,
    RedisSnapshotStorageAdapter,
    listen,
)


class Ordered(Event, type="ORDERED"):
    """Somebody ordered a parcel."""

    payload: str


class Delivered(Event, type="DELIVERED"):
    """The parcel is there."""


class Written(Event, type="WRITTEN"):
    """Somebody wrote a letter."""


@dataclass(frozen=True)
class Parcel:
    """The state of a parcel."""

    aggregate_id: str
    version: int


@dataclass(frozen=True)
class Letter:
    """The state of a letter."""

    aggregate_id: str
    version: int


def reduce_parcel(_: Parcel | None, event: Ordered | Delivered) -> Parcel:
    """Compute a parcel."""
    return Parcel(event.aggregate_id, event.version)


def reduce_letter(_: Letter | None, event: Written) -> Letter:
    """Compute a letter."""
    return Letter(event.aggregate_id, event.version)


parcels = EventStore(
    "PARCELS",
    event_types=[Ordered, Delivered],
    reduce=reduce_parcel,
    aggregate_codec=DataclassCodec(Parcel),
)
letters = EventStore(
    "LETTERS",
    event_types=[Written],
    reduce=reduce_letter,
    aggregate_codec=DataclassCodec(Letter),
)
bus = NotificationMessageBus("POST", source_event_stores=(parcels, letters))
states = StateCarryingMessageBus("STATES", source_event_stores=(parcels,))
aggregates = AggregateExistsMessageBus("AGGREGATES", source_event_stores=(parcels, letters))


def check_clients(redis: Redis, cluster: RedisCluster) -> None:
    """Take clients of redis-py's asyncio."""
    for client in (redis, cluster):
        RedisMessageBusAdapter(client)
        RedisBookmarkStorageAdapter(client)
        RedisSnapshotStorageAdapter(client)
    RedisMessageBusAdapter("redis://")  # type: ignore[arg-type]


def check_protocols(
    adapter: RedisMessageBusAdapter,
    bookmarks: RedisBookmarkStorageAdapter,
    snapshots: RedisSnapshotStorageAdapter,
) -> tuple[MessageChannelAdapter, BookmarkStorageAdapter[Pipeline], SnapshotStorageAdapter]:
    """Take the adapters for what they implement."""
    return adapter, bookmarks, snapshots


async def check_block(bookmarks: RedisBookmarkStorageAdapter, lease: Lease) -> None:
    """Know the pipeline of a block."""
    async with bookmarks.move_bookmark(lease, "7") as pipeline:
        assert_type(pipeline, Pipeline)
        pipeline.incr("pokemons")


def check_another_transaction(
    bookmarks: RedisBookmarkStorageAdapter,
) -> BookmarkStorageAdapter[None]:
    """Refuse it where blocks are given another transaction."""
    return bookmarks  # type: ignore[return-value]


async def check_messages() -> None:
    """Infer messages from the bus and the filters."""
    async for message in listen(bus):
        assert_type(message, NotificationMessage[Ordered | Delivered | Written])
    async for ordered in listen(bus, event_types=[Ordered]):
        assert_type(ordered, NotificationMessage[Ordered])
        assert_type(ordered.event.payload, str)
    several: list[type[Ordered | Written]] = [Ordered, Written]  # mypy does not infer it
    subscription = listen(bus, event_types=several, replays=False)
    assert_type(subscription, RedisBusSubscription[NotificationMessage[Ordered | Written]])
    async with listen(bus, event_types=[Written]) as messages:
        async for written in messages:
            assert_type(written, NotificationMessage[Written])
    async for of_store in listen(bus, event_stores=(letters,), buffer_size=10):
        assert_type(of_store, NotificationMessage[Written])
    async for state in listen(states, event_types=[Delivered]):
        assert_type(state, StateCarryingMessage[Delivered, Parcel])
    async for of_states in listen(states, event_stores=[parcels]):
        assert_type(of_states, StateCarryingMessage[Ordered | Delivered, Parcel])
    async for exists in listen(aggregates, event_stores=[letters]):
        assert_type(exists, AggregateExistsMessage)


def check_mistakes(queue: NotificationMessageQueue[Ordered]) -> None:
    """Refuse queues, types of events for messages without any, and other options."""
    listen(queue)  # type: ignore[call-overload]
    listen(aggregates, event_types=[Written])  # type: ignore[call-overload]
    listen(bus, buffer=1)  # type: ignore[call-overload]


def check_handlers() -> None:
    """Take functions and coroutine functions of the messages that pass the filters."""
    several: list[type[Ordered | Written]] = [Ordered, Written]
    listener = RedisBusListener(bus, grace_period=5)
    assert_type(listener, RedisBusListener[NotificationMessage[Ordered | Delivered | Written]])

    @listener.on
    async def every(
        message: NotificationMessage[Ordered | Delivered | Written], context: RedisBusContext
    ) -> None: ...

    @listener.on(event_types=several)
    def some(message: NotificationMessage[Ordered | Written], context: RedisBusContext) -> None: ...

    @listener.on(event_stores=(letters,), replays=True)
    async def of_letters(
        message: NotificationMessage[Written], context: RedisBusContext
    ) -> None: ...

    @listener.on(event_types=[Ordered])  # type: ignore[arg-type]
    async def wrong(message: NotificationMessage[Written], context: RedisBusContext) -> None: ...

    for name in (every.__name__, some.__name__, of_letters.__name__, wrong.__name__):
        print(name)  # noqa: T201 they are used


def check_reports(report: ListenerReport) -> Any:
    """Know all reports."""
    match report:
        case ConnectionLost(failures, delay):
            return failures, delay
        case MessagesMissed(since, until):
            return until - since
        case MessageNotRead(channel):
            return channel
        case HandlerFailed(handler, channel):
            return handler, channel
        case _:
            assert_never(report)
