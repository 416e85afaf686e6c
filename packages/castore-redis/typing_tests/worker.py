"""Types that are inferred for a worker. Checked by pyright and mypy, and never run."""

from typing import Any, assert_never, assert_type

from redis.asyncio import Redis, RedisCluster

from castore_core import Event, EventStore, NotificationMessage, NotificationMessageQueue
from castore_redis import (
    AckFailed,
    GroupRecreated,
    HandlerGivenUp,
    HeartbeatFailed,
    MessageDeadLettered,
    MessageFailed,
    MessageHandled,
    MessageLost,
    MessageReturned,
    MessageSkipped,
    MessagesReceived,
    MessageTimedOut,
    MessageUnreadable,
    QueueLag,
    ReceiveFailed,
    RedisMessageContext,
    RedisMessageQueueAdapter,
    RedisWorker,
    StreamLost,
    StreamTaken,
    WorkerReport,
)


class DoorOpened(Event, type="DOOR_OPENED"):
    """Somebody opened the door."""


class DoorClosed(Event, type="DOOR_CLOSED"):
    """Somebody closed the door."""


def check_clients(redis: Redis, cluster: RedisCluster) -> None:
    """Take clients of redis-py's asyncio."""
    RedisMessageQueueAdapter(redis, stream="doors")
    RedisMessageQueueAdapter(cluster, stream="doors", streams=4)
    RedisMessageQueueAdapter("redis://", stream="doors")  # type: ignore[arg-type]
    RedisMessageQueueAdapter(redis, "doors")  # type: ignore[call-arg]


def check_handlers(
    store: EventStore[DoorOpened | DoorClosed, Any], adapter: RedisMessageQueueAdapter
) -> None:
    """Take functions and coroutine functions of the messages of a channel, and no others."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(store,))

    async def handle(
        message: NotificationMessage[DoorOpened | DoorClosed], context: RedisMessageContext
    ) -> int:
        return message.event.version + context.attempt

    def handle_any(message: NotificationMessage[Event], context: RedisMessageContext) -> None:
        assert_type((message.event.version, context.stream), tuple[int, str])

    async def handle_some(
        message: NotificationMessage[DoorOpened], context: RedisMessageContext
    ) -> None:
        assert_type((message.event.version, context.replay), tuple[int, bool])

    worker = RedisWorker(queue, handle)
    assert_type(worker, RedisWorker[NotificationMessage[DoorOpened | DoorClosed]])
    RedisWorker(queue, handle_any, adapter=adapter, retry_delay=lambda attempt: 2**attempt)
    RedisWorker(queue, handle_some)  # type: ignore[arg-type]
    RedisWorker(queue, handle, max_attempts=None, ordered=False)
    RedisWorker(queue, handle, 10)  # type: ignore[call-arg, arg-type]


async def check_lag(worker: RedisWorker[Any]) -> None:
    """Read how far workers are behind."""
    lag = await worker.get_lag()
    assert_type(lag, QueueLag)
    assert_type((lag.waiting, lag.oldest_age), tuple[int, float])


def check_reports(report: WorkerReport) -> float:
    """Tell reports apart by their class, all of them."""
    match report:
        case MessageHandled(context, number) | MessageFailed(context, _, number):
            assert_type(context, RedisMessageContext)
        case MessageTimedOut(context, number) | HandlerGivenUp(context, number):
            assert_type(context, RedisMessageContext)
        case MessageDeadLettered(_, number) | MessagesReceived(number):
            pass
        case AckFailed(text) | HeartbeatFailed(text) | MessageLost(text):
            number = len(text)
        case MessageUnreadable(text) | MessageSkipped(text) | MessageReturned(text):
            number = len(text)
        case StreamTaken(text) | GroupRecreated(text) | StreamLost(text):
            number = len(text)
        case ReceiveFailed(_, _, number):
            pass
        case _:
            assert_never(report)
    return number
