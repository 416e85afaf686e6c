"""The reader of a partition: takes events from the log, step by step, under a lease."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, TypeAlias

from castore_core import (
    LOG_START,
    BookmarkStorageAdapter,
    Lease,
    LogEntry,
    LogPosition,
    ParkedEvent,
    StorageError,
    UndefinedStorageAdapterError,
)
from castore_core.telemetry import installed
from castore_projections._buffer import Batch, Buffer
from castore_projections._circuit import Circuit
from castore_projections._failures import (
    MissingParkedEventError,
    describe_failure,
    get_lost_entry,
    park,
)
from castore_projections._options import ReaderOptions
from castore_projections._parking import Parking
from castore_projections._partition import Partition
from castore_projections._processing import EntryFailedError, Processor, Step
from castore_projections._reporter import Reporter
from castore_projections._reports import (
    CircuitClosed,
    CircuitOpened,
    EventFailed,
    EventParked,
    EventsHandled,
    EventSkipped,
    EventUnparked,
)
from castore_projections._source import Source
from castore_projections._telemetry import process_observed

PARKED_INTERVAL: Final = 5.0
"""Seconds after which a reader looks again which parked events it is to try."""

MOST_LOST: Final = 10
"""Fewest attempts before an event whose transaction was lost is parked."""

SAVE_INTERVAL: Final = 5.0
"""Seconds after which a bookmark moves over events of others."""

Bound: TypeAlias = Callable[[], Awaitable[LogPosition | None]]
Pause: TypeAlias = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class ReaderParts:
    """The parts of a reader.

    Attributes:
        source: where the events are.
        processor: handles them.
        bookmarks: where the bookmark is.
        options: how to read.
        reporter: is told what happens.
        pause: lets seconds pass, or fewer where the reader is to stop.
        bound: returns the position that the reader must not pass, or ``None``.
        skips_failed: whether an event is passed over after its last attempt, and not parked.
        parked_delay: returns the seconds after which a parked event is tried again by itself, from
            the number of its attempts. ``None`` stands for never.
    """

    source: Source
    processor: Processor
    bookmarks: BookmarkStorageAdapter[Any]
    options: ReaderOptions
    reporter: Reporter
    pause: Pause
    bound: Bound
    skips_failed: bool = False
    parked_delay: Callable[[int], float] | None = None


@dataclass(frozen=True)
class _Suspect:
    """An event that failed, and is tried alone."""

    entry: LogEntry
    attempts: int
    error: BaseException
    is_over: bool


@dataclass(frozen=True)
class Doubt:
    """A step that the storage refused as a whole, though it had given the lease before.

    Attributes:
        entry: the first event of the step.
        count: how many events are to be handled alone, until the one at fault is found.
        attempts: how often the first one was refused when it was alone.
        error: the error of the storage.
    """

    entry: LogEntry
    count: int
    attempts: int
    error: StorageError


class PartitionReader:
    """Reads the events of a partition while it has the lease.

    The events come in steps, each of which ends with a move of the bookmark. An event that fails
    is tried alone: those before it are handled without it, and those after it wait. After the last
    attempt it is parked, and so are the later events of its aggregate.

    Any error but those of the events means that the reader no longer knows where its bookmark is:
    make another one, and give it the doubt of this one.
    """

    def __init__(
        self,
        partition: Partition,
        lease: Lease,
        parts: ReaderParts,
        *,
        circuit: Circuit,
        doubt: Doubt | None = None,
    ) -> None:
        self._partition = partition
        self._lease = lease
        self._parts = parts
        self._parking = Parking(parts.bookmarks, partition.bookmark_id, parts.parked_delay)
        self._buffer = Buffer()
        self._saved: LogPosition = LOG_START
        self._suspect: _Suspect | None = None
        self._handled: set[LogPosition] = set()
        self._next_look = 0.0
        self._next_save = 0.0
        self._has_passed_own = False
        self._alone = 0 if doubt is None else doubt.count
        self.doubt = doubt
        self._circuit = circuit
        self.count = 0

    async def open(self) -> None:
        """Begin at the bookmark."""
        bookmark = await self._parts.bookmarks.get_bookmark(self._partition.bookmark_id)
        self._saved = bookmark.position or LOG_START
        self._buffer = Buffer(self._saved)
        await self._load_parked()

    @property
    def position(self) -> LogPosition:
        """The position up to which all events are handled, or parked."""
        return self._buffer.position

    @property
    def has_ready_events(self) -> bool:
        """Whether a parked event is to be tried again."""
        parking = self._parking
        return parking.get_ready() is not None or parking.get_due() is not None

    async def step(self) -> bool:
        """Handle the next events, if there are any, and tell whether there were."""
        if await self._retry_parked():
            return True
        was_due = await self._retry_due()
        if not self._buffer and not await self._fill():
            return was_due
        if self._buffer:
            await self._advance()
        return True

    async def skip_to(self, position: LogPosition) -> None:
        """Pass over the events up to a position, before the first step."""
        if position > self._saved:
            await self._move(self._make_step(Batch([], [], position)))
            self._buffer = Buffer(position)

    async def save(self) -> None:
        """Move the bookmark over events that have no handler."""
        if self._saved != self.position:
            await self._move(self._make_step(Batch([], [], self.position)))

    async def save_if_due(self) -> None:
        """Save at once after events of this partition, and now and then after those of others.

        Callers wait for an event that has no handler, too; nobody waits for those of others.
        """
        if self._has_passed_own or monotonic() > self._next_save:
            await self.save()

    def look_at_parked(self) -> None:
        """Look next which parked events are to be tried again."""
        self._next_look = 0.0

    # Reading

    async def _fill(self) -> bool:
        parts, after = self._parts, self._buffer.end
        bound = await parts.bound()  # first: what is read after it may be beyond it
        found = await parts.source.read(after, parts.options.batch_size)
        end = found.position if bound is None else min(found.position, bound)
        if end <= after:
            return False
        own = [each for each in found.entries if each.position <= end and self._partition.has(each)]
        self._has_passed_own = self._has_passed_own or bool(own)
        self._buffer.fill(filter(parts.processor.wants, own), end)
        return True

    # Handling

    async def _advance(self) -> None:
        doubt = self._find_doubt(self._buffer.first.position)
        if doubt is not None:
            self._suspect = _Suspect(self._buffer.first, doubt.attempts, doubt.error, is_over=True)
        suspect = self._suspect
        if suspect is None or self._buffer.first.position != suspect.entry.position:
            before = None if suspect is None else suspect.entry.position
            batch = self._buffer.take(
                before=before,
                handled=self._handled,
                holds=self._parking.holds,
                limit=1 if self._alone else None,
            )
            await self._try(self._make_step(batch))
        elif suspect.is_over:
            await self._settle(suspect)
        else:
            step = self._make_step(self._buffer.take_first(), attempt=suspect.attempts + 1)
            await self._try(step)

    async def _try(self, step: Step) -> None:
        try:
            await self._process(step)
        except EntryFailedError as failure:
            await self._suspect_entry(step, failure, self._parts.options.max_attempts)
        except StorageError as error:
            self._doubt_step(step, error)
            attempts = max(self._parts.options.max_attempts, MOST_LOST)
            await self._suspect_entry(step, _find_failure(error), attempts)

    async def _process(self, step: Step) -> None:
        if not step.entries:
            await self._move(step)
            return
        began = monotonic()
        if installed.telemetry is None:
            await self._parts.processor.process(step)
        else:
            await process_observed(self._partition, self._parts.processor, step)
        self._follow(step)
        self.count += len(step.entries)
        self._tell(EventsHandled, len(step.entries), step.position, monotonic() - began)
        await self._close_circuit()

    async def _move(self, step: Step) -> None:
        move = self._parts.bookmarks.move_bookmark
        async with move(step.lease, step.position, parked=step.parked, unparked=step.unparked):
            pass
        self._follow(step)

    def _follow(self, step: Step) -> None:
        """Go on after a step that was committed."""
        self._saved = step.position
        self._alone = max(0, self._alone - len(step.entries))
        settled = {each.position for each in step.entries}
        settled.update(each.position for each in step.parked)
        if self.doubt is not None and self.doubt.entry.position in settled:
            self.doubt = None
        self._buffer.drop(step.position)
        if step.position == self.position:
            self._has_passed_own = False
            self._next_save = monotonic() + SAVE_INTERVAL
        self._parking.update(step.parked, step.unparked)
        if not self._buffer:
            self._handled.clear()
        if self._suspect is not None and self._suspect.entry.position <= step.position:
            self._suspect = None

    def _make_step(
        self,
        batch: Batch,
        *,
        attempt: int = 1,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> Step:
        return Step(
            lease=self._lease,
            entries=batch.entries,
            position=batch.position,
            attempt=attempt,
            parked=[*map(park, batch.held), *parked],
            unparked=unparked,
        )

    # Failures

    async def _suspect_entry(
        self, step: Step, failure: EntryFailedError, max_attempts: int
    ) -> None:
        entry, error, parts = failure.entry, failure.get_error(), self._parts
        attempt = step.attempt
        self.count += len(failure.handled)
        self._handled.update(failure.handled)
        is_over = attempt >= max_attempts or parts.processor.is_hopeless(error)
        self._suspect = _Suspect(entry, attempt, error, is_over)
        self._tell_failure(EventFailed, entry, attempt, error)
        if not is_over:
            await parts.pause(parts.options.retry_delay(attempt))

    def _doubt_step(self, step: Step, error: StorageError) -> None:
        """Note which events the storage refused: a reader that follows tries them one by one."""
        if not step.entries:
            return
        entry, count, attempts = step.entries[0], len(step.entries), 0
        if count == 1:
            before = self.doubt
            is_same = before is not None and before.entry.position == entry.position
            attempts = before.attempts + 1 if before is not None and is_same else 1
        self.doubt = Doubt(entry, max(count, self._alone), attempts, error)

    def _find_doubt(self, position: LogPosition) -> Doubt | None:
        """Return the doubt about an event that the storage refused too often."""
        doubt = self.doubt
        if doubt is None or doubt.entry.position != position or doubt.attempts < MOST_LOST:
            return None
        return doubt

    async def _settle(self, suspect: _Suspect) -> None:
        """Park an event after its last attempt, pass over it, or end with its error."""
        entry, attempts, error = suspect.entry, suspect.attempts, suspect.error
        if self._parts.processor.is_fatal(error):
            raise error
        batch = self._buffer.take_first()._replace(entries=[])
        if self._parts.skips_failed:
            await self._process(self._make_step(batch))
            self._tell_failure(EventSkipped, entry, attempts, error)
            self._open_circuit(entry)
            return
        parked = park(entry, attempts, describe_failure(error))
        await self._process(self._make_step(batch, parked=[parked]))
        self._tell(EventParked, parked, error)
        self._open_circuit(entry)

    def _open_circuit(self, entry: LogEntry) -> None:
        self._circuit.fail(entry.position)
        if self._circuit.is_open:
            self._tell(CircuitOpened, self._circuit.failures, self._circuit.delay)

    async def _close_circuit(self) -> None:
        failed = [] if self._parts.skips_failed else self._circuit.failed
        was_open = self._circuit.is_open
        if was_open and failed:
            bookmark_id = self._partition.bookmark_id
            await self._parts.bookmarks.retry_parked_events(bookmark_id, failed)
            self.look_at_parked()
        self._circuit.close()
        if was_open:
            self._tell(CircuitClosed, len(failed))

    # Parked events

    async def _load_parked(self) -> None:
        await self._parking.load()
        self._next_look = monotonic() + PARKED_INTERVAL

    async def _retry_parked(self) -> bool:
        if not self._parking:
            return False
        if monotonic() > self._next_look:
            await self._load_parked()
        parked = self._parking.get_ready()
        if parked is None:
            return False
        await self._retry(parked)
        return True

    async def _retry_due(self) -> bool:
        """Retry an event that failed some time ago: the next events need not wait for it."""
        parked = self._parking.get_due()
        if parked is not None:
            await self._retry(parked)
        return parked is not None

    async def _retry(self, parked: ParkedEvent) -> None:
        if not await self._parking.is_parked_still(parked):
            self._parking.update(unparked=[parked.position])
            return
        attempt = parked.attempts + 1
        try:
            entry = await self._read_again(parked)
            batch = Batch([entry], [], self._saved)
            step = self._make_step(batch, attempt=attempt, unparked=[parked.position])
            await self._retry_step(step)
        except EntryFailedError as failure:
            await self._park_again(parked, attempt, failure)
        else:
            self._tell(EventUnparked, parked)

    async def _retry_step(self, step: Step) -> None:
        doubt = self._find_doubt(step.entries[0].position)
        if doubt is not None:
            raise EntryFailedError(step.entries[0]) from doubt.error
        try:
            await self._process(step)
        except StorageError as error:
            self._doubt_step(step, error)
            failure = _find_failure(error)
            raise failure from failure.__cause__

    async def _read_again(self, parked: ParkedEvent) -> LogEntry:
        try:
            entry = await self._parts.source.read_again(parked)
        except UndefinedStorageAdapterError as error:
            raise EntryFailedError(get_lost_entry(parked)) from error
        if entry is None:
            raise EntryFailedError(get_lost_entry(parked)) from MissingParkedEventError()
        return entry

    async def _park_again(
        self, parked: ParkedEvent, attempt: int, failure: EntryFailedError
    ) -> None:
        if not await self._parking.is_parked_still(parked):  # dropped while it was tried
            self._parking.update(unparked=[parked.position])
            return
        error = failure.get_error()
        described = describe_failure(error)
        again = parked._replace(attempts=attempt, failure=described)
        await self._move(self._make_step(Batch([], [], self._saved), parked=[again]))
        self._tell(EventParked, again, error)

    # Reports

    def _tell(self, report: Callable[..., Any], *values: object) -> None:
        self._parts.reporter.tell(report(self._partition.name, self._partition.number, *values))

    def _tell_failure(
        self, report: Callable[..., Any], entry: LogEntry, attempt: int, error: BaseException
    ) -> None:
        aggregate_id, version, event_type, *_ = entry.record
        self._tell(report, entry.event_store_id, aggregate_id, version, event_type, attempt, error)


def _find_failure(error: StorageError) -> EntryFailedError:
    """Return the failure of an event whose transaction was lost, or raise the error again."""
    if isinstance(error.__cause__, EntryFailedError):
        return error.__cause__
    raise error
