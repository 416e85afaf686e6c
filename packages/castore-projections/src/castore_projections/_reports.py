"""Reports of projections and relays, for the user's hook and for the log.

``name`` is that of the projection or relay, ``partition`` the number of its partition, from 0.
Errors are no part of a ``repr``: their texts may hold values of the payload.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from castore_core import LogPosition, ParkedEvent


@dataclass(frozen=True)
class _Report:
    name: str
    partition: int


@dataclass(frozen=True)
class _EventReport(_Report):
    event_store_id: str
    aggregate_id: str
    version: int
    type: str
    attempt: int
    error: BaseException = field(repr=False)


@dataclass(frozen=True)
class LeaseTaken(_Report):
    """This process runs the partition from now on. ``token`` is the fencing token."""

    owner: str
    token: int


@dataclass(frozen=True)
class LeaseLost(_Report):
    """The lease ran out, or another process took it: nothing was committed since."""

    owner: str


@dataclass(frozen=True)
class EventsHandled(_Report):
    """Events were handled in ``duration`` seconds, and the bookmark moved to ``position``."""

    count: int
    position: LogPosition
    duration: float


@dataclass(frozen=True)
class EventFailed(_EventReport):
    """The handling of an event raised ``error``.

    It is tried again, unless `EventParked` or `EventSkipped` follows.
    """


@dataclass(frozen=True)
class EventSkipped(_EventReport):
    """The event failed for the last time, and is passed over, as ``continue_on_error`` says."""


@dataclass(frozen=True)
class EventParked(_Report):
    """The event failed for the last time, and is parked. Its aggregate waits behind it."""

    parked: ParkedEvent
    error: BaseException = field(repr=False)


@dataclass(frozen=True)
class EventUnparked(_Report):
    """A parked event was retried, and handled."""

    parked: ParkedEvent


@dataclass(frozen=True)
class CircuitOpened(_Report):
    """``failures`` events failed in a row. The next is tried after ``delay`` seconds."""

    failures: int
    delay: float


@dataclass(frozen=True)
class CircuitClosed(_Report):
    """An event was handled again. The ``retried`` events parked meanwhile are tried again."""

    retried: int


@dataclass(frozen=True)
class ReadingFailed(_Report):
    """The storage of events or bookmarks did not answer; it is asked again after ``delay`` seconds.

    ``failures`` counts from 1 how often that happened in a row.
    """

    failures: int
    delay: float
    error: BaseException = field(repr=False)


@dataclass(frozen=True)
class Retired(_Report):
    """Version ``live_version`` has taken over: this one ends."""

    version: int
    live_version: int


ProjectionReport: TypeAlias = (
    LeaseTaken
    | LeaseLost
    | EventsHandled
    | EventFailed
    | EventSkipped
    | EventParked
    | EventUnparked
    | CircuitOpened
    | CircuitClosed
    | ReadingFailed
    | Retired
)

ReportHook: TypeAlias = Callable[[ProjectionReport], object]
