"""JSON schemas of what is stored."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import (
    DataclassArgsSchema,
    ModelFieldsSchema,
    TypedDictSchema,
)


class StoredJsonSchema(GenerateJsonSchema):
    """Leaves out computed fields, because they are not stored."""

    def model_fields_schema(self, schema: ModelFieldsSchema) -> JsonSchemaValue:
        """Describe the fields of a model."""
        return super().model_fields_schema(_without_computed(schema))

    def dataclass_args_schema(self, schema: DataclassArgsSchema) -> JsonSchemaValue:
        """Describe the fields of a dataclass."""
        return super().dataclass_args_schema(_without_computed(schema))

    def typed_dict_schema(self, schema: TypedDictSchema) -> JsonSchemaValue:
        """Describe the keys of a TypedDict."""
        return super().typed_dict_schema(_without_computed(schema))


def _without_computed(schema: Any) -> Any:
    return {**schema, "computed_fields": []}
