"""Projections and relays: how they run, what they tell, and what becomes of parked events."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Generic, Self

from typing_extensions import TypeVar

from castore_core import LOG_START, BookmarkStorageAdapter, LogEntry, LogPosition, ParkedEvent
from castore_core.workers import Lifecycle
from castore_projections._control import Control
from castore_projections._identity import Identity
from castore_projections._ledger import Generation, Ledger
from castore_projections._options import ReaderOptions, RetryDelay
from castore_projections._parked_groups import (
    ParkedGroup,
    choose_parked,
    group_parked,
    iter_all_parked,
    iter_parked_in_order,
)
from castore_projections._partition import Partition
from castore_projections._processing import Processor
from castore_projections._reporter import Reporter, logger
from castore_projections._run import Run, RunParts
from castore_projections._source import Source
from castore_projections._status import ProjectionStatus, read_status
from castore_projections._waiting import Waiters
from castore_projections.errors import ProjectionRetiredError, TooManyParkedError

T = TypeVar("T", default=Any)

STANDSTILL_TIMEOUT: Final = 60.0
"""Seconds to wait until the runners of a projection have given back their leases."""

MAX_UNHANDLED: Final = 1000
"""How many parked events a reset remembers: a ledger is one text in the storage of bookmarks."""

_MARGIN: Final = 5.0  # seconds that the end may take beyond the grace period


class LogConsumer(ABC, Generic[T]):
    """The common base of projections and relays: each follows a log with a bookmark."""

    def __init__(
        self,
        identity: Identity,
        source: Source,
        bookmarks: BookmarkStorageAdapter[T],
        options: ReaderOptions,
        *,
        skips_failed: bool = False,
        parked_delay: RetryDelay | None = None,
        tail_stream: bool = False,
        always_tail_stream: bool = False,
    ) -> None:
        self._identity = identity
        self._source = source
        self._bookmarks = bookmarks
        self._tail_stream = tail_stream or always_tail_stream
        self._always_tail_stream = always_tail_stream
        self._has_run = False
        self._moved = Waiters()
        self._control = Control(
            bookmarks,
            identity,
            partitions=options.partitions,
            lease_duration=options.lease_duration,
        )
        self._parts = RunParts(
            identity=identity,
            source=source,
            bookmarks=bookmarks,
            options=options,
            reporter=Reporter(options.on_report, log_error_texts=options.log_error_texts),
            control=self._control,
            on_moved=self._moved.wake,
            finish_reset=lambda: self._reset(STANDSTILL_TIMEOUT, begins=False),
            skips_failed=skips_failed,
            parked_delay=parked_delay,
        )
        self._partitions = identity.get_partitions(options.partitions)
        self._run: Run | None = None
        self._life: Lifecycle | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def name(self) -> str:
        """The name, which tells it from others with the same storage of bookmarks."""
        return self._identity.name

    # Running

    async def run(self) -> None:
        """Handle events, and wait for more, until `stop` is called or this is cancelled.

        Either way, the step that is under way may end within the ``grace_period``; then it is
        cancelled, and its transaction is rolled back. Further cancellations change nothing: an
        anyio task group cancels again and again. Then the leases are given back.

        Faults of the storages are reported, and tried again after a growing pause. `run` returns
        when a later version has taken over.

        Raises:
            PartitionsChangedError: it was started with another number of partitions.
            UnknownEventTypeError: a type of event is unknown to its store, and refused.
            RuntimeError: it runs already.
            StorageError: a storage did not answer at the start.
        """
        life = await self._begin()
        try:
            await life.run()
        finally:
            self._end()

    async def run_once(self) -> int:
        """Handle the events that the log has now, and return how many were handled.

        An event that fails is tried again as in `run`, and then parked.

        Raises:
            ProjectionBusyError: it runs elsewhere.
            ProjectionRetiredError: a later version has taken over.
            CircuitOpenError: too many events fail in a row.
            LeaseLostError: the process was stopped for longer than its lease. The rest is handled
                by the process that has the lease, or at the next call.
            PartitionsChangedError, UnknownEventTypeError: as in `run`.
            StorageError: a storage did not answer.
        """
        self._check_ready()
        ledger = await self._open()
        self._refuse_retired(ledger)
        run = Run(self._parts, self._make_processor)
        run.begin(ledger, LOG_START if self._has_run else await self._get_skip_to())
        self._has_run = True
        return await run.run_once()

    def stop(self) -> None:
        """Let `run` come to an end; where it does not run, nothing happens.

        Any thread may call it, and a signal handler too.
        """
        if self._life is not None:
            self._life.stop()

    async def __aenter__(self) -> Self:
        """Run in the background. An error that ends it is logged at once."""
        life = await self._begin()
        life.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, wait for the end, and raise the error that ended it."""
        if self._life is not None:
            try:
                await self._life.join()
            finally:
                self._end()

    async def reset(self, *, timeout: float = STANDSTILL_TIMEOUT) -> None:  # noqa: ASYNC109 has its own error
        """Begin anew, at the start of the log, or at its end where the stream is tailed.

        Processes that run it pause meanwhile. Parked events are forgotten. The events that were
        handled before come again, as replays. ``timeout`` applies to each lease separately.

        A reset that was interrupted is finished by the next `run`, `run_once` or `reset`.

        Raises:
            ProjectionBusyError: a process did not pause within ``timeout`` seconds.
            ProjectionRetiredError: a later version has taken over.
            StorageError: a storage did not answer.
            TooManyParkedError: more than 1,000 events are parked: retry or drop some.
            TypeError: the storage of the events has no log.
        """
        self._source.get_log()
        await self._open()
        await self._reset(timeout, begins=True)

    # Known state

    async def status(self) -> ProjectionStatus:
        """Tell how far it has come, who runs it, and what is parked.

        Before its first start, all events are behind it.

        Raises:
            StorageError: a storage did not answer.
        """
        ledger = await self._control.find() or Ledger(self._identity.version)
        return await read_status(
            self.name,
            self._identity.version,
            ledger,
            self._partitions,
            source=self._source,
            bookmarks=self._bookmarks,
        )

    async def iter_parked_events(
        self, *, after: LogPosition = LOG_START
    ) -> AsyncIterator[ParkedEvent]:
        """Walk the parked events that follow a position of the log, in its order.

        They are read page by page: the ``position`` of one is where another walk goes on. Those
        without a ``failure`` wait behind an earlier one of their aggregate, or are to be tried
        again.
        """
        async for each in iter_parked_in_order(self._bookmarks, self._partitions, after):
            yield each

    async def group_parked_events(self) -> list[ParkedGroup]:
        """Group the parked events by the kind of their failure, the largest group first."""
        return await group_parked(self._bookmarks, self._partitions)

    async def retry_parked_events(
        self, *, kind: str | None = None, event: ParkedEvent | None = None
    ) -> int:
        """Let parked events be tried again: one, all of a kind, or all; return how many.

        The runner tries them once, within seconds, and then the events of their aggregates that
        wait behind them. It reads them anew: an event that was replaced meanwhile is handled as it
        is now. Where nothing runs, the next `run` or `run_once` does it.
        """
        chosen = await choose_parked(
            self._bookmarks, self._partitions, lambda each: _is_chosen(each, kind, event)
        )
        for partition, positions in chosen.items():
            await self._bookmarks.retry_parked_events(partition.bookmark_id, positions)
        if self._run is not None:
            self._run.look_at_parked()
        return sum(map(len, chosen.values()))

    async def drop_parked_events(
        self, *, kind: str | None = None, event: ParkedEvent | None = None
    ) -> int:
        """Pass over parked events for good: one, or all of a kind; return how many.

        They are never handled. Those of their aggregates that wait behind them are handled next.

        Raises:
            ValueError: neither ``kind`` nor ``event`` is given: nothing is dropped by oversight.
        """
        if kind is None and event is None:
            raise ValueError("say which parked events to drop: kind=..., or event=...")
        chosen = await choose_parked(
            self._bookmarks, self._partitions, lambda each: _is_chosen(each, kind, event)
        )
        for partition, positions in chosen.items():
            await self._bookmarks.drop_parked_events(partition.bookmark_id, positions)
        if self._run is not None:
            self._run.look_at_parked()
        return sum(map(len, chosen.values()))

    async def _reset(self, timeout: float, *, begins: bool) -> None:  # noqa: ASYNC109 has its own error
        """Begin a reset, or finish one, while nobody runs the projection."""
        version = self._identity.version
        async with (
            self._control.claim(timeout) as claim,
            self._control.stand_still(self._partitions, timeout) as leases,
        ):
            ledger, _ = await self._control.read()
            self._refuse_retired(ledger)
            generation = ledger.generations[version]
            if begins:
                positions = await self._control.get_positions(version, ledger)
                start = await self._get_start()
                generation = replace(
                    generation.add_handled(positions),
                    start=start,
                    unhandled=await self._get_unhandled(generation, positions),
                    is_resetting=True,
                )
                await self._control.write(claim, ledger.add(version, generation))
            elif not generation.is_resetting:
                return
            for partition, lease in leases.items():
                async with self._bookmarks.move_bookmark(lease, generation.start) as transaction:
                    await self._clear(partition, transaction)
                await self._drop_all(partition)
            generation = replace(generation, is_resetting=False)
            await self._control.write(claim, ledger.add(version, generation))

    async def _get_unhandled(
        self, generation: Generation, positions: Sequence[LogPosition]
    ) -> Sequence[LogPosition]:
        """Return the positions of events whose side effects have not taken place.

        Raises:
            TooManyParkedError: there are more than a ledger holds.
        """
        parked = iter_all_parked(self._bookmarks, self._partitions)
        found = {each.position async for _, each in parked}
        found.update(each for each in generation.unhandled if each > min(positions))
        if len(found) > MAX_UNHANDLED:
            raise TooManyParkedError(self.name, len(found), MAX_UNHANDLED)
        return tuple(sorted(found))

    def _refuse_retired(self, ledger: Ledger) -> None:
        version = self._identity.version
        if version < ledger.live:
            raise ProjectionRetiredError(self.name, version, ledger.live)

    # For subclasses

    @abstractmethod
    def _make_processor(self, is_replay: Callable[[LogEntry], bool]) -> Processor:
        """Return what handles the events."""

    def _check_ready(self) -> None:
        """Refuse to run where that could only be a mistake."""

    async def _clear(self, partition: Partition, transaction: T) -> None:
        """Undo what the events have brought about, in the transaction of a reset."""

    async def _begin(self) -> Lifecycle:
        """Make what `stop` ends from now on, and look where to begin."""
        if self._life is not None:
            raise RuntimeError(f"{self!r} runs already")
        self._check_ready()
        self._has_run = True
        self._run = run = Run(self._parts, self._make_processor)
        self._life = life = Lifecycle(
            self,
            run.loops,
            is_stopping=run.stop,
            put_down=run.put_down,
            longest_end=self._parts.options.grace_period + _MARGIN,
            logger=logger,
        )
        try:
            run.begin(await self._open(), await self._get_skip_to())
        except BaseException:
            self._end()
            raise
        return life

    def _end(self) -> None:
        self._run = self._life = None

    async def _open(self) -> Ledger:
        ledger = await self._control.open(self._get_start)
        if ledger.generations[self._identity.version].is_resetting:
            await self._reset(STANDSTILL_TIMEOUT, begins=False)
            ledger, _ = await self._control.read()
        return ledger

    async def _get_start(self) -> LogPosition:
        if self._tail_stream:
            return await self._source.get_log().get_last_position()
        return LOG_START

    async def _get_skip_to(self) -> LogPosition:
        """Return the position to begin at, if each start is to pass over what came before.

        Where another process runs it, or ran it a moment ago, this start passes over nothing.
        """
        if not self._always_tail_stream:
            return LOG_START
        for each in self._partitions:
            if (await self._bookmarks.get_bookmark(each.bookmark_id)).owner is not None:
                return LOG_START
        return await self._get_start()

    async def _drop_all(self, partition: Partition) -> None:
        parked = iter_all_parked(self._bookmarks, [partition])
        positions = [each.position async for _, each in parked]
        await self._bookmarks.drop_parked_events(partition.bookmark_id, positions)


def _is_chosen(parked: ParkedEvent, kind: str | None, event: ParkedEvent | None) -> bool:
    if parked.failure is None:
        return False
    if event is not None and parked.position != event.position:
        return False
    return kind is None or parked.failure.kind == kind
