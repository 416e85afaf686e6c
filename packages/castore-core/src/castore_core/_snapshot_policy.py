"""When snapshots are written."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from castore_core._event import Event


@dataclass(frozen=True)
class SnapshotOccasion:
    """A moment at which a snapshot could be written: after a push, or after a load.

    ``event`` is the last event of the aggregate. ``events_read`` says how many events a load has
    read that no snapshot includes; it is ``None`` after a push.
    """

    event_store_id: str
    event: Event
    events_read: int | None = None

    @property
    def is_push(self) -> bool:
        """Whether the event has just been pushed."""
        return self.events_read is None


SnapshotPolicy: TypeAlias = Callable[[SnapshotOccasion], bool]
"""Says whether to write a snapshot now."""


def make_policy(every: int) -> SnapshotPolicy:
    """Return the policy that counts: see `Snapshots`."""
    return partial(_is_due, every)


def _is_due(every: int, occasion: SnapshotOccasion) -> bool:
    if occasion.events_read is None:
        return occasion.event.version % every == 0
    return occasion.events_read >= every
