"""JSON schemas of what is stored."""

from enum import Flag
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import (
    DataclassArgsSchema,
    EnumSchema,
    JsonSchema,
    ModelFieldsSchema,
    TypedDictSchema,
)


class StoredJsonSchema(GenerateJsonSchema):
    """Describes what a `ValueCodec` writes, where pydantic describes what it would write itself.

    Computed fields are not stored. A value that came as a text of JSON is stored as one.
    """

    def model_fields_schema(self, schema: ModelFieldsSchema) -> JsonSchemaValue:
        """Describe the fields of a model."""
        return super().model_fields_schema(_without_computed(schema))

    def dataclass_args_schema(self, schema: DataclassArgsSchema) -> JsonSchemaValue:
        """Describe the fields of a dataclass."""
        return super().dataclass_args_schema(_without_computed(schema))

    def typed_dict_schema(self, schema: TypedDictSchema) -> JsonSchemaValue:
        """Describe the keys of a TypedDict."""
        return super().typed_dict_schema(_without_computed(schema))

    def json_schema(self, schema: JsonSchema) -> JsonSchemaValue:
        """Describe a `pydantic.Json`, which ``round_trip`` writes as a text."""
        described: JsonSchemaValue = {"type": "string", "contentMediaType": "application/json"}
        if "schema" in schema:
            described["contentSchema"] = self.generate_inner(schema["schema"])
        return described

    def enum_schema(self, schema: EnumSchema) -> JsonSchemaValue:
        """Describe an enum; flags may be combined to what is no member."""
        described = super().enum_schema(schema)
        if issubclass(schema["cls"], Flag):
            described.pop("enum", None)
        return described


def _without_computed(schema: Any) -> Any:
    return {**schema, "computed_fields": []}
