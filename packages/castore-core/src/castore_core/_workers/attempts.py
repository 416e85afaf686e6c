"""Attempts: a message is read and handled once, and the outcome is reported."""

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar

from castore_core._cancellation import ends_task
from castore_core._operations import Destination
from castore_core._workers.handler_calls import CallResult, Ending, HandlerCalls
from castore_core._workers.handling import handling
from castore_core._workers.reporter import Reporter
from castore_core._workers.reports import (
    HandlerGivenUp,
    MessageContext,
    MessageFailed,
    MessageHandled,
    MessageSkipped,
    MessageTimedOut,
    MessageUnreadable,
)
from castore_core._workers.subjects import MessageSubject, find_subject, find_unread_subject


class ReceivedMessage(Protocol):
    """A message that was received, and is not read yet."""

    @property
    def message_id(self) -> str:
        """The id that the queue gave to the message."""
        ...

    @property
    def attempt(self) -> int:
        """How often the queue handed the message out, this time included."""
        ...


R = TypeVar("R", bound=ReceivedMessage)
C = TypeVar("C", bound=MessageContext)


class Outcome(Enum):
    """What became of a message. A stopped one was not begun, or was cancelled."""

    HANDLED = auto()
    FAILED = auto()
    STOPPED = auto()


class Attempts(Generic[R, C]):
    """Reads messages, and hands them to the handler.

    Args:
        read: returns the message and its context.
        skips: tells whether a message is passed over that ``read`` raised an error for.
        calls: calls the handler with both.
        reporter: is told how each attempt ended.
        destination: where the messages were published to, for telemetry.
    """

    def __init__(
        self,
        read: Callable[[R], Awaitable[tuple[object, C]]],
        calls: HandlerCalls,
        reporter: Reporter,
        *,
        skips: Callable[[BaseException], bool],
        destination: Destination | None = None,
    ) -> None:
        self._read = read
        self._skips = skips
        self._calls = calls
        self._reporter = reporter
        self._destination = destination

    async def attempt(self, received: R) -> Outcome:
        """Handle a message, and report how that ended."""
        try:
            message, context = await self._read(received)
        except BaseException as error:
            if ends_task(error):
                raise
            return self._tell_unread(received, error)
        with handling(message):
            result = await self._calls.handle(self._destination, message, context)
        return self._tell(result, context, find_subject(message))

    def _tell_unread(self, received: R, error: BaseException) -> Outcome:
        subject = find_unread_subject(error)
        if self._skips(error):
            self._reporter.tell(MessageSkipped(received.message_id, received.attempt, subject))
            return Outcome.HANDLED
        place = received.message_id, received.attempt
        self._reporter.tell(MessageUnreadable(*place, error, subject))
        return Outcome.FAILED

    def _tell(self, result: CallResult, context: C, subject: MessageSubject | None) -> Outcome:
        tell, duration = self._reporter.tell, result.duration
        if result.is_given_up:
            tell(HandlerGivenUp(context, duration, subject))
        if result.ending is Ending.STOPPED:
            return Outcome.STOPPED
        if result.ending is Ending.TIMED_OUT:
            tell(MessageTimedOut(context, duration, subject, result.error))
            return Outcome.FAILED
        if result.error is not None:
            tell(MessageFailed(context, result.error, duration, subject))
            return Outcome.FAILED
        tell(MessageHandled(context, duration, subject))
        return Outcome.HANDLED
