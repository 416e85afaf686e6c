"""Room for metadata, as annotations declare it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from types import UnionType
from typing import (
    Annotated,
    Any,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from typing_extensions import is_typeddict

from castore_core._metadata_room import OPEN_ROOM, MetadataRoom, meet_all


def find_annotated_room(cls: type[Any]) -> MetadataRoom | None:
    """Return the room that the annotation of an event's ``metadata`` declares.

    Raises:
        TypeError: the annotation names something that does not exist.
    """
    declared: Mapping[str, Field[Any]] = cls.__dataclass_fields__
    return _find_room(_resolve(cls, declared["metadata"])) if "metadata" in declared else None


def _resolve(cls: type[Any], declared: Field[Any]) -> Any:
    owner = next(each for each in reversed(cls.__mro__) if _declares(each, declared))

    def holder() -> None: ...

    # In the body of the class, a field's name is its default, and `type` is an attribute.
    names = {name: each for name, each in vars(owner).items() if name not in {"metadata", "type"}}
    module = sys.modules[owner.__module__]
    holder.__annotations__ = {"it": declared.type}
    try:
        return get_type_hints(holder, vars(module), names, include_extras=True)["it"]
    except NameError as error:
        raise TypeError(
            f"the annotation of {owner.__qualname__}.metadata is unknown, so that nobody knows "
            f"what event_metadata() may add: {error} (define it in the module, or override "
            "get_metadata_room)"
        ) from error


def _declares(cls: type[Any], declared: Field[Any]) -> bool:
    return vars(cls).get("__dataclass_fields__", {}).get(declared.name) is declared


def _find_room(annotation: Any) -> MetadataRoom | None:
    return meet_all(map(_find_room_of_part, _walk(annotation)))


def _walk(annotation: Any) -> Iterator[Any]:
    """Yield the types of a union, without the names that it has."""
    origin = get_origin(annotation)
    if hasattr(annotation, "__value__"):  # type Alias = ...
        yield from _walk(annotation.__value__)
    elif origin is Annotated:
        yield from _walk(get_args(annotation)[0])
    elif origin in {Union, UnionType}:
        for each in get_args(annotation):
            yield from _walk(each)
    else:
        yield annotation


def _find_room_of_part(annotation: Any) -> MetadataRoom | None:
    kind = get_origin(annotation) or annotation
    if kind in {Any, object}:
        return OPEN_ROOM
    if is_typeddict(kind):
        return _find_room_of_typed_dict(kind)
    if not isinstance(kind, type):
        return None
    if is_dataclass(kind):
        given = [each for each in fields(kind) if each.init]
        required = (each.name for each in given if not _has_default(each))
        return MetadataRoom(frozenset(each.name for each in given), frozenset(required))
    return OPEN_ROOM if issubclass(kind, Mapping) or issubclass(dict, kind) else None


def _find_room_of_typed_dict(kind: Any) -> MetadataRoom:
    keys: Mapping[str, Any] = kind.__annotations__
    with suppress(NameError):  # of postponed annotations, the class knows no `NotRequired`
        keys = get_type_hints(kind, include_extras=True)
    required = {
        name
        for name, each in keys.items()
        if get_origin(each) is Required
        or (name in kind.__required_keys__ and get_origin(each) is not NotRequired)
    }
    return MetadataRoom(frozenset(keys), frozenset(required))


def _has_default(declared: Field[Any]) -> bool:
    return declared.default is not MISSING or declared.default_factory is not MISSING


def find_default_keys(metadata: object) -> frozenset[str]:
    """Return the fields of a dataclass that have their defaults; of anything else, none."""
    if not is_dataclass(metadata):
        return frozenset()
    found = (each for each in fields(metadata) if getattr(metadata, each.name) == each.default)
    return frozenset(each.name for each in found)
