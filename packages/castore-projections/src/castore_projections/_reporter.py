"""The reporter: logs reports as structured records, and calls the user's hook with each."""

import logging
from dataclasses import fields
from typing import Final

from castore_core import ParkedEvent, format_error, name_type
from castore_core.telemetry import installed, note
from castore_core.workers import ends_task
from castore_projections._reports import (
    CircuitOpened,
    EventFailed,
    EventParked,
    EventsHandled,
    EventSkipped,
    LeaseLost,
    ProjectionReport,
    ReadingFailed,
    ReportHook,
    Retired,
)

logger = logging.getLogger("castore_projections")

_LEVELS: Final[dict[type, int]] = {
    CircuitOpened: logging.ERROR,
    EventFailed: logging.WARNING,
    EventParked: logging.ERROR,
    EventSkipped: logging.ERROR,
    EventsHandled: logging.DEBUG,
    LeaseLost: logging.WARNING,
    ReadingFailed: logging.WARNING,
    Retired: logging.WARNING,
}


class Reporter:
    """Logs reports to ``castore_projections``, and calls the hook with each.

    A log record has the fields of the report as attributes, for logs that are made of fields.

    Args:
        hook: the user's, if there is one.
        log_error_texts: whether the log has the texts of errors, with all that they hold.
    """

    def __init__(self, hook: ReportHook | None, *, log_error_texts: bool) -> None:
        self._hook = hook
        self._log_error_texts = log_error_texts

    def tell(self, report: ProjectionReport) -> None:
        """Tell a report. An error of the hook is logged, and stops nothing."""
        self._log(report, _LEVELS.get(type(report), logging.INFO), getattr(report, "error", None))
        if installed.telemetry is not None:
            note(type(report).__name__, **_get_safe_fields(report))
        if self._hook is None:
            return
        try:
            self._hook(report)
        except BaseException as error:
            if ends_task(error):
                raise
            logger.exception("the hook for reports raised on %s", type(report).__name__)

    def _log(self, report: ProjectionReport, level: int, error: BaseException | None) -> None:
        if not logger.isEnabledFor(level):
            return
        extra = {f"castore_{name}": value for name, value in _get_fields(report).items()}
        if error is None or self._log_error_texts:
            logger.log(level, "%r", report, exc_info=error, extra=extra)
        else:
            extra["castore_error"] = name_type(error)
            text = "%r: %s\n%s"
            logger.log(level, text, report, name_type(error), format_error(error), extra=extra)


def _get_safe_fields(report: ProjectionReport) -> dict[str, object]:
    values = _get_fields(report)
    error = values.pop("error", None)
    if isinstance(error, BaseException):
        values["error_type"] = name_type(error)
    return values


def _get_fields(report: ProjectionReport) -> dict[str, object]:
    """Return the fields of a report, and those of its parked event, less the text of the error."""
    values = {each.name: getattr(report, each.name) for each in fields(report)}
    parked: ParkedEvent | None = values.pop("parked", None)
    if parked is not None:
        values.update(parked._asdict())
        failure = values.pop("failure")
        values["failure_kind"] = failure and failure.kind
    return values
