"""How expected events and messages are compared with those that came, and how both are shown."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from difflib import ndiff
from typing import Any, Final, Literal, TypeAlias, cast

from castore_core import Event, EventDraft

Ignorable: TypeAlias = Literal["aggregate_id", "version", "timestamp"]

TIMESTAMP: Final[tuple[Ignorable, ...]] = ("timestamp",)

_IGNORABLE = {"aggregate_id", "version", "timestamp"}


@dataclass(repr=False, eq=False)
class Shown:
    """The compared parts of an event or a message."""

    kind: type[object]
    values: dict[str, object]

    __hash__ = None  # type: ignore[assignment]  # it is mutable

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Shown):
            return NotImplemented
        return self.kind is other.kind and _typed(self.values) == _typed(other.values)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"{self.kind.__name__}({values})"


def check_ignore(ignore: Collection[str]) -> frozenset[str]:
    """Refuse what cannot be ignored, and a lone string.

    Raises:
        ValueError: it is none of the fields of an event that may be ignored.
    """
    names = {ignore} if isinstance(ignore, str) else set(ignore)
    if isinstance(ignore, str) or not names <= _IGNORABLE:
        raise ValueError(f"ignore is a collection of {sorted(_IGNORABLE)}, not {ignore!r}")
    return frozenset(names)


def check_events(events: Iterable[object]) -> None:
    """Refuse what can never have been pushed.

    Raises:
        TypeError: one of them is neither an event nor a draft.
    """
    for each in events:
        if not isinstance(each, (Event, EventDraft)):
            raise TypeError(f"neither an event nor a draft: {each!r}")


def assert_alike(
    expected: Sequence[object],
    actual: Sequence[object],
    *,
    ignore: Collection[str],
    what: str,
) -> None:
    """Compare events, drafts or messages one by one.

    Raises:
        AssertionError: they differ. It shows them line by line.
    """
    __tracebackhide__ = True
    expected_shown = [_show(each, ignore) for each in expected]
    actual_shown = [_show(each, ignore) for each in actual]
    for item, said, shown in zip(expected, expected_shown, actual_shown, strict=False):
        if isinstance(item, EventDraft) and said.kind is shown.kind:
            shown.values = {name: shown.values.get(name) for name in said.values}
    assert expected_shown == actual_shown, describe_difference(expected_shown, actual_shown, what)


def describe_difference(expected: Iterable[object], actual: Iterable[object], what: str) -> str:
    """Return both, a line each, and marks of where they differ."""
    lines = ndiff([repr(each) for each in expected], [repr(each) for each in actual])
    shown = (line.rstrip() for line in lines)
    return "\n".join([f"{what} (- expected, + actual)", *shown, ""])


def _show(item: object, ignore: Collection[str]) -> Shown:
    if isinstance(item, EventDraft):
        draft = cast("EventDraft[Event]", item)
        return Shown(draft.event_type, _without(_say(draft), ignore))
    values = {each.name: getattr(item, each.name) for each in fields(cast("Any", item))}
    if "timestamp" in ignore:
        values.pop("initial_event_timestamp", None)
    if isinstance(item, Event):
        return Shown(type(item), _without(values, ignore))
    event = values.get("event")
    if isinstance(event, Event):
        values["event"] = _show(event, ignore)
    return Shown(type(item), values)


def _say(draft: EventDraft[Event]) -> dict[str, object]:
    """Return what a draft says, as an event of its type would hold it."""
    try:
        event = draft.to_event("any", 1)
    except TypeError:  # it does not say all that an event needs
        return draft.values
    return {name: getattr(event, name) for name in draft.values}


def _without(values: dict[str, object], ignore: Collection[str]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name not in ignore}


def _typed(value: object) -> object:
    """Return a form of a value whose equality tells ``True``, ``1`` and ``1.0`` apart."""
    if isinstance(value, dict):
        return {key: _typed(each) for key, each in cast("dict[object, object]", value).items()}
    if isinstance(value, list):
        return [_typed(each) for each in cast("list[object]", value)]
    return (type(value), value) if isinstance(value, (int, float)) else value
