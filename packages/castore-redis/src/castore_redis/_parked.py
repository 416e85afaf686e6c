"""Parked events as the values of Redis."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from castore_core import Failure, LogPosition, ParkedEvent, StorageError
from castore_redis._client import describe_fault

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def to_moment(value: bytes | str) -> datetime:
    """Return the moment of so many milliseconds since 1970, in UTC."""
    return _EPOCH + int(value) * _MILLISECOND


def to_arguments(parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]) -> list[str]:
    """Return the arguments of the script that moves a bookmark."""
    arguments = [str(len(unparked)), *unparked]
    for each in parked:
        arguments += [each.position, _to_event_text(each), _to_failure_text(each.failure)]
    return arguments


def to_parked(
    bookmark_id: str, position: bytes, event: bytes | None, failure: bytes | None
) -> ParkedEvent:
    """Return a parked event.

    Raises:
        StorageError: the values are not as they were written.
    """
    try:
        store_id, aggregate_id, version, event_type, parked_at, attempts = json.loads(event or "")
        return ParkedEvent(
            position.decode(),
            store_id,
            aggregate_id,
            int(version),
            event_type,
            to_moment(parked_at),
            int(attempts),
            None if failure is None else Failure(*json.loads(failure)),
        )
    except (TypeError, ValueError, OverflowError) as error:
        reason = f"a parked event of bookmark {bookmark_id!r} cannot be read"
        raise StorageError(f"{reason}: {describe_fault(error)}") from error


def _to_event_text(event: ParkedEvent) -> str:
    parked_at = str((event.parked_at - _EPOCH) // _MILLISECOND)
    values = (event.event_store_id, event.aggregate_id, event.version, event.type)
    return json.dumps([*values, parked_at, event.attempts])


def _to_failure_text(failure: Failure | None) -> str:
    return "" if failure is None else json.dumps([*failure])
