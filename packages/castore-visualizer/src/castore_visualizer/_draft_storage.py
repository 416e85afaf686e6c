"""A storage that writes nothing: pushed events are drafts over stored ones."""

from collections.abc import Sequence
from typing import TypeAlias, cast

from castore_core import (
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    EventStorageAdapter,
    GroupedRecord,
    VersionAssertionError,
    VersionGapError,
    overlay_events,
)
from castore_visualizer._storage_wrapper import StorageWrapper, check_together

_Place: TypeAlias = tuple[str, str]
"""The ids of an event store and of an aggregate."""


class DraftStorageAdapter(StorageWrapper):
    """Keeps what is pushed in memory, over the events of a storage that it only reads.

    Lists of aggregates lack those that began here.
    """

    def __init__(self, storage_adapter: EventStorageAdapter) -> None:
        super().__init__(storage_adapter)
        self.drafts: dict[tuple[str, str, int], EventRecord] = {}
        self._stored_versions: dict[_Place, int] = {}

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Keep an event."""
        await self.push_event_group([GroupedRecord(event_store_id, record, self)], force=force)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Keep all the events of a group, or none: the same conflicts come up as in a storage.

        Raises:
            VersionAssertionError: an aggregate is not at its asserted version.
            EventAlreadyExistsError: a version is taken.
            VersionGapError: the version before is missing.
            InvalidEventGroupError: the storages cannot write together.
        """
        parts: list[GroupedRecord | AssertedVersion] = [*group, *asserted]
        check_together(parts)
        for part in parts:
            await _get_drafts(part).read_stored_version(_get_place(part))
        # From here on no other task runs: of two pushes of one version, one meets the other.
        for assertion in asserted:
            place = _get_place(assertion)
            if _get_drafts(assertion).get_last_version(place) != assertion.version:
                raise VersionAssertionError(*place, assertion.version)
        if not force:
            _check_versions(group)
        for each in group:
            version = each.record.version
            _get_drafts(each).drafts[*_get_place(each), version] = each.record.copy()

    async def get_events(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        min_version: int | None = None,
        max_version: int | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Sequence[EventRecord]:
        """Read the events of the storage and those that were pushed here."""
        stored = await self.storage_adapter.get_events(
            event_store_id,
            aggregate_id,
            min_version=min_version,
            max_version=max_version,
            limit=limit,
            reverse=reverse,
        )
        return overlay_events(
            stored,
            self._list_drafts((event_store_id, aggregate_id)),
            min_version=min_version,
            max_version=max_version,
            limit=limit,
            reverse=reverse,
        )

    async def read_stored_version(self, place: _Place) -> None:
        """Look up the last version of an aggregate in the storage, for `get_last_version`."""
        found = await self.storage_adapter.get_events(*place, reverse=True, limit=1)
        self._stored_versions[place] = found[0].version if found else 0

    def get_last_version(self, place: _Place) -> int:
        """Return the version of the last event, stored or drafted, or 0. It waits for nothing."""
        drafted = (each.version for each in self._list_drafts(place))
        return max([self._stored_versions[place], *drafted])

    def _list_drafts(self, place: _Place) -> list[EventRecord]:
        return [each for (*own, _), each in self.drafts.items() if tuple(own) == place]


def _get_drafts(part: GroupedRecord | AssertedVersion) -> DraftStorageAdapter:
    return cast("DraftStorageAdapter", part.storage_adapter)


def _get_place(part: GroupedRecord | AssertedVersion) -> _Place:
    if isinstance(part, AssertedVersion):
        return part.event_store_id, part.aggregate_id
    return part.event_store_id, part.record.aggregate_id


def _check_versions(group: Sequence[GroupedRecord]) -> None:
    """Refuse a version that is taken, or that does not follow those before it in the group."""
    ahead: dict[tuple[int, _Place], int] = {}
    for each in group:
        drafts, place, version = _get_drafts(each), _get_place(each), each.record.version
        key = (id(drafts), place)
        last = ahead[key] if key in ahead else drafts.get_last_version(place)
        if version <= last:
            raise EventAlreadyExistsError(*place, version)
        if version > last + 1:
            raise VersionGapError(*place, version)
        ahead[key] = version
