"""Progress of long work: a count, a rate and the time left."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from castore_cli._texts import make_visible


class Progress:
    """Shows on stderr how far some work is, while its context lasts.

    It shows nothing where stderr is no terminal, and with ``--json`` or ``--quiet``. Without a
    ``total``, there is no bar and no time left.
    """

    def __init__(self, description: str, total: float | None, console: Console | None) -> None:
        self._count = 0
        self._bars = None if console is None else _make_bars(console, total)
        self._task_id = None
        if self._bars is not None:
            self._task_id = self._bars.add_task(make_visible(description), total=total)

    @property
    def count(self) -> int:
        """How much was done so far."""
        return self._count

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def advance(self, number: int = 1) -> None:
        """Tell that ``number`` more are done."""
        self.update(self._count + number)

    def update(self, count: int, *, total: float | None = None) -> None:
        """Tell how much is done altogether and, where it is known by now, of how much."""
        self._count = count
        if self._bars is not None and self._task_id is not None:
            self._bars.update(self._task_id, completed=count, total=total)


class _CountColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        of_total = "" if task.total is None else f" of {task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{of_total}")


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


def _make_bars(console: Console, total: float | None) -> RichProgress:
    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False)]
    if total is not None:
        columns.append(BarColumn())
    columns += [_CountColumn(), _RateColumn(), TimeElapsedColumn()]
    if total is not None:
        columns += [TextColumn("left:"), TimeRemainingColumn()]
    return RichProgress(*columns, console=console)
