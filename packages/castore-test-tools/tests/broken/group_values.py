"""Adapters that write the events of a group otherwise than single ones."""

from collections.abc import Sequence
from typing import Any

from castore_core import ABSENT, EventAlreadyExistsError, EventRecord, GroupedRecord
from castore_in_memory import InMemoryEventStorageAdapter

from .values import map_scalars, to_decimal


class RewritingGroups(InMemoryEventStorageAdapter):
    """Changes what is pushed in a group of several."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Return what is stored instead."""
        return record

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Push something else."""
        if len(group) > 1:
            group = [each._replace(record=self.rewrite(each.record)) for each in group]
        await super().push_event_group(group, **options)


class GroupLosesMetadata(RewritingGroups):
    """Writes metadata beside a payload only."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Drop it."""
        return record._replace(metadata=ABSENT) if record.payload is ABSENT else record


class DecimalLeaksFromGroups(RewritingGroups):
    """Converts the numbers of single events only."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Forget to convert back."""
        return record._replace(payload=map_scalars(record.payload, to_decimal))


class GroupReferenceKept(InMemoryEventStorageAdapter):
    """Gives back the very payload that was pushed in a group."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[tuple[str, str, int], Any] = {}

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Keep the references."""
        await super().push_event_group(group, **options)
        for event_store_id, record, _ in group if len(group) > 1 else ():
            self._kept[event_store_id, record.aggregate_id, record.version] = record.payload

    async def get_events(
        self, event_store_id: str, aggregate_id: str, **options: Any
    ) -> list[EventRecord]:
        """Give them out."""
        return [
            each._replace(
                payload=self._kept.get((event_store_id, aggregate_id, each.version), each.payload)
            )
            for each in await super().get_events(event_store_id, aggregate_id, **options)
        ]


class GroupChanged(InMemoryEventStorageAdapter):
    """Prepares the payloads of a group in place."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Change the caller's objects."""
        for each in group:
            if len(group) > 1 and isinstance(each.record.payload, dict):
                each.record.payload["prepared"] = True
        await super().push_event_group(group, **options)


class EqualGroupIsFine(InMemoryEventStorageAdapter):
    """Takes an equal group for the one that it is told to push."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Look for it, after a conflict."""
        try:
            await super().push_event_group(group, **options)
        except EventAlreadyExistsError:
            if len(group) == 1 or not await self._has_all(group):
                raise

    async def _has_all(self, group: Sequence[GroupedRecord]) -> bool:
        found = [await self.get_events(each[0], each.record.aggregate_id) for each in group]
        return all(each.record in events for each, events in zip(group, found, strict=True))


class ForcedGroupLeavesTheList(InMemoryEventStorageAdapter):
    """Replaces the initial events of a group, and leaves the list as it is."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """List the old timestamps again."""
        lists = {store: {each[1]: each[0] for each in self._lists[store]} for store, _, _ in group}
        await super().push_event_group(group, **options)
        if options.get("force") and len(group) > 1:
            for store, old in lists.items():
                listed = [(old.get(name, moment), name) for moment, name in self._lists[store]]
                self._lists[store] = sorted(listed)


class GroupConflictIsFinal(InMemoryEventStorageAdapter):
    """Has commands give up at the conflict of a group."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Mark the error."""
        try:
            await super().push_event_group(group, **options)
        except EventAlreadyExistsError as error:
            error.retryable = len(group) == 1
            raise
