"""Deliveries: which channels have taken an event that others have not taken yet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from castore_core import EventRecord, Lease, LogEntry, LogPosition


@dataclass
class _Delivery:
    """An event as it was delivered, and the numbers of the channels that took it."""

    record: EventRecord
    channels: set[int] = field(default_factory=set[int])


class Deliveries:
    """Remembers the deliveries of events for the time of a lease.

    An event that one of several channels does not take is tried again and again. The other
    channels get it once.
    """

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self._deliveries: dict[LogPosition, _Delivery] = {}

    def get_missing(self, channel: int, entries: Sequence[LogEntry]) -> Sequence[LogEntry]:
        """Return the events that a channel has not taken, as they are stored now."""
        if not self._deliveries:
            return entries
        return [each for each in entries if not self._has(channel, each)]

    def add(self, channel: int, entries: Iterable[LogEntry]) -> None:
        """Note that a channel took events."""
        for position, _, record in entries:
            delivery = self._deliveries.get(position)
            if delivery is None or delivery.record != record:
                delivery = self._deliveries[position] = _Delivery(record)
            delivery.channels.add(channel)

    def drop(self, entries: Iterable[LogEntry]) -> None:
        """Forget events that all channels took."""
        for each in entries:
            self._deliveries.pop(each.position, None)

    def _has(self, channel: int, entry: LogEntry) -> bool:
        delivery = self._deliveries.get(entry.position)
        return (
            delivery is not None
            and delivery.record == entry.record
            and channel in delivery.channels
        )
