"""Masks: a hook that decides which values of events and aggregates are shown."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from castore_core import ABSENT, Absent, JSONValue


class Field(NamedTuple):
    """The place of a value that is about to be shown.

    Attributes:
        event_store_id: its event store; empty for an output, and for an error that belongs to none.
        event_type: the type of its event; ``None`` in the state of an aggregate.
        path: the keys and indexes that lead to it. They begin with ``payload``, ``metadata``,
            ``aggregate``, ``output`` (of a command), or with ``failure`` or ``error`` where a text
            may quote a value.
    """

    event_store_id: str
    event_type: str | None
    path: tuple[str | int, ...]


Mask: TypeAlias = Callable[[Field, JSONValue], JSONValue]
"""A function that is given each value, from the outside in, and returns what is shown instead.

Where it returns another object than it was given, it is not asked about what is inside. If it
raises, the page is an error and shows nothing.
"""


class Masking:
    """Applies a mask, if there is one."""

    def __init__(self, mask: Mask | None = None) -> None:
        self._mask = mask

    def apply(self, field: Field, value: JSONValue | Absent) -> JSONValue | Absent:
        """Return what is shown of a value; the value itself stays as it is."""
        if self._mask is None or isinstance(value, Absent):
            return value
        return _apply(self._mask, field, value)

    def apply_to_text(self, event_store_id: str, name: str, text: str) -> str:
        """Return what is shown of a text that may quote values, such as that of an error."""
        shown = self.apply(Field(event_store_id, None, (name,)), text)
        return "" if shown is ABSENT or shown is None else str(shown)


def _apply(mask: Mask, field: Field, value: JSONValue) -> JSONValue:
    shown = mask(field, value)
    if shown is not value:
        return shown
    if isinstance(value, dict):
        return {key: _apply(mask, _enter(field, key), each) for key, each in value.items()}
    if isinstance(value, list):
        return [_apply(mask, _enter(field, index), each) for index, each in enumerate(value)]
    return value


def _enter(field: Field, step: str | int) -> Field:
    return field._replace(path=(*field.path, step))
