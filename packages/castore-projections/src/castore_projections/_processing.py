"""The seam between reading the events of a log and handling them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from castore_core import Lease, LogEntry, LogPosition, ParkedEvent


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a reader: events to handle, and the move of the bookmark that goes with them.

    Attributes:
        lease: the right to move the bookmark.
        entries: the events to handle, in the order of the log.
        position: where the bookmark is after the step.
        attempt: how often these events are tried, this time included.
        parked: the events that are parked with the step.
        unparked: the positions of those that are parked no longer.
    """

    lease: Lease
    entries: Sequence[LogEntry]
    position: LogPosition
    attempt: int = 1
    parked: Sequence[ParkedEvent] = ()
    unparked: Sequence[LogPosition] = ()


class EntryFailedError(Exception):
    """An event of a step failed, and the bookmark did not move. The error is the ``__cause__``.

    Args:
        entry: the first event that failed.
        handled: the positions of events of the step that need not be handled again.
    """

    def __init__(self, entry: LogEntry, handled: Collection[LogPosition] = ()) -> None:
        super().__init__(entry, handled)
        self.entry = entry
        self.handled = handled

    def get_error(self) -> BaseException:
        """Return the error that the event failed with."""
        return self.__cause__ or self


class Processor(Protocol):
    """Handles the events that a reader gives it."""

    def wants(self, entry: LogEntry) -> bool:
        """Tell whether an event is one to handle."""
        ...

    async def process(self, step: Step) -> None:
        """Handle the events of a step, and move the bookmark.

        Raises:
            EntryFailedError: an event failed.
            LeaseLostError: the bookmark could not move.
            StorageError: the storage of bookmarks did not answer. Where an event failed because
                the transaction was lost, an `EntryFailedError` is the cause.
        """
        ...

    def is_hopeless(self, error: BaseException) -> bool:
        """Tell whether a further attempt would fail, too."""
        ...

    def is_fatal(self, error: BaseException) -> bool:
        """Tell whether the reader ends with an error, once the events before it are handled."""
        ...
