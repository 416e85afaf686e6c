"""Exporting event stores to an archive."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

from castore_core import EventStore, utc_now
from castore_dam._archive_format import ArchivedEvent, ArchiveSummary
from castore_dam._archive_writer import ArchiveWriter, hold_part, publish_part, refuse_existing
from castore_dam._checkpoints import Checkpoint
from castore_dam._compression import Compression, find_compression
from castore_dam._event_stores import check_event_stores
from castore_dam._journal import Journal, open_journal
from castore_dam._progress import Progress, ProgressHook, report_nothing
from castore_dam._results import PouredEvent
from castore_dam._scan import EventScan, describe_scans, open_scans
from castore_dam.errors import InvalidCheckpointError

_ARCHIVE: Final = "archive"  # in the state of an export whose part is whole


async def export_event_store(
    event_stores: EventStore[Any, Any] | Iterable[EventStore[Any, Any]],
    path: str | os.PathLike[str],
    *,
    at_once: int = 10,
    checkpoint: Checkpoint | None = None,
    on_progress: ProgressHook = report_nothing,
) -> ArchiveSummary:
    """Write all the events of one or several event stores to an archive.

    They are written as they are stored, fields that no class declares included. The file has the
    name ``<path>.part`` until it is whole and on the disk.

    Of stores whose adapter has a log, the archive has the events that the log had when the export
    began, in its order. PostgreSQL and MySQL hold back those that are committed while an older
    transaction is open. The aggregates of others are listed, in the order of their
    initial events: those without an event of version 1 are missing, and events that are pushed
    meanwhile may be in it.

    Args:
        event_stores: a store, or several, on any storage adapters.
        path: the file, whose suffix tells how it is compressed: ``.jsonl`` (not), ``.jsonl.gz`` or
            ``.jsonl.zst``.
        at_once: how many aggregates are read at a time, where there is no log.
        checkpoint: keeps how far the export has come, after about each MiB of lines. Started again,
            it goes on with the part, which it reads and checks first. Without a checkpoint, an
            export that fails removes the part.
        on_progress: is told after each page.

    Raises:
        CheckpointInUseError: another operation uses the checkpoint.
        FileExistsError: there is a file of this name, or another export writes it.
        InvalidArchiveError: the part is not the one that the checkpoint speaks of.
        InvalidCheckpointError: the checkpoint is another operation's, or of another storage, or its
            archive is gone.
        NotJSONError: an event has a value that no JSON has, which castore does not store.
        TypeError, ValueError: an argument is not as above.
    """
    stores = check_event_stores(event_stores)
    target = Path(path)
    compression = find_compression(target)
    operation = {
        "operation": "export",
        "event stores": describe_scans(stores),
        "archive": target.name,
    }
    async with open_journal(checkpoint, operation) as journal:
        if not journal.state:
            await asyncio.to_thread(refuse_existing, target)
        with hold_part(target) as part:
            export = _Export(stores, part, compression, journal, on_progress)
            if _ARCHIVE not in journal.state:
                await _write(export, at_once, keep=checkpoint is not None)
            state = journal.state
            await asyncio.to_thread(_publish, part, target, state["size"], checkpoint)
            return ArchiveSummary.from_json(state[_ARCHIVE])


async def _write(export: "_Export", at_once: int, *, keep: bool) -> None:
    try:
        await export.run(at_once)
    except BaseException:
        if not keep:
            export.part.unlink(missing_ok=True)
        raise


def _publish(part: Path, path: Path, size: int, checkpoint: Checkpoint | None) -> None:
    if part.stat().st_size == size:
        publish_part(part, path)
    elif path.exists() and path.stat().st_size == size:
        part.unlink()  # it was made anew to lock it
    else:
        name = "" if checkpoint is None else checkpoint.name
        raise InvalidCheckpointError(name, f"{os.fspath(path)!r}, which was complete, has changed")


class _Export:
    """One run of an export, to the part of the archive."""

    def __init__(
        self,
        stores: Sequence[EventStore],
        part: Path,
        compression: Compression,
        journal: Journal,
        on_progress: ProgressHook,
    ) -> None:
        self.part = part
        self._stores = stores
        self._compression = compression
        self._journal = journal
        self._report = on_progress

    async def run(self, at_once: int) -> None:
        """Write the part to its end."""
        state = self._journal.state
        if last := state.get("last"):
            await self._journal.check_storage(self._stores, PouredEvent.from_json(last))
        scans = await open_scans(self._stores, at_once=at_once, ends=state.get("ends"))
        async with self._open_writer(scans) as writer:
            for number in range(self._journal.state["scan"], len(scans)):
                await self._write_scan(writer, number, scans[number])
            summary = writer.finish()
            await self._save(writer, **{_ARCHIVE: summary.to_json()})

    @asynccontextmanager
    async def _open_writer(self, scans: Sequence[EventScan]) -> AsyncGenerator[ArchiveWriter]:
        if state := self._journal.state:
            with closing(
                await asyncio.to_thread(ArchiveWriter.resume, self.part, self._compression, state)
            ) as writer:
                yield writer
            return
        with closing(ArchiveWriter(self.part, self._compression, utc_now())) as writer:
            writer.begin([each.event_store_id for each in self._stores])
            await self._save(writer, ends=[each.end for each in scans], scan=0, mark=None)
            yield writer

    async def _write_scan(self, writer: ArchiveWriter, number: int, scan: EventScan) -> None:
        state = self._journal.state
        mark = state["mark"] if state["scan"] == number else None
        async with aclosing(scan.read(mark)) as pages:
            async for page in pages:
                writer.add(
                    [ArchivedEvent(each.event_store_id, each.record) for each in page.events]
                )
                if writer.is_frame_full:
                    _, store_id, record = page.events[-1]
                    last = PouredEvent.of(store_id, record).to_json()
                    await self._save(writer, scan=number, mark=page.mark, last=last)
                self._report(Progress("exporting", writer.count))

    async def _save(self, writer: ArchiveWriter, **values: Any) -> None:
        written = await asyncio.to_thread(writer.flush)
        await self._journal.save({**self._journal.state, **written, **values})
