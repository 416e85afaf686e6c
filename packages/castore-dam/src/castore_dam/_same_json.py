"""Whether two stored events are the same, whichever storages they come from."""

from typing import Any, cast

from castore_core import EventRecord

_NUMBERS = (int, float)


def is_same_event(first: EventRecord, second: EventRecord) -> bool:
    """Tell whether two records are equal, in their JSON values too."""
    return first[:4] == second[:4] and all(
        _is_same_json(*pair) for pair in zip(first[4:], second[4:], strict=True)
    )


def _is_same_json(first: Any, second: Any) -> bool:
    """Tell whether two JSON values, or absences, are equal.

    ``1`` and ``1.0`` are, because some storages have one kind of number; ``1`` and ``True`` are
    not. The order of keys does not count, because some storages do not keep it.
    """
    if type(first) in _NUMBERS and type(second) in _NUMBERS:
        return _are_same_numbers(first, second)
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        one, other = cast("dict[str, Any]", first), cast("dict[str, Any]", second)
        return one.keys() == other.keys() and all(
            _is_same_json(one[key], other[key]) for key in one
        )
    if isinstance(first, list):
        return _are_same_items(cast("Any", first), second)
    return bool(first == second)


def _are_same_items(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(map(_is_same_json, first, second))


def _are_same_numbers(first: float, second: float) -> bool:
    """Compare numbers; where one is a float, as floats: ``1e300`` may come back with all digits."""
    if type(first) is type(second):
        return first == second
    try:
        return float(first) == float(second)
    except OverflowError:
        return False
