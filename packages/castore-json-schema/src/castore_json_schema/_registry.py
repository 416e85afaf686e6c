"""What several schemas share: definitions, and formats of the user's own."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from urllib.parse import urlsplit

import jsonschema_rs

from castore_core import JSONSchema
from castore_json_schema._documents import Document, copy_schema
from castore_json_schema._violations import Violation
from castore_json_schema.errors import InvalidSchemaError


class SchemaRegistry:
    """Schemas that others refer to by their URIs, and formats beside those of JSON Schema.

    Nothing is ever fetched: a ``$ref`` leads into its own schema, or into the registry.

    Args:
        schemas: by absolute URI. They may refer to each other.
        formats: functions that are given a string, and tell whether it is of the format.

    Raises:
        InvalidSchemaError: a schema is broken, or refers to what is not there.
    """

    def __init__(
        self,
        schemas: Mapping[str, JSONSchema] | None = None,
        *,
        formats: Mapping[str, Callable[[str], bool]] | None = None,
    ) -> None:
        documents = {uri: _copy_document(uri, each) for uri, each in (schemas or {}).items()}
        self._formats = dict(formats or {})
        try:
            self._registry = jsonschema_rs.Registry(
                documents.items(), draft=jsonschema_rs.Draft202012
            )
        except ValueError as error:
            violations = [Violation(" or ".join(documents), str(error))]
            raise InvalidSchemaError("a registry", violations) from error

    def compile(self, schema: Document) -> jsonschema_rs.Validator:
        """Return the validator of a schema of draft 2020-12. Formats are checked.

        Raises:
            jsonschema_rs.ValidationError: the schema is broken, refers to what is not there, or
                names an unknown format.
        """
        return jsonschema_rs.Draft202012Validator(
            schema,
            registry=self._registry,
            formats=self._formats,
            validate_formats=True,
            ignore_unknown_formats=False,  # a misspelt one would check nothing
            email_options=jsonschema_rs.EmailOptions(allow_display_text=False),
            offline=True,
        )

    def bundle(self, schema: Document) -> Document:
        """Return a copy of a schema that has what it needs of the registry in its ``$defs``."""
        copy = deepcopy(schema)
        if isinstance(copy, dict):
            bundled = jsonschema_rs.bundle(copy, registry=self._registry)
            if "$defs" in bundled:
                copy["$defs"] = bundled["$defs"]
        return copy


def _copy_document(uri: str, schema: JSONSchema) -> Document:
    if not urlsplit(uri).scheme:
        raise InvalidSchemaError(repr(uri), [Violation("its URI", "is not absolute")])
    return copy_schema(repr(uri), "schema", schema)
