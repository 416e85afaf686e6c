"""The validator of one field, input or output: made once, used for every value."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from castore_core import JSONSchema, Violation, check_json
from castore_json_schema._documents import Document, copy_schema, find_references
from castore_json_schema._registry import NO_REGISTRY, SchemaRegistry
from castore_json_schema._violations import find_violations, mask, shorten


class SchemaValidator:
    """Finds out where values do not fit a schema.

    Args:
        owner: whom an error names.
        name: what the paths of violations begin with. ``<name>_schema`` is the schema's own name.

    Raises:
        InvalidSchemaError: the schema is broken.
    """

    __slots__ = ("_document", "_has_references", "_name", "_validator")

    def __init__(
        self, owner: str, name: str, schema: JSONSchema, registry: SchemaRegistry | None
    ) -> None:
        copy = copy_schema(owner, f"{name}_schema", schema)
        compiled = (registry or NO_REGISTRY).compile(owner, f"{name}_schema", copy)
        self._document, self._validator = compiled
        self._has_references = any(find_references(copy))
        self._name = name

    def get_schema(self) -> Document:
        """Return a copy of the schema, with all that it refers to."""
        return deepcopy(self._document)

    def find_violations(self, value: Any) -> tuple[Violation, ...]:
        """Return every place where a value does not fit.

        Raises:
            NotJSONError: the value is not made of JSON values.
        """
        if self._has_references:
            # The validator follows a schema that contains itself as deep as the value goes, and
            # overflows the stack on the way. Without references, the schema's depth is the limit.
            check_json(value, self._name)
        try:
            if self._validator.is_valid(value):
                return ()
            check_json(value, self._name)  # the validator takes a NaN for null
            found = tuple(self._find(value))
        except ValueError:
            check_json(value, self._name)
            raise
        return found or (Violation(self._name, "does not fit"),)

    def _find(self, value: Any) -> Iterator[Violation]:
        for (path, reason, _), found in find_violations(self._validator, self._name, value):
            yield Violation(path, shorten(mask(reason, found)))
