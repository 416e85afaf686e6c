"""Ids that a test can foretell."""

from collections import Counter


class IdGenerator:
    """Counts: ``id-1``, ``id-2``; with a prefix, each counted alone, ``pokemon-1``, ``trainer-1``.

    Give it to commands that take a function as their source of ids.
    """

    def __init__(self) -> None:
        self._counted: Counter[str] = Counter()

    def __call__(self, prefix: str = "id") -> str:
        """Return the next id of a prefix."""
        self._counted[prefix] += 1
        return f"{prefix}-{self._counted[prefix]}"
