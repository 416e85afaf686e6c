"""Failures of events, as they are kept with parked events."""

import traceback
from typing import Final

from castore_core import (
    EventDecodeError,
    EventRecord,
    Failure,
    LogEntry,
    ParkedEvent,
    UnknownEventTypeError,
    name_type,
    utc_now,
)

_LONGEST_KIND: Final = 200  # characters, as BookmarkStorageAdapter keeps them
_LONGEST_TEXT: Final = 4_000


class MissingParkedEventError(Exception):
    """A parked event is to be tried again, and is stored no longer."""


def park(entry: LogEntry, attempts: int = 0, failure: Failure | None = None) -> ParkedEvent:
    """Return the parked event of an entry that is passed over."""
    aggregate_id, version, event_type, *_ = entry.record
    return ParkedEvent(
        entry.position,
        entry.event_store_id,
        aggregate_id,
        version,
        event_type,
        utc_now(),
        attempts,
        failure,
    )


def is_unreadable(error: BaseException) -> bool:
    """Tell whether an event or its state cannot be read: a further attempt would fail, too."""
    return isinstance(error, (EventDecodeError, UnknownEventTypeError))


def get_lost_entry(parked: ParkedEvent) -> LogEntry:
    """Return the entry of a parked event that is stored no longer, without its payload."""
    _, event_store_id, aggregate_id, version, event_type, parked_at, *_ = parked
    record = EventRecord(aggregate_id, version, event_type, parked_at)
    return LogEntry(parked.position, event_store_id, record)


def describe_failure(error: BaseException) -> Failure:
    """Return an error as it is kept: its type and the user's function group it with others."""
    function = _find_function(error)
    kind = f"{name_type(error)} in {function}" if function else name_type(error)
    return Failure(_clean(kind, _LONGEST_KIND), _clean(_to_text(error), _LONGEST_TEXT))


def _find_function(error: BaseException) -> str:
    """Return the name of the outermost function that is not castore's: that of a handler."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module: str = frame.f_globals.get("__name__", "")
        if not module.startswith("castore_") and module != "contextlib":
            return f"{module}.{frame.f_code.co_qualname}"
    return ""


def _to_text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001 the error is a user's
        return f"its text raises {name_type(second)}"


def _clean(text: str, longest: int) -> str:
    text = text[:longest].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode(errors="replace").decode()
