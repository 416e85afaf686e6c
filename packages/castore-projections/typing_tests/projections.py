"""What type checkers know of projections, and what they refuse. Never run."""

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict, assert_type

from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_core import (
    BookmarkStorageAdapter,
    Event,
    EventStore,
    LogPosition,
    NotificationMessageQueue,
    ParkedEvent,
    PushedEvent,
)
from castore_dynamodb import DynamoDBBookmarkStorageAdapter, TransactItems
from castore_in_memory import InMemoryBookmarkStorageAdapter
from castore_projections import (
    EventFailed,
    EventsHandled,
    ParkedGroup,
    PartitionStatus,
    Projection,
    ProjectionContext,
    ProjectionReport,
    ProjectionStatus,
    Relay,
)
from castore_projections.sync import SyncProjection, SyncRelay
from castore_sql import SQLBookmarkStorageAdapter


class Content(TypedDict):
    """The content of a parcel."""

    content: str


class Ordered(Event, type="ORDERED"):
    """Somebody ordered a parcel."""

    payload: Content


class Packed(Event, type="PACKED"):
    """The parcel is packed."""


class Sent(Event, type="SENT"):
    """The parcel is on its way."""


class Delivered(Event, type="DELIVERED"):
    """The parcel is there."""


class Returned(Event, type="RETURNED"):
    """The parcel came back."""


class Lost(Event, type="LOST"):
    """The parcel is nowhere."""


ParcelEvent: TypeAlias = Ordered | Packed | Sent | Delivered | Returned | Lost


@dataclass(frozen=True)
class Parcel:
    """The state of a parcel."""

    aggregate_id: str
    version: int


def reduce_parcel(_: Parcel | None, event: ParcelEvent) -> Parcel:
    """Compute a parcel."""
    return Parcel(event.aggregate_id, event.version)


parcels = EventStore(
    "PARCELS",
    event_types=[Ordered, Packed, Sent, Delivered, Returned, Lost],
    reduce=reduce_parcel,
)
queue = NotificationMessageQueue("QUEUE", source_event_stores=(parcels,))


def make_in_memory() -> Projection[None]:
    """Return a projection that no transaction is handed to."""
    projection = Projection(
        "parcels", event_stores=[parcels], bookmarks=InMemoryBookmarkStorageAdapter()
    )
    assert_type(projection, Projection[None])
    return projection


# The kind of bookmarks says what the transaction of a handler is.


def handle_on_async_engine(engine: AsyncEngine) -> None:
    """Give handlers an async connection."""
    projection = Projection(
        "parcels", event_stores=[parcels], bookmarks=SQLBookmarkStorageAdapter(engine)
    )
    assert_type(projection, Projection[AsyncConnection])

    @projection.on(Ordered)
    async def order(event: Ordered, context: ProjectionContext[AsyncConnection]) -> None:
        assert_type(event.payload["content"], str)
        assert_type(context.transaction, AsyncConnection)
        await context.transaction.execute(text("SELECT 1"))

    @projection.on(Ordered)  # type: ignore[arg-type]
    async def block(_: Ordered, context: ProjectionContext[Connection]) -> None:
        context.transaction.execute(text("SELECT 1"))


def handle_on_engine(engine: Engine) -> None:
    """Give handlers a connection."""
    projection = Projection(
        "parcels", event_stores=[parcels], bookmarks=SQLBookmarkStorageAdapter(engine)
    )
    assert_type(projection, Projection[Connection])

    @projection.on(Ordered)
    async def order(_: Ordered, context: ProjectionContext[Connection]) -> None:
        assert_type(context.transaction, Connection)
        context.transaction.execute(text("SELECT 1"))

    @projection.on(Ordered)  # type: ignore[arg-type]
    async def wait(_: Ordered, context: ProjectionContext[AsyncConnection]) -> None:
        await context.transaction.execute(text("SELECT 1"))


def handle_on_dynamodb(bookmarks: DynamoDBBookmarkStorageAdapter) -> None:
    """Give handlers a list of writes."""
    projection = Projection("parcels", event_stores=[parcels], bookmarks=bookmarks)
    assert_type(projection, Projection[TransactItems])

    @projection.on(Ordered)
    async def order(_: Ordered, context: ProjectionContext[TransactItems]) -> None:
        assert_type(context.transaction, TransactItems)
        context.transaction.append({"Delete": {"TableName": "parcels"}})

    @projection.on(Ordered)  # type: ignore[arg-type]
    async def connect(_: Ordered, __: ProjectionContext[Connection]) -> None: ...


