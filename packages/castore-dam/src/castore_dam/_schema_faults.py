"""Faults of JSON schemas: keywords with values that draft 2020-12 does not give them.

Only keywords that a comparison looks into are checked. Annotations, and keywords that it does not
know, may have any value.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard, cast
from urllib.parse import urlsplit

from castore_dam._json_pointers import Pointer, format_pointer
from castore_dam._schema_documents import NAMED_SCHEMAS, SCHEMA_LISTS, find_subschemas


class _Form(NamedTuple):
    name: str
    fits: Callable[[Any], bool]


def find_fault(schema: object) -> str | None:
    """Return the first fault of a schema, with the JSON pointer of its place, if there is any."""
    try:
        return next(_find_faults(schema, ()), None)
    except RecursionError:
        return "it is nested too deeply"


def _find_faults(schema: object, pointer: Pointer) -> Iterator[str]:
    if isinstance(schema, bool):
        return
    if not is_object(schema):
        yield f"{format_pointer(pointer)} is no schema: an object, true or false"
        return
    for name, value in schema.items():
        form = _FORMS.get(name)
        if form is not None and not form.fits(value):
            yield f"{format_pointer((*pointer, name))} is not {form.name}"
    for steps, each in find_subschemas(schema):
        yield from _find_faults(each, pointer + steps)


def is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    """Tell whether a value is an object of JSON, whose keys are texts."""
    return isinstance(value, Mapping) and all(map(_is_text, cast("Mapping[object, object]", value)))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, cast("Sequence[object]", value)))


def _is_type(value: object) -> bool:
    return _is_text(value) or _is_list_of_texts(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_divisor(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_reference(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        urlsplit(value)
    except ValueError:  # such as a "[" in the host
        return False
    return True


def _is_discriminator(value: object) -> bool:  # of OpenAPI
    return is_object(value) and _is_text(value.get("propertyName"))


_LIST: Final = _Form("a list", _is_list)
_OBJECT: Final = _Form("an object", is_object)
_NUMBER: Final = _Form("a number", _is_number)
_TEXT: Final = _Form("a text", _is_text)
_REFERENCE: Final = _Form("a URI reference", _is_reference)
_FORMS: Final[Mapping[str, _Form]] = {
    **dict.fromkeys(SCHEMA_LISTS, _LIST),
    **dict.fromkeys(NAMED_SCHEMAS, _OBJECT),
    "$anchor": _TEXT,
    "$dynamicAnchor": _TEXT,
    "$id": _REFERENCE,
    "$ref": _REFERENCE,
    "discriminator": _Form("an object with a propertyName", _is_discriminator),
    "enum": _LIST,
    "exclusiveMaximum": _NUMBER,
    "exclusiveMinimum": _NUMBER,
    "maxItems": _NUMBER,
    "maxLength": _NUMBER,
    "maxProperties": _NUMBER,
    "maximum": _NUMBER,
    "minItems": _NUMBER,
    "minLength": _NUMBER,
    "minProperties": _NUMBER,
    "minimum": _NUMBER,
    "multipleOf": _Form("a number greater than 0", _is_divisor),
    "required": _Form("a list of texts", _is_list_of_texts),
    "type": _Form("a text, or a list of texts", _is_type),
}
