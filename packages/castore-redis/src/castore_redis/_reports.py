"""Reports of a worker, for the user's hook and for the log."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from castore_core.workers import (
    HandlerGivenUp,
    HeartbeatFailed,
    LogWarning,
    MessageFailed,
    MessageHandled,
    MessageReturned,
    MessageSkipped,
    MessagesReceived,
    MessageTimedOut,
    MessageUnreadable,
    ReceiveFailed,
)
from castore_redis._context import RedisMessageContext


@dataclass(frozen=True)
class AckFailed:
    """The message was handled, and could not be acknowledged. It will come again."""

    message_id: str
    reason: str


@dataclass(frozen=True)
class MessageDeadLettered:
    """The message was moved to the dead letters: so many attempts to handle it were all it had."""

    message_id: str
    attempts: int


@dataclass(frozen=True)
class MessageLost:
    """Another worker may have the message, although this one has it in flight.

    Where its handler runs, that goes on. Otherwise the message is left to others.
    """

    message_id: str
    reason: str


@dataclass(frozen=True)
class StreamTaken:
    """The worker has the lease of a stream, and reads it from now on."""

    stream: str


@dataclass(frozen=True)
class StreamLost:
    """The worker has lost the lease of a stream: others may read it."""

    stream: str
    reason: str


@dataclass(frozen=True)
class GroupRecreated:
    """The consumer group was gone, as after FLUSHALL or a failover, and was created again.

    All messages that are in the stream come, also those that were handled.
    """

    stream: str


WorkerReport: TypeAlias = (
    MessagesReceived
    | MessageHandled[RedisMessageContext]
    | MessageFailed[RedisMessageContext]
    | MessageTimedOut[RedisMessageContext]
    | HandlerGivenUp[RedisMessageContext]
    | MessageUnreadable
    | MessageSkipped
    | MessageReturned
    | MessageDeadLettered
    | AckFailed
    | HeartbeatFailed
    | MessageLost
    | ReceiveFailed
    | StreamTaken
    | StreamLost
    | GroupRecreated
)

ReportHook: TypeAlias = Callable[[WorkerReport], object]


def describe_report(report: object) -> LogWarning | None:
    """Return the warning for a report that only workers of Redis have."""
    match report:
        case AckFailed(message_id, reason):
            return "message %s was handled, but not acknowledged: %s", message_id, reason
        case MessageDeadLettered(message_id, attempts):
            return "message %s is a dead letter, after %d attempts", message_id, attempts
        case MessageLost(message_id, reason):
            return "message %s is left to other workers: %s", message_id, reason
        case StreamLost(stream, reason):
            return "the lease of stream %s is lost: %s", stream, reason
        case GroupRecreated(stream):
            return "the consumer group of stream %s was gone, and was created again", stream
        case _:
            return None
