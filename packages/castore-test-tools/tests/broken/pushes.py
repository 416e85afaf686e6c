"""Adapters that push events wrongly."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

from castore_core import (
    ABSENT,
    AggregateIdsSlice,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    ListedAggregate,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
)


class LastWriteWins(InMemoryEventStorageAdapter):
    """Overwrites what is there."""

    async def push_event(self, event_store_id: str, record: EventRecord, **_: Any) -> None:
        """Force."""
        await super().push_event(event_store_id, record, force=True)


class RefusesAfterWriting(InMemoryEventStorageAdapter):
    """Raises the conflict, but too late."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write before the check."""
        is_taken = not force and record.version in {
            each.version for each in await self.get_events(event_store_id, record.aggregate_id)
        }
        await super().push_event(event_store_id, record, force=True)
        if is_taken:
            raise EventAlreadyExistsError(event_store_id, record.aggregate_id, record.version)


class CheckThenWrite(InMemoryEventStorageAdapter):
    """Lets others in between the check and the write."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Pause."""
        if not force:
            found = await self.get_events(event_store_id, record.aggregate_id)
            if record.version in {each.version for each in found}:
                raise EventAlreadyExistsError(event_store_id, record.aggregate_id, record.version)
        await asyncio.sleep(0)
        await super().push_event(event_store_id, record, force=True)


class ForceIgnored(InMemoryEventStorageAdapter):
    """Keeps the event that is there, and says nothing."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Swallow the conflict."""
        try:
            await super().push_event(event_store_id, record)
        except EventAlreadyExistsError:
            if not force:
                raise


class ForceMerges(InMemoryEventStorageAdapter):
    """Keeps the old payload where the new event has none."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Take over what is absent."""
        for each in await self.get_events(event_store_id, record.aggregate_id):
            if force and each.version == record.version and record.payload is ABSENT:
                record = record._replace(payload=each.payload)
        await super().push_event(event_store_id, record, force=force)


class ForceLeavesTheList(InMemoryEventStorageAdapter):
    """Lists the first initial timestamp that an aggregate had."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[tuple[str, str], ListedAggregate] = {}

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Remember."""
        listed = ListedAggregate(record.aggregate_id, record.timestamp)
        self._first.setdefault((event_store_id, record.aggregate_id), listed)
        await super().push_event(event_store_id, record, force=force)

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """List what was remembered."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        old = [self._first[event_store_id, each.aggregate_id] for each in found.aggregates]
        return AggregateIdsSlice(sorted(old, key=lambda each: each[::-1]), found.cursor)


class KeywordOnlyError(EventAlreadyExistsError):
    """An error that does not pickle."""

    def __init__(self, *, store: str, aggregate: str, version: int) -> None:
        super().__init__(store, aggregate, version)


class ConflictDoesNotPickle(InMemoryEventStorageAdapter):
    """Raises an error of its own."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Raise another error."""
        try:
            await super().push_event_group(group, **options)
        except EventAlreadyExistsError as error:
            raise KeywordOnlyError(
                store=error.event_store_id, aggregate=error.aggregate_id, version=error.version
            ) from error


class OneEventLoopOnly(InMemoryEventStorageAdapter):
    """Keeps the event loop of its first push."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Refuse another loop."""
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        await super().push_event_group(group, **options)


class CancelledInTheMiddle(InMemoryEventStorageAdapter):
    """Writes an event in two steps."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write the metadata after a pause."""
        await super().push_event(event_store_id, record._replace(metadata=ABSENT), force=force)
        await asyncio.sleep(0)
        await super().push_event(event_store_id, record, force=True)


class EqualIsFine(InMemoryEventStorageAdapter):
    """Takes an equal event for the one that it is told to push."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Look for it."""
        if record not in await self.get_events(event_store_id, record.aggregate_id):
            await super().push_event(event_store_id, record, force=force)


class ForceUpdatesOnly(InMemoryEventStorageAdapter):
    """Replaces what is there, and nothing else."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Look first."""
        found = await self.get_events(event_store_id, record.aggregate_id)
        if not force or record.version in {each.version for each in found}:
            await super().push_event(event_store_id, record, force=force)


class ConflictNamesVersion1(InMemoryEventStorageAdapter):
    """Does not know which version was taken."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Name another one."""
        try:
            await super().push_event(event_store_id, record, force=force)
        except EventAlreadyExistsError as error:
            raise EventAlreadyExistsError(event_store_id, record.aggregate_id, 1) from error


class OneWriterAtATime(InMemoryEventStorageAdapter):
    """Takes writers of other aggregates for rivals."""

    _is_busy = False

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Let one in."""
        if self._is_busy:
            raise EventAlreadyExistsError(event_store_id, record.aggregate_id, record.version)
        self._is_busy = True
        await super().push_event(event_store_id, record, force=force)
        self._is_busy = False


class ConflictNamesADecimal(InMemoryEventStorageAdapter):
    """Names the version as its backend does."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Forget to convert."""
        try:
            await super().push_event(event_store_id, record, force=force)
        except EventAlreadyExistsError as error:
            version = cast("int", Decimal(error.version))
            raise EventAlreadyExistsError(event_store_id, record.aggregate_id, version) from error


class ForceDropsNull(InMemoryEventStorageAdapter):
    """Replaces by a null as by nothing."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Drop it."""
        if force and record.payload is None:
            record = record._replace(payload=ABSENT)
        await super().push_event(event_store_id, record, force=force)
