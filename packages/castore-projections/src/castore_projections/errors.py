"""Errors of projections and relays.

CastoreError
└── ProjectionError
├── ProjectionBusyError         another process runs it
├── ProjectionRetiredError      a later version of it has taken over
├── PartitionsChangedError      it was started with another number of partitions
├── CatchUpTimeoutError         a version did not come to the place of the live one
├── ProjectionWaitTimeoutError  a read model did not get an event in time
├── EventParkedError            a read model waits for a deliberate decision
├── CircuitOpenError            every event fails
├── TooManyParkedError          a reset would forget which events were never handled
└── MissingEventsError          a message came before those that it follows
"""

from castore_core import CastoreError

__all__ = [
    "CatchUpTimeoutError",
    "CircuitOpenError",
    "EventParkedError",
    "MissingEventsError",
    "PartitionsChangedError",
    "ProjectionBusyError",
    "ProjectionError",
    "ProjectionRetiredError",
    "ProjectionWaitTimeoutError",
    "TooManyParkedError",
]


class ProjectionError(CastoreError):
    """The root of the errors of projections and relays. ``name`` is that of the projection."""

    def __init__(self, name: str, *values: object) -> None:
        super().__init__(name, *values)
        self.name = name


class ProjectionBusyError(ProjectionError):
    """Another process, or another object of this one, holds the lease of a partition.

    ``owner`` is its name, where it is still there. Nothing was changed.
    """

    def __init__(self, name: str, bookmark_id: str, owner: str | None) -> None:
        super().__init__(name, bookmark_id, owner)
        self.bookmark_id = bookmark_id
        self.owner = owner

    def __str__(self) -> str:
        owner = self.owner or "another process"
        return f"{owner} runs {self.name!r}: it holds the lease of bookmark {self.bookmark_id!r}"


class ProjectionRetiredError(ProjectionError):
    """Another version of the projection is live: this one handles nothing any more."""

    def __init__(self, name: str, version: int, live_version: int) -> None:
        super().__init__(name, version, live_version)
        self.version = version
        self.live_version = live_version

    def __str__(self) -> str:
        return (
            f"version {self.version} of {self.name!r} was replaced: "
            f"version {self.live_version} is live"
        )


class PartitionsChangedError(ProjectionError):
    """The projection was first started with ``started`` partitions, and is now given ``given``.

    Start it as before, or rebuild it with a new version.
    """

    def __init__(self, name: str, started: int, given: int) -> None:
        super().__init__(name, started, given)
        self.started = started
        self.given = given

    def __str__(self) -> str:
        return (
            f"{self.name!r} was started with {self.started} partition(s), and has {self.given} "
            "now: each has its own bookmark. Start it as before, or rebuild it with a new version"
        )


class CatchUpTimeoutError(ProjectionError, TimeoutError):
    """A version of the projection did not catch up with the live one within ``timeout`` seconds.

    The live one goes on.
    """

    def __init__(self, name: str, version: int, timeout: float) -> None:
        super().__init__(name, version, timeout)
        self.version = version
        self.timeout = timeout

    def __str__(self) -> str:
        return (
            f"version {self.version} of {self.name!r} did not catch up with the live one within "
            f"{self.timeout:g} s"
        )


class ProjectionWaitTimeoutError(ProjectionError, TimeoutError):
    """The projection did not come to an event within ``timeout`` seconds.

    The event is stored, and will be handled once the projection runs.
    """

    def __init__(
        self, name: str, event_store_id: str, aggregate_id: str, version: int, timeout: float
    ) -> None:
        super().__init__(name, event_store_id, aggregate_id, version, timeout)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version
        self.timeout = timeout

    def __str__(self) -> str:
        return (
            f"{self.name!r} did not handle event {self.version} of aggregate "
            f"{self.aggregate_id!r} in event store {self.event_store_id!r} within "
            f"{self.timeout:g} s"
        )


class EventParkedError(ProjectionError):
    """The event, or an earlier one of its aggregate, is parked: the read model lacks it.

    It comes when the parked events were retried. ``kind`` is that of the failure, or ``None``
    where the event waits for an earlier one.
    """

    def __init__(
        self, name: str, event_store_id: str, aggregate_id: str, version: int, kind: str | None
    ) -> None:
        super().__init__(name, event_store_id, aggregate_id, version, kind)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version
        self.kind = kind

    def __str__(self) -> str:
        reason = "waits for an earlier one" if self.kind is None else f"failed: {self.kind}"
        return (
            f"{self.name!r} has parked event {self.version} of aggregate {self.aggregate_id!r} in "
            f"event store {self.event_store_id!r}, which {reason}"
        )


class CircuitOpenError(ProjectionError):
    """Several events of different aggregates failed in a row: `run_once` gave up.

    They are parked, or were passed over with ``continue_on_error``.
    """

    def __init__(self, name: str, failures: int) -> None:
        super().__init__(name, failures)
        self.failures = failures

    def __str__(self) -> str:
        return f"{self.failures} events of {self.name!r} failed in a row: run_once gave up"


class TooManyParkedError(ProjectionError):
    """A reset would forget which of ``count`` parked events were never handled.

    Retry or drop some: a reset remembers at most ``most``.
    """

    def __init__(self, name: str, count: int, most: int) -> None:
        super().__init__(name, count, most)
        self.count = count
        self.most = most

    def __str__(self) -> str:
        return (
            f"{self.name!r} has {self.count} parked events, and a reset remembers {self.most}: "
            "retry or drop some first"
        )


class MissingEventsError(ProjectionError):
    """A message came before the events that it follows, and these cannot be read here.

    Give the message back to its queue: once the others have come, it is handled. ``missing`` is
    the version that is to be handled next.
    """

    def __init__(
        self, name: str, event_store_id: str, aggregate_id: str, version: int, missing: int
    ) -> None:
        super().__init__(name, event_store_id, aggregate_id, version, missing)
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
        self.version = version
        self.missing = missing

    def __str__(self) -> str:
        return (
            f"{self.name!r} got event {self.version} of aggregate {self.aggregate_id!r} in event "
            f"store {self.event_store_id!r}, and version {self.missing} is still missing"
        )
