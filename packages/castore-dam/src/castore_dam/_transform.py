"""Transforms: functions that a migration applies to each event."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import isawaitable
from typing import Any, Final, TypeAlias

from castore_core import (
    ABSENT,
    AGGREGATE_EXISTS,
    REPLAYED,
    EventRecord,
    check_json,
    format_timestamp,
    name_type,
    parse_timestamp,
)
from castore_dam.errors import TransformError

Transformed: TypeAlias = EventRecord | Iterable[EventRecord] | None
"""One event, several, or none."""

Transform: TypeAlias = Callable[[EventRecord], Transformed | Awaitable[Transformed]]
"""Is given a copy of a stored event, and returns the events that take its place.

It may be asynchronous. It is called again with the same event after a crash and by a verification,
and has to answer the same. The versions of the events that it returns do not matter.
"""


_NO_TYPES: Final = ("", REPLAYED, AGGREGATE_EXISTS)


class Transformer:
    """Applies a transform to the events of a store.

    Args:
        event_store_id: the store, for errors.
        transform: ``None`` leaves each event as it is.
    """

    def __init__(self, event_store_id: str, transform: Transform | None) -> None:
        self._id = event_store_id
        self._transform = transform

    @property
    def keeps_all(self) -> bool:
        """Whether each event takes its own place."""
        return self._transform is None

    async def apply(self, record: EventRecord) -> Sequence[EventRecord]:
        """Return the events that take the place of one; their versions mean nothing yet.

        Raises:
            TransformError: the transform failed, or returned what cannot be stored.
        """
        if self._transform is None:
            return (record,)
        try:
            found = self._transform(record.copy())
            transformed = await found if isawaitable(found) else found
            return [_check(each, record) for each in _iterate(transformed)]
        except Exception as error:
            reason = str(error) if isinstance(error, _UnfitError) else name_type(error)
            name = (self._id, record.aggregate_id, record.version)
            raise TransformError(*name, reason) from error


class _UnfitError(Exception):
    """Something that a transform returned cannot be stored. The text quotes no value."""


def _iterate(transformed: Transformed) -> Iterable[EventRecord]:
    match transformed:
        case None:
            return ()
        case EventRecord():
            return (transformed,)
        case Iterable():
            return transformed
        case _:
            raise _UnfitError(f"it returned no EventRecord: {type(transformed).__qualname__}")


def _check(event: Any, source: EventRecord) -> EventRecord:
    """Return a copy of an event: a generator may go on changing what it has yielded."""
    if not isinstance(event, EventRecord):
        raise _UnfitError(f"it returned no EventRecord: {type(event).__qualname__}")
    if event.aggregate_id != source.aggregate_id:
        raise _UnfitError("it changed the aggregate_id")
    if type(event.type) is not str or event.type in _NO_TYPES:
        raise _UnfitError("it returned an event whose type is empty or reserved")
    for name, value in (("payload", event.payload), ("metadata", event.metadata)):
        if value is not ABSENT:
            check_json(value, name)
    return event._replace(timestamp=parse_timestamp(format_timestamp(event.timestamp))).copy()
