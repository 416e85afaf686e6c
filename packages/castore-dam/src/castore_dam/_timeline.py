"""Events of scans, in the order of their timestamps and versions."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from castore_core import LogEntry
from castore_dam._filters import TimestampFilter
from castore_dam._scan import EventScan
from castore_dam._sorting import EventSorter, SortedEvent, SortKey
from castore_dam._version_order import VersionOrder


class Timeline:
    """All the events of scans, in the order of their timestamps.

    The versions of an aggregate keep their order: an event whose timestamp is before that of an
    earlier version comes as if it had the same. Events of one moment come in the order of the
    scans.

    Args:
        scans: give the events.
        wanted: tells of an event whether it is wanted.
    """

    def __init__(self, scans: Sequence[EventScan], wanted: TimestampFilter) -> None:
        self._scans = scans
        self._wanted = wanted
        self._sorter = EventSorter()
        self._orders: list[VersionOrder] = []

    @property
    def count(self) -> int:
        """How many events were gathered."""
        return self._sorter.count

    async def gather(self, see: Callable[[Sequence[LogEntry]], None]) -> AsyncGenerator[int]:
        """Read all the scans, and yield how many events were read after each page.

        Args:
            see: is told of the events of each page, wanted or not.
        """
        read = 0
        for number, scan in enumerate(self._scans):
            order = VersionOrder(number, scan)
            self._orders.append(order)
            async with aclosing(scan.read()) as pages:
                async for page in pages:
                    see(page.events)
                    await self._add(order.make_keys(page.events))
                    read += len(page.events)
                    yield read
            async with aclosing(order.read_late()) as late:
                async for event in late:
                    await self._add([event])

    async def read(self, after: SortKey | None = None) -> AsyncGenerator[Sequence[SortedEvent]]:
        """Yield the events that follow a key, page by page."""
        async with aclosing(self._sorter.read()) as pages:
            async for page in pages:
                if after is None and not self._has_late():
                    yield page
                elif events := [each for each in page if self._comes_after(each, after)]:
                    yield events

    def close(self) -> None:
        """Forget the events."""
        self._sorter.close()

    async def _add(self, events: Sequence[SortedEvent]) -> None:
        if not self._wanted.accepts_all:
            events = [each for each in events if self._wanted.accepts(each.event.record)]
        await self._sorter.add(events)

    def _has_late(self) -> bool:
        return any(each.has_late for each in self._orders)

    def _comes_after(self, event: SortedEvent, after: SortKey | None) -> bool:
        is_replaced = self._orders[event.number].is_replaced(event)
        return not is_replaced and (after is None or event.key > after)
