"""The graph of causes: which event of a correlation caused which."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from castore_visualizer._events import ShownEvent

BOX_WIDTH: Final = 216
BOX_HEIGHT: Final = 58
_GAP_X: Final = 64
_GAP_Y: Final = 18
_MARGIN: Final = 20


@dataclass(frozen=True)
class Box:
    """An event in the graph; without one, a cause that is not among the events."""

    message_id: str
    event: ShownEvent | None
    x: int
    y: int


@dataclass(frozen=True)
class Link:
    """A cause and its effect: the path of a line between their boxes."""

    path: str


@dataclass(frozen=True)
class Graph:
    """The boxes and lines of a graph."""

    boxes: Sequence[Box]
    links: Sequence[Link]
    width: int
    height: int
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


def draw_graph(events: Sequence[ShownEvent]) -> Graph:
    """Return the graph of some events: causes on the left, and their effects to the right.

    Events that name no cause begin at the left. A cause that is missing has a box without event.
    """
    by_id: dict[str, ShownEvent | None] = {each.message_id: each for each in events}
    causes = {
        each.message_id: each.causation_id
        for each in events
        if each.causation_id is not None and each.causation_id != each.message_id
    }
    for cause in causes.values():
        by_id.setdefault(cause, None)
    effects: dict[str, list[str]] = {}
    for effect, cause in causes.items():
        effects.setdefault(cause, []).append(effect)
    boxes = _place(by_id, [each for each in by_id if each not in causes], effects)
    places = {each.message_id: each for each in boxes}
    links = [_link(places[cause], places[effect]) for effect, cause in causes.items()]
    return Graph(
        boxes,
        links,
        max((each.x for each in boxes), default=0) + BOX_WIDTH + _MARGIN,
        max((each.y for each in boxes), default=0) + BOX_HEIGHT + _MARGIN,
    )


def _place(
    events: dict[str, ShownEvent | None], roots: Sequence[str], effects: dict[str, list[str]]
) -> list[Box]:
    """Place each event below its siblings, one column to the right of its cause."""
    boxes: list[Box] = []
    placed: set[str] = set()
    row = 0
    # Events that cause each other in a circle have no root: they follow as roots of their own.
    stack = [(each, 0) for each in [*roots, *events][::-1]]
    while stack:
        message_id, depth = stack.pop()
        if message_id in placed:
            continue
        placed.add(message_id)
        x, y = _MARGIN + depth * (BOX_WIDTH + _GAP_X), _MARGIN + row * (BOX_HEIGHT + _GAP_Y)
        boxes.append(Box(message_id, events[message_id], x, y))
        following = [each for each in effects.get(message_id, []) if each not in placed]
        row += not following
        stack += [(each, depth + 1) for each in following[::-1]]
    return boxes


def _link(cause: Box, effect: Box) -> Link:
    x1, y1 = cause.x + BOX_WIDTH, cause.y + BOX_HEIGHT // 2
    x2, y2 = effect.x, effect.y + BOX_HEIGHT // 2
    bend = x1 + _GAP_X // 2
    return Link(f"M {x1} {y1} C {bend} {y1}, {x2 - _GAP_X // 2} {y2}, {x2} {y2}")
