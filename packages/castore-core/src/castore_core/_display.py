"""Values of any kind as JSON, to be looked at."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from math import isfinite
from typing import Any, cast

from castore_core._json import JSONValue
from castore_core._store import EventStore
from castore_core._timestamp import format_timestamp


def to_json_state(event_store: EventStore[Any, Any], state: object) -> JSONValue:
    """Return an aggregate as a JSON value: by the store's codec or, without one, field by field.

    Values that JSON lacks become texts.
    """
    codec = event_store.aggregate_codec
    return to_json(state if codec is None else codec.encode(cast("Any", state)))


def to_json(value: object) -> JSONValue:
    """Return a JSON value that a person recognizes as the value.

    Dataclasses, pydantic models and objects with an ``aggregate_id`` become objects, without
    attributes that begin with an underscore. Sets become sorted lists, so that two of them can be
    compared. Other values that JSON lacks become texts.

    Raises:
        RecursionError: the value is within itself, or too deep.
    """
    while isinstance(value, Enum):
        value = value.value
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, datetime):
        return str(value) if value.tzinfo is None else format_timestamp(value)
    return _to_json_container(value)


def _to_json_container(value: Any) -> JSONValue:
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(to_json(key)): to_json(each) for key, each in items}
    if isinstance(value, (list, tuple)):
        return [to_json(each) for each in cast("list[object]", value)]
    if isinstance(value, (set, frozenset)):
        return _to_sorted_list(cast("frozenset[object]", value))
    return _to_json_object(value)


def _to_sorted_list(values: frozenset[object]) -> list[JSONValue]:
    shown: list[Any] = [to_json(each) for each in values]
    try:
        return sorted(shown)
    except TypeError:  # values of several kinds have no order of their own
        return sorted(shown, key=repr)


def _to_json_object(value: Any) -> JSONValue:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if not isinstance(value, type) and callable(dump := getattr(value, "model_dump", None)):
        return to_json(dump(mode="json"))
    if hasattr(value, "aggregate_id") and hasattr(value, "__dict__"):
        items = cast("dict[str, object]", vars(value)).items()
        return {key: to_json(each) for key, each in items if not key.startswith("_")}
    return str(value)
