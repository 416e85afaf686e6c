"""The replacements of the events of a scan: in order, transformed and numbered anew."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

from castore_core import EventRecord, EventStore, LogEntry, is_event_log
from castore_core.workers import run_all
from castore_dam._scan import read_aggregate
from castore_dam._transform import Transformer
from castore_dam.errors import SourceGapError

_KNOWN = 100_000  # aggregates


class Replacement(NamedTuple):
    """An event of the source, and the events of the target that take its place."""

    source: EventRecord
    events: Sequence[EventRecord]


class Place(NamedTuple):
    """How far an aggregate has come: its last version, and what to add to that of the next event.

    The shift is other than 0 where a transform dropped events, or made several of one.
    """

    version: int = 0
    shift: int = 0

    def follow(self, replacement: Replacement) -> "Place":
        """Return the place after an event and those that take its place."""
        source, events = replacement
        return Place(source.version, self.shift + len(events) - 1)


class Succession:
    """Puts events in the order of their versions, transforms them, and numbers them anew.

    The places of the aggregates that came last are known. That of another one is found out: where
    there is a transform, its earlier events go through it again.

    Args:
        event_store: the source.
        transformer: changes the events.
        allow_gaps: whether versions may be missing.
        at_once: how many aggregates are looked up at a time.
    """

    def __init__(
        self,
        event_store: EventStore,
        transformer: Transformer,
        *,
        allow_gaps: bool,
        at_once: int,
    ) -> None:
        self._id = event_store.event_store_id
        self._adapter = event_store.get_storage_adapter()
        self._transformer = transformer
        self._allow_gaps = allow_gaps
        self._at_once = at_once
        self._places: OrderedDict[str, Place] = OrderedDict()

    async def follow(self, events: Sequence[LogEntry]) -> Sequence[Replacement]:
        """Return the events that take the place of the next ones of the scan.

        Events that come too early are preceded by those that they follow, which are left out later.

        Raises:
            SourceGapError: a version is missing, and gaps are not allowed.
            TransformError: the transform failed at an event.
        """
        await self._find_places(events)
        found: list[Replacement] = []
        for each in events:
            found += [replacement async for replacement in self._replace(each)]
        while len(self._places) > _KNOWN:
            self._places.popitem(last=False)
        return found

    async def _replace(self, event: LogEntry) -> AsyncGenerator[Replacement]:
        aggregate_id, version = event.record[:2]
        place = self._places.pop(aggregate_id)
        if version <= place.version:  # it went ahead, or fills a gap
            self._places[aggregate_id] = place
            if self._allow_gaps:
                yield (await self._make(await self._derive(event), event.record))[0]
            return
        if version > place.version + 1:
            async with aclosing(self._read(aggregate_id, place.version + 1, version - 1)) as missed:
                async for record in missed:
                    replacement, place = await self._make(place, record)
                    yield replacement
        replacement, self._places[aggregate_id] = await self._make(place, event.record)
        yield replacement

    async def _make(self, place: Place, record: EventRecord) -> tuple[Replacement, Place]:
        if record.version != place.version + 1 and not self._allow_gaps:
            raise SourceGapError(self._id, record.aggregate_id, place.version + 1)
        replacement = await _transform(place, record, self._transformer)
        return replacement, place.follow(replacement)

    async def _find_places(self, events: Sequence[LogEntry]) -> None:
        """Look up the places of the aggregates that are not known."""
        first = {each.record.aggregate_id: each for each in reversed(events)}
        unknown = [each for name, each in first.items() if name not in self._places]
        for each in unknown:
            self._places[each.record.aggregate_id] = Place()
        jobs = [partial(self._look_up, each) for each in unknown if each.record.version > 1]
        self._places.update(await run_all(jobs, at_once=self._at_once))

    async def _look_up(self, event: LogEntry) -> tuple[str, Place]:
        place = Place() if await self._is_early(event) else await self._derive(event)
        return event.record.aggregate_id, place

    async def _is_early(self, event: LogEntry) -> bool:
        """Tell whether the log has the event before the one that it follows."""
        if not is_event_log(self._adapter):
            return False
        aggregate_id, version = event.record[:2]
        position = await self._adapter.find_position(self._id, aggregate_id, version - 1)
        return position is not None and position > event.position

    async def _derive(self, event: LogEntry) -> Place:
        """Return the place before an event, from the events that the source has before it."""
        aggregate_id, version = event.record[:2]
        if self._transformer.keeps_all:
            last = await self._adapter.get_events(
                self._id, aggregate_id, max_version=version - 1, limit=1, reverse=True
            )
            return Place(last[0].version) if last else Place()
        place = Place()
        async with aclosing(self._read(aggregate_id, 1, version - 1)) as earlier:
            async for each in transform_aggregate(earlier, self._transformer):
                place = place.follow(each)
        return place

    def _read(self, aggregate_id: str, first: int, last: int) -> AsyncGenerator[EventRecord]:
        return read_aggregate(
            self._adapter, self._id, aggregate_id, min_version=first, max_version=last
        )


async def transform_aggregate(
    records: AsyncIterable[EventRecord], transformer: Transformer
) -> AsyncGenerator[Replacement]:
    """Yield the events that take the place of all those of an aggregate, in their order."""
    place = Place()
    async for each in records:
        replacement = await _transform(place, each, transformer)
        place = place.follow(replacement)
        yield replacement


async def _transform(place: Place, record: EventRecord, transformer: Transformer) -> Replacement:
    first = record.version + place.shift
    events = await transformer.apply(record)
    return Replacement(
        record, [each._replace(version=first + index) for index, each in enumerate(events)]
    )
