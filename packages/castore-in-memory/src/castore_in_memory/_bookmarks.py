"""Bookmarks in memory."""

import time
from datetime import timedelta

from castore_core import LeaseLostError


class InMemoryBookmarkStorageAdapter:
    """Keeps bookmarks and their leases in this process; leases run on its monotonic clock."""

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}
        self._leases: dict[str, tuple[str, float]] = {}

    async def get_position(self, bookmark_id: str) -> int:
        """Return the last position that was handled: 0 when there is none."""
        return self._positions.get(bookmark_id, 0)

    async def set_position(self, bookmark_id: str, position: int, *, owner: str) -> None:
        """Move a bookmark, forwards or backwards.

        Raises:
            LeaseLostError: ``owner`` does not hold the lease. Nothing was written.
        """
        if self._get_owner(bookmark_id) != owner:
            raise LeaseLostError(bookmark_id, owner)
        self._positions[bookmark_id] = position

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Take or extend the lease of a bookmark, from now on for ``duration``.

        Returns false when another owner holds one that has not run out.
        """
        if self._get_owner(bookmark_id) not in (None, owner):
            return False
        self._leases[bookmark_id] = (owner, time.monotonic() + duration.total_seconds())
        return True

    async def release_lease(self, bookmark_id: str, owner: str) -> None:
        """Give a lease back before it runs out. A lease of another owner is left alone."""
        if self._get_owner(bookmark_id) == owner:
            del self._leases[bookmark_id]

    def _get_owner(self, bookmark_id: str) -> str | None:
        owner, until = self._leases.get(bookmark_id, (None, 0.0))
        return owner if time.monotonic() < until else None
