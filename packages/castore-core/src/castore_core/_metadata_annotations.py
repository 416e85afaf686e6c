"""Room for metadata, as annotations declare it."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from types import UnionType
from typing import (
    Annotated,
    Any,
    Final,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from typing_extensions import is_typeddict

from castore_core._metadata_room import OPEN_ROOM, MetadataRoom, meet_all

_logger: Final = logging.getLogger("castore_core")


class _Unknown:
    """Stands for a name in an annotation that does not exist while the program runs."""


def find_annotated_room(cls: type[Any]) -> MetadataRoom | None:
    """Return the room that the annotation of an event's ``metadata`` declares.

    An annotation that cannot be resolved, such as an import for type checkers alone, declares none,
    and logs a warning.
    """
    return _find_declared_room(cls, cls.__dataclass_fields__.get("metadata"))


def _find_declared_room(cls: type[Any], declared: Field[Any] | None) -> MetadataRoom | None:
    if declared is None:
        return None
    annotation = _resolve(cls, declared)
    if _Unknown in _walk(annotation):
        _logger.warning(
            "event_metadata() adds nothing to %s: the annotation of its metadata, %s, is not known "
            "at run time (define it in the module, or override get_metadata_room)",
            cls.__qualname__,
            declared.type,
        )
        return None
    return _find_room(annotation)


def _resolve(cls: type[Any], declared: Field[Any]) -> Any:
    owner = next(each for each in reversed(cls.__mro__) if _declares(each, declared))

    def holder() -> None: ...

    # In the body of the class, a field's name is its default, and `type` is an attribute.
    names = {name: each for name, each in vars(owner).items() if name not in {"metadata", "type"}}
    module = vars(sys.modules[owner.__module__])
    holder.__annotations__ = {"it": declared.type}
    while True:
        try:
            return get_type_hints(holder, module, names, include_extras=True)["it"]
        except NameError as error:
            if error.name is None or error.name in names:
                return _Unknown
            names[error.name] = _Unknown
        except Exception:  # noqa: BLE001 an attribute of what is not known, say
            return _Unknown


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
