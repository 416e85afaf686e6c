"""Writing records to event stores again: events that are stored already are passed over."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeAlias, TypeVar

from castore_core import (
    EventAlreadyExistsError,
    GroupedRecord,
    InvalidEventGroupError,
    is_event_log,
)
from castore_core.workers import check_whole, run_all
from castore_dam._sameness import are_equal
from castore_dam._scan import read_aggregate
from castore_dam.errors import EventConflictError

R = TypeVar("R")
_Name: TypeAlias = tuple[str, str]
_Place: TypeAlias = tuple[str, str, int]


class EventWriter:
    """Writes events as they are: nothing is decoded, and nothing is replaced.

    An adapter that has a log is given many events in a group, in their order. Others are given one
    after the other of each aggregate.

    Args:
        at_once: how many aggregates are read, or written, at a time.
    """

    def __init__(self, *, at_once: int) -> None:
        check_whole("at_once", at_once, 1)
        self._at_once = at_once

    async def write(self, events: Sequence[GroupedRecord]) -> int:
        """Write those events that are not stored yet, and return how many these are.

        The events of an aggregate are written in the order of their versions, and one that is
        given twice is written once. After an error, some may be stored: write all of them again.

        Raises:
            EventConflictError: another event of the same version is stored, or given.
            VersionGapError: the version before is missing, and the storage refuses gaps.
            StorageError: the storage failed.
        """
        by_adapter: defaultdict[int, list[GroupedRecord]] = defaultdict(list)
        for each in _drop_repeated(events):
            by_adapter[id(each.storage_adapter)].append(each)
        return sum([await self._write(each) for each in by_adapter.values()])

    async def find_missing(self, events: Sequence[GroupedRecord]) -> list[GroupedRecord]:
        """Return the events that are not stored, in their order.

        Raises:
            EventConflictError: another event is stored in the place of one.
        """
        found = await self._for_each_aggregate(_find_missing_places, events)
        missing = {place for places in found for place in places}
        return [each for each in events if _get_place(each) in missing]

    async def _write(self, events: Sequence[GroupedRecord]) -> int:
        if is_event_log(events[0].storage_adapter):
            return await self._write_group(_order_versions(events))
        return sum(await self._for_each_aggregate(self._write_aggregate, events))

    async def _write_group(self, events: Sequence[GroupedRecord]) -> int:
        try:
            await events[0].storage_adapter.push_event_group(events)
        except EventAlreadyExistsError:
            missing = await self.find_missing(events)
            if len(missing) == len(events):
                raise
            return await self._write_group(missing) if missing else 0
        except InvalidEventGroupError:  # it is too large
            if len(events) == 1:
                raise
            middle = len(events) // 2
            written = await self._write_group(events[:middle])
            return written + await self._write_group(events[middle:])
        return len(events)

    async def _write_aggregate(self, events: Sequence[GroupedRecord]) -> int:
        count = 0
        left = sorted(events, key=_get_version)
        while left:
            store_id, record, adapter = left[0]
            try:
                await adapter.push_event(store_id, record)
            except EventAlreadyExistsError:
                missing = await self.find_missing(left)
                if len(missing) == len(left):
                    raise
                left = missing
            else:
                count += 1
                left = left[1:]
        return count

    async def _for_each_aggregate(
        self,
        function: Callable[[Sequence[GroupedRecord]], Awaitable[R]],
        events: Sequence[GroupedRecord],
    ) -> Sequence[R]:
        """Call a function on the events of each aggregate, several at once."""
        jobs = [partial(function, each) for each in _split(events).values()]
        return await run_all(jobs, at_once=self._at_once)


async def _find_missing_places(events: Sequence[GroupedRecord]) -> set[_Place]:
    """Return the places of those events of an aggregate that are not stored."""
    missing = {_get_place(each): each.record for each in events}
    store_id, record, adapter = events[0]
    versions = [_get_version(each) for each in events]
    stored = read_aggregate(
        adapter, store_id, record.aggregate_id, min_version=min(versions), max_version=max(versions)
    )
    async with aclosing(stored):
        async for each in stored:
            place = (store_id, each.aggregate_id, each.version)
            expected = missing.pop(place, None)
            if expected is not None and not are_equal(each, expected):
                raise EventConflictError(*place)
    return {*missing}


def _drop_repeated(events: Sequence[GroupedRecord]) -> Sequence[GroupedRecord]:
    """Leave out events that are given twice.

    Raises:
        EventConflictError: two events of one version are not the same.
    """
    kept: dict[_Place, GroupedRecord] = {}
    for each in events:
        place = _get_place(each)
        first = kept.setdefault(place, each)
        if first is not each and not are_equal(first.record, each.record):
            raise EventConflictError(*place)
    return [*kept.values()]


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


def _get_place(event: GroupedRecord) -> _Place:
    return event.event_store_id, event.record.aggregate_id, event.record.version


def _get_version(event: GroupedRecord) -> int:
    return event.record.version
