"""The timeline of an aggregate: its events at their places in time, as shapes of an SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from castore_visualizer._events import ShownEvent

WIDTH: Final = 1000
HEIGHT: Final = 132
_LEFT: Final = 24
_BASE: Final = 92
_RADIUS: Final = 7
_STEP: Final = 2 * _RADIUS + 3
_MOST_IN_STACK: Final = 5
_TICKS: Final = 8
_STEPS: Final = (
    *(timedelta(milliseconds=each) for each in (1, 5, 10, 50, 100, 500)),
    *(timedelta(seconds=each) for each in (1, 5, 15, 30)),
    *(timedelta(minutes=each) for each in (1, 5, 15, 30)),
    *(timedelta(hours=each) for each in (1, 3, 6, 12)),
    *(timedelta(days=each) for each in (1, 2, 7, 14, 30, 91, 182, 365, 730, 1826, 3652)),
)


@dataclass(frozen=True)
class Mark:
    """An event on the timeline."""

    event: ShownEvent
    x: float
    y: float


@dataclass(frozen=True)
class Tick:
    """A moment on the axis."""

    x: float
    label: str


@dataclass(frozen=True)
class Timeline:
    """The shapes of a timeline; ``span`` is the time between its first and last event."""

    marks: Sequence[Mark]
    ticks: Sequence[Tick]
    span: timedelta
    width: int = WIDTH
    height: int = HEIGHT
    base: int = _BASE
    radius: int = _RADIUS


def lay_out(events: Sequence[ShownEvent]) -> Timeline:
    """Return the timeline of some events. Events that would overlap are stacked."""
    moments = [each.timestamp for each in events]
    if not moments:
        return Timeline([], [], timedelta())
    start, end = min(moments), max(moments)
    scale = _Scale(start, end)
    marks = _stack([(each, scale.place(each.timestamp)) for each in events])
    return Timeline(marks, _make_ticks(scale), end - start)


class _Scale:
    """Maps moments to places."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self.start = start
        self.end = end

    def place(self, moment: datetime) -> float:
        span = (self.end - self.start).total_seconds()
        share = (moment - self.start).total_seconds() / span if span else 0.5
        return round(_LEFT + share * (WIDTH - 2 * _LEFT), 1)


def _stack(placed: Sequence[tuple[ShownEvent, float]]) -> list[Mark]:
    marks: list[Mark] = []
    column, height = -1e9, 0
    for event, x in sorted(placed, key=lambda each: (each[1], each[0].version)):
        if x - column < _STEP - 2 and height < _MOST_IN_STACK - 1:
            height += 1
        elif x - column < _STEP - 2:
            column, height = column + _STEP, 0
        else:
            column, height = x, 0
        marks.append(
            Mark(event, min(column, WIDTH - _RADIUS), _BASE - _RADIUS - 4 - height * _STEP)
        )
    return sorted(marks, key=lambda mark: mark.event.version)


def _make_ticks(scale: _Scale) -> list[Tick]:
    span = scale.end - scale.start
    if not span:
        return [Tick(scale.place(scale.start), _label(scale.start, timedelta(seconds=1)))]
    step = next((each for each in _STEPS if span / each <= _TICKS), _STEPS[-1])
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    first = (scale.start - epoch) // step + 1
    last = min((scale.end - epoch) // step, first + 2 * _TICKS)
    moments = [epoch + each * step for each in range(first, last + 1)]
    return [Tick(scale.place(each), _label(each, step)) for each in moments]


def _label(moment: datetime, step: timedelta) -> str:
    if step >= timedelta(days=365):
        return f"{moment:%Y-%m}"
    if step >= timedelta(days=1):
        return f"{moment:%Y-%m-%d}"
    if step >= timedelta(minutes=1):
        return f"{moment:%b %d %H:%M}"
    return f"{moment:%H:%M:%S}" if step >= timedelta(seconds=1) else f"{moment:%H:%M:%S.%f}"[:-3]
