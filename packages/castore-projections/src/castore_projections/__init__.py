"""Read models that follow the events of stores, and a relay that publishes every event."""

from castore_projections._context import ProjectionContext
from castore_projections._handlers import OnUnknownType
from castore_projections._options import RetryDelay
from castore_projections._parked_groups import ParkedGroup
from castore_projections._projection import Projection
from castore_projections._relay import Relay
from castore_projections._reports import (
    CircuitClosed,
    CircuitOpened,
    EventFailed,
    EventParked,
    EventsHandled,
    EventSkipped,
    EventUnparked,
    LeaseLost,
    LeaseTaken,
    ProjectionReport,
    ReadingFailed,
    ReportHook,
    Retired,
)
from castore_projections._status import PartitionStatus, ProjectionStatus
from castore_projections.errors import (
    CatchUpTimeoutError,
    CircuitOpenError,
    EventParkedError,
    MissingEventsError,
    PartitionsChangedError,
    ProjectionBusyError,
    ProjectionError,
    ProjectionRetiredError,
    ProjectionWaitTimeoutError,
    TooManyParkedError,
)

__all__ = [
    "CatchUpTimeoutError",
    "CircuitClosed",
    "CircuitOpenError",
    "CircuitOpened",
    "EventFailed",
    "EventParked",
    "EventParkedError",
    "EventSkipped",
    "EventUnparked",
    "EventsHandled",
    "LeaseLost",
    "LeaseTaken",
    "MissingEventsError",
    "OnUnknownType",
    "ParkedGroup",
    "PartitionStatus",
    "PartitionsChangedError",
    "Projection",
    "ProjectionBusyError",
    "ProjectionContext",
    "ProjectionError",
    "ProjectionReport",
    "ProjectionRetiredError",
    "ProjectionStatus",
    "ProjectionWaitTimeoutError",
    "ReadingFailed",
    "Relay",
    "ReportHook",
    "Retired",
    "RetryDelay",
    "TooManyParkedError",
]
