"""Pouring the events of one aggregate."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, NamedTuple, Self

from castore_core import EventRecord, EventStore, MessageChannel, check_limit
from castore_dam._checkpoints import Checkpoint
from castore_dam._filters import TimestampFilter
from castore_dam._journal import Journal, open_journal
from castore_dam._progress import Progress, ProgressHook, report_nothing
from castore_dam._publisher import Publisher
from castore_dam._results import PouredEvents
from castore_dam._scan import PAGE
from castore_dam._tallies import PourTally


async def pour_aggregate_events(
    event_store: EventStore[Any, Any],
    message_channel: MessageChannel[Any],
    aggregate_id: str,
    *,
    min_version: int | None = None,
    max_version: int | None = None,
    limit: int | None = None,
    reverse: bool = False,
    from_: datetime | None = None,
    to: datetime | None = None,
    rate_limit: float | None = None,
    batch_size: int = 100,
    dry_run: bool = False,
    checkpoint: Checkpoint | None = None,
    on_progress: ProgressHook = report_nothing,
) -> PouredEvents:
    """Publish the events of an aggregate again, in the order of their versions, as a replay.

    They are published as they are stored, fields that no class declares included. Events that are
    pushed meanwhile are not poured.

    Args:
        event_store: the store.
        message_channel: a queue or a bus of which the store is a source.
        aggregate_id: the aggregate. One without events pours nothing.
        min_version: the first version.
        max_version: the last version.
        limit: the most events that are read, 1 or more; ``from_`` and ``to`` leave out some of
            these.
        reverse: begins with the greatest version.
        from_: leaves out events before this moment.
        to: leaves out events after this moment.
        rate_limit: the most messages a second, evenly; more than 0, also a fraction.
        batch_size: the most messages that are published together, 1 or more.
        dry_run: publishes nothing, and only counts what would be published, at no rate. Of the
            checkpoint, it takes where to begin, and leaves it as it is.
        checkpoint: keeps how far the pour has come, as for `pour_event_store_events`.
        on_progress: is told after each batch.

    Raises:
        CheckpointInUseError: another operation uses the checkpoint.
        InvalidCheckpointError: the checkpoint is another operation's, or of another storage.
        MessageChannelEventStoreNotFoundError: the store is no source of the channel.
        MessagePublishError: names the messages that the channel did not take. Started again, the
            pour goes on with the batch that they are in.
        TypeError, ValueError: an argument is not as above.
    """
    store_id = event_store.event_store_id
    message_channel.get_source_event_store(store_id)
    wanted = TimestampFilter(from_, to)
    query = _Query(min_version, max_version, limit, reverse)
    query.check()
    publisher = Publisher(
        message_channel, rate_limit=rate_limit, batch_size=batch_size, dry_run=dry_run
    )
    operation = {
        "operation": "pour aggregate",
        "event stores": [store_id],
        "message channel": message_channel.message_channel_id,
        "aggregate": aggregate_id,
        "options": [*query],
        "timestamps": wanted.to_json(),
    }
    async with open_journal(checkpoint, operation, dry_run=dry_run) as journal:
        pour = _Pour(event_store, publisher, journal, wanted, on_progress)
        return await pour.run(aggregate_id, query)


class _Pour:
    """One run of a pour."""

    def __init__(
        self,
        event_store: EventStore,
        publisher: Publisher,
        journal: Journal,
        wanted: TimestampFilter,
        on_progress: ProgressHook,
    ) -> None:
        self._store = event_store
        self._publisher = publisher
        self._journal = journal
        self._wanted = wanted
        self._report = on_progress
        self._poured = PourTally()

    async def run(self, aggregate_id: str, query: "_Query") -> PouredEvents:
        if state := self._journal.state:
            self._poured, query = PourTally.from_json(state["poured"]), _Query(*state["query"])
            await self._journal.check_storage([self._store], self._poured.last)
        else:
            query = await query.end(self._store, aggregate_id)
        async with aclosing(_read(self._store, aggregate_id, query)) as pages:
            async for page in pages:
                for batch in self._publisher.split(page):
                    query = query.follow(batch)
                    await self._publish(batch, query)
        return PouredEvents(self._poured.count, self._poured.first, self._poured.last)

    async def _publish(self, batch: Sequence[EventRecord], following: "_Query") -> None:
        store_id = self._store.event_store_id
        events = [(store_id, each) for each in batch if self._wanted.accepts(each)]
        self._poured.add(await self._publisher.publish_events(events))
        await self._journal.save({"poured": self._poured.to_json(), "query": following})
        self._report(Progress("pouring", self._poured.count))


class _Query(NamedTuple):
    """The events of an aggregate that are still to be read."""

    min_version: int | None
    max_version: int | None
    limit: int | None
    reverse: bool

    def check(self) -> None:
        """Refuse options that no storage takes.

        Raises:
            ValueError: a version is no integer, or the limit is not 1 or more.
        """
        for each in (self.min_version, self.max_version):
            if each is not None and type(each) is not int:
                raise ValueError(f"a version is no integer: {each!r}")
        if self.limit is not None:
            check_limit(self.limit)

    async def end(self, event_store: EventStore, aggregate_id: str) -> Self:
        """Return the query without the events that are pushed from now on."""
        adapter = event_store.get_storage_adapter()
        last = await adapter.get_events(
            event_store.event_store_id,
            aggregate_id,
            max_version=self.max_version,
            limit=1,
            reverse=True,
        )
        return self._replace(max_version=last[0].version if last else 0)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return self.limit == 0 or self.max_version == 0

    def get_page(self) -> Self:
        """Return the query of the next page."""
        return self._replace(limit=PAGE if self.limit is None else min(PAGE, self.limit))

    def follow(self, records: Sequence[EventRecord]) -> Self:
        """Return the query of the events after some that were read."""
        left = None if self.limit is None else self.limit - len(records)
        version = records[-1].version
        if self.reverse:
            return self._replace(max_version=version - 1, limit=left)
        return self._replace(min_version=version + 1, limit=left)


async def _read(
    event_store: EventStore, aggregate_id: str, query: _Query
) -> AsyncGenerator[Sequence[EventRecord]]:
    """Yield the records of a query, page by page."""
    adapter = event_store.get_storage_adapter()
    is_last = False
    while not (is_last or query.is_empty):
        asked = query.get_page()
        page = await adapter.get_events(event_store.event_store_id, aggregate_id, **asked._asdict())
        is_last = len(page) != asked.limit
        if page:
            yield page
            query = query.follow(page)
