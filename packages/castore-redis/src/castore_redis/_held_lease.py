"""Leases that notice when the server has lost moves, as a failover may do."""

from castore_core import Lease


class HeldLease(Lease):
    """A lease with the number of moves that the bookmark has had, as far as its owner knows.

    A server that knows of fewer has lost some, and the read model has lost what went with them.
    """

    moves: int = 0

    @classmethod
    def make(cls, bookmark_id: str, owner: str, token: int, moves: int) -> "HeldLease":
        """Return the lease of a bookmark that has moved so often."""
        lease = cls(bookmark_id, owner, token)
        lease.moves = moves
        return lease


def note_moves(lease: Lease, moves: int) -> None:
    """Remember how often the bookmark has moved by now."""
    if isinstance(lease, HeldLease):
        lease.moves = max(lease.moves, moves)


def misses_moves(lease: Lease, moves: int) -> bool:
    """Tell whether a server with so many moves has lost some."""
    return isinstance(lease, HeldLease) and moves < lease.moves
