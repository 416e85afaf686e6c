"""Importing the events of an archive into event stores."""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from castore_core import EventStore, GroupedRecord, JSONValue
from castore_dam._archive_format import ArchivedEvent, ArchiveSummary
from castore_dam._archive_reader import ArchiveReader, verify_archive
from castore_dam._checkpoints import Checkpoint
from castore_dam._event_stores import check_event_stores
from castore_dam._event_writer import EventWriter
from castore_dam._journal import Journal, open_journal
from castore_dam._progress import Progress, ProgressHook, report_nothing
from castore_dam._rate import RateLimit
from castore_dam._results import PouredEvent
from castore_dam._scan import PAGE
from castore_dam.errors import InvalidArchiveError


@dataclass(frozen=True)
class ImportedArchive:
    """The result of an import, with what earlier runs of the same checkpoint did.

    Attributes:
        archive: the archive.
        imported_event_count: how many events were written.
        present_event_count: how many were stored already, equal, and were passed over.
    """

    archive: ArchiveSummary
    imported_event_count: int
    present_event_count: int


async def import_event_store(
    path: str | os.PathLike[str],
    event_stores: EventStore[Any, Any] | Iterable[EventStore[Any, Any]],
    *,
    archived_ids: Mapping[str, str] | None = None,
    at_once: int = 10,
    rate_limit: float | None = None,
    checkpoint: Checkpoint | None = None,
    on_progress: ProgressHook = report_nothing,
) -> ImportedArchive:
    """Write the events of an archive to one or several event stores.

    First the whole archive is read and checked; a damaged one writes nothing. Then its events are
    written as they are: with their ids, versions and timestamps, and without the hooks, messages
    and types of the store. An event that is stored already is passed over where it is equal, and
    an error where it is not: nothing is ever replaced. An import that has failed can be repeated.

    A storage adapter with a log takes up to 500 events in a group, in the order of the archive.
    Others take them one by one, the versions of an aggregate in order.

    Args:
        path: the archive: a file, and no pipe, as it is read twice.
        event_stores: the store, or all the stores, whose events are in the archive.
        archived_ids: the ids that the stores have in the archive, by the ids that they have now.
            With it, event stores of the archive that are not named are left out.
        at_once: how many aggregates are written at a time, where there is no log.
        rate_limit: the most events a second, evenly; more than 0, also a fraction.
        checkpoint: keeps how far the import has come. Started again, it goes on after the last
            events that were written; the archive is read anew for that.
        on_progress: is told after each page that was checked, and each that was written.

    Raises:
        CheckpointInUseError: another operation uses the checkpoint.
        EventConflictError: a store has another event of the same version. The events before it in
            the archive may be written.
        InvalidArchiveError: the archive is damaged, or has other event stores. Nothing was written.
        InvalidCheckpointError: the checkpoint is that of another archive, or operation, or does not
            fit the events of the stores.
        TypeError, ValueError: an argument is not as above.
        VersionGapError: the version before is not in the archive up to here, nor in the store, and
            the storage adapter refuses gaps.
    """
    stores = check_event_stores(event_stores)
    targets = _find_targets(stores, archived_ids)
    writer, rate = EventWriter(at_once=at_once), RateLimit(rate_limit)
    check_rereadable(path)
    archive = await verify_archive(path, on_progress=on_progress)
    _check_stores(path, archive, targets, may_leave_out=archived_ids is not None)
    operation = {
        "operation": "import",
        "archive": archive.hash,
        "event stores": {each: store.event_store_id for each, store in targets.items()},
    }
    async with open_journal(checkpoint, operation) as journal:
        run = _Import(
            Path(path),
            archive,
            targets,
            writer=writer,
            rate=rate,
            journal=journal,
            on_progress=on_progress,
        )
        return await run.run()


