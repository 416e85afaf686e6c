"""Parts that workers share: whatever reads a queue or a log until it is stopped.

    from castore_core.workers import Lifecycle

They are for packages that have a worker of their own. `castore_core` itself does not import them.
"""

from castore_core._cancellation import begin, ends_task, finish, is_cancelled, outlast
from castore_core._concurrency import run_all
from castore_core._lifecycle import Lifecycle, Loop, Tasks
from castore_core._workers.attempts import Attempts, Outcome, ReceivedMessage
from castore_core._workers.checks import (
    check_callable,
    check_seconds,
    check_time_limit,
    check_type,
    check_whole,
)
from castore_core._workers.handler_calls import CallResult, Ending, HandlerCalls
from castore_core._workers.handler_function import HandlerFunction
from castore_core._workers.handling import Handled, handling
from castore_core._workers.in_flight import InFlight
from castore_core._workers.message_groups import MessageGroups
from castore_core._workers.natural_batches import NaturalBatches
from castore_core._workers.reporter import LogWarning, Reporter
from castore_core._workers.reports import (
    HandlerGivenUp,
    HeartbeatFailed,
    MessageContext,
    MessageFailed,
    MessageHandled,
    MessageReturned,
    MessageSkipped,
    MessagesReceived,
    MessageTimedOut,
    MessageUnreadable,
    ReceiveFailed,
)
from castore_core._workers.subjects import MessageSubject, find_subject, find_unread_subject

__all__ = [
    "Attempts",
    "CallResult",
    "Ending",
    "Handled",
    "HandlerCalls",
    "HandlerFunction",
    "HandlerGivenUp",
    "HeartbeatFailed",
    "InFlight",
    "Lifecycle",
    "LogWarning",
    "Loop",
    "MessageContext",
    "MessageFailed",
    "MessageGroups",
    "MessageHandled",
    "MessageReturned",
    "MessageSkipped",
    "MessageSubject",
    "MessageTimedOut",
    "MessageUnreadable",
    "MessagesReceived",
    "NaturalBatches",
    "Outcome",
    "ReceiveFailed",
    "ReceivedMessage",
    "Reporter",
    "Tasks",
    "begin",
    "check_callable",
    "check_seconds",
    "check_time_limit",
    "check_type",
    "check_whole",
    "ends_task",
    "find_subject",
    "find_unread_subject",
    "finish",
    "handling",
    "is_cancelled",
    "outlast",
    "run_all",
]
