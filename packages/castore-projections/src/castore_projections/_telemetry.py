"""Steps of readers, and events that are handled, as operations for telemetry."""

from typing import Any

from castore_core import LogEntry
from castore_core.telemetry import Observation, Operation, Origin, find_event_origin
from castore_projections._context import ProjectionContext
from castore_projections._identity import Identity
from castore_projections._partition import Partition
from castore_projections._processing import EntryFailedError, Processor, Step


async def process_observed(partition: Partition, processor: Processor, step: Step) -> None:
    """Handle the events of a step, as an operation with the error of the event that failed."""
    values: dict[str, Any] = {
        "partition": partition.number,
        "count": len(step.entries),
        "attempt": step.attempt,
        "oldest_event_at": min(each.record.timestamp for each in step.entries),
    }
    origins = [each for each in map(_find_origin, step.entries) if each.metadata]
    with Observation(Operation("batch", partition.name, values, origins)) as operation:
        try:
            await processor.process(step)
        except EntryFailedError as failure:
            operation.error = failure.get_error()
            raise


def observe_event(
    identity: Identity, entry: LogEntry, context: ProjectionContext[Any]
) -> Observation:
    """Return what is entered while the handlers of an event run."""
    record = entry.record
    values: dict[str, Any] = {
        "event_store_id": entry.event_store_id,
        "aggregate_id": record.aggregate_id,
        "version": record.version,
        "event_type": record.type,
        "attempt": context.attempt,
    }
    origins = [_find_origin(entry)]
    return Observation(
        Operation("apply", identity.name, values, origins, is_replay=context.is_replay)
    )


def _find_origin(entry: LogEntry) -> Origin:
    return find_event_origin(entry.record)
