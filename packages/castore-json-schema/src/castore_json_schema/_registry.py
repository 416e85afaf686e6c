"""The registry that schemas share: definitions, and formats of the user's own."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import jsonschema_rs

from castore_core import JSONSchema, Violation, format_path
from castore_json_schema._documents import (
    Document,
    copy_schema,
    find_references,
    with_definitions_used,
    with_one_reference,
)
from castore_json_schema._violations import shorten
from castore_json_schema.errors import InvalidSchemaError


class CompiledSchema(NamedTuple):
    """A schema with all that it refers to in its ``$defs``, and what validates by it."""

    document: Document
    validator: jsonschema_rs.Validator


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
        self._formats = _copy_formats(formats or {})
        self._registry = _new_registry(documents.items())
        for uri, document in documents.items():
            self.compile(repr(uri), "schema", document, uri)

    def compile(
        self, owner: str, name: str, schema: Document, base_uri: str | None = None
    ) -> CompiledSchema:
        """Compile a schema that fits the metaschema. Formats are checked.

        Raises:
            InvalidSchemaError: it refers to what is not there, or names an unknown format.
        """
        try:
            self._compile(with_definitions_used(schema), base_uri)
            return CompiledSchema(self._bundle(schema, base_uri), self._compile(schema, base_uri))
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            violations = [*self._explain(error, name, schema, base_uri)]
            raise InvalidSchemaError(owner, violations) from error

    def _bundle(self, schema: Document, base_uri: str | None) -> Document:
        copy = deepcopy(schema)
        if isinstance(copy, dict):
            bundled = jsonschema_rs.bundle(
                copy, registry=self._registry, base_uri=base_uri, offline=True
            )
            if "$defs" in bundled:
                copy["$defs"] = bundled["$defs"] | copy.get("$defs", {})
        return copy

    def _compile(self, schema: Document, base_uri: str | None) -> jsonschema_rs.Validator:
        return jsonschema_rs.Draft202012Validator(
            schema,
            registry=self._registry,
            base_uri=base_uri,
            formats=self._formats,
            validate_formats=True,
            ignore_unknown_formats=False,  # a misspelt one would check nothing
            email_options=jsonschema_rs.EmailOptions(allow_display_text=False),
            offline=True,
        )

    def _explain(
        self,
        error: Exception,
        name: str,
        schema: Document,
        base_uri: str | None,
    ) -> Iterator[Violation]:
        if isinstance(error, jsonschema_rs.ValidationError) and error.instance_path:
            yield Violation(format_path(name, error.instance_path), shorten(error.message))
            return
        is_found = False
        for steps, target in find_references(schema):
            try:
                self._compile(with_one_reference(schema, target), base_uri)
            except jsonschema_rs.ValidationError:
                is_found = True
                yield Violation(format_path(name, steps), f"leads nowhere: {target!r}")
        if not is_found:
            yield Violation(name, shorten(str(error)))


def _copy_document(uri: str, schema: JSONSchema) -> Document:
    if not urlsplit(uri).scheme:
        raise InvalidSchemaError(repr(uri), [Violation("its URI", "is not absolute")])
    return copy_schema(repr(uri), "schema", schema)


def _copy_formats(
    formats: Mapping[str, Callable[[str], bool]],
) -> dict[str, Callable[[str], bool]]:
    for name, is_valid in formats.items():
        if not callable(is_valid):
            raise TypeError(f"format {name!r} is no function: {is_valid!r}")
    return dict(formats)


def _new_registry(documents: Iterable[tuple[str, Document]]) -> jsonschema_rs.Registry:
    try:
        return jsonschema_rs.Registry(documents, draft=jsonschema_rs.Draft202012)
    except ValueError as error:
        fault = Violation("schemas", str(error))
        raise InvalidSchemaError("a registry", [fault]) from error


NO_REGISTRY: Final = SchemaRegistry()
