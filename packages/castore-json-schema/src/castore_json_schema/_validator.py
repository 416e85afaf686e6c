"""The validator of one field, input or output: made once, used for every value."""

from copy import deepcopy
from typing import Any, Final, cast

import jsonschema_rs

from castore_core import JSONSchema, check_json
from castore_json_schema._documents import (
    Document,
    copy_schema,
    find_references,
    without_references,
)
from castore_json_schema._registry import SchemaRegistry
from castore_json_schema._violations import Violation, format_path, shorten
from castore_json_schema.errors import InvalidSchemaError

NO_REGISTRY: Final = SchemaRegistry()


class SchemaValidator:
    """Finds out where values do not fit a schema.

    Args:
        owner: whom an error names.
        schema_name: the name of the schema.
        value_name: what the paths of violations begin with.

    Raises:
        InvalidSchemaError: the schema is broken.
    """

    __slots__ = ("_has_references", "_schema", "_validator", "_value_name")

    def __init__(
        self,
        owner: str,
        schema_name: str,
        value_name: str,
        schema: JSONSchema,
        registry: SchemaRegistry | None = None,
    ) -> None:
        registry = registry or NO_REGISTRY
        document = copy_schema(owner, schema_name, schema)
        try:
            self._validator = registry.compile(document)
            self._schema = registry.bundle(document)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            violations = _explain(error, schema_name, document, registry)
            raise InvalidSchemaError(owner, violations) from error
        self._has_references = any(find_references(document))
        self._value_name = value_name

    def get_schema(self) -> Document:
        """Return a copy of the schema, with all that it refers to."""
        return deepcopy(self._schema)

    def find_violations(self, value: Any) -> tuple[Violation, ...]:
        """Return every place where a value does not fit.

        Raises:
            NotJSONError: the value is not made of JSON values.
        """
        if self._has_references:
            # The validator follows a schema that contains itself as deep as the value goes, and
            # overflows the stack on the way. Without references, the schema's depth is the limit.
            check_json(value, self._value_name)
        try:
            if self._validator.is_valid(value):
                return ()
            return tuple(self._to_violation(each) for each in self._validator.iter_errors(value))
        except ValueError as error:
            check_json(value, self._value_name)
            return (Violation(self._value_name, f"cannot be validated: {error}"),)

    def _to_violation(self, error: jsonschema_rs.ValidationError) -> Violation:
        path = format_path(self._value_name, error.instance_path)
        return Violation(path, shorten(error.message))


def _explain(
    error: Exception, schema_name: str, document: Document, registry: SchemaRegistry
) -> list[Violation]:
    """Say where a schema is broken that the metaschema finds no fault with."""
    if isinstance(error, jsonschema_rs.ValidationError) and error.instance_path:
        return [Violation(format_path(schema_name, error.instance_path), shorten(error.message))]
    return [
        Violation(format_path(schema_name, steps), fault)
        for steps, target in find_references(document)
        if (fault := _find_reference_fault(target, document, registry))
    ] or [Violation(schema_name, str(error))]


def _find_reference_fault(target: str, document: Document, registry: SchemaRegistry) -> str | None:
    """Resolve one reference of a schema, apart from the others."""
    alone = cast("dict[str, Any]", without_references(document))
    alone["allOf"] = [*alone.get("allOf", []), {"$ref": target}]
    try:
        registry.compile(alone)
    except jsonschema_rs.ValidationError as error:
        return shorten(error.message)
    return None
