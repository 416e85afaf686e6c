"""Sharing partitions among processes: each gives up what another one has too few of."""

from collections import Counter
from typing import Any

from castore_core import BookmarkStorageAdapter
from castore_projections._leases import LeaseKeeper
from castore_projections._partition import Partition


class Sharing:
    """Balances the partitions of a projection among the processes that run it.

    A process that has two fewer than another claims one: it takes the lease of a bookmark that is
    there for that. Whoever sees the claim, and has two more, gives one up.

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
        self._given_up: Partition | None = None

    def may_take(self) -> bool:
        """Tell whether this process may take one more partition."""
        if self._claimer in (None, self._claim.owner):
            return True
        return self._counts[self._claim.owner] < self._counts[self._claimer or ""]

    def may_keep(self, partition: Partition) -> bool:
        """Tell whether this process may keep a partition."""
        return partition != self._given_up

    async def balance(self) -> None:
        """Look who has how many, and claim one, or give one up."""
        owners = {each: await self._get_owner(each.bookmark_id) for each in self._partitions}
        self._counts = Counter(each for each in owners.values() if each is not None)
        own = [each for each, owner in owners.items() if owner == self._claim.owner]
        if len(own) + 2 <= max(self._counts.values(), default=0):
            lease = await self._claim.take()
            self._claimer = None if lease is None else lease.owner
            return
        self._claimer = await self._get_owner(self._claim.bookmark_id)
        if self._claimer == self._claim.owner:
            await self._claim.release()
            self._claimer = None
        is_rich = self._claimer is not None and len(own) >= self._counts[self._claimer] + 2
        self._given_up = own[-1] if is_rich else None

    async def _get_owner(self, bookmark_id: str) -> str | None:
        bookmark = await self._bookmarks.get_bookmark(bookmark_id)
        return bookmark.owner
