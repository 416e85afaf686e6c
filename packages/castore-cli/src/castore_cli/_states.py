"""Aggregates as JSON values, to be looked at."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from math import isfinite
from typing import Any, cast

from castore_core import Aggregate, EventStore, JSONValue, format_timestamp


def to_json_state(store: EventStore, state: Aggregate) -> JSONValue:
    """Return an aggregate as a JSON value: by the store's codec or, without one, field by field.

    Values that JSON lacks become texts.
    """
    if store.aggregate_codec is not None:
        return _to_json(store.aggregate_codec.encode(state))
    return _to_json(state)


def _to_json(value: Any) -> JSONValue:
    match value:
        case None | bool() | int() | float() | str() if _is_json(value):
            return cast("JSONValue", value)
        case Enum():
            return _to_json(value.value)
        case datetime():
            return str(value) if value.tzinfo is None else format_timestamp(value)
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {str(_to_json(key)): _to_json(each) for key, each in items}
        case list() | tuple() | set() | frozenset():
            return [_to_json(each) for each in cast("list[object]", value)]
        case _:
            return _to_json_object(value)


def _is_json(value: object) -> bool:
    return not isinstance(value, Enum) and not (isinstance(value, float) and not isfinite(value))


def _to_json_object(value: Any) -> JSONValue:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _to_json(getattr(value, each.name)) for each in fields(value)}
    if hasattr(value, "aggregate_id") and hasattr(value, "__dict__"):
        items = cast("dict[str, object]", vars(value)).items()
        return {key: _to_json(each) for key, each in items if not key.startswith("_")}
    return str(value)
