"""Adapters that write gaps, or refuse other events than those after a gap."""

from collections.abc import Sequence
from typing import Any

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    VersionGapError,
)
from castore_in_memory import InMemoryEventStorageAdapter


class GapIsWritten(InMemoryEventStorageAdapter):
    """Looks at no other version than that of the event."""

    def __init__(self) -> None:
        super().__init__(allow_gaps=True)


class GapIsAConflict(InMemoryEventStorageAdapter):
    """Has one error for all that cannot be written."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Raise another error."""
        try:
            await super().push_event_group(group, **options)
        except VersionGapError as gap:
            raise EventAlreadyExistsError(*gap.args) from gap


class GapNamesTheVersionBefore(InMemoryEventStorageAdapter):
    """Says what is missing, rather than what cannot follow."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Subtract 1."""
        try:
            await super().push_event_group(group, **options)
        except VersionGapError as gap:
            before = gap.version - 1
            raise VersionGapError(gap.event_store_id, gap.aggregate_id, before) from gap


class GapSeenAfterwards(InMemoryEventStorageAdapter):
    """Raises the error, but too late."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Write in any case."""
        try:
            await super().push_event_group(group, **options)
        except VersionGapError:
            options["force"] = True
            await super().push_event_group(group, **options)
            raise


class KeywordOnlyGapError(VersionGapError):
    """An error that does not pickle."""

    def __init__(self, *, store: str, aggregate: str, version: int) -> None:
        super().__init__(store, aggregate, version)


class GapErrorDoesNotPickle(InMemoryEventStorageAdapter):
    """Raises an error of its own."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Raise another error."""
        try:
            await super().push_event_group(group, **options)
        except VersionGapError as gap:
            raise KeywordOnlyGapError(
                store=gap.event_store_id, aggregate=gap.aggregate_id, version=gap.version
            ) from gap


class OtherGaps(InMemoryEventStorageAdapter):
    """Looks for the version before by a way of its own."""

    def has_before(self, event_store_id: str, record: EventRecord) -> bool:
        """Tell whether it is there."""
        return self._has(event_store_id, record.aggregate_id, record.version - 1)

    def _refuse_gap(self, event_store_id: str, record: EventRecord) -> None:
        if record.version > 1 and not self.has_before(event_store_id, record):
            raise VersionGapError(event_store_id, record.aggregate_id, record.version)


class FirstEventOfAnyVersion(OtherGaps):
    """Lets an aggregate begin anywhere."""

    def has_before(self, event_store_id: str, record: EventRecord) -> bool:
        """Look for other events."""
        others = self._aggregates.get((event_store_id, record.aggregate_id))
        return not others or super().has_before(event_store_id, record)


class VersionBeforeOfAnyStore(OtherGaps):
    """Does not look at the store."""

    def has_before(self, event_store_id: str, record: EventRecord) -> bool:
        """Look in all stores."""
        place = (record.aggregate_id, record.version - 1)
        return any(each.record[:2] == place for each in self._log)


class VersionBeforeOfAnyAggregate(OtherGaps):
    """Compares ids without regard to case."""

    def has_before(self, event_store_id: str, record: EventRecord) -> bool:
        """Fold."""
        name = record.aggregate_id.casefold()
        return any(
            each.event_store_id == event_store_id
            and each.record.aggregate_id.casefold() == name
            and each.record.version == record.version - 1
            for each in self._log
        )


class VersionBeforeIsStored(InMemoryEventStorageAdapter):
    """Does not look into the group."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Look at each event alone."""
        if not options.get("force"):
            for event_store_id, record, _ in group:
                self._refuse_taken(event_store_id, record)
                self._refuse_gap(event_store_id, record)
        await super().push_event_group(group, **options)


class GroupMayHaveGaps(InMemoryEventStorageAdapter):
    """Looks for the version before single events only."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Force a group that only has gaps."""
        try:
            await super().push_event_group(group, **options)
        except VersionGapError:
            if len(group) == 1:
                raise
            options["force"] = True
            await super().push_event_group(group, **options)


class AnyEventOfTheGroupIsBefore(InMemoryEventStorageAdapter):
    """Takes an event of the group for one of the aggregate."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Look at the versions alone."""
        versions = {each.record.version for each in group}
        try:
            await super().push_event_group(group, **options)
        except VersionGapError as gap:
            if gap.version - 1 not in versions:
                raise
            options["force"] = True
            await super().push_event_group(group, **options)


class ForceRefusesGaps(InMemoryEventStorageAdapter):
    """Forces taken versions only."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Look at the version before in any case."""
        ahead: set[tuple[str, int]] = set()
        for event_store_id, record, _ in group:
            if (record.aggregate_id, record.version - 1) not in ahead:
                self._refuse_gap(event_store_id, record)
            ahead.add(record[:2])
        await super().push_event_group(group, **options)


class GapBeforeConflict(InMemoryEventStorageAdapter):
    """Looks for the version before, and then at that of the event."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Refuse the gap first."""
        if not options.get("force"):
            ahead: set[tuple[str, int]] = set()
            for event_store_id, record, _ in group:
                if (record.aggregate_id, record.version - 1) not in ahead:
                    self._refuse_gap(event_store_id, record)
                ahead.add(record[:2])
        await super().push_event_group(group, **options)


class VersionBeforeMayBeUnderWay(InMemoryEventStorageAdapter):
    """Counts on the pushes of others, which may be refused."""

    def __init__(self) -> None:
        super().__init__()
        self._under_way: set[tuple[str, int]] = set()

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Look at the others."""
        self._under_way.add(record[:2])
        before = (record.aggregate_id, record.version - 1)
        try:
            await super().push_event(event_store_id, record, force=force)
        except VersionGapError:
            if before not in self._under_way:
                raise
            await super().push_event(event_store_id, record, force=True)
        finally:
            self._under_way.discard(record[:2])
