"""What type checkers infer for a worker. Checked by pyright and mypy, and never run."""

from typing import Any, assert_never, assert_type

from castore_core import (
    Event,
    EventStore,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    StateCarryingMessage,
)
from castore_sqs import (
    DeleteFailed,
    HandlerGivenUp,
    HeartbeatFailed,
    MessageFailed,
    MessageHandled,
    MessageReturned,
    MessageSkipped,
    MessagesReceived,
    MessageSubject,
    MessageTimedOut,
    MessageUnreadable,
    ReceiveFailed,
    SQSMessageContext,
    SQSMessageQueueAdapter,
    SQSWorker,
    VisibilityLost,
    WorkerReport,
)


class DoorOpened(Event, type="DOOR_OPENED"):
    """Somebody opened the door."""


class DoorClosed(Event, type="DOOR_CLOSED"):
    """Somebody closed the door."""


def check_handlers(
    store: EventStore[DoorOpened | DoorClosed, Any], adapter: SQSMessageQueueAdapter
) -> None:
    """Take functions and coroutine functions of the messages of a channel, and no others."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(store,))
    bus = NotificationMessageBus("BUS", source_event_stores=(store,))

    async def handle(
        message: NotificationMessage[DoorOpened | DoorClosed], context: SQSMessageContext
    ) -> int:
        return message.event.version + context.attempt

    def handle_any(message: NotificationMessage[Event], context: SQSMessageContext) -> None:
        assert_type(message.event.version + context.attempt, int)

    async def handle_some(
        message: NotificationMessage[DoorOpened], context: SQSMessageContext
    ) -> None:
        assert_type((message.event.version, context.replay), tuple[int, bool])

    async def handle_states(
        message: StateCarryingMessage[DoorOpened | DoorClosed, Any], context: SQSMessageContext
    ) -> None:
        assert_type((message.event.version, context.replay), tuple[int, bool])

    async def handle_without_context(message: NotificationMessage[Event]) -> None:
        assert_type(message.event, Event)

    worker = SQSWorker(queue, handle)
    assert_type(worker, SQSWorker[NotificationMessage[DoorOpened | DoorClosed]])
    SQSWorker(bus, handle_any, adapter=adapter)
    SQSWorker(queue, handle_some)  # type: ignore[arg-type]
    SQSWorker(queue, handle_states)  # type: ignore[arg-type]
    SQSWorker(queue, handle_without_context)  # type: ignore[arg-type]
    SQSWorker(queue, handle, handler_timeout=None, log_error_texts=True)
    SQSWorker(queue, handle, 10)  # type: ignore[call-arg, arg-type]


def check_delays(
    queue: NotificationMessageQueue[DoorOpened], adapter: SQSMessageQueueAdapter
) -> None:
    """Take seconds, a function of the attempt, or neither."""

    def handle(*_: object) -> None:
        return None

    def double(attempt: int) -> int:
        return 2 * attempt

    def describe(attempt: int) -> str:
        return str(attempt)

    SQSWorker(queue, handle, retry_delay=0, adapter=adapter)
    SQSWorker(queue, handle, retry_delay=double)
    SQSWorker(queue, handle, retry_delay=None)
    SQSWorker(queue, handle, retry_delay=describe)  # type: ignore[arg-type]


def check_reports(report: WorkerReport) -> float:
    """Tell reports apart by their class, all of them."""
    match report:
        case MessageHandled(context, duration) | MessageFailed(context, _, duration):
            assert_type(context, SQSMessageContext)
            return duration
        case MessageTimedOut(context, duration, subject) | HandlerGivenUp(
            context, duration, subject
        ):
            assert_type(context, SQSMessageContext)
            assert_type(subject, MessageSubject | None)
            return duration
        case (
            MessageUnreadable(message_id) | MessageSkipped(message_id) | MessageReturned(message_id)
        ):
            return len(message_id)
        case MessagesReceived(count):
            return count
        case DeleteFailed(_, reason) | HeartbeatFailed(_, reason) | VisibilityLost(_, reason):
            return len(reason)
        case ReceiveFailed(_, _, delay):
            return delay
        case _:
            assert_never(report)
