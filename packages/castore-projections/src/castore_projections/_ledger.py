"""The ledger of a projection: which version is live, and how each was started.

It is the position of a bookmark of its own, as JSON: every storage of bookmarks can keep it, and
changes it under a lease.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from castore_core import LOG_START, LogEntry, LogPosition, StorageError
from castore_projections._keys import find_partition


@dataclass(frozen=True)
class Generation:
    """The start of a version of a projection.

    Attributes:
        partitions: how many bookmarks it has.
        start: the position at which they began.
        handled_before: the positions up to which side effects have taken place already, one for
            each partition that had been there then; several lists, where their numbers differed.
        unhandled: the positions of events before those that were parked: their side effects have
            not taken place.
        is_resetting: whether a reset has begun, and has not ended.
    """

    partitions: int
    start: LogPosition = LOG_START
    handled_before: Sequence[Sequence[LogPosition]] = ()
    unhandled: Sequence[LogPosition] = ()
    is_resetting: bool = False

    def is_replay(self, entry: LogEntry) -> bool:
        """Tell whether an event was handled before this generation was live, or was reset."""
        if entry.position in self.unhandled:
            return False
        store_id, aggregate_id = entry.event_store_id, entry.record.aggregate_id
        return any(
            entry.position <= positions[find_partition(store_id, aggregate_id, len(positions))]
            for positions in self.handled_before
        )

    def add_handled(self, positions: Sequence[LogPosition]) -> "Generation":
        """Return the generation for which some partitions have handled what comes before."""
        others = [each for each in self.handled_before if len(each) != len(positions)]
        for each in self.handled_before:
            if len(each) == len(positions):
                positions = list(map(max, each, positions))
        return replace(self, handled_before=(*others, tuple(positions)))


@dataclass(frozen=True)
class Ledger:
    """Which version is live, and how each version was started.

    Versions below the live one are retired; those above it are being built.
    """

    live: int
    generations: dict[int, Generation] = field(default_factory=dict[int, Generation])

    def add(self, version: int, generation: Generation) -> "Ledger":
        """Return the ledger with one more version, or with one changed."""
        return replace(self, generations={**self.generations, version: generation})

    def replace_live(self, version: int, positions: Sequence[LogPosition]) -> "Ledger":
        """Return the ledger in which a version follows the live one, which came to positions."""
        generation = self.generations[version]
        for each in self.generations[self.live].handled_before:
            generation = generation.add_handled(each)
        generation = generation.add_handled(positions)
        return replace(self.add(version, generation), live=version)

    def to_text(self) -> str:
        """Return the ledger as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_text(cls, bookmark_id: str, text: str | None) -> "Ledger":
        """Read a ledger.

        Raises:
            StorageError: the text is none.
        """
        try:
            values: dict[str, Any] = json.loads(text or "")
            generations = {
                int(version): Generation(**each) for version, each in values["generations"].items()
            }
            return cls(int(values["live"]), generations)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StorageError(f"bookmark {bookmark_id!r} has no ledger of a projection") from error
