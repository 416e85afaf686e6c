"""From JSON values to values of plain Python types: what the schemas of annotations describe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin
from uuid import UUID

from typing_extensions import is_typeddict

from castore_visualizer._annotation_schemas import QUALIFIERS, find_hints
from castore_visualizer._json_kinds import is_list, is_object

_FROM_TEXT: Final[Sequence[tuple[type, Callable[[str], Any]]]] = (
    (datetime, datetime.fromisoformat),
    (date, date.fromisoformat),
    (time, time.fromisoformat),
    (Decimal, Decimal),
    (UUID, UUID),
)
_TUPLES: Final = (tuple, set, frozenset)


def decode(annotation: Any, value: Any) -> Any:
    """Return a value of a type. What the type does not tell stays as it is.

    Raises:
        ValueError, TypeError, KeyError, ArithmeticError: it does not fit.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in QUALIFIERS:
        return decode(arguments[0], value)
    if origin in {Union, UnionType}:
        return _decode_union(arguments, value)
    from_text = next((make for kind, make in _FROM_TEXT if annotation is kind), None)
    if from_text is not None and isinstance(value, str):
        return from_text(value)
    if is_object(value):
        return _decode_object(annotation, value)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return annotation(value)
    return _decode_container(origin, arguments, value)


def _decode_object(annotation: Any, value: dict[str, Any]) -> Any:
    validate: Any = getattr(annotation, "model_validate", None)
    if callable(validate):
        return validate(value)
    if is_dataclass(annotation):
        return _decode_fields(annotation, value)
    if is_typeddict(annotation):
        hints = find_hints(annotation)
        return {key: decode(hints.get(key, Any), each) for key, each in value.items()}
    return value


def _decode_fields(kind: Any, value: Mapping[str, Any]) -> Any:
    hints = find_hints(kind)
    names = {each.name for each in fields(kind)}
    return kind(
        **{key: decode(hints.get(key, Any), each) for key, each in value.items() if key in names}
    )


def _decode_union(arguments: Sequence[Any], value: Any) -> Any:
    if value is None:
        return None
    for each in arguments:
        try:
            decoded = decode(each, value)
        except (ValueError, TypeError, KeyError, ArithmeticError):
            continue
        if decoded is not value or not is_object(value):  # an object is none of a simple type
            return decoded
    return value


def _decode_container(origin: Any, arguments: Sequence[Any], value: Any) -> Any:
    if not is_list(value) or not arguments:
        return value
    decoded = [decode(arguments[0], each) for each in value]
    make: Any = origin if origin in _TUPLES else list
    return make(decoded)
