"""The trace that a push is part of, in the metadata of its events: where it ends, others go on."""

from typing import TypeVar

from castore_core._event import Event
from castore_core._telemetry import get_trace_metadata

E = TypeVar("E", bound=Event)


def add_trace(event: E) -> E:
    """Return an event with the trace of now, as far as its metadata has room for it.

    Keys that are there already stay as they are. An event whose class refuses the trace goes
    without it.
    """
    trace = get_trace_metadata()
    if not trace:
        return event
    try:
        return event.with_metadata(trace)
    except Exception:  # noqa: BLE001 telemetry fails no push
        return event
