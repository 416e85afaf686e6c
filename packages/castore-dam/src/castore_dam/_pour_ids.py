"""Pouring the ids of the aggregates of a store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from castore_core import (
    AggregateExistsMessage,
    EventStore,
    JSONValue,
    ListedAggregate,
    MessageChannel,
    MessageRecord,
    check_limit,
)
from castore_dam._checkpoints import Checkpoint
from castore_dam._filters import TimestampFilter
from castore_dam._journal import Journal, State, open_journal
from castore_dam._progress import Progress, ProgressHook, report_nothing
from castore_dam._publisher import Publisher
from castore_dam._results import PouredAggregateIds, PouredEvent


async def pour_event_store_aggregate_ids(
    event_store: EventStore[Any, Any],
    message_channel: MessageChannel[AggregateExistsMessage],
    *,
    limit: int | None = None,
    initial_event_after: datetime | None = None,
    initial_event_before: datetime | None = None,
    reverse: bool = False,
    rate_limit: float | None = None,
    batch_size: int = 100,
    dry_run: bool = False,
    checkpoint: Checkpoint | None = None,
    on_progress: ProgressHook = report_nothing,
) -> PouredAggregateIds:
    """Publish the ids of a store's aggregates, in the order of their initial events, as a replay.

    Args:
        event_store: the store.
        message_channel: a queue or a bus of aggregate-exists messages of which the store is a
            source.
        limit: the most aggregates in all, 1 or more. Castore takes it for the size of a page.
        initial_event_after: leaves out aggregates that began before this moment.
        initial_event_before: leaves out aggregates that began after this moment.
        reverse: begins with the latest.
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
    message_channel.get_source_event_store(event_store.event_store_id)
    if limit is not None:
        check_limit(limit)
    bounds = TimestampFilter(initial_event_after, initial_event_before)
    publisher = Publisher(
        message_channel, rate_limit=rate_limit, batch_size=batch_size, dry_run=dry_run
    )
    operation = {
        "operation": "pour aggregate ids",
        "event stores": [event_store.event_store_id],
        "message channel": message_channel.message_channel_id,
        "options": [limit, reverse],
        "timestamps": bounds.to_json(),
    }
    async with open_journal(checkpoint, operation, dry_run=dry_run) as journal:
        pour = _Pour(event_store, message_channel, publisher, journal, on_progress)
        return await pour.run(bounds, limit, reverse=reverse)


class _Pour:
    """One run of a pour."""

    def __init__(
        self,
        event_store: EventStore,
        message_channel: MessageChannel[AggregateExistsMessage],
        publisher: Publisher,
        journal: Journal,
        on_progress: ProgressHook,
    ) -> None:
        self._store = event_store
        self._channel = message_channel
        self._publisher = publisher
        self._journal = journal
        self._report = on_progress
        state = journal.state
        self._count: int = state.get("count", 0)
        self._first, self._last = map(self._restore, state.get("ends", (None, None)))

    async def run(
        self, bounds: TimestampFilter, limit: int | None, *, reverse: bool
    ) -> PouredAggregateIds:
        state = self._journal.state
        if self._last is not None:
            aggregate_id, began_at = self._last
            last = PouredEvent(self._store.event_store_id, aggregate_id, 1, began_at)
            await self._journal.check_storage([self._store], last)
        while not state.get("has ended"):
            size = self._publisher.batch_size
            found = await self._store.get_storage_adapter().list_aggregate_ids(
                self._store.event_store_id,
                limit=size if limit is None else min(size, limit - self._count),
                initial_event_after=bounds.start,
                initial_event_before=bounds.end,
                reverse=reverse,
                cursor=state.get("cursor"),
            )
            await self._publish(found.aggregates)
            has_ended = found.cursor is None or self._count == limit
            state = self._to_state(found.cursor, has_ended=has_ended)
            await self._journal.save(state)
            self._report(Progress("pouring", self._count))
        return PouredAggregateIds(self._first, self._last, self._count)

    async def _publish(self, aggregates: Sequence[ListedAggregate]) -> None:
        await self._publisher.publish_messages([self._to_message(each) for each in aggregates])
        self._count += len(aggregates)
        if aggregates:
            self._first = self._first or aggregates[0]
            self._last = aggregates[-1]

    def _to_message(self, aggregate: ListedAggregate) -> MessageRecord:
        return self._channel.message_to_record(
            AggregateExistsMessage(self._store.event_store_id, *aggregate)
        )

    def _to_state(self, cursor: JSONValue, *, has_ended: bool) -> State:
        ends = [each and each.to_cursor() for each in (self._first, self._last)]
        return {"count": self._count, "ends": ends, "cursor": cursor, "has ended": has_ended}

    def _restore(self, value: JSONValue) -> ListedAggregate | None:
        return ListedAggregate.from_cursor(self._store.event_store_id, value) if value else None
