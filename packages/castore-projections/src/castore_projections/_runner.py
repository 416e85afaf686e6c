"""The runner of a partition: takes its lease, reads under it, and starts anew after a fault."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, TypeAlias

from castore_core import Lease, LeaseLostError, LogPosition, StorageError
from castore_projections._circuit import Circuit
from castore_projections._leases import LeaseKeeper
from castore_projections._partition import Partition
from castore_projections._reader import MOST_LOST, Doubt, PartitionReader, ReaderParts
from castore_projections._reports import LeaseLost, LeaseTaken, ReadingFailed
from castore_projections.errors import CircuitOpenError

CHECK_INTERVAL: Final = 1.0
"""Seconds after which a runner looks again whether it may go on."""

_LONGEST_DELAY: Final = 30.0  # seconds between attempts after faults
_LONGEST_TAKE_INTERVAL: Final = 2.0  # seconds between attempts to take a lease

MayRun: TypeAlias = Callable[[Partition, bool], Awaitable[bool]]
"""Tells whether a partition may be run here; it is told whether that is so now."""


@dataclass(frozen=True, kw_only=True)
class RunnerParts:
    """The parts of a runner.

    Attributes:
        reader: what its readers are made of.
        owner: names this process, and this run.
        stop: is set when it is to end.
        idle: lets a reader wait at a position, at most so many seconds, until there is something to
            do; tells whether there may be.
        look: looks which version is live.
        may_run: tells whether it may take the lease, or keep it.
        on_moved: is called after each step.
        get_skip_to: returns the position at which the first reader begins, at the earliest.
        is_live: tells whether this version is the live one.
    """

    reader: ReaderParts
    owner: str
    stop: asyncio.Event
    idle: Callable[[LogPosition, float], Awaitable[bool]]
    look: Callable[[], Awaitable[None]]
    may_run: MayRun
    on_moved: Callable[[], object]
    get_skip_to: Callable[[], LogPosition]
    is_live: Callable[[], bool]


class PartitionRunner:
    """Runs a partition, until it is to end."""

    def __init__(self, partition: Partition, parts: RunnerParts) -> None:
        self._partition = partition
        self._parts = parts
        reader = parts.reader
        self._keeper = LeaseKeeper(
            reader.bookmarks,
            partition.bookmark_id,
            owner=parts.owner,
            duration=reader.options.lease_duration,
        )
        self._failures = 0
        self._has_begun = False
        self._next_check = 0.0
        self._reader: PartitionReader | None = None
        self._doubt: Doubt | None = None
        self._circuit = Circuit(reader.options.circuit_threshold)

    def look_at_parked(self) -> None:
        """Look soon which parked events are to be tried again."""
        if self._reader is not None:
            self._reader.look_at_parked()

    def cease(self) -> None:
        """Extend the lease no longer, whatever a handler still does."""
        self._keeper.cease()

    async def run(self) -> None:
        """Run the partition whenever its lease can be had."""
        while not self._parts.stop.is_set():
            try:
                if not await self._hold():
                    await self._parts.reader.pause(self._take_interval)
            except LeaseLostError:
                self._tell(LeaseLost, self._keeper.owner)
            except StorageError as error:
                await self._back_off(error)

    async def run_once(self, end: LogPosition) -> int:
        """Handle the events up to a position, and return how many.

        Raises:
            CircuitOpenError: too many fail in a row.
            ProjectionBusyError: another owner has the lease.
            ProjectionRetiredError: a later version has taken over.
            LeaseLostError, StorageError: as storages raise them.
        """
        lease = await self._keeper.take_or_raise(self._partition.name)
        async with self._keeper.keep(lease):
            await self._parts.look()  # what was true before the lease was had may be so no longer
            count = refused = 0
            while True:
                reader = await self._open(lease)
                try:
                    await self._read_to(reader, end)
                    return count + reader.count
                except StorageError:
                    refused = 1 if reader.count else refused + 1
                    if reader.doubt is None or refused > 2 * MOST_LOST:
                        raise
                count += reader.count
                self._doubt = reader.doubt  # the next one finds out which event is refused

    async def _read_to(self, reader: PartitionReader, end: LogPosition) -> None:
        while await self._step(reader):
            if self._circuit.is_open:
                raise CircuitOpenError(self._partition.name, self._circuit.failures)
            if reader.position >= end and not reader.has_ready_events:
                break
        await reader.save()

    @property
    def _take_interval(self) -> float:
        duration = self._parts.reader.options.lease_duration.total_seconds()
        return min(duration / 5, _LONGEST_TAKE_INTERVAL)

    async def _hold(self) -> bool:
        """Take the lease, and read for as long as that may go on; tell whether it was had."""
        if not await self._parts.may_run(self._partition, False):
            return False
        lease = await self._keeper.take()
        if lease is None:
            return False
        async with self._keeper.keep(lease):
            self._tell(LeaseTaken, lease.owner, lease.token)
            self._next_check = 0.0  # what was true before the lease was had may be so no longer
            await self._read(await self._open(lease), lease)
        return True

    async def _open(self, lease: Lease) -> PartitionReader:
        reader = PartitionReader(
            self._partition, lease, self._parts.reader, circuit=self._circuit, doubt=self._doubt
        )
        await reader.open()
        if not self._has_begun and self._parts.is_live():
            await reader.skip_to(self._parts.get_skip_to())
        self._has_begun = True
        return reader

    async def _read(self, reader: PartitionReader, lease: Lease) -> None:
        self._reader = reader
        try:
            while not self._parts.stop.is_set() and await self._may_go_on(lease):
                if self._circuit.left:
                    await self._parts.reader.pause(min(self._circuit.left, CHECK_INTERVAL))
                elif not await self._step(reader):
                    await reader.save_if_due()
                    await self._idle(reader.position, lease)
            await reader.save()
        finally:
            self._reader = None
            self._doubt = reader.doubt

    async def _idle(self, position: LogPosition, lease: Lease) -> None:
        """Wait for events, and look in between whether the lease is still to be held."""
        deadline = monotonic() + self._parts.reader.options.poll_interval
        while (left := deadline - monotonic()) > 0 and await self._may_go_on(lease):
            if await self._parts.idle(position, min(left, CHECK_INTERVAL)):
                return

    async def _step(self, reader: PartitionReader) -> bool:
        has_more = await reader.step()
        self._failures = 0
        self._parts.on_moved()
        return has_more

    async def _may_go_on(self, lease: Lease) -> bool:
        self._keeper.check(lease)
        if monotonic() < self._next_check:
            return True
        may_run = await self._parts.may_run(self._partition, True)
        self._next_check = monotonic() + CHECK_INTERVAL
        return may_run

    async def _back_off(self, error: StorageError) -> None:
        self._failures += 1
        delay = min(0.1 * 2.0 ** min(self._failures - 1, 10), _LONGEST_DELAY)
        self._tell(ReadingFailed, self._failures, delay, error)
        await self._parts.reader.pause(delay)

    def _tell(self, report: Callable[..., Any], *values: object) -> None:
        name, number, *_ = self._partition
        self._parts.reader.reporter.tell(report(name, number, *values))
