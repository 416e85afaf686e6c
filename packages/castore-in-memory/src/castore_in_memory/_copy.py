"""Copies of JSON values, so that what is stored or sent shares nothing with its writer."""

from typing import TypeVar, cast

J = TypeVar("J")


def copy_json(value: J) -> J:
    """Return a deep copy of a JSON value; anything else is returned as it is."""
    if isinstance(value, dict):
        items = cast("dict[str, object]", value)
        return cast("J", {key: copy_json(item) for key, item in items.items()})
    if isinstance(value, list):
        return cast("J", [copy_json(item) for item in cast("list[object]", value)])
    return value
