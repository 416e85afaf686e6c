"""Control over a projection: its ledger, and the right to change it while nobody runs it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from castore_core import LOG_START, BookmarkStorageAdapter, Lease, LogPosition
from castore_projections._identity import Identity
from castore_projections._leases import LeaseKeeper, make_owner
from castore_projections._ledger import Generation, Ledger
from castore_projections._partition import Partition
from castore_projections.errors import PartitionsChangedError


class Control:
    """Reads and changes the ledger of a projection.

    Runners give their leases back while somebody holds the lease of the ledger: see `is_claimed`.
    """

    def __init__(
        self,
        bookmarks: BookmarkStorageAdapter[Any],
        identity: Identity,
        *,
        partitions: int,
        lease_duration: timedelta,
    ) -> None:
        self._bookmarks = bookmarks
        self._identity = identity
        self._partitions = partitions
        self._lease_duration = lease_duration

    async def open(self, get_start: Callable[[], Awaitable[LogPosition]]) -> Ledger:
        """Make what is missing: the ledger, this version in it, and its bookmarks.

        Where several processes do so at once, all begin at one position.

        Raises:
            PartitionsChangedError: this version was started with another number of partitions.
        """
        version, ledger_id = self._identity.version, self._identity.ledger_id
        bookmark = await self._bookmarks.get_bookmark(ledger_id)
        text = bookmark.position
        if text is None:
            generation = Generation(self._partitions, await get_start())
            first = Ledger(version).add(version, generation)
            text = await self._bookmarks.create_bookmark(ledger_id, first.to_text())
        ledger = Ledger.from_text(ledger_id, text)
        if version not in ledger.generations:
            ledger = await self._add_version()
        generation = ledger.generations[version]
        if generation.partitions != self._partitions:
            started = generation.partitions
            raise PartitionsChangedError(self._identity.name, started, self._partitions)
        for each in self._identity.get_partitions(self._partitions):
            await self._bookmarks.create_bookmark(each.bookmark_id, generation.start)
        return ledger

    async def find(self) -> Ledger | None:
        """Return the ledger, or ``None`` before the first start of any version."""
        ledger_id = self._identity.ledger_id
        text = (await self._bookmarks.get_bookmark(ledger_id)).position
        return None if text is None else Ledger.from_text(ledger_id, text)

    async def read(self) -> tuple[Ledger, bool]:
        """Return the ledger, and whether somebody is about to change it."""
        ledger_id = self._identity.ledger_id
        bookmark = await self._bookmarks.get_bookmark(ledger_id)
        return Ledger.from_text(ledger_id, bookmark.position), bookmark.owner is not None

    async def get_positions(self, version: int, ledger: Ledger) -> list[LogPosition]:
        """Return how far the partitions of a version have come."""
        partitions = self.get_partitions(version, ledger)
        bookmarks = [await self._bookmarks.get_bookmark(each.bookmark_id) for each in partitions]
        return [each.position or LOG_START for each in bookmarks]

    def get_partitions(self, version: int, ledger: Ledger) -> list[Partition]:
        """Return the partitions of a version."""
        identity = self._identity._replace(version=version)
        return identity.get_partitions(ledger.generations[version].partitions)

    async def write(self, lease: Lease, ledger: Ledger) -> None:
        """Change the ledger, under its lease."""
        async with self._bookmarks.move_bookmark(lease, ledger.to_text()):
            pass

    @asynccontextmanager
    async def claim(self, timeout: float) -> AsyncGenerator[Lease]:  # noqa: ASYNC109 has its own error
        """Hold the lease of the ledger for the time of a block."""
        async with AsyncExitStack() as stack:
            yield await self._take(stack, self._identity.ledger_id, timeout)

    @asynccontextmanager
    async def stand_still(
        self,
        partitions: list[Partition],
        timeout: float,  # noqa: ASYNC109 has its own error
    ) -> AsyncGenerator[dict[Partition, Lease]]:
        """Hold the leases of partitions for the time of a block, so that nobody runs them.

        Their runners give them back where the ledger is claimed.

        Raises:
            ProjectionBusyError: a lease could not be had within ``timeout`` seconds.
        """
        async with AsyncExitStack() as stack:
            yield {each: await self._take(stack, each.bookmark_id, timeout) for each in partitions}

    async def _take(self, stack: AsyncExitStack, bookmark_id: str, seconds: float) -> Lease:
        keeper = LeaseKeeper(
            self._bookmarks, bookmark_id, owner=make_owner(), duration=self._lease_duration
        )
        lease = await keeper.take_within(self._identity.name, seconds)
        await stack.enter_async_context(keeper.keep(lease))
        return lease

    async def _add_version(self) -> Ledger:
        """Add a version that is built beside the live one, from the position where that began."""
        async with self.claim(self._lease_duration.total_seconds() + 1) as lease:
            ledger, _ = await self.read()
            version = self._identity.version
            if version not in ledger.generations:
                start = ledger.generations[ledger.live].start
                ledger = ledger.add(version, Generation(self._partitions, start))
                await self.write(lease, ledger)
            return ledger
