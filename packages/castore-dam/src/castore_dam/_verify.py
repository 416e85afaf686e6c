"""Verification: whether a migration has carried all the events, and nothing else is there."""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple

from castore_core import EventRecord, EventStore
from castore_core.workers import check_whole
from castore_dam._aggregates import Aggregates
from castore_dam._canonical import ContentHash, format_record
from castore_dam._concurrency import map_in_order
from castore_dam._event_stores import check_event_stores
from castore_dam._progress import Progress, ProgressHook, report_nothing
from castore_dam._sameness import are_equal
from castore_dam._succession import Replacement, transform_aggregate
from castore_dam._transform import Transform, Transformer

MAX_DIFFERENCES = 100
"""How many differences are listed."""


class Content(NamedTuple):
    """The events of an aggregate: how many, and the SHA-256 of their canonical lines."""

    event_count: int
    sha256: str


@dataclass(frozen=True)
class Difference:
    """An aggregate whose events in the target are not those that are expected.

    Attributes:
        aggregate_id: the aggregate.
        expected: the events of the source, transformed; 0 events for an aggregate that should not
            be there.
        found: the events of the target; 0 events for an aggregate that is missing.
        version: the first version at which they differ.
    """

    aggregate_id: str
    expected: Content
    found: Content
    version: int


@dataclass(frozen=True)
class Verification:
    """The result of a verification.

    Attributes:
        aggregate_count: how many aggregates were compared.
        expected_event_count: how many events the target should have.
        found_event_count: how many events it has.
        difference_count: how many aggregates differ.
        differences: the first 100 of them.
    """

    aggregate_count: int
    expected_event_count: int
    found_event_count: int
    difference_count: int
    differences: Sequence[Difference]

    @property
    def is_equal(self) -> bool:
        """Whether no aggregate differs."""
        return self.difference_count == 0


async def verify_migration(
    source: EventStore[Any, Any],
    target: EventStore[Any, Any],
    *,
    transform: Transform | None = None,
    at_once: int = 10,
    on_progress: ProgressHook = report_nothing,
) -> Verification:
    """Compare the events of two stores, aggregate by aggregate, as they are stored.

    All aggregates of both are listed and read. Those without an event of version 1 are found where
    their storage has a log. Let nobody push meanwhile: an event that comes too late for one of the
    two is a difference.

    Args:
        source: the store that was migrated.
        target: the store that it was migrated to.
        transform: the one of the migration.
        at_once: how many aggregates are compared at a time.
        on_progress: is told after each aggregate.

    Raises:
        StorageError: a storage failed.
        TransformError: the transform failed at an event.
        TypeError, ValueError: an argument is not as above.
    """
    for each in (source, target):
        check_event_stores(each)
    check_whole("at_once", at_once, 1)
    run = _Run(source, target, Transformer(source.event_store_id, transform), at_once, on_progress)
    return await run.run()


class _Compared(NamedTuple):
    """An aggregate: how many events were read, expected and found."""

    read: int = 0
    expected: int = 0
    found: int = 0
    difference: Difference | None = None


class _Tally:
    """Counts what was compared."""

    def __init__(self) -> None:
        self.aggregates = 0
        self.read = 0
        self.found = 0
        self._expected = 0
        self._count = 0
        self._differences: list[Difference] = []

    def add(self, compared: _Compared) -> None:
        """Count an aggregate, if either store has it."""
        self.aggregates += bool(compared.read or compared.found)
        self.read += compared.read
        self.found += compared.found
        self._expected += compared.expected
        if compared.difference is not None:
            self._count += 1
            if self._count <= MAX_DIFFERENCES:
                self._differences.append(compared.difference)

    def get_result(self) -> Verification:
        """Return the counts."""
        return Verification(
            self.aggregates, self._expected, self.found, self._count, tuple(self._differences)
        )


class _Run:
    """One run of a verification."""

    def __init__(
        self,
        source: EventStore,
        target: EventStore,
        transformer: Transformer,
        at_once: int,
        on_progress: ProgressHook,
    ) -> None:
        self._source = Aggregates(source)
        self._target = Aggregates(target)
        self._transformer = transformer
        self._at_once = at_once
        self._report = on_progress
        self._tally = _Tally()

    async def run(self) -> Verification:
        await self._compare_all(self._source.list(), self._compare)
        if not await self._source.has_count(self._tally.read):
            await self._compare_all(self._source.find_unlisted(), self._compare)
        if not await self._target.has_count(self._tally.found):
            await self._compare_all(self._target.list(), self._compare_new)
            await self._compare_all(self._target.find_unlisted(), self._compare_new)
        return self._tally.get_result()

    async def _compare_all(
        self, ids: AsyncGenerator[str], compare: Callable[[str], Awaitable[_Compared]]
    ) -> None:
        compared = map_in_order(compare, ids, at_once=self._at_once)
        async with aclosing(ids), aclosing(compared):
            async for each in compared:
                self._tally.add(each)
                self._report(Progress("verifying", self._tally.read))

    async def _compare_new(self, aggregate_id: str) -> _Compared:
        """Compare an aggregate of the target, unless the source has named it already."""
        if await self._source.names(aggregate_id):
            return _Compared()
        return await self._compare(aggregate_id)

    async def _compare(self, aggregate_id: str) -> _Compared:
        comparison = _Comparison()
        async with (
            aclosing(self._source.read(aggregate_id)) as source,
            aclosing(comparison.expect(transform_aggregate(source, self._transformer))) as expected,
            aclosing(self._target.read(aggregate_id)) as found,
        ):
            await comparison.run(expected, found)
        return comparison.get_result(aggregate_id)


class _Comparison:
    """Compares the events of an aggregate one by one."""

    def __init__(self) -> None:
        self._read = 0
        self._expected = ContentHash()
        self._found = ContentHash()
        self._version: int | None = None

    async def expect(self, replacements: AsyncIterable[Replacement]) -> AsyncGenerator[EventRecord]:
        """Yield the events that take the place of those of the source, which are counted."""
        async for each in replacements:
            self._read += 1
            for record in each.events:
                yield record

    async def run(
        self, expected: AsyncGenerator[EventRecord], found: AsyncGenerator[EventRecord]
    ) -> None:
        while True:
            first, second = await anext(expected, None), await anext(found, None)
            if first is None and second is None:
                return
            is_same = first is not None and second is not None and are_equal(first, second)
            _take(first, self._expected)
            _take(second, self._found)
            if self._version is None and not is_same:
                self._version = min(each.version for each in (first, second) if each is not None)

    def get_result(self, aggregate_id: str) -> _Compared:
        """Return the counts, and the difference where there is one."""
        counts = self._read, self._expected.count, self._found.count
        if self._version is None:
            return _Compared(*counts)
        contents = _to_content(self._expected), _to_content(self._found)
        return _Compared(*counts, Difference(aggregate_id, *contents, self._version))


def _take(record: EventRecord | None, content: ContentHash) -> None:
    if record is not None:
        content.add(format_record(record))


def _to_content(content: ContentHash) -> Content:
    return Content(content.count, content.get_digest())
