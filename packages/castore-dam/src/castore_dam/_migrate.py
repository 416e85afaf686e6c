"""Migration: carrying all the events of a store to another storage."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

from castore_core import EventRecord, EventStore, GroupedRecord, JSONValue, LogEntry
from castore_dam._checkpoints import Checkpoint
from castore_dam._event_stores import check_event_stores
from castore_dam._event_writer import EventWriter
from castore_dam._journal import Journal, open_journal
from castore_dam._progress import Progress, ProgressHook, report_nothing
from castore_dam._rate import RateLimit
from castore_dam._results import PouredEvent
from castore_dam._sameness import are_equal
from castore_dam._scan import PAGE, EventScan, ScanPage, describe_scans, open_scans
from castore_dam._succession import Replacement, Succession
from castore_dam._transform import Transform, Transformer


@dataclass(frozen=True)
class Migration:
    """The result of a migration. A dry run has the counts of one that writes.

    Attributes:
        events_read: how many events of the source were carried, or dropped.
        events_written: how many events were written to the target.
        events_already_there: how many events the target had already.
        events_dropped: how many events of the source have none in the target.
        events_changed: how many events of the source became another event, or several. One that
            got another version only does not count.
    """

    events_read: int = 0
    events_written: int = 0
    events_already_there: int = 0
    events_dropped: int = 0
    events_changed: int = 0


async def migrate_event_store(
    source: EventStore[Any, Any],
    target: EventStore[Any, Any],
    *,
    transform: Transform | None = None,
    allow_gaps: bool = False,
    dry_run: bool = False,
    rate_limit: float | None = None,
    at_once: int = 10,
    checkpoint: Checkpoint | None = None,
    on_progress: ProgressHook = report_nothing,
) -> Migration:
    """Carry all the events of a store to another one, as they are stored.

    Aggregate ids, versions and timestamps stay, and fields that no class declares. Channels and
    hooks of the target are told nothing.

    Events that the target has already, equal ones, are left as they are. So a migration that
    failed or was killed is started again, with or without its checkpoint, and none of its events
    is there twice. Run again later, it carries the events that were pushed to the source meanwhile,
    and those that a log has held back, as PostgreSQL and MySQL do while an older transaction is
    open. Where the source has no log, a run that goes on from one that had not ended does not look
    again at the aggregates that were carried: run it once more.

    Where the source has a log, its order is kept: a target with a log takes up to 500 events in
    one commit. Other targets take several aggregates at once. The events of an aggregate are
    always written in the order of their versions.

    Args:
        source: a store on the storage to read. Aggregates without an event of version 1 are
            missing where it has no log.
        target: a store on the storage to write to, such as ``source.using(new_adapter)``. Its id
            may be another one.
        transform: is given each event, and returns the one that takes its place, several, or
            ``None`` to drop it. It may be asynchronous. The events of an aggregate are numbered
            anew where their count changes. See `Transform`.
        allow_gaps: carries aggregates in which a version is missing, too. A target that refuses
            gaps needs its own option for that.
        dry_run: only counts what would be written, and reports conflicts. Of the checkpoint, it
            takes where to begin, and leaves it as it is.
        rate_limit: the most events a second that are written, evenly; more than 0, also a fraction.
        at_once: how many aggregates are read, or written, at a time.
        checkpoint: keeps how far the migration has come. Once it has ended, the next run begins
            with the events after it where the source has a log, and anew where it has none.
        on_progress: is told after each batch how many events of the source were carried.

    Raises:
        CheckpointInUseError: another operation uses the checkpoint.
        InvalidCheckpointError: the checkpoint is another operation's, or does not fit the events of
            the source or the target.
        EventConflictError: the target has another event of one version. It stays.
        SourceGapError: a version is missing in the source, and ``allow_gaps`` is false.
        StorageError: a storage failed. With `UnknownOutcomeError`, too, the migration can be
            started again.
        TransformError: the transform failed at an event.
        InvalidEventError, VersionGapError: the target refuses an event.
        TypeError, ValueError: an argument is not as above.
    """
    check_migration(source, target)
    transformer = Transformer(source.event_store_id, transform)
    operation = {
        "operation": "migrate",
        "event stores": [describe_scans([source]), target.event_store_id],
        "has transform": transform is not None,
    }
    rate = RateLimit(rate_limit)
    stores = {"source": source, "target": target}
    (scan,) = await open_scans([source], at_once=at_once)
    async with open_journal(checkpoint, operation, dry_run=dry_run) as journal:
        for name, last in journal.state.get("last", {}).items():
            await journal.check_storage([stores[name]], PouredEvent.from_json(last))
        migration = _Run(
            scan,
            Succession(source, transformer, allow_gaps=allow_gaps, at_once=at_once),
            _Target(target, EventWriter(at_once=at_once), dry_run=dry_run),
            journal,
            ids={name: each.event_store_id for name, each in stores.items()},
            rate=rate,
            on_progress=on_progress,
        )
        return await migration.run()


class _Run:
    """One run of a migration."""

    def __init__(
        self,
        scan: EventScan,
        succession: Succession,
        target: "_Target",
        journal: Journal,
        *,
        ids: Mapping[str, str],
        rate: RateLimit,
        on_progress: ProgressHook,
    ) -> None:
        self._scan = scan
        self._ids = ids
        self._succession = succession
        self._target = target
        self._journal = journal
        self._rate = rate
        self._report = on_progress
        self._done = Migration(**journal.state.get("counts", {}))
        self._last: dict[str, JSONValue] = {**journal.state.get("last", {})}

    async def run(self) -> Migration:
        mark: JSONValue = self._journal.state.get("mark")
        async with aclosing(_gather(self._scan, mark)) as pages:
            async for page in pages:
                await self._carry_all(await self._succession.follow(page.events))
                mark = page.mark
                await self._save(mark, counts=asdict(self._done))
                self._tell()
        await self._save(None if self._scan.is_by_aggregate else mark)
        return self._done

    async def _save(self, mark: JSONValue, **values: JSONValue) -> None:
        await self._journal.save({"mark": mark, "last": {**self._last}, **values})

    async def _carry_all(self, replacements: Sequence[Replacement]) -> None:
        """Carry events, and tell of each batch but the last: at a low rate, they are small."""
        size = self._rate.bound_batch(max(1, len(replacements)))
        for begin in range(0, len(replacements), size):
            if begin:
                self._tell()
            await self._carry(replacements[begin : begin + size])

    def _tell(self) -> None:
        self._report(Progress("migrating", self._done.events_read))

    async def _carry(self, replacements: Sequence[Replacement]) -> None:
        events = [event for each in replacements for event in each.events]
        written = await self._write(events)
        self._note_last("source", [each.source for each in replacements])
        self._note_last("target", events)
        done = self._done
        self._done = Migration(
            done.events_read + len(replacements),
            done.events_written + written,
            done.events_already_there + len(events) - written,
            done.events_dropped + sum(not each.events for each in replacements),
            done.events_changed + sum(map(_is_changed, replacements)),
        )

    def _note_last(self, name: str, events: Sequence[EventRecord]) -> None:
        if events:
            self._last[name] = PouredEvent.of(self._ids[name], events[-1]).to_json()

    async def _write(self, events: Sequence[EventRecord]) -> int:
        size = self._rate.bound_batch(PAGE)
        written = 0
        for begin in range(0, len(events), size):
            batch = events[begin : begin + size]
            await self._rate.wait(len(batch))
            written += await self._target.write(batch)
            if size < PAGE:  # it takes its time
                await self._journal.save(self._journal.state)
        return written


class _Target:
    """The event store that takes the events. Its channels and hooks are passed by."""

    def __init__(self, event_store: EventStore, writer: EventWriter, *, dry_run: bool) -> None:
        self._id = event_store.event_store_id
        self._adapter = event_store.get_storage_adapter()
        self._writer = writer
        self._dry_run = dry_run

    async def write(self, records: Sequence[EventRecord]) -> int:
        """Write the events that are not there yet, and return how many these were."""
        events = [GroupedRecord(self._id, each, self._adapter) for each in records]
        if self._dry_run:
            return len(await self._writer.find_missing(events))
        return await self._writer.write(events)


def check_migration(source: EventStore, target: EventStore) -> None:
    """Refuse stores between which nothing can be carried.

    Raises:
        TypeError, ValueError: one is no event store, or both are the same.
    """
    for each in (source, target):
        check_event_stores(each)
    is_same_storage = source.get_storage_adapter() is target.get_storage_adapter()
    if is_same_storage and source.event_store_id == target.event_store_id:
        raise ValueError("the source and the target are one event store on one storage adapter")


async def _gather(scan: EventScan, mark: JSONValue) -> AsyncGenerator[ScanPage]:
    """Yield the pages of a scan, small ones together."""
    gathered: list[LogEntry] = []
    async with aclosing(scan.read(mark)) as pages:
        async for page in pages:
            gathered += page.events
            mark = page.mark
            if len(gathered) >= PAGE:
                yield ScanPage(gathered, mark)
                gathered = []
    yield ScanPage(gathered, mark)


def _is_changed(replacement: Replacement) -> bool:
    source, events = replacement
    if not events:
        return False
    return len(events) > 1 or not are_equal(source, events[0]._replace(version=source.version))
