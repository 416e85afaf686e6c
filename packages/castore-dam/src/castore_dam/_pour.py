"""Pouring: publishing stored events again, in the order of their timestamps, as a replay."""

from collections.abc import Iterable, Sequence
from contextlib import aclosing, closing
from datetime import datetime
from typing import Any

from castore_core import EventStore, MessageChannel, format_timestamp, parse_timestamp
from castore_dam._checkpoints import Checkpoint
from castore_dam._event_stores import check_event_stores
from castore_dam._filters import TimestampFilter
from castore_dam._journal import Journal, State, open_journal
from castore_dam._progress import Progress, ProgressHook, report_nothing
from castore_dam._publisher import Publisher
from castore_dam._results import PouredCollection, PouredEventStore
from castore_dam._scan import describe_scans, open_scans
from castore_dam._sorting import SortedEvent, SortKey
from castore_dam._tallies import PourTally, ScanTally
from castore_dam._timeline import Timeline


async def pour_event_store_events(
    event_store: EventStore[Any, Any],
    message_channel: MessageChannel[Any],
    *,
    from_: datetime | None = None,
    to: datetime | None = None,
    rate_limit: float | None = None,
    batch_size: int = 100,
    dry_run: bool = False,
    at_once: int = 10,
    checkpoint: Checkpoint | None = None,
    on_progress: ProgressHook = report_nothing,
) -> PouredEventStore:
    """Publish the events of a store again, in the order of their timestamps.

    It does what `pour_event_store_collection_events` does, for one store.
    """
    poured = await pour_event_store_collection_events(
        [event_store],
        message_channel,
        from_=from_,
        to=to,
        rate_limit=rate_limit,
        batch_size=batch_size,
        dry_run=dry_run,
        at_once=at_once,
        checkpoint=checkpoint,
        on_progress=on_progress,
    )
    scanned = poured.scans[event_store.event_store_id]
    return PouredEventStore(
        scanned.first_scanned_aggregate,
        scanned.last_scanned_aggregate,
        poured.poured_event_count,
        poured.first_poured_event,
        poured.last_poured_event,
    )


async def pour_event_store_collection_events(
    event_stores: Iterable[EventStore[Any, Any]],
    message_channel: MessageChannel[Any],
    *,
    from_: datetime | None = None,
    to: datetime | None = None,
    rate_limit: float | None = None,
    batch_size: int = 100,
    dry_run: bool = False,
    at_once: int = 10,
    checkpoint: Checkpoint | None = None,
    on_progress: ProgressHook = report_nothing,
) -> PouredCollection:
    """Publish the events of several stores again, in the order of their timestamps over all.

    First all the events are read, and sorted in a temporary file where they are many: about 128 MiB
    are in memory. Then they are published as they are stored, fields that no class declares
    included, with ``replay=True``. The events of an aggregate keep the order of their versions.
    Events of one moment keep that of their log, or else are ordered by store, aggregate and
    version.

    Events that are pushed meanwhile are not poured, where a log tells which these are; connect
    the store, or run a relay, for those. Nor are events that a log holds back, as PostgreSQL and
    MySQL do while an older transaction is open: end long transactions first, or run a relay.

    Args:
        event_stores: the stores, on any storage adapters. Stores whose adapter has a log are read
            through it. Of others, the aggregates are listed: those without an event of version 1
            are missing.
        message_channel: a queue or a bus of which all the stores are sources.
        from_: leaves out events before this moment.
        to: leaves out events after this moment, and where there is no log all those of aggregates
            that began after it.
        rate_limit: the most messages a second, evenly; more than 0, also a fraction.
        batch_size: the most messages that are published together, 1 or more; fewer where the rate
            is below 2,000 a second.
        dry_run: publishes nothing, and only counts what would be published, at no rate. Of the
            checkpoint, it takes where to begin, and leaves it as it is.
        at_once: how many aggregates are read at a time, where there is no log.
        checkpoint: keeps how far the pour has come. Started again, it goes on after the last batch
            that was taken, and reads and sorts the events anew for that. A pour that has ended
            publishes nothing more.
        on_progress: is told after each page that was read, and each batch that was published.

    Raises:
        CheckpointInUseError: another operation uses the checkpoint.
        InvalidCheckpointError: the checkpoint is another operation's, or of another storage.
        MessageChannelEventStoreNotFoundError: a store is no source of the channel.
        MessagePublishError: names the messages that the channel did not take. Started again, the
            pour goes on with the batch that they are in.
        OSError: the temporary file, in which many events are sorted, cannot be written.
        TypeError, ValueError: an argument is not as above.
    """
    stores = check_event_stores(event_stores)
    for each in stores:
        message_channel.get_source_event_store(each.event_store_id)
    wanted = TimestampFilter(from_, to)
    publisher = Publisher(
        message_channel, rate_limit=rate_limit, batch_size=batch_size, dry_run=dry_run
    )
    operation = {
        "operation": "pour events",
        "event stores": describe_scans(stores),
        "message channel": message_channel.message_channel_id,
        "timestamps": wanted.to_json(),
    }
    async with open_journal(checkpoint, operation, dry_run=dry_run) as journal:
        pour = _Pour(stores, publisher, journal, wanted, on_progress)
        return await pour.run(at_once)


