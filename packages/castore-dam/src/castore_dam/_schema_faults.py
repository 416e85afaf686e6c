"""Faults of JSON schemas: keywords with values that draft 2020-12 does not give them.

Only keywords that a comparison looks into are checked. Annotations, and keywords that it does not
know, may have any value.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard, cast
from urllib.parse import urlsplit

from castore_dam._schema_documents import NAMED_SCHEMAS, ONE_SCHEMA, SCHEMA_LISTS


class _Form(NamedTuple):
    name: str
    fits: Callable[[Any], bool]


def find_fault(schema: object) -> str | None:
    """Return the first fault of a schema, with the JSON pointer of its place, if there is any."""
    try:
        return next(_find_faults(schema, ""), None)
    except RecursionError:
        return "it is nested too deeply"


def _find_faults(schema: object, pointer: str) -> Iterator[str]:
    if isinstance(schema, bool):
        return
    if not _is_object(schema):
        yield f"{pointer} is no schema: an object, true or false"
        return
    for name, value in schema.items():
        yield from _find_faults_of_keyword(name, value, f"{pointer}/{name}")


def _find_faults_of_keyword(name: str, value: object, pointer: str) -> Iterator[str]:
    form = _find_form(name)
    if form is not None and not form.fits(value):
        yield f"{pointer} is not {form.name}"
    elif name in ONE_SCHEMA:
        yield from _find_faults(value, pointer)
    elif name in SCHEMA_LISTS:
        for index, each in enumerate(cast("Sequence[object]", value)):
            yield from _find_faults(each, f"{pointer}/{index}")
    elif name in NAMED_SCHEMAS:
        for key, each in cast("Mapping[str, object]", value).items():
            yield from _find_faults(each, f"{pointer}/{key}")


def _find_form(keyword: str) -> _Form | None:
    if keyword in SCHEMA_LISTS:
        return _LIST
    if keyword in NAMED_SCHEMAS:
        return _OBJECT
    return _FORMS.get(keyword)


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)


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
    return _is_object(value) and _is_text(value.get("propertyName"))


_LIST: Final = _Form("a list", _is_list)
_OBJECT: Final = _Form("an object", _is_object)
_NUMBER: Final = _Form("a number", _is_number)
_TEXT: Final = _Form("a text", _is_text)
_REFERENCE: Final = _Form("a URI reference", _is_reference)
_FORMS: Final[Mapping[str, _Form]] = {
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
