"""JSON values: their type, and the check that a value is made of them."""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast
from uuid import UUID

from castore_core.errors import NotJSONError

J = TypeVar("J")

JSONValue: TypeAlias = bool | int | float | str | list["JSONValue"] | dict[str, "JSONValue"] | None

JSONSchema: TypeAlias = Mapping[str, Any] | bool
"""A JSON schema of draft 2020-12, which is an object, or says yes or no to everything."""


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "ABSENT"

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Final[Literal[Absent.ABSENT]] = Absent.ABSENT
"""Stands for a field that is not there, which is not the same as one that is null."""

# int() and json refuse longer decimal literals (sys.set_int_max_str_digits).
_MAX_INTEGER_BITS = 14_000

_CONTAINERS = (dict, list)
_ALWAYS_JSON = frozenset({bool, type(None)})

_Fault: TypeAlias = tuple[list[str], str]


def check_json(value: object, path: str) -> None:
    """Refuse a value that would not come back from JSON as it went in.

    Accepted are ``None``, and exactly `bool`, `int` (up to 14,000 bits), `float` (finite), `str`
    (well-formed Unicode), `list`, and `dict` with keys of `str`. Subclasses (an enum, a
    ``defaultdict``) and tuples are refused, because they would be read as another type.

    Raises:
        NotJSONError: with the path to the first offending value, that begins with ``path``.
    """
    try:
        fault = _find_fault(value)
    except RecursionError:
        raise NotJSONError(path, "is nested too deeply, or contains itself") from None
    if fault is not None:
        steps, reason = fault
        raise NotJSONError(path + "".join(reversed(steps)), reason)


def _find_fault(value: object) -> _Fault | None:
    kind = type(value)
    if kind in _ALWAYS_JSON:
        return None
    find = _FINDERS.get(kind)
    if find is None:
        return [], f"is not JSON: {kind.__qualname__}{_name_way_out(kind)}"
    return find(value)


def _name_way_out(kind: type[object]) -> str:
    """Say how a value of a well-known type can be stored all the same."""
    for known, way_out in _WAYS_OUT.items():
        if issubclass(kind, known):
            return f" ({way_out})"
    if is_dataclass(kind):
        return " (store dataclasses.asdict of it, or use PydanticEvent)"
    if hasattr(kind, "model_dump"):
        return " (use PydanticEvent)"
    return ""


# Every push comes through these two: what needs no closer look costs no call.


def _find_dict_fault(value: dict[object, object]) -> _Fault | None:
    for key, item in value.items():
        if type(key) is not str:
            return [], f"has a key that is no string but {type(key).__qualname__}"
        if not key.isascii() and not is_unicode(key):
            return [], f"has a key that is not well-formed Unicode: {key!r:.100}"
        if type(item) is str and item.isascii():
            continue
        if (fault := _find_fault(item)) is not None:
            fault[0].append(f".{key}")
            return fault
    return None


def _find_list_fault(value: list[object]) -> _Fault | None:
    for index, item in enumerate(value):
        if type(item) is str and item.isascii():
            continue
        if (fault := _find_fault(item)) is not None:
            fault[0].append(f"[{index}]")
            return fault
    return None


def _find_text_fault(text: str) -> _Fault | None:
    if is_unicode(text):
        return None
    place = next(index for index, each in enumerate(text) if not is_unicode(each))
    return [], f"is not well-formed Unicode: it has a lone surrogate at index {place}"


def _find_integer_fault(value: int) -> _Fault | None:
    if value.bit_length() <= _MAX_INTEGER_BITS:
        return None
    return [], f"is an integer of more than {_MAX_INTEGER_BITS} bits"


def _find_float_fault(value: float) -> _Fault | None:
    if value - value == 0.0:
        return None
    return [], f"is {value!r}, which JSON does not have"


_WAYS_OUT: Final[Mapping[type[object], str]] = {
    datetime: "store its isoformat(), or use PydanticEvent",
    date: "store its isoformat(), or use PydanticEvent",
    time: "store its isoformat(), or use PydanticEvent",
    timedelta: "store its total_seconds(), or use PydanticEvent",
    Decimal: "store its str(), or use PydanticEvent",
    UUID: "store its str(), or use PydanticEvent",
    Enum: "store its value, or use PydanticEvent",
    bytes: "store it as base64 text",
    tuple: "store a list",
    set: "store a sorted list",
    frozenset: "store a sorted list",
    str: "store str() of it",
    int: "store int() of it",
    float: "store float() of it",
    dict: "store dict() of it",
    list: "store list() of it",
}

_FINDERS: dict[type[Any], Callable[[Any], _Fault | None]] = {
    str: _find_text_fault,
    int: _find_integer_fault,
    float: _find_float_fault,
    dict: _find_dict_fault,
    list: _find_list_fault,
}


def copy_json(value: J) -> J:
    """Return a deep copy of a JSON value; anything else is returned as it is."""
    return cast("J", _copy(value))


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        copied: dict[str, Any] = {**value}
        for key, item in copied.items():
            if isinstance(item, _CONTAINERS):
                copied[key] = _copy(item)
        return copied
    if isinstance(value, list):
        items: list[Any] = [*value]
        for index, item in enumerate(items):
            if isinstance(item, _CONTAINERS):
                items[index] = _copy(item)
        return items
    return value


def is_unicode(text: str) -> bool:
    """Tell whether a text can be written as UTF-8 (it holds no lone surrogate)."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
