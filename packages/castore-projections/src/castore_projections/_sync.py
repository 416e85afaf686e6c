"""Projections and relays for synchronous programs.

scripts/generate_sync.py writes this file.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Generic, Self

from castore_core import (
    LOG_START,
    Aggregate,
    Event,
    EventStore,
    LogPosition,
    NotificationMessage,
    ParkedEvent,
    PushedEvent,
    StateCarryingMessage,
)
from castore_core.sync import EventLoopThread, Facade
from castore_projections._consumer import STANDSTILL_TIMEOUT, T
from castore_projections._parked_groups import ParkedGroup
from castore_projections._projection import Projection
from castore_projections._relay import Relay
from castore_projections._status import ProjectionStatus


class SyncProjection(Facade[Projection[T]], Generic[T]):
    """A projection for synchronous programs.

    Its handlers stay asynchronous, and are declared with the `Projection`. ``with``
    runs it in the background, in the thread of the event loop::

        SyncProjection(pokedex).run_once()
    """

    def __init__(
        self,
        projection: Projection[T],
        *,
        event_loop: EventLoopThread | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(projection, event_loop=event_loop, timeout=timeout)

    @property
    def projection(self) -> Projection[T]:
        """The asynchronous projection."""
        return self._target

    @property
    def version(self) -> int:
        """Counts the rebuilds, from 1."""
        return self._target.version

    def handle(
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
        return self._run(self._target.handle(message, is_replay=is_replay))

    def apply(
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
        return self._run(
            self._target.apply(
                event, transaction=transaction, event_store=event_store, is_replay=is_replay
            )
        )

    def wait_for(
        self,
        pushed: PushedEvent[Any, Any] | Event | Aggregate,
        *,
        event_store: EventStore[Any, Any] | None = None,
        timeout: float = 10.0,
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
        return self._run(self._target.wait_for(pushed, event_store=event_store, timeout=timeout))

    def switch(self, *, timeout: float = STANDSTILL_TIMEOUT) -> None:
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
        return self._run(self._target.switch(timeout=timeout))

    def get_live_version(self) -> int:
        """Return the version that is live: that whose read model to read.

        Before the first start of any, that is this one.
        """
        return self._run(self._target.get_live_version())

    @property
    def name(self) -> str:
        """The name, which tells it from others with the same storage of bookmarks."""
        return self._target.name

    def run(self) -> None:
        """Handle events, and wait for more, until `stop` is called or this is cancelled.

        Either way, the step that is under way may end within the ``grace_period``; then it is
        cancelled, and its transaction is rolled back. Further cancellations change nothing: an
        anyio task group cancels again and again. Then the leases are given back.

        Faults of the storages are reported, and tried again after a growing pause. `run` returns
        when a later version has taken over.

        Raises:
            PartitionsChangedError: it was started with another number of partitions.
            UnknownEventTypeError: a type of event is unknown to its store, and refused.
            RuntimeError: it runs already.
            StorageError: a storage did not answer at the start.
        """
        return self._run(self._target.run())

    def run_once(self) -> int:
        """Handle the events that the log has now, and return how many were handled.

        An event that fails is tried again as in `run`, and then parked.

        Raises:
            ProjectionBusyError: it runs elsewhere.
            ProjectionRetiredError: a later version has taken over.
            CircuitOpenError: too many events fail in a row.
            LeaseLostError: the process was stopped for longer than its lease. The rest is handled
                by the process that has the lease, or at the next call.
            PartitionsChangedError, UnknownEventTypeError: as in `run`.
            StorageError: a storage did not answer.
        """
        return self._run(self._target.run_once())

    def stop(self) -> None:
        """Let `run` come to an end; where it does not run, nothing happens.

        Any thread may call it, and a signal handler too.
        """
        return self._target.stop()

    def __enter__(self) -> Self:
        """Run in the background. An error that ends it is logged at once."""
        self._run(self._target.__aenter__())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, wait for the end, and raise the error that ended it."""
        return self._run(self._target.__aexit__(exc_type, exc, traceback))

    def reset(self, *, timeout: float = STANDSTILL_TIMEOUT) -> None:
        """Begin anew, at the start of the log, or at its end where the stream is tailed.

        Processes that run it pause meanwhile. Parked events are forgotten. The events that were
        handled before come again, as replays. ``timeout`` applies to each lease separately.

        A reset that was interrupted is finished by the next `run`, `run_once` or `reset`.

        Raises:
            ProjectionBusyError: a process did not pause within ``timeout`` seconds.
            ProjectionRetiredError: a later version has taken over.
            StorageError: a storage did not answer.
            TooManyParkedError: more than 1,000 events are parked: retry or drop some.
            TypeError: the storage of the events has no log.
        """
        return self._run(self._target.reset(timeout=timeout))

    def status(self) -> ProjectionStatus:
        """Tell how far it has come, who runs it, and what is parked.

        Before its first start, all events are behind it.

        Raises:
            StorageError: a storage did not answer.
        """
        return self._run(self._target.status())

    def iter_parked_events(self, *, after: LogPosition = LOG_START) -> Iterator[ParkedEvent]:
        """Walk the parked events that follow a position of the log, in its order.

        They are read page by page: the ``position`` of one is where another walk goes on. Those
        without a ``failure`` wait behind an earlier one of their aggregate, or are to be tried
        again.
        """
        return self._iterate(self._target.iter_parked_events(after=after))

    def group_parked_events(self) -> list[ParkedGroup]:
        """Group the parked events by the kind of their failure, the largest group first."""
        return self._run(self._target.group_parked_events())

    def retry_parked_events(
        self, *, kind: str | None = None, event: ParkedEvent | None = None
    ) -> int:
        """Let parked events be tried again: one, all of a kind, or all; return how many.

        The runner tries them once, within seconds, and then the events of their aggregates that
        wait behind them. It reads them anew: an event that was replaced meanwhile is handled as it
        is now. Where nothing runs, the next `run` or `run_once` does it.
        """
        return self._run(self._target.retry_parked_events(kind=kind, event=event))

    def drop_parked_events(
        self, *, kind: str | None = None, event: ParkedEvent | None = None
    ) -> int:
        """Pass over parked events for good: one, or all of a kind; return how many.

        They are never handled. Those of their aggregates that wait behind them are handled next.

        Raises:
            ValueError: neither ``kind`` nor ``event`` is given: nothing is dropped by oversight.
        """
        return self._run(self._target.drop_parked_events(kind=kind, event=event))


