"""Telemetry: be told of each operation of the library, for traces and metrics.

    from castore_core.telemetry import use_telemetry

The package ``castore-opentelemetry`` has a `Telemetry` for OpenTelemetry. Write one yourself for
anything else, and install it with `use_telemetry`. Without one, an operation costs the look
whether there is one.

The parts below `Telemetry` are for packages with operations of their own, such as workers.

**Notes.** A telemetry is told of these by name:

- ``ConflictMet``, with the ``error``, ``attempt`` and ``retries_left``: a command met a conflict.
- ``SnapshotCounted``, with the ``event_store_id`` and the ``outcome``: see `Snapshots.counts`.
- ``GroupCommitted``, with the ``size``: so many pushes shared a commit of ``castore-sql``.
- each report of a worker, a listener or a projection, by the name of its class, with its fields;
  of errors, the name of the type alone.
"""

from castore_core._operations import (
    Destination,
    describe_message_handling,
    describe_record_handling,
    find_event_origin,
)
from castore_core._telemetry import (
    NO_HEADERS,
    Installed,
    Observation,
    Operation,
    OperationKind,
    Origin,
    Telemetry,
    get_headers,
    get_trace_metadata,
    installed,
    note,
    observed,
    use_telemetry,
)

__all__ = [
    "Destination",
    "Installed",
    "NO_HEADERS",
    "Observation",
    "Operation",
    "OperationKind",
    "Origin",
    "Telemetry",
    "describe_message_handling",
    "describe_record_handling",
    "find_event_origin",
    "get_headers",
    "get_trace_metadata",
    "installed",
    "note",
    "observed",
    "use_telemetry",
]
