"""Aggregates as JSON values, to be looked at."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, cast

from castore_core import EventStore, JSONValue, format_timestamp


def to_json_state(store: EventStore, state: object) -> JSONValue:
    """Return an aggregate as a JSON value: by the store's codec or, without one, field by field.

    Values that JSON lacks become texts.
    """
    if store.aggregate_codec is not None:
        return to_json(store.aggregate_codec.encode(cast("Any", state)))
    return to_json(state)


def to_json(value: Any) -> JSONValue:
    """Return a JSON value that a person recognizes as the value."""
    match value:
        case Enum():
            return to_json(value.value)
        case None | bool() | int() | float() | str():
            return cast("JSONValue", value)
        case datetime():
            return str(value) if value.tzinfo is None else format_timestamp(value)
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {str(to_json(key)): to_json(each) for key, each in items}
        case list() | tuple() | set() | frozenset():
            return [to_json(each) for each in cast("list[object]", value)]
        case _:
            return _to_json_object(value)


def _to_json_object(value: Any) -> JSONValue:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if callable(dump := getattr(value, "model_dump", None)):
        return to_json(dump(mode="json"))
    if hasattr(value, "aggregate_id") and hasattr(value, "__dict__"):
        items = cast("dict[str, object]", vars(value)).items()
        return {key: to_json(each) for key, each in items if not key.startswith("_")}
    return str(value)
