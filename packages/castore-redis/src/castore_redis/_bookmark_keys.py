"""The keys of a bookmark, all in one slot of a cluster."""

from typing import NamedTuple

from castore_redis._names import escape


class BookmarkKeys(NamedTuple):
    """The keys of one bookmark."""

    bookmark: str
    lease: str
    order: str
    parked: str
    failures: str

    @property
    def of_parked(self) -> list[str]:
        """The keys of parked events."""
        return [self.order, self.parked, self.failures]


def make_keys(prefix: str, bookmark_id: str) -> BookmarkKeys:
    """Return the keys of a bookmark."""
    base = f"{prefix}:{{{escape(bookmark_id)}}}"
    names = ("lease", "parked-order", "parked", "failures")
    return BookmarkKeys(base, *(f"{base}:{name}" for name in names))