class _Pour:
    """One run of a pour."""

    def __init__(
        self,
        stores: Sequence[EventStore],
        publisher: Publisher,
        journal: Journal,
        wanted: TimestampFilter,
        on_progress: ProgressHook,
    ) -> None:
        self._stores = stores
        self._publisher = publisher
        self._journal = journal
        self._wanted = wanted
        self._report = on_progress
        self._scanned = ScanTally([each.event_store_id for each in stores], wanted)
        self._poured = PourTally()

    async def run(self, at_once: int) -> PouredCollection:
        state = self._journal.state
        if state:
            self._poured = PourTally.from_json(state["poured"])
            await self._journal.check_storage(self._stores, self._poured.last)
        if state.get("has ended"):
            self._scanned.restore(state["scanned"])
        else:
            await self._pour(at_once, state)
        tally = self._poured
        scans = self._scanned.get_scans()
        return PouredCollection(tally.count, tally.first, tally.last, scans)

    async def _pour(self, at_once: int, state: State) -> None:
        scans = await open_scans(
            self._stores, at_once=at_once, until=self._wanted.end, ends=state.get("ends")
        )
        state = {"ends": [each.end for each in scans], "poured": self._poured.to_json(), **state}
        await self._journal.save(state)
        with closing(Timeline(scans, self._wanted)) as timeline:
            async with aclosing(timeline.gather(self._scanned.see)) as counts:
                async for count in counts:
                    self._report(Progress("scanning", count))
            await self._publish(timeline)
        await self._save(scanned=self._scanned.to_json(), **{"has ended": True})

    async def _publish(self, timeline: Timeline) -> None:
        after = _to_key(self._journal.state.get("after"))
        async with aclosing(timeline.read(after)) as pages:
            async for page in pages:
                for batch in self._publisher.split(page):
                    await self._publish_batch(batch)
                    self._report(Progress("pouring", self._poured.count, timeline.count))

    async def _publish_batch(self, batch: Sequence[SortedEvent]) -> None:
        published = await self._publisher.publish_events(
            [(each.event.event_store_id, each.event.record) for each in batch]
        )
        self._poured.add(published)
        moment, *place = batch[-1].key
        await self._save(after=[format_timestamp(moment), *place])

    async def _save(self, **values: Any) -> None:
        state = {**self._journal.state, "poured": self._poured.to_json(), **values}
        await self._journal.save(state)


def _to_key(value: Any) -> SortKey | None:
    if value is None:
        return None
    moment, number, position = value
    return parse_timestamp(moment), number, position
