"""Stored events, turned back into those of their store."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from castore_core._event import E
from castore_core._record import EventRecord
from castore_core.errors import EventDecodeError, describe

if TYPE_CHECKING:
    from castore_core._store import EventStore

Upcaster: TypeAlias = Callable[[EventRecord], EventRecord]
"""Turns an old stored event into a newer one, and gives any other event back as it is."""


def decode(event_store: "EventStore", event_type: type[E], record: EventRecord) -> E:
    """Decode a record.

    Raises:
        EventDecodeError: the record does not fit the type.
    """
    try:
        return event_type.from_record(record)
    except Exception as error:
        raise _to_decode_error(event_store, record, error) from error


def upcast(
    event_store: "EventStore", upcasters: Iterable[Upcaster], record: EventRecord
) -> EventRecord:
    """Return a record as the upcasters, one after the other, make it.

    Raises:
        EventDecodeError: an upcaster raised, or returned no record.
    """
    newer = record
    for each in upcasters:
        try:
            newer = _check_record(each(newer))
        except Exception as error:
            raise _to_decode_error(event_store, record, error) from error
    return newer


def _check_record(record: object) -> EventRecord:
    if not isinstance(record, EventRecord):
        raise TypeError(f"an upcaster returned no EventRecord but {type(record).__name__}")
    return record


def _to_decode_error(
    event_store: "EventStore", record: EventRecord, error: Exception
) -> EventDecodeError:
    aggregate_id, version, event_type = record[:3]
    return EventDecodeError(
        event_store.event_store_id, aggregate_id, version, event_type, describe(error)
    )
