"""JSON schemas of plain events, whose annotations alone say what they hold."""

from collections.abc import Iterable, Mapping, Sequence
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
    get_type_hints,
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
        declared = self._event_type.__dataclass_fields__[name].type
        try:
            annotation = get_type_hints(self._event_type, include_extras=True)[name]
        except Exception:  # noqa: BLE001 an annotation may raise anything
            return _describe_unknown(declared)
        if _has_own_codec(self._event_type):
            return _describe_unknown(annotation)
        return self._describe(annotation)

    def _describe(self, annotation: Any) -> JSONSchema:
        annotation = _unwrap(annotation)
        if _is_hashable(annotation) and annotation in _SIMPLE:
            return _SIMPLE[annotation]
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in {Union, UnionType}:
            return {"anyOf": [self._describe(each) for each in arguments]}
        if is_typeddict(annotation):
            return self._refer_to(annotation)
        return self._describe_container(annotation, origin, arguments)

    def _describe_container(
        self, annotation: Any, origin: Any, arguments: tuple[Any, ...]
    ) -> JSONSchema:
        if origin in {list, Sequence, Iterable}:
            return {"type": "array", "items": self._describe(arguments[0])}
        if origin in {dict, Mapping} and arguments[0] is str:
            return {"type": "object", "additionalProperties": self._describe(arguments[1])}
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
            keys = get_type_hints(typed_dict, include_extras=True)
        except Exception:  # noqa: BLE001 an annotation may raise anything
            return _describe_unknown(typed_dict)
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {name: self._describe(each) for name, each in keys.items()},
            "required": sorted(_find_required(typed_dict, keys)),
        }
        if getattr(typed_dict, "__closed__", None):
            schema["additionalProperties"] = False
        elif (extra := getattr(typed_dict, "__extra_items__", NoExtraItems)) is not NoExtraItems:
            schema["additionalProperties"] = self._describe(extra)
        return schema


def _find_required(typed_dict: Any, keys: Mapping[str, Any]) -> Iterable[str]:
    for name, each in keys.items():
        origins = set(_find_origins(each))
        # Of postponed annotations, the class knows no `NotRequired`.
        if Required in origins or (
            name in typed_dict.__required_keys__ and NotRequired not in origins
        ):
            yield name


def _find_origins(annotation: Any) -> Iterable[Any]:
    while (origin := get_origin(annotation)) in _QUALIFIERS:
        yield origin
        annotation = get_args(annotation)[0]


def _unwrap(annotation: Any) -> Any:
    """Return the type without its qualifiers and the names that it has."""
    while True:
        if get_origin(annotation) in _QUALIFIERS:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__value__"):  # type Alias = ...
            annotation = annotation.__value__
        elif hasattr(annotation, "__supertype__"):  # NewType
            annotation = annotation.__supertype__
        else:
            return annotation


def _has_own_codec(event_type: type[Event]) -> bool:
    names = ("encode_field", "decode_field")
    return any(
        getattr(event_type, name).__func__ is not getattr(Event, name).__func__ for name in names
    )


def _describe_unknown(annotation: Any) -> JSONSchema:
    is_class = isinstance(annotation, type) and not get_args(annotation)
    name = f"{annotation.__module__}.{annotation.__qualname__}" if is_class else str(annotation)
    return {"unknownType": name}


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
