"""Schemas as documents: copied, held against the metaschema, and searched for references."""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any, Final, TypeAlias, cast

import jsonschema_rs

from castore_core import JSONSchema, NotJSONError, Violation, check_json
from castore_json_schema._violations import find_violations, shorten
from castore_json_schema.errors import InvalidSchemaError

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Document: TypeAlias = dict[str, Any] | bool

_REFERENCES = ("$ref", "$dynamicRef")


def copy_schema(owner: str, name: str, schema: JSONSchema) -> Document:
    """Return a copy of a schema, which later changes of it do not reach.

    Raises:
        InvalidSchemaError: it is no schema of draft 2020-12.
    """
    if isinstance(schema, bool):
        return schema
    if violations := [*_find_faults(name, schema)]:
        raise InvalidSchemaError(owner, violations)
    return deepcopy(dict(schema))


def find_references(value: Any, *steps: str | int) -> Iterator[tuple[list[str | int], str]]:
    """Yield the place and the target of each reference."""
    if isinstance(value, list):
        for index, each in enumerate(cast("Iterable[Any]", value)):
            yield from find_references(each, *steps, index)
    elif isinstance(value, dict):
        for key, each in cast("dict[str, Any]", value).items():
            if key in _REFERENCES and isinstance(each, str):
                yield [*steps, key], each
            else:
                yield from find_references(each, *steps, key)


def with_one_reference(schema: Document, target: str) -> Document:
    """Return a copy of a schema that has no reference but one, which is used for certain."""
    document = dict(_without_references(schema))
    document["allOf"] = [*document.get("allOf", []), {"$ref": target}]
    return document


def _find_faults(name: str, schema: object) -> Iterator[Violation]:
    if not isinstance(schema, Mapping):
        yield Violation(name, shorten(f"is no JSON schema: {schema!r}"))
        return
    document = dict(cast("Mapping[str, Any]", schema))
    try:
        check_json(document, name)
    except NotJSONError as error:
        yield Violation(error.path, error.reason)
        return
    dialect = document.get("$schema", DIALECT)
    if isinstance(dialect, str) and dialect != DIALECT:
        yield Violation(f"{name}['$schema']", f"is not {DIALECT!r}: {dialect!r}")
        return
    yield from find_violations(_get_metaschema(), name, document)


def _without_references(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_references(each) for each in cast("Iterable[Any]", value)]
    if isinstance(value, dict):
        return {
            key: _without_references(each)
            for key, each in cast("dict[str, Any]", value).items()
            if key not in _REFERENCES
        }
    return value


@cache
def _get_metaschema() -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(
        {"$ref": DIALECT}, validate_formats=True, offline=True
    )
