"""Sharing partitions among processes: each gives up what another one has too few of."""

from collections import Counter
from collections.abc import Collection
from typing import Any

from castore_core import BookmarkStorageAdapter
from castore_projections._leases import LeaseKeeper
from castore_projections._partition import Partition


class Sharing:
    """Balances the partitions of a projection among the processes that run it.

    A process that has two fewer than another claims some: it takes the lease of a bookmark that is
    there for that. The one that has most sees the claim, and gives up half of what it has more. So
    one after the other gets its share, and nothing moves to and fro.

    Args:
        bookmarks: where the bookmarks are.
        partitions: all partitions.
        claim: keeps the lease of the claim; its owner is the one of this process.
    """

    def __init__(
        self,
        bookmarks: BookmarkStorageAdapter[Any],
        partitions: list[Partition],
        claim: LeaseKeeper,
    ) -> None:
        self._bookmarks = bookmarks
        self._partitions = partitions
        self._claim = claim
        self._counts: Counter[str] = Counter()
        self._claimer: str | None = None
        self._given_up: Collection[Partition] = ()

    def may_take(self) -> bool:
        """Tell whether this process may take one more partition."""
        if self._claimer in (None, self._claim.owner):
            return True
        return self._counts[self._claim.owner] < self._counts[self._claimer or ""]

    def may_keep(self, partition: Partition) -> bool:
        """Tell whether this process may keep a partition."""
        return partition not in self._given_up

    async def balance(self) -> None:
        """Look who has how many, and claim some, or give some up."""
        owners = {each: await self._get_owner(each.bookmark_id) for each in self._partitions}
        self._counts = Counter(each for each in owners.values() if each is not None)
        self._given_up = ()
        most = max(self._counts.values(), default=0)
        if self._counts[self._claim.owner] + 2 <= most:
            await self._claim.take()
            self._claimer = await self._get_owner(self._claim.bookmark_id)
            return
        await self.leave()
        self._claimer = await self._get_owner(self._claim.bookmark_id)
        own = [each for each, owner in owners.items() if owner == self._claim.owner]
        self._given_up = own[len(own) - self._get_surplus() :]

    async def leave(self) -> None:
        """Claim no longer."""
        await self._claim.release()

    def _get_surplus(self) -> int:
        """Return how many partitions to give up: none, unless this process has most of all."""
        if self._claimer is None or not self._counts:
            return 0
        richest = max(self._counts, key=lambda owner: (self._counts[owner], owner))
        if richest != self._claim.owner:
            return 0
        return max(0, self._counts[richest] - self._counts[self._claimer]) // 2

    async def _get_owner(self, bookmark_id: str) -> str | None:
        bookmark = await self._bookmarks.get_bookmark(bookmark_id)
        return bookmark.owner
