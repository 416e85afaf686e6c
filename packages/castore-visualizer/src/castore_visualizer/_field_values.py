"""The JSON value that a filled form stands for."""

import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final, cast

from castore_core import ABSENT, Absent, JSONValue
from castore_visualizer._fields import FormField


class FieldError(ValueError):
    """The text of a field is no value of its kind."""

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(label, reason)
        self.label = label
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.label}: {self.reason}"


def read_value(fields: Sequence[FormField], form: Mapping[str, str]) -> JSONValue:
    """Return the JSON value that a form stands for. Fields that are empty and optional are absent.

    Raises:
        FieldError: a value is no number or no JSON, or a required one is missing.
    """
    result: dict[str, Any] = {}
    for each in fields:
        value = _read_field(each, form.get(each.name, ""))
        if isinstance(value, Absent):
            continue
        if not each.path:
            return value
        _put(result, each.path, value)
    return cast("JSONValue", result)


def _read_field(field: FormField, text: str) -> JSONValue | Absent:
    if field.kind == "switch":
        return text == "on"
    may_be_empty = field.is_required and field.kind in {"text", "lines"}
    if text or may_be_empty:
        return _read(field, text)
    if field.is_required:
        raise FieldError(field.label, "it is required")
    return ABSENT


def _read(field: FormField, text: str) -> JSONValue:
    try:
        match field.kind:
            case "whole":
                return int(text)
            case "number":
                return _read_number(text)
            case "lines":
                return text.replace("\r\n", "\n")  # browsers send lines so
            case "choice" | "json":
                return cast("JSONValue", _DECODER.decode(text))
            case _:
                return text
    except (ValueError, RecursionError) as error:
        wanted = {"whole": "a whole number", "number": "a number"}.get(field.kind, "JSON")
        raise FieldError(field.label, f"{text!r:.100} is not {wanted}") from error


def _read_number(text: str) -> int | float:
    number = _read_float(text)
    whole = int(text) if re.fullmatch(r"-?[0-9]+", text) else number
    return number if whole == number else whole  # beyond 2**53, a float is another number


def _read_float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("JSON has no such number")
    return number


_DECODER: Final = json.JSONDecoder(parse_float=_read_float, parse_constant=_read_float)


def _put(result: dict[str, Any], path: tuple[str, ...], value: JSONValue) -> None:
    for key in path[:-1]:
        result = result.setdefault(key, {})
    result[path[-1]] = value
