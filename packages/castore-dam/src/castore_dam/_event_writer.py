"""Writing records to event stores again: events that are stored already are passed over."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import TypeAlias

from castore_core import EventAlreadyExistsError, GroupedRecord, InvalidEventGroupError
from castore_dam._concurrency import map_in_order
from castore_dam._same_json import is_same_event
from castore_dam._scan import is_log
from castore_dam.errors import EventConflictError

_Name: TypeAlias = tuple[str, str]


class EventWriter:
    """Writes events as they are: nothing is decoded, and nothing is replaced.

    An adapter that has a log is given many events in a group, in their order. Others are given one
    after the other of each aggregate.

    Args:
        at_once: how many aggregates are written at a time, where there is no log.
    """

    def __init__(self, *, at_once: int) -> None:
        if at_once < 1:
            raise ValueError(f"at_once is not 1 or more: {at_once!r}")
        self._at_once = at_once

    async def write(self, events: Sequence[GroupedRecord]) -> int:
        """Write those events that are not stored yet, and return how many these are.

        The events of an aggregate are written in the order of their versions. After an error, some
        may be stored: write all of them again.

        Raises:
            EventConflictError: another event of the same version is stored.
            VersionGapError: the version before is missing, and the storage refuses gaps.
            StorageError: the storage failed.
        """
        by_adapter: defaultdict[int, list[GroupedRecord]] = defaultdict(list)
        for each in events:
            by_adapter[id(each.storage_adapter)].append(each)
        return sum([await self._write(each) for each in by_adapter.values()])

    async def _write(self, events: Sequence[GroupedRecord]) -> int:
        if is_log(events[0].storage_adapter):
            return await _write_group(_order_versions(events))
        aggregates = _yield_each(_split(events).values())
        async with aclosing(
            map_in_order(_write_aggregate, aggregates, at_once=self._at_once)
        ) as counts:
            return sum([each async for each in counts])


async def _write_group(events: Sequence[GroupedRecord]) -> int:
    try:
        await events[0].storage_adapter.push_event_group(events)
    except EventAlreadyExistsError:
        missing = await _find_missing(events)
        if len(missing) == len(events):
            raise
        return await _write_group(missing) if missing else 0
    except InvalidEventGroupError:
        if len(events) == 1:
            raise
        middle = len(events) // 2
        return await _write_group(events[:middle]) + await _write_group(events[middle:])
    return len(events)


async def _write_aggregate(events: Sequence[GroupedRecord]) -> int:
    count = 0
    left = sorted(events, key=_get_version)
    while left:
        store_id, record, adapter = left[0]
        try:
            await adapter.push_event(store_id, record)
        except EventAlreadyExistsError:
            missing = await _find_missing(left)
            if len(missing) == len(left):
                raise
            left = missing
        else:
            count += 1
            left = left[1:]
    return count


async def _find_missing(events: Sequence[GroupedRecord]) -> list[GroupedRecord]:
    """Return the events that are not stored, in their order.

    Raises:
        EventConflictError: another event is stored in the place of one.
    """
    stored = {
        (store_id, aggregate_id, each.version): each
        for (store_id, aggregate_id), group in _split(events).items()
        for each in await group[0].storage_adapter.get_events(
            store_id,
            aggregate_id,
            min_version=min(map(_get_version, group)),
            max_version=max(map(_get_version, group)),
        )
    }
    missing: list[GroupedRecord] = []
    for each in events:
        place = (each.event_store_id, *each.record[:2])
        if place not in stored:
            missing.append(each)
        elif not is_same_event(each.record, stored[place]):
            raise EventConflictError(*place)
    return missing


def _order_versions(events: Sequence[GroupedRecord]) -> Sequence[GroupedRecord]:
    """Put the events of each aggregate in order, on the places that its events have."""
    ordered: dict[_Name, Iterator[GroupedRecord]] = {
        name: iter(sorted(each, key=_get_version)) for name, each in _split(events).items()
    }
    return [next(ordered[_get_name(each)]) for each in events]


def _split(events: Sequence[GroupedRecord]) -> dict[_Name, list[GroupedRecord]]:
    aggregates: defaultdict[_Name, list[GroupedRecord]] = defaultdict(list)
    for each in events:
        aggregates[_get_name(each)].append(each)
    return aggregates


def _get_name(event: GroupedRecord) -> _Name:
    return event.event_store_id, event.record.aggregate_id


def _get_version(event: GroupedRecord) -> int:
    return event.record.version


async def _yield_each(
    aggregates: Iterable[Sequence[GroupedRecord]],
) -> AsyncGenerator[Sequence[GroupedRecord]]:
    for each in aggregates:
        yield each
