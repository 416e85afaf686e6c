"""One run of a projection in this process: a runner for each partition, until it is stopped."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from castore_core import (
    LOG_START,
    BookmarkStorageAdapter,
    LogEntry,
    LogPosition,
    StorageError,
)
from castore_core.workers import Loop, Tasks, begin, finish
from castore_projections._control import Control
from castore_projections._identity import Identity
from castore_projections._leases import LeaseKeeper, make_owner
from castore_projections._ledger import Ledger
from castore_projections._options import ReaderOptions
from castore_projections._partition import Partition
from castore_projections._processing import Processor
from castore_projections._reader import ReaderParts
from castore_projections._reporter import Reporter
from castore_projections._reports import Retired
from castore_projections._runner import CHECK_INTERVAL, PartitionRunner, RunnerParts
from castore_projections._sharing import Sharing
from castore_projections._source import Source
from castore_projections.errors import ProjectionBusyError, ProjectionRetiredError

_LONGEST_LEAVE: Final = 5.0  # seconds
_REBUILD_PAUSE: Final = 0.1  # seconds, at the place to which the live version has come


@dataclass(frozen=True, kw_only=True)
class RunParts:
    """The parts of the runs of a projection."""

    identity: Identity
    source: Source
    bookmarks: BookmarkStorageAdapter[Any]
    options: ReaderOptions
    reporter: Reporter
    control: Control
    on_moved: Callable[[], object]
    finish_reset: Callable[[], Awaitable[None]]
    skips_failed: bool
    parked_delay: Callable[[int], float] | None


class Run:
    """A run of a projection.

    Args:
        parts: what it is made of.
        make_processor: returns what handles the events, from what tells replays.
    """

    def __init__(
        self,
        parts: RunParts,
        make_processor: Callable[[Callable[[LogEntry], bool]], Processor],
    ) -> None:
        self._parts = parts
        self._ledger = Ledger(parts.identity.version)
        self._skip_to = LOG_START
        self._owner = make_owner()
        self._has_work = asyncio.Event()
        self.stop = asyncio.Event()
        options, identity = parts.options, parts.identity
        partitions = identity.get_partitions(options.partitions)
        self._sharing = Sharing(parts.bookmarks, partitions, self._make_claim(identity.sharing_id))
        runner_parts = RunnerParts(
            reader=self._make_reader_parts(make_processor(self._is_replay)),
            owner=self._owner,
            stop=self.stop,
            idle=self._idle,
            look=self._look,
            may_run=self._may_run,
            on_moved=parts.on_moved,
            get_skip_to=lambda: self._skip_to,
            is_live=self._is_live,
        )
        self._runners = [PartitionRunner(each, runner_parts) for each in partitions]

    def _is_live(self) -> bool:
        """Tell whether this version is the live one, as far as is known here."""
        return self._ledger.live == self._parts.identity.version

    def begin(self, ledger: Ledger, skip_to: LogPosition) -> None:
        """Note the ledger, and the position at which the partitions begin at the earliest."""
        self._ledger, self._skip_to = ledger, skip_to

    @property
    def loops(self) -> list[Loop]:
        """The runners of the partitions, and what shares them with other processes."""
        runners: list[Loop] = [each.run for each in self._runners]
        return runners if len(runners) == 1 else [*runners, self._share]

    async def put_down(self, tasks: Tasks) -> None:
        """Let the steps that are under way end, for as long as the grace period lasts."""
        await asyncio.wait(tasks, timeout=self._parts.options.grace_period)
        for each in self._runners:
            each.cease()

    async def run_once(self) -> int:
        """Handle what the log has now, and return how many events that were."""
        end = await self._parts.source.get_log().get_last_position()
        return sum([await each.run_once(end) for each in self._runners])

    def look_at_parked(self) -> None:
        """Look soon which parked events are to be tried again."""
        for each in self._runners:
            each.look_at_parked()
        self._has_work.set()

    def _make_reader_parts(self, processor: Processor) -> ReaderParts:
        parts = self._parts
        return ReaderParts(
            source=parts.source,
            processor=processor,
            bookmarks=parts.bookmarks,
            options=parts.options,
            reporter=parts.reporter,
            pause=self._pause,
            bound=self._get_bound,
            skips_failed=parts.skips_failed,
            parked_delay=parts.parked_delay,
        )

    def _make_claim(self, bookmark_id: str) -> LeaseKeeper:
        duration = self._parts.options.lease_duration
        return LeaseKeeper(self._parts.bookmarks, bookmark_id, owner=self._owner, duration=duration)

    # What runners ask

    def _is_replay(self, entry: LogEntry) -> bool:
        generation = self._ledger.generations[self._parts.identity.version]
        return not self._is_live() or generation.is_replay(entry)

    async def _look(self) -> None:
        identity = self._parts.identity
        self._ledger, _ = await self._parts.control.read()
        if identity.version < self._ledger.live:
            raise ProjectionRetiredError(identity.name, identity.version, self._ledger.live)

    async def _may_run(self, partition: Partition, is_held: bool) -> bool:
        self._ledger, is_claimed = await self._parts.control.read()
        if self._parts.identity.version < self._ledger.live:
            self._retire(partition)
        if is_claimed or self.stop.is_set():
            return False
        if self._ledger.generations[self._parts.identity.version].is_resetting:
            return await self._finish_reset(is_held=is_held)
        return self._sharing.may_keep(partition) if is_held else self._sharing.may_take()

    async def _finish_reset(self, *, is_held: bool) -> bool:
        """Give the lease back, and then finish a reset whose caller is gone."""
        if not is_held:
            with suppress(ProjectionBusyError):
                await self._parts.finish_reset()
        return False

    def _retire(self, partition: Partition) -> None:
        if not self.stop.is_set():
            identity = self._parts.identity
            self._parts.reporter.tell(
                Retired(identity.name, partition.number, identity.version, self._ledger.live)
            )
        self.stop.set()

    async def _get_bound(self) -> LogPosition | None:
        """Return the position of the live version, which one that is rebuilt never passes."""
        if self._is_live():
            return None
        self._ledger, _ = await self._parts.control.read()
        if self._is_live():
            return None
        return min(await self._parts.control.get_positions(self._ledger.live, self._ledger))

    # Waiting

    async def _pause(self, seconds: float) -> None:
        await self._wait(asyncio.sleep(seconds))

    async def _idle(self, position: LogPosition, seconds: float) -> bool:
        """Wait for events, and tell whether there may be some."""
        if not self._is_live():
            await self._pause(min(seconds, _REBUILD_PAUSE))
            return True
        began = monotonic()
        await self._wait(self._parts.source.get_log().wait_for_events(position, seconds))
        return monotonic() - began < seconds

    async def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for some work, or until there is something else to do."""
        self._has_work.clear()
        waits = [begin(work), begin(_ignore(self.stop)), begin(_ignore(self._has_work))]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        for each in done:
            each.result()  # raises the error of the work

    async def _share(self) -> None:
        interval = max(CHECK_INTERVAL, self._parts.options.lease_duration.total_seconds() / 10)
        try:
            while not self.stop.is_set():
                with suppress(StorageError):  # the runners meet it, too, and tell
                    await self._sharing.balance()
                await self._pause(interval)
        finally:
            with suppress(TimeoutError, StorageError):  # the claim runs out by itself
                await finish(self._sharing.leave(), within=_LONGEST_LEAVE)


async def _ignore(event: asyncio.Event) -> None:
    await event.wait()
