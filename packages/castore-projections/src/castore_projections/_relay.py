"""The relay: publishes every event of a log, so that none is lost between store and channel."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from castore_core import (
    BookmarkStorageAdapter,
    EventLog,
    EventStore,
    LogEntry,
    MessageChannel,
)
from castore_projections._consumer import LogConsumer
from castore_projections._identity import Identity
from castore_projections._options import (
    ReaderOptions,
    RetryDelay,
    check_callable,
    check_seconds,
    double_delay,
    double_parked_delay,
)
from castore_projections._processing import Processor
from castore_projections._publisher import Publisher
from castore_projections._reports import ReportHook
from castore_projections._source import Source


class Relay(LogConsumer[Any]):
    """Publishes the events of stores to channels, from their log: the outbox is the event table.

    Each event is published at least once, after the earlier ones of its aggregate, as it is
    stored: its type may be unknown here, and fields that no class declares go along. The bookmark
    moves once the channels took the messages: after a crash, those of at most one batch for each
    partition are published again. State-carrying channels get the aggregate as it was after the
    event.

    A channel that is down delays the events, and loses none. A message that it does not take is
    parked after its last attempt, and only the events of its aggregate wait behind it. Parked
    messages are tried again by themselves, at growing intervals, until a channel takes them or you
    drop them::

        relay = Relay("to-sqs", event_stores=[pokemons], channels=[queue], bookmarks=bookmarks)

        async with relay:
            ...

    Args:
        name: names its bookmarks; two relays with the same storage have different names.
        event_stores: the stores whose events it publishes, with one storage adapter.
        channels: queues and buses, of which all the stores are sources. Each gets all events.
            A channel that is down delays all of them; give each its own relay to avoid that.
        bookmarks: keeps its bookmarks, in any storage.
        parked_delay: returns the seconds after which a parked message is tried again by itself,
            from the number of its attempts; by default two seconds after three attempts, and twice
            as long after each later one, up to five minutes. ``None`` leaves it to
            `retry_parked_events`.
        publish_timeout: after how many seconds a publish is cancelled, and has failed.

    The other arguments are those of `Projection`.

    Raises:
        MessageChannelEventStoreNotFoundError: a store is no source of a channel.
        TypeError, ValueError: an argument is not as above.
    """

    def __init__(
        self,
        name: str,
        *,
        event_stores: Iterable[EventStore[Any, Any]],
        channels: Iterable[MessageChannel[Any]],
        bookmarks: BookmarkStorageAdapter[Any],
        log: EventLog | None = None,
        tail_stream: bool = False,
        partitions: int = 1,
        batch_size: int = 100,
        poll_interval: float = 1.0,
        lease_duration: timedelta = timedelta(seconds=30),
        max_attempts: int = 3,
        retry_delay: RetryDelay = double_delay,
        parked_delay: RetryDelay | None = double_parked_delay,
        circuit_threshold: int = 5,
        publish_timeout: float = 60.0,
        grace_period: float = 20.0,
        on_report: ReportHook | None = None,
        log_error_texts: bool = False,
    ) -> None:
        options = ReaderOptions(
            partitions=partitions,
            batch_size=batch_size,
            poll_interval=poll_interval,
            lease_duration=lease_duration,
            max_attempts=max_attempts,
            retry_delay=retry_delay,
            circuit_threshold=circuit_threshold,
            grace_period=grace_period,
            on_report=on_report,
            log_error_texts=log_error_texts,
        )
        check_callable("parked_delay", parked_delay)
        check_seconds("publish_timeout", publish_timeout, least=0.001)
        source = Source(event_stores, log)
        self._channels = _check_channels(channels, source)
        self._publish_timeout = publish_timeout
        super().__init__(
            Identity.make("relay", name),
            source,
            bookmarks,
            options,
            parked_delay=parked_delay,
            tail_stream=tail_stream,
        )

    def _make_processor(self, is_replay: Callable[[LogEntry], bool]) -> Processor:
        return Publisher(self._channels, self._bookmarks, is_replay, self._publish_timeout)


def _check_channels(
    channels: Iterable[MessageChannel[Any]], source: Source
) -> list[MessageChannel[Any]]:
    found = list(channels)
    if not found:
        raise ValueError("channels is empty: a relay publishes to one or several")
    for channel in found:
        if not isinstance(channel, MessageChannel):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{channel!r} is no queue and no bus")
        for each in source.event_store_ids:
            channel.get_source_event_store(each)
    return found
