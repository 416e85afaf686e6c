"""An event whose annotations are texts."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from castore_core import Event, JSONValue


class Tree(TypedDict):
    """A payload with parts like itself."""

    name: str
    more: NotRequired[dict[str, JSONValue]]
    parts: NotRequired[list[Tree]]


class Planted(Event, type="PLANTED"):
    """A tree was planted."""

    payload: Tree
    metadata: JSONValue = None
