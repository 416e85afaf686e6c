"""The instruments: what is counted and measured."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from opentelemetry.metrics import Meter

from castore_core import EventAlreadyExistsError, name_type, utc_now
from castore_core.telemetry import Operation
from castore_opentelemetry._attributes import (
    ERROR_TYPE,
    PROJECTION,
    STORE,
    make_metric_attributes,
)

_SECONDS: Final = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
_LAGS: Final = [0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 86400]
_COUNTS: Final = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000]


class Instruments:
    """Counts operations when they end, and notes when they come."""

    def __init__(self, meter: Meter) -> None:
        self._make_durations(meter)
        self._make_counters(meter)
        histogram = meter.create_histogram
        self._events_read = histogram(
            "castore.load.events",
            "{event}",
            "Events that a load read",
            explicit_bucket_boundaries_advisory=_COUNTS,
        )
        self._group_commit_size = histogram(
            "castore.group_commit.size",
            "{push}",
            "Pushes that shared a commit",
            explicit_bucket_boundaries_advisory=_COUNTS,
        )
        self._batch_lag = histogram(
            "castore.projection.batch.lag",
            "s",
            "Age of the oldest event of a batch, when it was handled",
            explicit_bucket_boundaries_advisory=_LAGS,
        )

    def _make_durations(self, meter: Meter) -> None:
        names = {
            "publish": "messaging.client.operation.duration",
            "handle": "messaging.process.duration",
        }
        self._durations = {
            kind: meter.create_histogram(
                name, "s", "Duration", explicit_bucket_boundaries_advisory=_SECONDS
            )
            for kind, name in names.items()
        }
        self._duration = meter.create_histogram(
            "castore.operation.duration",
            "s",
            "Duration of an operation",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    def _make_counters(self, meter: Meter) -> None:
        counter = meter.create_counter
        self._conflicts = counter("castore.conflicts", "{conflict}", "Pushes that met a conflict")
        self._retries = counter("castore.command.retries", "{retry}", "Attempts after a conflict")
        self._snapshots = counter("castore.snapshots", "{snapshot}", "Snapshots by their outcome")
        self._parked = counter("castore.projection.parked", "{event}", "Events that were parked")
        self._reports = counter("castore.reports", "{report}", "Reports of workers, by their kind")
        self._sent = counter("messaging.client.sent.messages", "{message}", "Messages published")
        self._consumed = counter(
            "messaging.client.consumed.messages", "{message}", "Messages handed to handlers"
        )

    def end(self, operation: Operation, seconds: float) -> None:
        """Count an operation that has ended."""
        attributes = make_metric_attributes(operation)
        error, results = operation.error, operation.results
        if error is not None:
            attributes[ERROR_TYPE] = name_type(error)
        self._durations.get(operation.kind, self._duration).record(seconds, attributes)
        if operation.kind == "publish":
            self._sent.add(operation.values["count"], attributes)
        elif operation.kind == "handle":
            self._consumed.add(1, attributes)
        elif operation.kind == "push" and isinstance(error, EventAlreadyExistsError):
            self._conflicts.add(1, {STORE: error.event_store_id})
        elif operation.kind == "load" and "events_read" in results:
            self._events_read.record(results["events_read"], {STORE: operation.name})
        elif operation.kind == "batch" and error is None:
            age = utc_now() - _get_moment(operation)
            self._batch_lag.record(max(0.0, age.total_seconds()), {PROJECTION: operation.name})

    def note(self, name: str, values: Mapping[str, Any]) -> None:
        """Count something that happened."""
        if name == "SnapshotCounted":
            attributes = {STORE: values["event_store_id"], "castore.outcome": values["outcome"]}
            self._snapshots.add(1, attributes)
        elif name == "GroupCommitted":
            self._group_commit_size.record(values["size"])
        elif name == "ConflictMet":
            if values["retries_left"] > 0:
                self._retries.add(1, {STORE: values["error"].event_store_id})
        else:
            attributes = {"castore.report": name}
            if "name" in values:
                attributes[PROJECTION] = str(values["name"])
            self._reports.add(1, attributes)
            if name == "EventParked":
                self._parked.add(1, {PROJECTION: str(values["name"])})


def _get_moment(operation: Operation) -> datetime:
    moment: datetime = operation.values["oldest_event_at"]
    return moment
