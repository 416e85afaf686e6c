"""JSON values without their levels, for `pickle`, which gives up at some 490 of them."""

from typing import Any, NamedTuple

from castore_core import Absent, JSONValue


class Flattened(NamedTuple):
    """A JSON value as the list of its parts: each container comes before what it holds."""

    parts: list[Any]


class _Array(NamedTuple):
    length: int


class _Object(NamedTuple):
    keys: list[str]


def flatten(value: JSONValue | Absent) -> Flattened:
    """Return a value without its levels, of which there may be any number."""
    parts: list[Any] = []
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            parts.append(_Object([*each]))
            pending.extend(each.values())
        elif isinstance(each, list):
            parts.append(_Array(len(each)))
            pending.extend(each)
        else:
            parts.append(each)
    return Flattened(parts)


def restore(flattened: Flattened) -> Any:
    """Return the value that `flatten` took."""
    built: list[Any] = []
    # the parts of a container come first to last, then the container
    for part in reversed(flattened.parts):
        if isinstance(part, _Object):
            built.append(dict(zip(part.keys, _take(built, len(part.keys)), strict=True)))
        elif isinstance(part, _Array):
            built.append(_take(built, part.length))
        else:
            built.append(part)
    return built[0]


def _take(built: list[Any], count: int) -> list[Any]:
    """Remove the last values of a list, and return them."""
    begin = len(built) - count
    taken = built[begin:]
    del built[begin:]
    return taken
