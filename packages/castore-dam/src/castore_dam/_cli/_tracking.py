"""The progress of an operation, and what is left of it when it ends early."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from castore_cli import Progress as Bar
from castore_cli import Terminal
from castore_core import EventStore, is_event_log
from castore_dam._progress import Phase, Progress
from castore_dam.errors import DamError

BEGINS_ANEW: Final = "without --checkpoint, the next run begins anew"
PASSES_OVER: Final = "repeat the command: it passes over the events that are there already"
_WRITING: Final[tuple[Phase, ...]] = ("pouring", "migrating", "exporting", "importing")


class Tracking:
    """Shows how far an operation is, phase by phase, while its context lasts.

    Args:
        terminal: shows it.
        total: how many events the first phase has, where the operation does not tell.
        advice: tells how to go on, where it was interrupted, or failed with a part of its work done
            and not by an error that comes again.
    """

    def __init__(
        self, terminal: Terminal, *, total: int | None = None, advice: str | None = None
    ) -> None:
        self._terminal = terminal
        self._total = total
        self._advice = advice
        self._phase: Phase | None = None
        self._bar: Bar | None = None
        self._last: Progress | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the operation has told of anything."""
        return self._last is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()
        if error is not None and self._advice is not None and self._may_go_on(error):
            place = "" if self._last is None else f" {_describe(self._last)}"
            self._terminal.say(f"stopped{place}: {self._advice}")

    def expect(self, total: int | None) -> None:
        """Take how many events the first phase has, before it begins."""
        self._total = total

    def report(self, progress: Progress) -> None:
        """Show how far it is: a `ProgressHook`."""
        if self._bar is None or progress.phase != self._phase:
            self._close()
            total = self._total if self._phase is None else None
            self._phase = progress.phase
            total = total if progress.total is None else progress.total
            self._bar = self._terminal.track(progress.phase, total=total).__enter__()
        self._bar.update(progress.done, total=progress.total)
        self._last = progress

    def _may_go_on(self, error: BaseException) -> bool:
        if not isinstance(error, Exception):  # an interruption
            return True
        has_written = self._last is not None and self._last.phase in _WRITING
        return has_written and not isinstance(error, DamError)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def advise(checkpoint: Path | None, otherwise: str) -> str:
    """Return what a user does about an operation that has ended early."""
    if checkpoint is None:
        return otherwise
    return f"repeat the command, and it goes on from {str(checkpoint)!r}"


async def count_events(terminal: Terminal, stores: Iterable[EventStore]) -> int | None:
    """Count the events of stores, for a progress that is shown and where the storages have logs."""
    total = 0
    for each in stores:
        adapter = each.get_storage_adapter()
        if not (terminal.shows_progress and is_event_log(adapter)):
            return None
        total += await adapter.count_events([each.event_store_id])
    return total


def _describe(progress: Progress) -> str:
    of_total = "" if progress.total is None else f" of {progress.total:,}"
    return f"while {progress.phase}, at {progress.done:,}{of_total}"
