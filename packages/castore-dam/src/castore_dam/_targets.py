"""Targets of migrations: they take events once, and never replace any."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol, TypeVar

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    EventStorageAdapter,
    EventStore,
    GroupedRecord,
    InvalidEventGroupError,
)
from castore_dam._canonical import are_equal
from castore_dam._concurrency import iterate, map_in_order
from castore_dam._scan import read_aggregate
from castore_dam.errors import MigrationConflictError

R = TypeVar("R")
Records = Sequence[EventRecord]


class Target(Protocol):
    """Takes events."""

    async def write(self, records: Records) -> int:
        """Write the events that are not there yet, and return how many these were.

        Those of an aggregate come in the order of their versions.

        Raises:
            MigrationConflictError: another event of one version is there, and stays.
            VersionGapError: the version before is not there, and the target refuses gaps.
        """
        ...


def make_target(event_store: EventStore, *, at_once: int, dry_run: bool) -> Target:
    """Return the target of a migration.

    Args:
        event_store: has the events; its channels and hooks are passed by.
        at_once: how many aggregates are read, or written, at a time.
        dry_run: only count what would be written.
    """
    stored = _Stored(event_store, at_once)
    if dry_run:
        return _DryTarget(stored)
    if hasattr(stored.adapter, "read_events"):
        return _LogTarget(stored)
    return _TableTarget(stored)


class _Stored:
    """The events that a target has already.

    Attributes:
        event_store_id: the id of the target.
        adapter: its storage adapter.
    """

    def __init__(self, event_store: EventStore, at_once: int) -> None:
        self.event_store_id = event_store.event_store_id
        self.adapter: EventStorageAdapter = event_store.get_storage_adapter()
        self._at_once = at_once

    async def find_missing(self, records: Records) -> Records:
        """Return the events that are not there, in their order.

        Raises:
            MigrationConflictError: another event of one version is there.
        """
        there = dict(await self.for_each_aggregate(self._find_versions, records))
        return [each for each in records if each.version not in there[each.aggregate_id]]

    async def for_each_aggregate(
        self, function: Callable[[Records], Awaitable[R]], records: Records
    ) -> Sequence[R]:
        """Call a function on the events of each aggregate, several at once."""
        results = map_in_order(
            function, iterate(_group_by_aggregate(records)), at_once=self._at_once
        )
        async with aclosing(results):
            return [each async for each in results]

    async def _find_versions(self, records: Records) -> tuple[str, set[int]]:
        aggregate_id, first = records[0][:2]
        expected = {each.version: each for each in records}
        versions: set[int] = set()
        async with aclosing(self._read(aggregate_id, first, records[-1].version)) as stored:
            async for each in stored:
                if each.version in expected:
                    if not are_equal(each, expected[each.version]):
                        name = (self.event_store_id, aggregate_id, each.version)
                        raise MigrationConflictError(*name)
                    versions.add(each.version)
        return aggregate_id, versions

    def _read(self, aggregate_id: str, first: int, last: int) -> AsyncGenerator[EventRecord]:
        return read_aggregate(
            self.adapter, self.event_store_id, aggregate_id, min_version=first, max_version=last
        )


class _DryTarget:
    """Writes nothing."""

    def __init__(self, stored: _Stored) -> None:
        self._stored = stored

    async def write(self, records: Records) -> int:
        return len(await self._stored.find_missing(records))


class _LogTarget:
    """Writes events together, in the order in which the log will have them.

    It looks first for events that are there while the last ones were there.
    """

    def __init__(self, stored: _Stored) -> None:
        self._stored = stored
        self._looks_first = False

    async def write(self, records: Records) -> int:
        missing = await self._stored.find_missing(records) if self._looks_first else records
        written = await self._push(missing) if missing else 0
        self._looks_first = written < len(records)
        return written

    async def _push(self, records: Records) -> int:
        stored = self._stored
        try:
            await stored.adapter.push_event_group(
                [GroupedRecord(stored.event_store_id, each, stored.adapter) for each in records]
            )
        except EventAlreadyExistsError:
            missing = await stored.find_missing(records)
            if len(missing) == len(records):
                raise
            return await self._push(missing) if missing else 0
        except InvalidEventGroupError:  # it is too large
            if len(records) == 1:
                raise
            middle = len(records) // 2
            return await self._push(records[:middle]) + await self._push(records[middle:])
        return len(records)


class _TableTarget:
    """Writes the events of an aggregate one after the other, and several aggregates at once."""

    def __init__(self, stored: _Stored) -> None:
        self._stored = stored

    async def write(self, records: Records) -> int:
        return sum(await self._stored.for_each_aggregate(self._write_aggregate, records))

    async def _write_aggregate(self, records: Records) -> int:
        stored = self._stored
        for written, each in enumerate(records):
            try:
                await stored.adapter.push_event(stored.event_store_id, each)
            except EventAlreadyExistsError:
                missing = await stored.find_missing(records[written:])
                if each in missing:
                    raise
                return written + await self._write_aggregate(missing)
        return len(records)


def _group_by_aggregate(records: Records) -> Sequence[Records]:
    grouped: defaultdict[str, list[EventRecord]] = defaultdict(list)
    for each in records:
        grouped[each.aggregate_id].append(each)
    return [*grouped.values()]
