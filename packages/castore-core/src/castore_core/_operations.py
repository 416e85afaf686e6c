"""Operations of event stores, commands, channels and workers, as telemetry is told of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from castore_core._json import Absent, JSONValue
from castore_core._message import MessageRecord
from castore_core._record import EventRecord
from castore_core._storage import GroupedRecord
from castore_core._telemetry import NO_HEADERS, Operation, Origin

# Stores


def describe_push(store: Any, event: Any, _: object = None, *, force: bool = False) -> Operation:
    """Describe the push of an event."""
    store_id = str(store.event_store_id)
    values = {
        "event_store_id": store_id,
        "aggregate_id": getattr(event, "aggregate_id", None),
        "version": getattr(event, "version", None),
        "event_type": getattr(event, "type", None),
        "force": force or None,
    }
    return Operation("push", store_id, values)


def describe_group(*grouped: Any, force: bool = False) -> Operation:
    """Describe the push of events of one or several stores."""
    events = [each.event for each in grouped if hasattr(each, "event")]
    stores = sorted({str(each.event_store.event_store_id) for each in grouped})
    values: dict[str, Any] = {"count": len(events), "force": force or None}
    values["event_type"] = sorted({str(each.type) for each in events})
    if len(stores) == 1:
        values["event_store_id"] = stores[0]
        ids = {each.aggregate_id for each in events}
        values["aggregate_id"] = ids.pop() if len(ids) == 1 else None
    return Operation("push", ", ".join(stores), values)


def describe_collected(
    _stores: object, _pushed_events: object, group: Sequence[GroupedRecord], *_: object
) -> Operation:
    """Describe the write of what a command with an idempotency key has pushed."""
    stores = sorted({each.event_store_id for each in group})
    types = sorted({each.record.type for each in group})
    return Operation("push", ", ".join(stores), {"count": len(group), "event_type": types})


def describe_read(store: Any, aggregate_id: object, **_: object) -> Operation:
    """Describe the reading of events."""
    return _describe_reading("read", store, aggregate_id)


def describe_load(store: Any, aggregate_id: object, *_: object) -> Operation:
    """Describe the loading of an aggregate."""
    return _describe_reading("load", store, aggregate_id)


def _describe_reading(kind: Any, store: Any, aggregate_id: object) -> Operation:
    store_id = str(store.event_store_id)
    return Operation(kind, store_id, {"event_store_id": store_id, "aggregate_id": aggregate_id})


def tell_read(operation: Operation, events: Sequence[object]) -> None:
    """Note how many events were read."""
    operation.results["events_read"] = len(events)


def tell_load(operation: Operation, loaded: Any) -> None:
    """Note how many events were read, and from which snapshot on."""
    operation.results["events_read"] = loaded.events_read
    operation.results["snapshot_version"] = loaded.snapshot_version
    if loaded.last_event is not None:
        operation.results["version"] = loaded.last_event.version


# Commands


def describe_command(command: Any, *_: object, **__: object) -> Operation:
    """Describe the run of a command."""
    return Operation("command", str(command.command_id), {})


def describe_aggregate_command(
    command: Any, aggregate_id: object, *_: object, **__: object
) -> Operation:
    """Describe the run of a command of an aggregate."""
    values = {"event_store_id": command.event_store.event_store_id, "aggregate_id": aggregate_id}
    return Operation("command", str(command.name), values)


def describe_group_command(command: Any, *_: object, **__: object) -> Operation:
    """Describe the run of a command over several aggregates."""
    return Operation("command", str(command.command_id), {})


# Messages


class Destination(NamedTuple):
    """A channel, and what carries its messages.

    ``system`` is the name that OpenTelemetry's conventions have for it, such as ``aws_sqs``. An
    adapter has it as its attribute ``messaging_system``.
    """

    message_channel_id: str
    system: str


def describe_publish(
    channel: Any, adapter: object, records: Sequence[MessageRecord], *, replay: bool
) -> Operation:
    """Describe the publish of messages, which go on from where their events were pushed."""
    system = getattr(adapter, "messaging_system", type(adapter).__name__)
    values: dict[str, Any] = {"system": system, "count": len(records)}
    if len(records) == 1:
        values |= _describe_record(records[0])
    origins = [find_origin(each) for each in records]
    name = str(channel.message_channel_id)
    return Operation("publish", name, values, [each for each in origins if each.metadata], replay)


def describe_handling(
    destination: Destination,
    subject: Mapping[str, object],
    origin: Origin,
    *,
    attempt: int,
    replay: bool,
    message_id: str | None = None,
) -> Operation:
    """Describe the handling of one message."""
    channel_id, system = destination
    values = {"system": system, "attempt": attempt, "message_id": message_id, **subject}
    return Operation("handle", channel_id, values, [origin], replay)


def describe_record_handling(
    destination: Destination, record: MessageRecord, *, attempt: int, replay: bool
) -> Operation:
    """Describe the handling of one message, from its record."""
    subject = _describe_record(record)
    origin = find_origin(record)
    return describe_handling(destination, subject, origin, attempt=attempt, replay=replay)


def describe_message_handling(
    destination: Destination, message: object, context: object
) -> Operation:
    """Describe the handling of one message, from what the handler is given."""
    event = cast("Any", getattr(message, "event", message))
    subject = {
        "event_store_id": getattr(message, "event_store_id", None),
        "aggregate_id": getattr(event, "aggregate_id", None),
        "version": getattr(event, "version", None),
        "event_type": getattr(event, "type", None),
    }
    origin = Origin(getattr(context, "headers", NO_HEADERS), _find_metadata(event))
    return describe_handling(
        destination,
        subject,
        origin,
        attempt=getattr(context, "attempt", 1),
        replay=getattr(context, "replay", False),
        message_id=getattr(context, "message_id", None),
    )


def find_origin(record: MessageRecord) -> Origin:
    """Return the origin of a message: its headers, and the metadata of its event."""
    event = record.body.get("event")
    metadata = event.get("metadata") if isinstance(event, dict) else None
    return Origin(record.headers, find_texts(metadata))


def find_event_origin(record: EventRecord) -> Origin:
    """Return the origin of a stored event: its metadata."""
    return Origin(metadata=find_texts(record.metadata))


def find_texts(metadata: JSONValue | Absent) -> Mapping[str, str]:
    """Return those values of metadata that are texts: a trace context is made of some."""
    if not isinstance(metadata, dict):
        return NO_HEADERS
    return {name: value for name, value in metadata.items() if isinstance(value, str)}


def _describe_record(record: MessageRecord) -> Mapping[str, object]:
    return {
        "event_store_id": record.event_store_id,
        "aggregate_id": record.aggregate_id,
        "version": record.version,
        "event_type": record.type,
    }


def _find_metadata(event: Any) -> Mapping[str, str]:
    metadata = getattr(event, "metadata", None)
    if metadata is None:
        return NO_HEADERS
    try:  # the user's codec
        return find_texts(event.to_record().metadata)
    except Exception:  # noqa: BLE001 the trace is not continued
        return NO_HEADERS
