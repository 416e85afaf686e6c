"""Reading and writing snapshots: a failure here never changes an answer."""

import asyncio
import logging
from collections import Counter
from typing import Final, Literal, NamedTuple, TypeAlias

from castore_core._error_texts import format_error
from castore_core._snapshot_format import GENERATION, GENERATION_AT, Content, Generation
from castore_core._snapshot_storage import Snapshot, SnapshotStorageAdapter
from castore_core._telemetry import installed, note

SnapshotCount: TypeAlias = Literal[
    "used",
    "missing",
    "outdated",
    "unreadable",
    "corrupt",
    "invalidated",
    "undecodable",
    "ahead",
    "replaced",
    "failed",
    "written",
    "not_written",
    "not_faithful",
    "gaps",
    "dropped",
]
"""Outcomes of snapshot reads and writes: see `Snapshots.counts`."""

_logger: Final = logging.getLogger("castore_core")


class Place(NamedTuple):
    """An aggregate, and the reducer whose snapshots are meant."""

    event_store_id: str
    aggregate_id: str
    reducer_version: str = ""

    def at(self, version: int) -> Snapshot:
        """Return the snapshot of a version, without content."""
        return Snapshot(self.event_store_id, self.aggregate_id, version, self.reducer_version, None)


class Found(NamedTuple):
    """A snapshot; without ``content`` it cannot be used, without ``version`` none could be read."""

    version: int | None
    content: Content | None


_UNREADABLE: Final = Found(None, None)


class SnapshotAccess:
    """A storage of snapshots: failures are counted and logged, and mostly not raised."""

    def __init__(self, storage_adapter: SnapshotStorageAdapter) -> None:
        self.storage_adapter = storage_adapter
        self.counts: Counter[SnapshotCount] = Counter()

    def count(
        self,
        reason: SnapshotCount,
        place: Place | str,
        error: BaseException | None = None,
        *,
        text: str | None = None,
    ) -> None:
        """Count the outcome of a read or write, and log it where there is an error or a text.

        ``place`` is the id of the event store where it concerns all aggregates.
        """
        self.counts[reason] += 1
        if installed.telemetry is not None:
            store_id = place if isinstance(place, str) else place.event_store_id
            note("SnapshotCounted", event_store_id=store_id, outcome=reason)
        if error is not None:
            text = format_error(error)
        if text is not None:
            _logger.warning("%s: %s\n%s", _describe(place), reason, text)

    # Reading

    async def begin(self, place: Place, max_version: int) -> tuple[Found | None, Generation | None]:
        """Return the newest snapshot, and the generation that it has to be of.

        ``None`` stands for no snapshot, and for a generation that is not known.
        """
        found, generation = await asyncio.gather(
            self._find(place, max_version), self._get_generation(place), return_exceptions=True
        )
        if isinstance(found, BaseException):
            return self._note_failure(place, found), None
        if isinstance(generation, BaseException):
            return self._note_failure(place, generation), None
        return found, generation

    async def find(self, place: Place, max_version: int) -> Found | None:
        """Return the newest snapshot at or below a version, if any."""
        try:
            return await self._find(place, max_version)
        except Exception as error:  # noqa: BLE001 the events answer
            return self._note_failure(place, error)

    async def has_outdated(self, place: Place) -> bool:
        """Tell whether there are snapshots of other reducers."""
        try:
            versions = await self.storage_adapter.get_reducer_versions(*place[:2])
        except Exception as error:  # noqa: BLE001 it is for the counter only
            self._note_failure(place, error)
            return False
        return bool({*versions} - {place.reducer_version, GENERATION})

    def _note_failure(self, place: Place, error: BaseException) -> Found:
        if not isinstance(error, Exception):
            raise error
        self.count("unreadable", place, error)
        return _UNREADABLE

    async def _find(self, place: Place, max_version: int) -> Found | None:
        found = await self.storage_adapter.get_snapshot(
            *place[:2], reducer_version=place.reducer_version, max_version=max_version
        )
        if found is None:
            return None
        version = found.version
        if (
            type(version) is not int
            or not 1 <= version <= max_version
            or found[:4] != (place.at(version)[:4])
        ):
            raise ValueError("the storage gave the snapshot of another place")
        try:
            return Found(version, Content.unseal(found))
        except Exception as error:  # noqa: BLE001 the events answer
            self.count("corrupt", place, error)
            return Found(version, None)

    async def _get_generation(self, place: Place) -> Generation:
        note = await self.storage_adapter.get_snapshot(*place[:2], reducer_version=GENERATION)
        return Generation.from_note(note)

    # Writing

    async def write(
        self, place: Place, version: int, content: Content, *, keep: int | None
    ) -> None:
        """Write a snapshot, and forget the older ones; of an older generation, take it back."""
        try:
            await self.storage_adapter.put_snapshot(content.seal(place.at(version)))
            if await self._get_generation(place) != Generation(content.generation):
                self.count("invalidated", place)
                await self._delete(place, version)
                return
            self.count("written", place)
            if keep is not None:
                await self._prune(place, version, keep)
        except Exception as error:  # noqa: BLE001 a snapshot less
            self.count("not_written", place, error)

    async def unblock(self, place: Place) -> None:
        """Begin a generation where nobody has ended the replacement of an event."""
        try:
            await self._note(place, Generation.begin())
        except Exception as error:  # noqa: BLE001 the aggregate stays without snapshots
            self.count("not_written", place, error)

    async def _prune(self, place: Place, version: int, keep: int) -> None:
        """Forget all but the newest ``keep`` snapshots at or below a version that has one."""
        for _ in range(keep - 1):
            older = await self.storage_adapter.get_snapshot(
                *place[:2], reducer_version=place.reducer_version, max_version=version - 1
            )
            if older is None:
                return
            version = older.version
        await self._delete(place, version - 1)

    async def _delete(self, place: Place, max_version: int) -> None:
        await self.storage_adapter.delete_snapshots(
            *place[:2], reducer_version=place.reducer_version, max_version=max_version
        )

    # Replacing events

    async def block(self, place: Place) -> Generation:
        """Let nobody use or write snapshots of an aggregate; return the generation before.

        Raises:
            StorageError: the storage failed.
        """
        before = await self._get_generation(place)
        await self._note(place, Generation.begin(blocked=True))
        return before

    async def open(self, place: Place, before: Generation | None = None) -> None:
        """Begin a generation, of which there is no snapshot yet, and forget the older ones.

        It stays blocked where it was so before: the outcome of another write is not known.

        Raises:
            StorageError: the storage failed.
        """
        await self.storage_adapter.delete_snapshots(*place[:2], max_version=GENERATION_AT - 1)
        opened = Generation.begin()
        if before is not None and not before.is_stuck:
            opened = opened._replace(blocked_at=before.blocked_at)
        await self._note(place, opened)

    async def _note(self, place: Place, generation: Generation) -> None:
        await self.storage_adapter.put_snapshot(generation.to_note(*place[:2]))


def _describe(place: Place | str) -> str:
    if isinstance(place, str):
        return f"snapshots of event store {place!r}"
    return f"snapshot of aggregate {place.aggregate_id!r} of event store {place.event_store_id!r}"
