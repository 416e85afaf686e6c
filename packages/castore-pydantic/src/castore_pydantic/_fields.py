"""The fields of models and dataclasses."""

from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic.fields import FieldInfo


def is_left_out(owner: type[Any], name: str, value: object) -> bool:
    """Tell whether an attribute is not stored, and is not to be.

    It is a field with ``exclude=True``, or whose ``exclude_if`` says so, or it is no field, such
    as what a ``cached_property`` keeps.
    """
    info = _find_info(owner, name)
    if info is not None:
        return bool(info.exclude or (info.exclude_if and info.exclude_if(value)))
    return not _is_data(owner, name)


def get_stored_name(owner: type[Any], name: str) -> str:
    """Return the name under which a field is stored."""
    info = _find_info(owner, name)
    return (info and info.serialization_alias) or name


def _is_data(owner: type[Any], name: str) -> bool:
    """Tell whether an attribute is a field of a dataclass, or one of its extra keys."""
    if name in getattr(owner, "__dataclass_fields__", ()):
        return True
    config = getattr(owner, "__pydantic_config__", {})
    return config.get("extra") == "allow" and not hasattr(owner, name)


def _find_info(owner: type[Any], name: str) -> FieldInfo | None:
    """Return what pydantic knows of a field; a dataclass of the standard library is annotated."""
    fields: Mapping[str, FieldInfo] | None = vars(owner).get("__pydantic_fields__")
    if fields is not None:
        return fields.get(name)
    try:
        annotation = get_type_hints(owner, include_extras=True).get(name)
    except NameError:  # it is of a function
        return None
    metadata = getattr(annotation, "__metadata__", ())
    return next((each for each in metadata if isinstance(each, FieldInfo)), None)
