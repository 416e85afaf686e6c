"""Room for metadata, as models tell it."""

from collections.abc import Collection, Mapping

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from castore_core import MetadataRoom


def find_model_room(metadata: object) -> MetadataRoom | None:
    """Return the room of metadata that are a model, or a dataclass of pydantic.

    Its keys are the aliases under which fields are stored. Fields that were not given have their
    defaults, and so have those of a dataclass that are equal to them.
    """
    declared: Mapping[str, FieldInfo] | None
    declared = getattr(type(metadata), "__pydantic_fields__", None)
    if declared is None or isinstance(metadata, RootModel):
        return None
    stored = {name: _find_key(name, each) for name, each in declared.items() if not each.exclude}
    given = _find_given(metadata, declared)
    return MetadataRoom(
        frozenset(stored.values()),
        is_open=isinstance(metadata, BaseModel) and metadata.model_config.get("extra") == "allow",
        defaults=frozenset(key for name, key in stored.items() if name not in given),
    )


def _find_key(name: str, declared: FieldInfo) -> str:
    return declared.serialization_alias or declared.alias or name


def _find_given(metadata: object, declared: Mapping[str, FieldInfo]) -> Collection[str]:
    if isinstance(metadata, BaseModel):
        return metadata.model_fields_set
    fields = declared.items()
    return {name for name, each in fields if getattr(metadata, name, None) != each.default}
