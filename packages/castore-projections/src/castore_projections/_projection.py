"""Projections: read models that follow the events of stores."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, Generic, overload

from typing_extensions import TypeVar

from castore_core import (
    LOG_START,
    Aggregate,
    BookmarkStorageAdapter,
    Event,
    EventLog,
    EventStore,
    LogEntry,
    LogPosition,
    NotificationMessage,
    PushedEvent,
    StateCarryingMessage,
)
from castore_projections._consumer import STANDSTILL_TIMEOUT, LogConsumer
from castore_projections._event_processor import EventProcessor
from castore_projections._handlers import (
    AddHandler,
    AnyHandler,
    Handlers,
    OnUnknownType,
    is_coroutine_function,
)
from castore_projections._identity import Identity
from castore_projections._messages import MessageHandling
from castore_projections._options import ReaderOptions, RetryDelay, double_delay
from castore_projections._partition import Partition
from castore_projections._reports import ReportHook
from castore_projections._source import Source
from castore_projections._switching import switch
from castore_projections._waiting import wait_for_event

T = TypeVar("T", default=Any)
E1 = TypeVar("E1", bound=Event)
E2 = TypeVar("E2", bound=Event)
E3 = TypeVar("E3", bound=Event)
E4 = TypeVar("E4", bound=Event)
E5 = TypeVar("E5", bound=Event)
E6 = TypeVar("E6", bound=Event)


class Projection(LogConsumer[T], Generic[T]):
    """Follows the events of stores, and hands each to the handlers of its class.

    A handler is given the transaction that also moves the bookmark. A read model that it writes
    with this transaction gets each event exactly once, whenever a process dies::

        pokedex = Projection("pokedex", event_stores=[pokemons], bookmarks=bookmarks)

        @pokedex.on(PokemonCaught)
        async def count(event: PokemonCaught, context: ProjectionContext[AsyncConnection]) -> None:
            await context.transaction.execute(...)

        async with pokedex:
            ...

    Effects elsewhere happen at least once, and in order. So do all effects with bookmarks that
    have no transaction, such as those in memory.

    Each process may run it: the one that has the lease does. Each event comes after the earlier
    ones of its aggregate.

    Args:
        name: names its bookmarks; two projections with the same storage have different names.
        event_stores: the stores whose events it follows, with one storage adapter.
        bookmarks: keeps its bookmarks, and says what its transactions are.
        version: counts its rebuilds, from 1. Raise it to build the read model anew beside the live
            one: see `switch`.
        log: has the events of all the stores; by default that is their storage adapter.
        tail_stream: whether it begins, at its first start, with the events that follow.
        always_tail_stream: whether it does so at each start: it passes over the events that were
            pushed while it did not run. Of several calls of `run_once`, the first is the start.
        continue_on_error: whether it passes over an event that fails for the last time, and only
            reports it, instead of parking it.
        on_unknown_type: what becomes of a stored event of a type that its store does not have:
            ``"refuse"`` ends the projection with an `UnknownEventTypeError`, ``"park"`` parks the
            event, and ``"skip"`` passes over it.
        partitions: how many parts it is split into, by aggregate, 1 to 1,024. Each has a bookmark
            and a lease, and may run in another process. It never changes within one version.
        batch_size: how many events are handled in one transaction at most, 1 or more.
        poll_interval: seconds between reads of the log when it signals no new event; 0.001 or
            more.
        lease_duration: time after which another process takes over from one that died; 100 ms or
            more. A transaction has to end within that time.
        max_attempts: how often an event is tried before it is parked, 1 or more.
        retry_delay: returns the seconds to wait after an attempt that failed, by its number.
        circuit_threshold: how many events may fail in a row until the next ones are tried only
            after a pause, which grows to a minute; 1 or more.
        grace_period: how many seconds a step may go on after `stop`, or after `run` was cancelled;
            0 or more.
        on_clear: undoes what the events have brought about, for `reset`: it is given the
            transaction that moves the bookmark back. With several partitions it runs once for each.
        on_report: is called with each `ProjectionReport`, for metrics. It should not take long.
        log_error_texts: whether the log has the texts of errors, too. They may hold values of the
            payload, which are left out by default. Parked events always keep them.

    Raises:
        TypeError, ValueError: an argument is not as above.
    """

    def __init__(
        self,
        name: str,
        *,
        event_stores: Iterable[EventStore[Any, Any]],
        bookmarks: BookmarkStorageAdapter[T],
        version: int = 1,
        log: EventLog | None = None,
        tail_stream: bool = False,
        always_tail_stream: bool = False,
        continue_on_error: bool = False,
        on_unknown_type: OnUnknownType = "refuse",
        partitions: int = 1,
        batch_size: int = 100,
        poll_interval: float = 1.0,
        lease_duration: timedelta = timedelta(seconds=30),
        max_attempts: int = 3,
        retry_delay: RetryDelay = double_delay,
        circuit_threshold: int = 5,
        grace_period: float = 20.0,
        on_clear: Callable[[T], Awaitable[None]] | None = None,
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
        super().__init__(
            Identity.make("projection", name, version),
            Source(event_stores, log),
            bookmarks,
            options,
            skips_failed=continue_on_error,
            tail_stream=tail_stream,
            always_tail_stream=always_tail_stream,
        )
        self._handlers = Handlers(self._source.event_stores, on_unknown_type)
        if on_clear is not None and not is_coroutine_function(on_clear):
            raise TypeError(f"on_clear is an async function, and {on_clear!r} is none")
        self._on_clear = on_clear
        self._messages = MessageHandling(
            self._identity,
            self._source.event_stores,
            EventProcessor(self._identity, self._handlers, bookmarks, lambda _: False),
            bookmarks,
            lease_duration,
        )

    @property
    def version(self) -> int:
        """Counts the rebuilds, from 1."""
        return self._identity.version

    @overload
    def on(self, event_type: type[E1], /) -> AddHandler[E1, T]: ...

    @overload
    def on(self, first: type[E1], second: type[E2], /) -> AddHandler[E1 | E2, T]: ...

    @overload
    def on(
        self, first: type[E1], second: type[E2], third: type[E3], /
    ) -> AddHandler[E1 | E2 | E3, T]: ...

    @overload
    def on(
        self, first: type[E1], second: type[E2], third: type[E3], fourth: type[E4], /
    ) -> AddHandler[E1 | E2 | E3 | E4, T]: ...

    @overload
    def on(
        self,
        first: type[E1],
        second: type[E2],
        third: type[E3],
        fourth: type[E4],
        fifth: type[E5],
        /,
    ) -> AddHandler[E1 | E2 | E3 | E4 | E5, T]: ...

    @overload
    def on(
        self,
        first: type[E1],
        second: type[E2],
        third: type[E3],
        fourth: type[E4],
        fifth: type[E5],
        sixth: type[E6],
        /,
    ) -> AddHandler[E1 | E2 | E3 | E4 | E5 | E6, T]: ...

    @overload
    def on(self, event_type: type[E1], /, *event_types: type[E1]) -> AddHandler[E1, T]: ...

    def on(self, *event_types: Any) -> Any:
        """Let an async function handle the events of one or several classes.

        Several handlers of one class run one after the other, in the order in which they were
        added. ``on(*pokemons.event_types)`` is for all the events of a store.

        mypy knows the union of six classes at most. A handler of more, if they are written one by
        one, is to take any `Event`.

        Raises:
            TypeError: no class of events is given, or the handler is no async function.
            ValueError: no store of the projection has one of the classes.
        """
        self._handlers.check(event_types)

        def add(handler: AnyHandler) -> AnyHandler:
            self._handlers.add(event_types, handler)
            return handler

        return add

    async def handle(
        self,
        message: NotificationMessage[Any] | StateCarryingMessage[Any, Any],
        *,
        is_replay: bool = False,
    ) -> int:
        """Handle the event of a message, and return how many events were handled.

        For storages without a log. Call it in the handler of a worker, a listener or a stream.
        Messages may come twice and in any order: each event is handled once, after the earlier ones
        of its aggregate. Earlier events that are missing are read from the event store, and are
        replays where ``is_replay`` is true; where the store has no storage adapter here, or lacks
        them, the message has to come again. Events without handlers count.

        An error of a handler is raised, so that the queue hands the message out again.

        Raises:
            TypeError: the message carries no event.
            ValueError: the store of the message is none of the projection.
            MissingEventsError: earlier events were not handled, and cannot be read.
            ProjectionBusyError: another process handles an event of the aggregate.
        """
        number = await self._messages.handle(message, is_replay=is_replay)
        self._moved.wake()
        return number

    async def apply(
        self,
        event: Event,
        *,
        transaction: T,
        event_store: EventStore[Any, Any] | None = None,
        is_replay: bool = False,
    ) -> bool:
        """Call the handlers of an event with a transaction of yours, and tell whether it has any.

        The handlers are given the event as if it were read from its store. No bookmark moves, so
        the event comes again where the projection runs: `apply` is for tests. See `run_projection`
        of castore-test-tools.

        Args:
            event: the event; it need not be stored.
            transaction: goes to the handlers. Commit it yourself.
            event_store: the store of the event; it may be left out where only one store of the
                projection has its class.
            is_replay: goes to the handlers.

        Raises:
            ValueError: no store, or several, can be that of the event.
            Exception: what a handler raised. The handlers that follow were not called.
        """
        store = self._source.find_store(event, event_store)
        entry = LogEntry(LOG_START, store.event_store_id, store.event_to_record(event))
        processor = self._make_processor(lambda _: is_replay)
        return await processor.handle(entry, transaction, is_replay=is_replay)

    async def wait_for(
        self,
        pushed: PushedEvent[Any, Any] | Event | Aggregate,
        *,
        event_store: EventStore[Any, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 has its own error
    ) -> LogPosition:
        """Wait until the read model has an event, and return its position in the log.

        So a caller can read what it has written, wherever the projection runs. Without a log, it
        waits for the message of the event, and returns ``""``.

        Args:
            pushed: the result of `EventStore.push_event`, the event, or the aggregate after it, as
                commands return it.
            event_store: the store of the event; it may be left out where only one store of the
                projection has its class, or where there is only one store.
            timeout: how many seconds to wait.

        Raises:
            ProjectionWaitTimeoutError: the projection did not come to the event in time.
            EventParkedError: it is parked: the read model lacks it for now.
            ProjectionRetiredError: a later version has taken over.
            TypeError: ``pushed`` has no id and no version.
            ValueError: the event is not stored, or no store, or several, can be its own.
        """
        event: Event | Aggregate = pushed.event if isinstance(pushed, PushedEvent) else pushed
        store = self._source.find_store(event, event_store)
        ledger = await self._control.find()
        if ledger is not None:
            self._refuse_retired(ledger)
        return await wait_for_event(
            self._identity,
            event,
            store.event_store_id,
            source=self._source,
            bookmarks=self._bookmarks,
            partitions=self._partitions,
            waiters=self._moved,
            timeout=timeout,
        )

    async def switch(self, *, timeout: float = STANDSTILL_TIMEOUT) -> None:  # noqa: ASYNC109 has its own error
        """Make this version the live one, without a gap.

        A version that is not live yet is built beside the live one, which it never passes, and its
        events are replays. `switch` lets the live version pause, catches up with it, and retires
        it. From there on this version goes on, and its events are no replays any more. If it is
        the live one already, nothing happens.

        ``timeout`` applies to each lease and to the catch-up separately.

        Raises:
            ProjectionBusyError: the live version did not pause within ``timeout`` seconds.
            CatchUpTimeoutError: this version did not catch up within ``timeout`` seconds.
                The live one goes on.
            ProjectionRetiredError: a later version is the live one.
            EventParkedError: an event is parked, in either version: retry it, or drop it.
        """
        await self._open()
        await switch(
            self._identity,
            self._control,
            self._bookmarks,
            catch_up=self.run_once,
            timeout=timeout,
        )

    async def get_live_version(self) -> int:
        """Return the version that is live: that whose read model to read.

        Before the first start of any, that is this one.
        """
        ledger = await self._control.find()
        return self.version if ledger is None else ledger.live

    def _make_processor(self, is_replay: Callable[[LogEntry], bool]) -> EventProcessor:
        return EventProcessor(self._identity, self._handlers, self._bookmarks, is_replay)

    def _check_ready(self) -> None:
        if self._handlers.is_empty:
            raise ValueError(f"{self!r} has no handlers: it would pass over all events")

    async def _clear(self, partition: Partition, transaction: T) -> None:  # noqa: ARG002
        if self._on_clear is not None:
            await self._on_clear(transaction)
