"""JSON schemas of plain Python types, for commands that have no schema of their own."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NotRequired,
    Required,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

from typing_extensions import ReadOnly, is_typeddict

from castore_core.display import to_json

Schema: TypeAlias = dict[str, Any]
"""A JSON schema that is an object."""

_SIMPLE: Final[Mapping[Any, Schema]] = {
    NoneType: {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    Decimal: {"type": "string", "format": "decimal"},
    UUID: {"type": "string", "format": "uuid"},
}
QUALIFIERS: Final = (Annotated, NotRequired, ReadOnly, Required)
"""Types around a type, which say more about it."""


def describe_type(annotation: Any, within: tuple[Any, ...] = ()) -> Schema:
    """Return the JSON schema of a type: a dataclass, a ``TypedDict``, or what they are made of.

    A type that is not known, or that is within itself, may hold anything.
    """
    if any(annotation is each for each in within):
        return {}
    within = (*within, annotation)
    if get_origin(annotation) in QUALIFIERS:
        return describe_type(get_args(annotation)[0], within)
    simple = next((each for kind, each in _SIMPLE.items() if annotation is kind), None)
    if simple is not None:
        return simple
    if is_typeddict(annotation):
        return _describe_typed_dict(annotation, within)
    return _describe_class(annotation, within) or _describe_generic(annotation, within)


def describe_parameters(function: Callable[..., Any], skipped: int) -> Schema:
    """Return the JSON schema of the arguments of a function, but for the first ones."""
    hints = find_hints(function)
    parameters = list(inspect.signature(function).parameters.values())[skipped:]
    named = [
        each for each in parameters if each.kind not in {each.VAR_KEYWORD, each.VAR_POSITIONAL}
    ]
    properties = {
        each.name: _add_default(describe_type(hints.get(each.name, Any)), each.default)
        for each in named
    }
    required = [each.name for each in named if each.default is inspect.Parameter.empty]
    return {"type": "object", "properties": properties, "required": required}


def find_hints(function: Any) -> dict[str, Any]:
    """Return the annotations of a function or class, as far as their names can be looked up."""
    try:
        return get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001 an annotation may raise anything
        return {}


def _describe_class(annotation: Any, within: tuple[Any, ...]) -> Schema | None:
    make_schema: Any = getattr(annotation, "model_json_schema", None)
    if make_schema is not None:
        return _ask_model(make_schema)
    if isinstance(annotation, type) and is_dataclass(annotation):
        return _describe_dataclass(annotation, within)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"enum": [to_json(each) for each in annotation]}
    return None


def _ask_model(make_schema: Callable[[], Schema]) -> Schema:
    try:
        return make_schema()
    except Exception:  # noqa: BLE001 models may hold what JSON schema cannot tell
        return {}


def _describe_generic(annotation: Any, within: tuple[Any, ...]) -> Schema:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in {Union, UnionType}:
        return {"anyOf": [describe_type(each, within) for each in arguments]}
    if origin in {list, tuple, set, frozenset, Sequence, Iterable} and arguments:
        return {"type": "array", "items": describe_type(arguments[0], within)}
    if origin in {dict, Mapping} and arguments:
        return {"type": "object", "additionalProperties": describe_type(arguments[1], within)}
    return {}


def _describe_typed_dict(typed_dict: Any, within: tuple[Any, ...]) -> Schema:
    hints = find_hints(typed_dict)
    return {
        "type": "object",
        "title": typed_dict.__name__,
        "properties": {name: describe_type(each, within) for name, each in hints.items()},
        "required": sorted(typed_dict.__required_keys__, key=list(hints).index),
    }


def _describe_dataclass(kind: Any, within: tuple[Any, ...]) -> Schema:
    hints = find_hints(kind)
    own = [each for each in fields(kind) if each.init]
    return {
        "type": "object",
        "title": kind.__name__,
        "properties": {
            each.name: _add_default(describe_type(hints.get(each.name, Any), within), each.default)
            for each in own
        },
        "required": [
            each.name for each in own if each.default is MISSING and each.default_factory is MISSING
        ],
    }


def _add_default(schema: Schema, default: object) -> Schema:
    if default is MISSING or default is inspect.Parameter.empty or default is None:
        return schema
    return {**schema, "default": to_json(default)}
