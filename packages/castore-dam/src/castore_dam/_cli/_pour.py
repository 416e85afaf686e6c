"""`castore dam pour`: publish stored events again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from castore_cli import (
    Address,
    Limit,
    Moment,
    Row,
    Terminal,
    UsageError,
    open_object,
    open_stores,
)
from castore_core import (
    AggregateExistsMessageBus,
    AggregateExistsMessageQueue,
    AggregateNotFoundError,
    EventStore,
    ListedAggregate,
    MessageChannel,
    format_timestamp,
)
from castore_dam._cli._options import Names, Rate, make_checkpoint
from castore_dam._cli._tracking import BEGINS_ANEW, Tracking, advise, count_events
from castore_dam._pour import pour_event_store_collection_events
from castore_dam._pour_aggregate import pour_aggregate_events
from castore_dam._pour_ids import pour_event_store_aggregate_ids
from castore_dam._results import PouredAggregateIds, PouredCollection, PouredEvent, PouredEvents

_CHANNEL: Final[Any] = MessageChannel  # Any: mypy takes no abstract class for a class

_ID_CHANNELS: Final = (AggregateExistsMessageBus, AggregateExistsMessageQueue)


async def pour(
    source: Address,
    channel: Address,
    /,
    *,
    store: Names = (),
    aggregate: str | None = None,
    ids: bool = False,
    from_: Moment | None = None,
    to: Moment | None = None,
    rate_limit: Rate | None = None,
    batch_size: Limit = 100,
    dry_run: bool = False,
    concurrency: Limit = 10,
    checkpoint: Path | None = None,
    terminal: Terminal,
) -> None:
    """Publish the events of stores again, as replays, in the order of their timestamps.

    Args:
        source: The event stores.
        channel: The queue or bus, of which the stores are sources.
        store: The events of this store; it may be given several times.
        aggregate: The events of this aggregate only, of one store.
        ids: Publish the ids of a store's aggregates, to a channel of aggregate-exists messages.
        from_: Leave out events, or aggregates that began, before this moment.
        to: Leave out events, or aggregates that began, after this moment. A date is its
            midnight.
        rate_limit: The most messages a second, evenly; also a fraction.
        batch_size: The most messages that are published together, 100 by default.
        dry_run: Publish nothing, and count what would be published.
        concurrency: How many aggregates are read at a time, 10 by default, where there is no log.
        checkpoint: Keep in this file how far it has come. The same command goes on from there.
    """
    if ids and aggregate is not None:
        raise UsageError("--ids and --aggregate exclude each other")
    if from_ is not None and to is not None and from_ > to:
        raise UsageError("--from is after --to: nothing is between them")
    async with (
        open_stores(source, store_ids=store) as stores,
        open_object(channel, _CHANNEL) as message_channel,
    ):
        options = _Options(from_, to, rate_limit, batch_size, dry_run, concurrency, checkpoint)
        pour = _Pour(stores, message_channel, options, terminal)
        if ids:
            await pour.pour_ids()
        elif aggregate is not None:
            await pour.pour_aggregate(aggregate)
        else:
            await pour.pour_all()


class _Options(NamedTuple):
    start: Moment | None
    end: Moment | None
    rate_limit: float | None
    batch_size: int
    dry_run: bool
    concurrency: int
    checkpoint: Path | None


class _Pour:
    """One call of the command."""

    def __init__(
        self,
        stores: Sequence[EventStore],
        channel: MessageChannel,
        options: _Options,
        terminal: Terminal,
    ) -> None:
        self._stores = stores
        self._channel = channel
        self._options = options
        self._terminal = terminal
        path = options.checkpoint
        self._had_checkpoint = path is not None and path.exists()
        advice = None if options.dry_run else advise(path, BEGINS_ANEW)
        self._tracking = Tracking(terminal, advice=advice)

    async def pour_all(self) -> None:
        """Pour the events of all stores."""
        self._confirm("the events")
        self._tracking.expect(await count_events(self._terminal, self._stores))
        with self._tracking:
            poured = await pour_event_store_collection_events(
                self._stores,
                self._channel,
                at_once=self._options.concurrency,
                from_=self._options.start,
                to=self._options.end,
                **self._get_arguments(),
            )
        self._show(_describe_events(poured) | {"scans": _list_scans(poured)})

    async def pour_aggregate(self, aggregate_id: str) -> None:
        """Pour the events of one aggregate."""
        store = self._get_store("--aggregate")
        adapter, store_id = store.get_storage_adapter(), store.event_store_id
        if not await adapter.get_events(store_id, aggregate_id, limit=1):
            raise AggregateNotFoundError(store_id, aggregate_id)
        self._confirm(f"the events of aggregate {aggregate_id!r}")
        with self._tracking:
            poured = await pour_aggregate_events(
                store,
                self._channel,
                aggregate_id,
                from_=self._options.start,
                to=self._options.end,
                **self._get_arguments(),
            )
        self._show(_describe_events(poured))

    async def pour_ids(self) -> None:
        """Pour the ids of the aggregates of one store."""
        store = self._get_store("--ids")
        if not isinstance(self._channel, _ID_CHANNELS):
            raise UsageError(
                f"--ids takes a channel of aggregate-exists messages: {self._channel!r}"
            )
        self._confirm("the ids of all aggregates")
        with self._tracking:
            poured = await pour_event_store_aggregate_ids(
                store,
                self._channel,
                initial_event_after=self._options.start,
                initial_event_before=self._options.end,
                **self._get_arguments(),
            )
        self._show(_describe_ids(poured))

    def _get_store(self, option: str) -> EventStore:
        if len(self._stores) > 1:
            raise UsageError(f"{option} takes one event store: choose it with --store")
        return self._stores[0]

    def _confirm(self, subject: str) -> None:
        if self._options.dry_run:
            return
        self._channel.get_message_channel_adapter()
        for each in self._stores:
            self._channel.get_source_event_store(each.event_store_id)
        names = ", ".join(repr(each.event_store_id) for each in self._stores)
        self._terminal.confirm(f"publish {subject} of {names} again, to {self._channel!r}")

    def _get_arguments(self) -> dict[str, Any]:
        return {
            "rate_limit": self._options.rate_limit,
            "batch_size": self._options.batch_size,
            "dry_run": self._options.dry_run,
            "checkpoint": make_checkpoint(self._options.checkpoint),
            "on_progress": self._tracking.report,
        }

    def _show(self, values: Row) -> None:
        if self._had_checkpoint and not self._tracking.has_begun:
            path = str(self._options.checkpoint)
            self._terminal.say(f"{path!r} says that all of it was poured: delete it to begin anew")
        if not self._terminal.is_json:
            values = {key: _to_text(each) for key, each in values.items() if key != "scans"}
        self._terminal.show({**values, "isDryRun": self._options.dry_run})


def _describe_events(poured: PouredEvents) -> dict[str, Any]:
    return {
        "pouredEventCount": poured.poured_event_count,
        "firstPouredEvent": _describe_event(poured.first_poured_event),
        "lastPouredEvent": _describe_event(poured.last_poured_event),
    }


def _describe_ids(poured: PouredAggregateIds) -> dict[str, Any]:
    return {
        "pouredAggregateIdCount": poured.poured_aggregate_id_count,
        "firstScannedAggregate": _describe_aggregate(poured.first_scanned_aggregate),
        "lastScannedAggregate": _describe_aggregate(poured.last_scanned_aggregate),
    }


def _list_scans(poured: PouredCollection) -> list[dict[str, Any]]:
    return [
        {
            "eventStoreId": event_store_id,
            "firstScannedAggregate": _describe_aggregate(scanned.first_scanned_aggregate),
            "lastScannedAggregate": _describe_aggregate(scanned.last_scanned_aggregate),
        }
        for event_store_id, scanned in poured.scans.items()
    ]


def _describe_event(event: PouredEvent | None) -> dict[str, Any] | None:
    if event is None:
        return None
    return {
        "eventStoreId": event.event_store_id,
        "aggregateId": event.aggregate_id,
        "version": event.version,
        "timestamp": format_timestamp(event.timestamp),
    }


def _describe_aggregate(aggregate: ListedAggregate | None) -> dict[str, Any] | None:
    if aggregate is None:
        return None
    return {
        "aggregateId": aggregate.aggregate_id,
        "initialEventTimestamp": format_timestamp(aggregate.initial_event_timestamp),
    }


def _to_text(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return "  ".join(map(str, cast("dict[str, Any]", value).values()))
