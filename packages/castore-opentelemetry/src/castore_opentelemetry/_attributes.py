"""Names: those of spans and attributes, in OpenTelemetry's conventions where they have one."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from castore_core.telemetry import Operation

Attribute: TypeAlias = str | int | float | bool | list[str]
Attributes: TypeAlias = dict[str, Attribute]

ATTEMPT: Final = "castore.attempt"
ATTEMPTS: Final = "castore.command.attempts"
ERROR_TYPE: Final = "error.type"
OPERATION: Final = "castore.operation"
PROJECTION: Final = "castore.projection.name"
STORE: Final = "castore.event_store.id"
DESTINATION: Final = "messaging.destination.name"
SYSTEM: Final = "messaging.system"

_AGGREGATE_ID: Final = "castore.aggregate.id"
_MESSAGE_ID: Final = "messaging.message.id"

_NAMES: Final[Mapping[str, str]] = {
    "aggregate_id": _AGGREGATE_ID,
    "attempt": ATTEMPT,
    "ending": "castore.handler.ending",
    "event_store_id": STORE,
    "event_type": "castore.event.type",
    "events_read": "castore.load.events",
    "force": "castore.push.force",
    "message_id": _MESSAGE_ID,
    "partition": "castore.projection.partition",
    "snapshot_version": "castore.snapshot.version",
    "system": SYSTEM,
    "version": "castore.event.version",
}
"""The attributes of values that all kinds of operation share."""

_OWN_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "push": {**_NAMES, "count": "castore.push.events"},
    "publish": {**_NAMES, "count": "messaging.batch.message_count"},
    "batch": {**_NAMES, "count": "castore.batch.events"},
    "load": {**_NAMES, "version": "castore.aggregate.version"},
}
"""The attributes of the values that kinds of operation have beside these."""

_MESSAGING: Final[Mapping[str, tuple[str, str]]] = {
    "publish": ("publish", "send"),
    "handle": ("process", "process"),
}
"""The name and the type of operations that messaging has conventions for."""

_PLACES: Final[Mapping[str, str]] = {
    "push": STORE,
    "read": STORE,
    "load": STORE,
    "command": "castore.command.name",
    "publish": DESTINATION,
    "handle": DESTINATION,
    "batch": PROJECTION,
    "apply": PROJECTION,
}


def name_span(operation: Operation) -> str:
    """Return the name of a span: what is done, and where."""
    name, _ = _MESSAGING.get(operation.kind, (operation.kind, ""))
    return f"{name} {operation.name}"


def make_span_attributes(operation: Operation, *, has_ids: bool) -> Attributes:
    """Return what is known of an operation when it begins."""
    attributes = make_metric_attributes(operation)
    attributes.update(_translate(operation, operation.values))
    if operation.kind == "command":
        attributes[ATTEMPTS] = 1
    if operation.kind == "publish" and operation.values.get("count") == 1:
        del attributes["messaging.batch.message_count"]  # it is no batch
    if not has_ids:
        attributes.pop(_AGGREGATE_ID, None)
    return attributes


def make_result_attributes(operation: Operation) -> Attributes:
    """Return what is known of an operation when it ends."""
    return _translate(operation, operation.results)


def make_metric_attributes(operation: Operation) -> Attributes:
    """Return the attributes that take few values: those of metrics."""
    attributes: Attributes = {_PLACES[operation.kind]: operation.name}
    if operation.kind in _MESSAGING:
        name, kind = _MESSAGING[operation.kind]
        attributes["messaging.operation.name"] = name
        attributes["messaging.operation.type"] = kind
        attributes[SYSTEM] = str(operation.values.get("system"))
    else:
        attributes[OPERATION] = operation.kind
    return attributes


def _translate(operation: Operation, values: Mapping[str, Any]) -> Attributes:
    names = _OWN_NAMES.get(operation.kind, _NAMES)
    return {
        names[name]: value for name, value in values.items() if name in names and value is not None
    }
