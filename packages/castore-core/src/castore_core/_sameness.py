"""Whether two states are the same, whatever their classes call equal."""

import sys
from collections import deque
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

_NUMBERS: Final = (int, float)  # of which a storage may make the other
_PASSED_OVER: Final = ("__dict__", "__weakref__", "__pydantic_fields_set__")


def is_same(first: object, second: object) -> bool:
    """Tell whether two states are equal, of the same types, and hold the same attributes.

    An ``__eq__`` alone may compare ids, or leave fields out. Values of cached properties do not
    count, nor does the order of keys.
    """
    return _Comparison().compare(first, second)


class _Comparison:
    """Compares states that may refer to themselves."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def compare(self, first: Any, second: Any) -> bool:
        if first is second or _are_equal_numbers(first, second):
            return True
        if type(first) is not type(second):
            return False
        key = (id(first), id(second))
        if key in self._seen:
            return True
        self._seen.add(key)
        return self._compare_held(first, second) and self._compare_attributes(first, second)

    def _compare_held(self, first: Any, second: Any) -> bool:
        """Compare two objects of one type without their attributes."""
        whole: Any = first  # whose type does not become narrower
        match first:
            case Mapping():
                return len(whole) == len(second) and all(
                    key in second and self.compare(each, second[key]) for key, each in whole.items()
                )
            case list() | tuple() | deque():
                pairs = zip(whole, second, strict=False)
                return len(whole) == len(second) and all(self.compare(*each) for each in pairs)
            case set() | frozenset():
                others = {each: each for each in second}
                return whole == second and all(self.compare(each, others[each]) for each in whole)
            case _:
                equals: Any = type(whole).__eq__
                has_equals = equals is not object.__eq__
                return bool(first == second) if has_equals else bool(get_attributes(first))

    def _compare_attributes(self, first: object, second: object) -> bool:
        if type(first).__module__.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
            return True
        attributes, others = get_attributes(first), get_attributes(second)
        return attributes.keys() == others.keys() and all(
            self.compare(each, others[name]) for name, each in attributes.items()
        )


def _are_equal_numbers(first: object, second: object) -> bool:
    return type(first) in _NUMBERS and type(second) in _NUMBERS and first == second


def get_attributes(value: object) -> dict[str, object]:
    """Return what the instance itself holds, without what is computed from it."""
    cls = type(value)
    found = {
        name: each
        for name, each in getattr(value, "__dict__", {}).items()
        if not isinstance(getattr(cls, name, None), cached_property)
    }
    for owner in cls.__mro__:
        slots = vars(owner).get("__slots__", ())
        for slot in [slots] if isinstance(slots, str) else slots:
            is_mangled = slot.startswith("__") and not slot.endswith("__")
            name = f"_{owner.__name__.lstrip('_')}{slot}" if is_mangled else slot
            if name not in _PASSED_OVER and hasattr(value, name):
                found[name] = getattr(value, name)
    return found
