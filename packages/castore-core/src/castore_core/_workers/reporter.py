"""The reporter: calls the user's hook with every report, and logs failures."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from castore_core._cancellation import ends_task
from castore_core._error_texts import format_error, name_type
from castore_core._telemetry import installed, note
from castore_core._workers.reports import (
    HandlerGivenUp,
    HeartbeatFailed,
    MessageFailed,
    MessageHandled,
    MessageReturned,
    MessageSkipped,
    MessagesReceived,
    MessageTimedOut,
    MessageUnreadable,
    ReceiveFailed,
)
from castore_core._workers.subjects import MessageSubject

LogWarning: TypeAlias = tuple[object, ...]
"""The text of a warning, and what is to be filled in."""

_EXPECTED: Final = (MessagesReceived, MessageHandled, MessageSkipped, MessageReturned)


class Reporter:
    """Logs failures, and calls the hook with every report.

    Args:
        hook: the user's, if there is one.
        logger: where the log goes.
        describe: returns the warning for a report that one kind of worker has alone, or ``None``
            where it is not logged.
        log_error_texts: whether the log has the texts of errors, with all that they hold.
    """

    def __init__(
        self,
        hook: Callable[[Any], object] | None,
        *,
        logger: logging.Logger,
        describe: Callable[[Any], LogWarning | None],
        log_error_texts: bool = False,
    ) -> None:
        self._hook = hook
        self._logger = logger
        self._describe = describe
        self._log_error_texts = log_error_texts

    def tell(self, report: object) -> None:
        """Tell a report. An error of the hook is logged, and stops nothing."""
        self._log(report)
        if installed.telemetry is not None:
            note(type(report).__name__, **_get_fields(report))
        if self._hook is None:
            return
        try:
            self._hook(report)
        except BaseException as error:
            if ends_task(error):
                raise
            self.log_error(error, "the hook for reports raised on a %s", type(report).__name__)

    def log_error(
        self,
        error: BaseException | None,
        message: str,
        *arguments: object,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Log a message, with as much of its error as may be shown."""
        if error is None or self._log_error_texts:
            self._logger.error(message, *arguments, exc_info=error, extra=extra)
        else:
            text = message % arguments
            shown = f"{name_type(error)}\n{format_error(error)}"
            self._logger.error("%s: %s", text, shown, extra=extra)

    def _log(self, report: object) -> None:
        if isinstance(report, _EXPECTED):
            return
        extra = _get_fields(report)
        match report:
            case MessageFailed(context, error, _, subject):
                place = context.message_id, context.attempt, _about(subject)
                text = "message %s was not handled (attempt %d)%s"
                self.log_error(error, text, *place, extra=extra)
            case MessageUnreadable(message_id, attempt, error, subject):
                place = message_id, attempt, _about(subject)
                self.log_error(error, "message %s was not read (attempt %d)%s", *place, extra=extra)
            case MessageTimedOut(context, duration, subject, error):
                text = "message %s was not handled (attempt %d)%s: its time was up after %.1f s"
                place = context.message_id, context.attempt, _about(subject)
                self.log_error(error, text, *place, duration, extra=extra)
            case _:
                warning = _get_warning(report) or self._describe(report)
                if warning is not None:
                    self._logger.warning(*warning, extra=extra)


def _get_fields(report: object) -> dict[str, object]:
    """Return the attributes of a log record, for logs that are made of fields."""
    place = getattr(report, "context", report)
    fields = {name: getattr(place, name, None) for name in ("message_id", "attempt")}
    subject: MessageSubject | None = getattr(report, "subject", None)
    if subject is not None:
        store_id, aggregate_id, version, event_type = subject
        fields |= {"event_store_id": store_id, "aggregate_id": aggregate_id}
        fields |= {"version": version, "event_type": event_type}
    error: BaseException | None = getattr(report, "error", None)
    fields["error_type"] = None if error is None else name_type(error)
    return {name: value for name, value in fields.items() if value is not None}


def _get_warning(report: object) -> LogWarning | None:
    match report:
        case HandlerGivenUp(context, duration, subject):
            text = "the handler of message %s (attempt %d)%s is given up: it runs after %.1f s"
            return text, context.message_id, context.attempt, _about(subject), duration
        case HeartbeatFailed(message_id, reason):
            return "message %s was not hidden for longer: %s", message_id, reason
        case ReceiveFailed(error, failures, delay):
            return "receiving failed (%d), next in %.1f s: %s", failures, delay, error
        case _:
            return None


def _about(subject: MessageSubject | None) -> str:
    return "" if subject is None else f": {subject}"
