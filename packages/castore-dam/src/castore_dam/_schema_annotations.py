"""JSON schemas of plain events, whose annotations alone say what they hold."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from inspect import get_annotations
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
)

from typing_extensions import NoExtraItems, ReadOnly, is_typeddict

from castore_core import Event, JSONSchema, JSONValue

_SIMPLE: Final[Mapping[Any, JSONSchema]] = {
    Any: {},
    object: {},
    JSONValue: {},
    None: {"type": "null"},
    NoneType: {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    list: {"type": "array"},
    dict: {"type": "object", "additionalProperties": True},
}
_ATTRIBUTES = frozenset({"metadata", "payload", "type"})
_MAX_NAMES = 32  # of one type, such as aliases of aliases
_QUALIFIERS = (Annotated, NotRequired, ReadOnly, Required)


class AnnotationSchemas:
    """Describes the fields of an event by their annotations.

    ``definitions`` collects the schemas of its ``TypedDict`` types, by their names, which
    references lead to.
    """

    def __init__(self, event_type: type[Event]) -> None:
        self.definitions: dict[str, Any] = {}
        self._types: dict[str, Any] = {}
        self._event_type = event_type

    def describe(self, name: str) -> JSONSchema:
        """Return the schema of a field as it is stored."""
        annotation = self._event_type.__dataclass_fields__[name].type
        if _has_own_codec(self._event_type):
            return _describe_unknown(annotation)
        owner = next(each for each in self._event_type.__mro__ if name in get_annotations(each))
        return self._describe(annotation, owner)

    def _describe(self, annotation: Any, owner: type[Any]) -> JSONSchema:
        annotation = _unwrap(annotation, owner)
        if _is_hashable(annotation) and annotation in _SIMPLE:
            return _SIMPLE[annotation]
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in {Union, UnionType}:
            return {"anyOf": [self._describe(each, owner) for each in arguments]}
        if is_typeddict(annotation):
            return self._refer_to(annotation)
        return self._describe_container(annotation, owner)

    def _describe_container(self, annotation: Any, owner: type[Any]) -> JSONSchema:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin in {list, Sequence, Iterable}:
            return {"type": "array", "items": self._describe(arguments[0], owner)}
        if origin in {dict, Mapping} and arguments[0] is str:
            values = self._describe(arguments[1], owner)
            return {"type": "object", "additionalProperties": values}
        return _describe_unknown(annotation)

    def _refer_to(self, typed_dict: Any) -> JSONSchema:
        name = typed_dict.__name__
        if self._types.setdefault(name, typed_dict) is not typed_dict:
            name = f"{typed_dict.__module__}.{typed_dict.__qualname__}"
        if name not in self.definitions:
            self.definitions[name] = {}  # for those that refer to themselves
            self.definitions[name] = self._describe_typed_dict(typed_dict)
        return {"$ref": f"#/$defs/{name.replace('~', '~0').replace('/', '~1')}"}

    def _describe_typed_dict(self, typed_dict: Any) -> JSONSchema:
        try:
            keys: dict[str, Any] = dict(typed_dict.__annotations__)
        except Exception:  # noqa: BLE001 from Python 3.14, it may raise anything
            return _describe_unknown(typed_dict)
        required = [name for name, each in keys.items() if _is_required(name, each, typed_dict)]
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {name: self._describe(each, typed_dict) for name, each in keys.items()},
            "required": sorted(required),
        }
        if getattr(typed_dict, "__closed__", None):
            schema["additionalProperties"] = False
        elif (extra := getattr(typed_dict, "__extra_items__", NoExtraItems)) is not NoExtraItems:
            schema["additionalProperties"] = self._describe(extra, typed_dict)
        return schema


def _is_required(name: str, annotation: Any, typed_dict: Any) -> bool:
    origins: set[Any] = set()
    annotation = _evaluate(annotation, typed_dict)
    while (origin := get_origin(annotation)) in _QUALIFIERS:
        origins.add(origin)
        annotation = get_args(annotation)[0]
    # Of postponed annotations, the class knows no `NotRequired`.
    is_required = name in typed_dict.__required_keys__ and NotRequired not in origins
    return is_required or Required in origins


def _unwrap(annotation: Any, owner: type[Any]) -> Any:
    """Return the type without its qualifiers and the names that it has."""
    for _ in range(_MAX_NAMES):
        annotation = _evaluate(annotation, owner)
        if get_origin(annotation) in _QUALIFIERS:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__value__"):  # type Alias = ...
            annotation = annotation.__value__
        elif hasattr(annotation, "__supertype__"):  # NewType
            annotation = annotation.__supertype__
        else:
            break
    return annotation


def _evaluate(annotation: Any, owner: type[Any]) -> Any:
    """Return what the text of an annotation means, or the annotation itself.

    `typing.get_type_hints` would look into `JSONValue`, which cannot be recognized then.
    """
    text: object = getattr(annotation, "__forward_arg__", annotation)
    if not isinstance(text, str):
        return annotation
    module = getattr(annotation, "__forward_module__", None) or owner.__module__
    # In the body of an event, a field's name is its default, and `type` is an attribute.
    names = {name: each for name, each in vars(owner).items() if name not in _ATTRIBUTES}
    try:
        return eval(text, vars(sys.modules[module]), names)  # noqa: S307 the code is the program's
    except Exception:  # noqa: BLE001 an annotation may raise anything
        return annotation


def _has_own_codec(event_type: type[Event]) -> bool:
    names = ("encode_field", "decode_field")
    return any(
        getattr(event_type, name).__func__ is not getattr(Event, name).__func__ for name in names
    )


def _describe_unknown(annotation: Any) -> JSONSchema:
    is_class = isinstance(annotation, type) and not get_args(annotation)
    name = f"{annotation.__module__}.{annotation.__qualname__}" if is_class else str(annotation)
    return {"unknownType": getattr(annotation, "__forward_arg__", name)}


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
