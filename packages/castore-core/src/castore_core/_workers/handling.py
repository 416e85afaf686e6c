"""The cause of events: the message, or the stored event, that is being handled."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias, cast

from castore_core._event import Event
from castore_core._json import JSONValue
from castore_core._message import (
    AggregateExistsMessage,
    NotificationMessage,
    StateCarryingMessage,
    format_message_id,
)
from castore_core._metadata import NO_METADATA, Metadata, MetadataScope, find_metadata
from castore_core._metadata_room import respell
from castore_core._storage import LogEntry

CORRELATION_ID: Final = "correlation_id"
CAUSATION_ID: Final = "causation_id"

_CORRELATION_IDS: Final = (CORRELATION_ID, respell(CORRELATION_ID))
_OWN_KEYS: Final = frozenset({*_CORRELATION_IDS, CAUSATION_ID, respell(CAUSATION_ID)})

Handled: TypeAlias = (
    AggregateExistsMessage | NotificationMessage[Any] | StateCarryingMessage[Any, Any] | LogEntry
)
"""An event that is being handled: its message, or the entry of a log."""


class _Cause(NamedTuple):
    causation_id: str
    correlation_id: JSONValue


class handling(MetadataScope):  # noqa: N801 it is used as a function is
    """Give the events that a handler pushes the id of the event that it handles.

    Workers, listeners and projections use it, and so does your own code that calls handlers::

        with handling(message):
            await handler(message, context)

    Within the block, `event_metadata` has a ``causation_id``: the id of the message,
    ``store#aggregate#version``. The ``correlation_id`` is that in the metadata of its event, also
    where it is spelled ``correlationId`` there; of an event without one, the event's own id. Other
    values of the context around it stay.

    Several messages give only the values that they share. An object that is neither a message of
    castore's nor a `LogEntry` gives none.

    Args:
        handled: messages, or entries of a log.
        is_apart: leave out the values of the context around it. A handler in memory runs in the
            context of the publisher, whose values are not its own.
    """

    __slots__ = ("_is_apart",)

    def __init__(self, *handled: object, is_apart: bool = False) -> None:
        super().__init__(_find_shared(handled))
        self._is_apart = is_apart

    def _find_values(self) -> Metadata:
        around = NO_METADATA if self._is_apart else find_metadata()
        kept = {name: each for name, each in around.items() if name not in _OWN_KEYS}
        return {**kept, **self._metadata}


def _find_shared(handled: Iterable[object]) -> dict[str, JSONValue]:
    causes = [_find_cause(each) for each in handled]
    shared: dict[str, JSONValue] = {}
    if not causes or None in causes:
        return shared
    first, *others = cast("list[_Cause]", causes)
    if all(each.correlation_id == first.correlation_id for each in others):
        shared[CORRELATION_ID] = first.correlation_id
    if all(each.causation_id == first.causation_id for each in others):
        shared[CAUSATION_ID] = first.causation_id
    return shared


def _find_cause(handled: object) -> _Cause | None:
    if isinstance(handled, LogEntry):
        record = handled.record
        place = handled.event_store_id, record.aggregate_id, record.version
        return _make_cause(format_message_id(*place), _get_correlation_id(record.metadata))
    if isinstance(handled, (NotificationMessage, StateCarryingMessage)):
        told = cast("NotificationMessage[Any]", handled)
        event = told.event
        message_id = format_message_id(told.event_store_id, event.aggregate_id, event.version)
        return _make_cause(message_id, _find_correlation_id(event))
    if isinstance(handled, AggregateExistsMessage):
        return _make_cause(format_message_id(handled.event_store_id, handled.aggregate_id), None)
    return None


def _make_cause(message_id: str, correlation_id: object) -> _Cause:
    if correlation_id is None:
        return _Cause(message_id, message_id)
    is_plain = type(correlation_id) in (str, int)
    return _Cause(message_id, cast("str", correlation_id) if is_plain else str(correlation_id))


def _find_correlation_id(event: Event) -> object:
    """Return the correlation of an event, under the names that it is stored with or held by."""
    metadata: object = getattr(event, "metadata", None)
    found = _get_correlation_id(metadata)
    if found is None and metadata is not None and not isinstance(metadata, dict):
        with suppress(Exception):  # a value that cannot be stored again has none
            found = _get_correlation_id(event.encode_field("metadata", metadata))
    return found


def _get_correlation_id(metadata: object) -> object:
    for each in _CORRELATION_IDS:
        if isinstance(metadata, Mapping):
            found = cast("Mapping[str, object]", metadata).get(each)
        else:  # an object of the user's, such as a model
            found = getattr(metadata, each, None)
        if found is not None:
            return found
    return None