class SyncRelay(Facade[Relay]):
    """A relay for synchronous programs. ``with`` runs it in the background."""

    def __init__(
        self,
        relay: Relay,
        *,
        event_loop: EventLoopThread | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(relay, event_loop=event_loop, timeout=timeout)

    @property
    def relay(self) -> Relay:
        """The asynchronous relay."""
        return self._target

    @property
    def name(self) -> str:
        """The name, which tells it from others with the same storage of bookmarks."""
        return self._target.name

    def run(self) -> None:
        """Handle events, and wait for more, until `stop` is called or this is cancelled.

        Either way, the step that is under way may end within the ``grace_period``; then it is
        cancelled, and its transaction is rolled back. Further cancellations change nothing: an
        anyio task group cancels again and again. Then the leases are given back.

        Faults of the storages are reported, and tried again after a growing pause. `run` returns
        when a later version has taken over.

        Raises:
            PartitionsChangedError: it was started with another number of partitions.
            UnknownEventTypeError: a type of event is unknown to its store, and refused.
            RuntimeError: it runs already.
            StorageError: a storage did not answer at the start.
        """
        return self._run(self._target.run())

    def run_once(self) -> int:
        """Handle the events that the log has now, and return how many were handled.

        An event that fails is tried again as in `run`, and then parked.

        Raises:
            ProjectionBusyError: it runs elsewhere.
            ProjectionRetiredError: a later version has taken over.
            CircuitOpenError: too many events fail in a row.
            LeaseLostError: the process was stopped for longer than its lease. The rest is handled
                by the process that has the lease, or at the next call.
            PartitionsChangedError, UnknownEventTypeError: as in `run`.
            StorageError: a storage did not answer.
        """
        return self._run(self._target.run_once())

    def stop(self) -> None:
        """Let `run` come to an end; where it does not run, nothing happens.

        Any thread may call it, and a signal handler too.
        """
        return self._target.stop()

    def __enter__(self) -> Self:
        """Run in the background. An error that ends it is logged at once."""
        self._run(self._target.__aenter__())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, wait for the end, and raise the error that ended it."""
        return self._run(self._target.__aexit__(exc_type, exc, traceback))

    def reset(self, *, timeout: float = STANDSTILL_TIMEOUT) -> None:
        """Begin anew, at the start of the log, or at its end where the stream is tailed.

        Processes that run it pause meanwhile. Parked events are forgotten. The events that were
        handled before come again, as replays. ``timeout`` applies to each lease separately.

        A reset that was interrupted is finished by the next `run`, `run_once` or `reset`.

        Raises:
            ProjectionBusyError: a process did not pause within ``timeout`` seconds.
            ProjectionRetiredError: a later version has taken over.
            StorageError: a storage did not answer.
            TooManyParkedError: more than 1,000 events are parked: retry or drop some.
            TypeError: the storage of the events has no log.
        """
        return self._run(self._target.reset(timeout=timeout))

    def status(self) -> ProjectionStatus:
        """Tell how far it has come, who runs it, and what is parked.

        Before its first start, all events are behind it.

        Raises:
            StorageError: a storage did not answer.
        """
        return self._run(self._target.status())

    def iter_parked_events(self, *, after: LogPosition = LOG_START) -> Iterator[ParkedEvent]:
        """Walk the parked events that follow a position of the log, in its order.

        They are read page by page: the ``position`` of one is where another walk goes on. Those
        without a ``failure`` wait behind an earlier one of their aggregate, or are to be tried
        again.
        """
        return self._iterate(self._target.iter_parked_events(after=after))

    def group_parked_events(self) -> list[ParkedGroup]:
        """Group the parked events by the kind of their failure, the largest group first."""
        return self._run(self._target.group_parked_events())

    def retry_parked_events(
        self, *, kind: str | None = None, event: ParkedEvent | None = None
    ) -> int:
        """Let parked events be tried again: one, all of a kind, or all; return how many.

        The runner tries them once, within seconds, and then the events of their aggregates that
        wait behind them. It reads them anew: an event that was replaced meanwhile is handled as it
        is now. Where nothing runs, the next `run` or `run_once` does it.
        """
        return self._run(self._target.retry_parked_events(kind=kind, event=event))

    def drop_parked_events(
        self, *, kind: str | None = None, event: ParkedEvent | None = None
    ) -> int:
        """Pass over parked events for good: one, or all of a kind; return how many.

        They are never handled. Those of their aggregates that wait behind them are handled next.

        Raises:
            ValueError: neither ``kind`` nor ``event`` is given: nothing is dropped by oversight.
        """
        return self._run(self._target.drop_parked_events(kind=kind, event=event))
