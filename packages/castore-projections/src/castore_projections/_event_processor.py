"""Handles events with the handlers of a projection, in the transaction of its bookmark."""

from collections.abc import Callable, Sequence
from typing import Any

from castore_core import (
    BookmarkStorageAdapter,
    LogEntry,
    LogPosition,
)
from castore_core.telemetry import installed
from castore_core.workers import ends_task, handling
from castore_projections._context import ProjectionContext
from castore_projections._failures import is_unreadable
from castore_projections._handlers import AnyHandler, Handlers
from castore_projections._identity import Identity
from castore_projections._processing import EntryFailedError, Step
from castore_projections._telemetry import observe_event


class EventProcessor:
    """Calls the handlers of events, and moves the bookmark in the same transaction.

    Args:
        identity: the projection.
        handlers: its handlers.
        bookmarks: where its bookmarks are.
        is_replay: tells whether an event was handled before.
    """

    def __init__(
        self,
        identity: Identity,
        handlers: Handlers,
        bookmarks: BookmarkStorageAdapter[Any],
        is_replay: Callable[[LogEntry], bool],
    ) -> None:
        self._identity = identity
        self._handlers = handlers
        self._bookmarks = bookmarks
        self._is_replay = is_replay

    def wants(self, entry: LogEntry) -> bool:
        """Tell whether an event is one to handle."""
        return self._handlers.wants(entry)

    async def process(self, step: Step) -> None:
        """Handle the events of a step in one transaction.

        Raises:
            EntryFailedError: a handler raised, or an event could not be decoded.
        """
        move = self._bookmarks.move_bookmark
        async with move(
            step.lease, step.position, parked=step.parked, unparked=step.unparked
        ) as transaction:
            handled: list[LogPosition] = []
            for entry in step.entries:
                try:
                    is_replay = self._is_replay(entry)
                    await self.handle(entry, transaction, is_replay=is_replay, attempt=step.attempt)
                except BaseException as error:
                    if ends_task(error):
                        raise
                    # Only a transaction takes back what handlers have done.
                    kept = handled if transaction is None else ()
                    raise EntryFailedError(entry, kept) from error
                handled.append(entry.position)

    async def handle(
        self, entry: LogEntry, transaction: object, *, is_replay: bool, attempt: int = 1
    ) -> bool:
        """Call the handlers of one event, and tell whether it has any."""
        event, handlers = self._handlers.find(entry)
        if not handlers:
            return False
        context = ProjectionContext(
            transaction=transaction,
            projection=self._identity.name,
            version=self._identity.version,
            event_store_id=entry.event_store_id,
            record=entry.record.copy(),
            position=entry.position or None,
            is_replay=is_replay,
            attempt=attempt,
        )
        with handling(entry):
            if installed.telemetry is None:
                await self._call(handlers, event, entry, context)
            else:
                with observe_event(self._identity, entry, context):
                    await self._call(handlers, event, entry, context)
        return True

    async def _call(
        self, handlers: Sequence[AnyHandler], event: Any, entry: LogEntry, context: Any
    ) -> None:
        for handler in handlers:
            await handler(event, context)
            event = self._handlers.decode(entry) if handler is not handlers[-1] else None

    def is_hopeless(self, error: BaseException) -> bool:
        """Tell whether a further attempt would fail, too: the event is not readable."""
        return is_unreadable(error)

    def is_fatal(self, error: BaseException) -> bool:
        """Tell whether the projection ends: a type is unknown, and refused."""
        return self._handlers.refuses(error)