def handle_in_memory() -> None:
    """Give handlers no transaction."""
    projection = make_in_memory()

    @projection.on(Ordered)
    async def order(_: Ordered, context: ProjectionContext[None]) -> None:
        assert_type(context.transaction, None)
        assert_type(context.position, LogPosition | None)
        assert_type(context.is_replay, bool)
        assert_type(context.attempt, int)

    @projection.on(Ordered)  # type: ignore[arg-type]
    async def connect(_: Ordered, __: ProjectionContext[Connection]) -> None: ...


def handle_on_any_storage(bookmarks: BookmarkStorageAdapter[Connection]) -> None:
    """Know the transaction also through the protocol."""
    projection = Projection("parcels", event_stores=[parcels], bookmarks=bookmarks)
    assert_type(projection, Projection[Connection])


def handle_without_the_transaction(
    projection: Projection[AsyncConnection], other: Projection[None]
) -> None:
    """Take a handler that leaves the transaction open on every kind of bookmarks."""

    @other.on(Ordered)
    async def note(_: Ordered, context: ProjectionContext) -> None:
        assert_type(context.transaction, object)

    async def note_any(_: Ordered, context: ProjectionContext) -> None:
        assert_type(context.version, int)

    projection.on(Ordered)(note_any)
    other.on(Ordered)(note_any)


def handle_both_kinds(projection: Projection[AsyncConnection]) -> None:
    """Take a handler of more than it will be given."""

    @projection.on(Ordered)
    async def order(_: Event, context: ProjectionContext[AsyncConnection | Connection]) -> None:
        assert_type(context.transaction, AsyncConnection | Connection)


# The classes say what the event is.


def handle_several_classes(projection: Projection[None]) -> None:
    """Give a handler of several classes a union."""

    @projection.on(Ordered, Packed)
    async def two(_: Ordered | Packed, __: ProjectionContext[None]) -> None: ...

    @projection.on(Ordered, Packed, Sent)
    async def three(_: Ordered | Packed | Sent, __: ProjectionContext[None]) -> None: ...

    @projection.on(Ordered, Packed, Sent, Delivered)
    async def four(_: Ordered | Packed | Sent | Delivered, __: ProjectionContext[None]) -> None: ...

    @projection.on(Ordered, Packed, Sent, Delivered, Returned)
    async def five(
        _: Ordered | Packed | Sent | Delivered | Returned, __: ProjectionContext[None]
    ) -> None: ...

    @projection.on(Ordered, Packed, Sent, Delivered, Returned, Lost)
    async def six(_: ParcelEvent, __: ProjectionContext[None]) -> None: ...

    @projection.on(*parcels.event_types)
    async def all_of_them(_: ParcelEvent, __: ProjectionContext[None]) -> None: ...

    @projection.on(Ordered, Packed)  # type: ignore[arg-type]
    async def half(_: Ordered, __: ProjectionContext[None]) -> None: ...

    @projection.on(Ordered, Packed, Sent, Delivered, Returned)  # type: ignore[arg-type]
    async def most(_: Ordered | Packed | Sent | Delivered, __: ProjectionContext[None]) -> None: ...

    @projection.on(*parcels.event_types)  # type: ignore[arg-type]
    async def some(_: Ordered | Packed, __: ProjectionContext[None]) -> None: ...


def refuse_handlers(projection: Projection[None]) -> None:
    """Refuse another event, a plain function, and one that takes no context."""

    @projection.on(Ordered)  # type: ignore[arg-type]
    async def other(_: Packed, __: ProjectionContext[None]) -> None: ...

    @projection.on(Ordered)  # type: ignore[arg-type]
    def plain(_: Ordered, __: ProjectionContext[None]) -> None: ...

    @projection.on(Ordered)  # type: ignore[arg-type]
    async def alone(_: Ordered) -> None: ...

    @projection.on(Ordered)  # type: ignore[arg-type]
    async def count(_: Ordered, __: ProjectionContext[None]) -> int:
        return 1

    projection.on(Parcel)  # type: ignore[type-var]
    projection.on("ORDERED")  # type: ignore[call-overload]
    projection.on()  # type: ignore[call-overload]


