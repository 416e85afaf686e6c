"""An event storage that fails at every point of a call."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any

from castore_core import (
    AssertedVersion,
    EventRecord,
    EventStorageAdapter,
    GroupedRecord,
    StorageError,
    UnknownOutcomeError,
)
from wrapped_storage import WrappedStorage


class Point(Enum):
    """Where a storage fails."""

    BEFORE_WRITE = auto()
    LOST_ANSWER = auto()
    """The write is done, and its outcome is said to be unknown."""
    FAILED_AFTER_WRITE = auto()
    """The write is done, and the storage says that it failed."""
    CANCELLED_BEFORE_WRITE = auto()
    CANCELLED_AFTER_WRITE = auto()
    READ = auto()
    CANCELLED_READ = auto()


AROUND_WRITES = [each for each in Point if "READ" not in each.name]
AROUND_READS = [each for each in Point if "READ" in each.name]


class FaultyStorage(WrappedStorage):
    """Passes calls on to another storage, and fails at each point of a call, at a given rate."""

    def __init__(self, storage_adapter: EventStorageAdapter, rate: float, seed: int = 0) -> None:
        super().__init__(storage_adapter)
        self.joins_transaction = False
        self.faults = dict.fromkeys(Point, 0)
        self._rate = rate
        self._random = random.Random(seed)

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event, or fail before or after it."""
        unknown = UnknownOutcomeError(event_store_id, record.aggregate_id, record.version)
        async with self._faulty_write(unknown):
            await super().push_event(event_store_id, record, force=force)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write a group, or fail before or after it."""
        event_store_id, record, _ = group[0]
        unknown = UnknownOutcomeError(event_store_id, record.aggregate_id, record.version)
        async with self._faulty_write(unknown):
            await super().push_event_group(group, asserted=asserted, force=force)

    async def get_events(
        self, event_store_id: str, aggregate_id: str, **options: Any
    ) -> Sequence[EventRecord]:
        """Read events, or fail."""
        self._fail(Point.READ, StorageError("the read failed"))
        self._fail(Point.CANCELLED_READ, asyncio.CancelledError())
        return await super().get_events(event_store_id, aggregate_id, **options)

    @asynccontextmanager
    async def _faulty_write(self, unknown: UnknownOutcomeError) -> AsyncGenerator[None]:
        self._fail(Point.BEFORE_WRITE, StorageError("nothing was written"))
        self._fail(Point.CANCELLED_BEFORE_WRITE, asyncio.CancelledError())
        yield
        self._fail(Point.LOST_ANSWER, unknown)
        self._fail(Point.FAILED_AFTER_WRITE, StorageError("all was written"))
        self._fail(Point.CANCELLED_AFTER_WRITE, asyncio.CancelledError())

    def _fail(self, point: Point, error: BaseException) -> None:
        if self._random.random() < self._rate:
            self.faults[point] += 1
            raise error
