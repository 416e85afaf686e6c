"""Differences between two JSON values, value by value."""

import json
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

from castore_core import ABSENT, Absent, JSONValue

Kind: TypeAlias = Literal["added", "removed", "changed", "same"]
_Leaves: TypeAlias = dict[str, JSONValue]


class Change(NamedTuple):
    """A value within two JSON values, before and after; absent on a side that lacks it."""

    path: str
    before: JSONValue | Absent
    after: JSONValue | Absent

    @property
    def kind(self) -> Kind:
        """The kind of the change."""
        if isinstance(self.before, Absent):
            return "added"
        if isinstance(self.after, Absent):
            return "removed"
        return "same" if _is_same(self.before, self.after) else "changed"


def compare(before: JSONValue | Absent, after: JSONValue | Absent) -> list[Change]:
    """Return all the values within two JSON values, in the order of the later one.

    The values are those that have nothing inside: texts, numbers, empty lists. A value that was
    removed comes where the earlier one had it.
    """
    old, new = flatten(before), flatten(after)
    return [Change(path, old.get(path, ABSENT), new.get(path, ABSENT)) for path in _merge(old, new)]


def flatten(value: JSONValue | Absent) -> _Leaves:
    """Return the values that have nothing inside, by their paths: ``lines[0].price``."""
    return {} if isinstance(value, Absent) else dict(_iter_leaves("", value))


def _iter_leaves(path: str, value: JSONValue) -> Iterator[tuple[str, JSONValue]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _iter_leaves(_enter(path, key), each)
    elif isinstance(value, list) and value:
        for index, each in enumerate(value):
            yield from _iter_leaves(f"{path}[{index}]", each)
    else:
        yield path, value


def _enter(path: str, key: str) -> str:
    """Return the path of a key; keys that could be mistaken for a path are quoted."""
    if not key or any(each in key for each in '.[]"'):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def _merge(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    paths = list(new)
    last = -1
    places = {path: index for index, path in enumerate(paths)}
    removed: list[tuple[int, str]] = []
    for path in old:
        if path in places:
            last = places[path]
        else:
            removed.append((last, path))
    for place, path in reversed(removed):
        paths.insert(place + 1, path)
    return paths


def _is_same(before: JSONValue, after: JSONValue) -> bool:
    return type(before) is type(after) and before == after