def check_rereadable(path: str | os.PathLike[str]) -> None:
    """Refuse a pipe, or another file that gives its bytes once.

    Raises:
        ValueError: it is one.
    """
    file = Path(path)
    if file.is_fifo() or file.is_char_device() or file.is_socket():
        raise ValueError(
            f"an import reads its archive twice, and {os.fspath(path)!r} is no regular file: write "
            "the archive to a file first"
        )


def _find_targets(
    stores: Sequence[EventStore], archived_ids: Mapping[str, str] | None
) -> Mapping[str, EventStore]:
    """Return the stores by the ids that they have in the archive."""
    if archived_ids is None:
        return {each.event_store_id: each for each in stores}
    if {*archived_ids} != {each.event_store_id for each in stores}:
        raise ValueError("archived_ids does not have the ids of exactly the event stores")
    targets = {archived_ids[each.event_store_id]: each for each in stores}
    if len(targets) < len(stores):
        raise ValueError("archived_ids has one id of the archive twice")
    return targets


def _check_stores(
    path: str | os.PathLike[str],
    archive: ArchiveSummary,
    targets: Mapping[str, EventStore],
    *,
    may_leave_out: bool,
) -> None:
    if may_leave_out and targets.keys() <= archive.event_counts.keys():
        return
    if targets.keys() != archive.event_counts.keys():
        there, wanted = (
            ", ".join(map(repr, sorted(each))) for each in (archive.event_counts, targets)
        )
        reason = (
            f"its event stores are {there}, and those to fill are {wanted}: "
            "archived_ids picks some, or gives them other ids"
        )
        raise InvalidArchiveError(os.fspath(path), 1, reason)


class _Import:
    """One run of an import, of an archive that was checked."""

    def __init__(
        self,
        path: Path,
        archive: ArchiveSummary,
        targets: Mapping[str, EventStore],
        *,
        writer: EventWriter,
        rate: RateLimit,
        journal: Journal,
        on_progress: ProgressHook,
    ) -> None:
        self._path = path
        self._archive = archive
        self._targets = targets
        self._writer = writer
        self._rate = rate
        self._journal = journal
        self._report = on_progress
        self._batch_size = rate.bound_batch(PAGE)
        self._done, self._imported, self._present = journal.state.get("counts", (0, 0, 0))
        self._last: JSONValue = journal.state.get("last")

    async def run(self) -> ImportedArchive:
        if self._last is not None:
            last = PouredEvent.from_json(self._last)
            await self._journal.check_storage(self._targets.values(), last)
        with closing(await asyncio.to_thread(ArchiveReader, self._path)) as reader:
            while page := await asyncio.to_thread(reader.read_page):
                for batch in self._split(page, reader.count - len(page)):
                    await self._write(batch)
            if reader.get_summary() != self._archive:
                raise InvalidArchiveError(str(self._path), 1, "it was replaced during the import")
        return ImportedArchive(self._archive, self._imported, self._present)

    def _split(
        self, page: Sequence[ArchivedEvent], begin: int
    ) -> Iterable[Sequence[ArchivedEvent]]:
        """Return the batches of those events that no earlier run has written."""
        left = page[max(0, self._done - begin) :]
        return (
            left[start : start + self._batch_size]
            for start in range(0, len(left), self._batch_size)
        )

    async def _write(self, batch: Sequence[ArchivedEvent]) -> None:
        events = [
            GroupedRecord(store.event_store_id, each.record, store.get_storage_adapter())
            for each in batch
            if (store := self._targets.get(each.event_store_id)) is not None
        ]
        if events:
            await self._rate.wait(len(events))
            written = await self._writer.write(events)
            self._imported += written
            self._present += len(events) - written
            self._last = PouredEvent.of(events[-1].event_store_id, events[-1].record).to_json()
        self._done += len(batch)
        counts = [self._done, self._imported, self._present]
        await self._journal.save({"counts": counts, "last": self._last})
        self._report(Progress("importing", self._done, self._archive.event_count))