async def call_handler(projection: Projection[None], context: ProjectionContext[None]) -> None:
    """Let a test call a handler."""

    @projection.on(Ordered)
    async def order(_: Ordered, __: ProjectionContext[None]) -> None: ...

    assert_type(order, Callable[[Ordered, ProjectionContext[None]], Coroutine[Any, Any, None]])
    await order(Ordered("p1", 1, payload={"content": "books"}), context)


async def apply(
    projection: Projection[AsyncConnection], connection: AsyncConnection, other: Connection
) -> None:
    """Hand in the transaction that the bookmarks have."""
    ordered = Ordered("p1", 1, payload={"content": "books"})
    assert_type(await projection.apply(ordered, transaction=connection), bool)

    await projection.apply(ordered)  # type: ignore[call-arg]
    await projection.apply(ordered, transaction=other)  # type: ignore[arg-type]
    await projection.apply("ORDERED", transaction=connection)  # type: ignore[arg-type]


# Running, and what is known


async def empty(connection: AsyncConnection) -> None:
    """Empty a read model."""
    await connection.execute(text("DELETE FROM parcels"))


def note_report(report: ProjectionReport) -> None:
    """Know the fields of each report."""
    match report:
        case EventsHandled(count=count, duration=duration):
            assert_type(count, int)
            assert_type(duration, float)
        case EventFailed(error=error):
            assert_type(error, BaseException)
        case _:
            assert_type(report.name, str)


def set_options(engine: AsyncEngine) -> None:
    """Type the options by the transaction, too."""
    bookmarks = SQLBookmarkStorageAdapter(engine)
    Projection(
        "parcels",
        event_stores=[parcels],
        bookmarks=bookmarks,
        on_clear=empty,
        on_report=note_report,
        on_unknown_type="park",
        retry_delay=float,
    )
    memory = InMemoryBookmarkStorageAdapter()
    Projection("p", event_stores=[parcels], bookmarks=memory, on_clear=empty)  # type: ignore[misc]
    Projection("parcels", event_stores=[parcels])  # type: ignore[call-arg]
    Projection("parcels", event_stores=[queue], bookmarks=bookmarks)  # type: ignore[list-item]
    Projection(
        "parcels",
        event_stores=[parcels],
        bookmarks=bookmarks,
        on_unknown_type="ignore",  # type: ignore[arg-type]
    )


async def run(projection: Projection[None], pushed: PushedEvent[ParcelEvent, Parcel]) -> None:
    """Know the results."""
    async with projection as entered:
        assert_type(entered, Projection[None])
        assert_type(await projection.wait_for(pushed), LogPosition)
        assert_type(await projection.wait_for(pushed.event, event_store=parcels), LogPosition)
    assert_type(await projection.run_once(), int)
    assert_type(await projection.run(), None)
    assert_type(await projection.group_parked_events(), list[ParkedGroup])
    async for each in projection.iter_parked_events():
        assert_type(each, ParkedEvent)
        assert_type(await projection.retry_parked_events(event=each), int)
    status = await projection.status()
    assert_type(status, ProjectionStatus)
    assert_type(status.partitions, tuple[PartitionStatus, ...])

    await projection.wait_for("p1")  # type: ignore[arg-type]


def take_any_projection(projection: Projection) -> None:
    """Take whatever comes."""
    assert_type(projection, Projection[Any])


take_any_projection(make_in_memory())


# Relays


def run_in_a_script(pushed: PushedEvent[ParcelEvent, Parcel]) -> None:
    """Façades know what the projection knows."""
    facade = SyncProjection(make_in_memory(), timeout=60)
    assert_type(facade, SyncProjection[None])
    with facade as entered:
        assert_type(entered, SyncProjection[None])
        assert_type(facade.wait_for(pushed), LogPosition)
    assert_type(facade.run_once(), int)
    assert_type(facade.status(), ProjectionStatus)
    assert_type(facade.iter_parked_events(), Iterator[ParkedEvent])
    facade.wait_for("p1")  # type: ignore[arg-type]


async def relay(engine: Engine) -> None:
    """Take bookmarks of any kind, and channels of any kind."""
    to_queue = Relay(
        "to-queue",
        event_stores=[parcels],
        channels=[queue],
        bookmarks=SQLBookmarkStorageAdapter(engine),
    )
    async with to_queue as entered:
        assert_type(entered, Relay)
    assert_type(await to_queue.status(), ProjectionStatus)
    assert_type(SyncRelay(to_queue).run_once(), int)

    Relay("to-queue", event_stores=[parcels], channels=[parcels], bookmarks=to_queue)  # type: ignore[arg-type, list-item]
