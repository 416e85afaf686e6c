"""Payloads and metadata as an event class declares them."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import MISSING, Field, field
from functools import partial
from typing import Any, cast, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from castore_pydantic._annotations import find_field_type


def copy_defaults(cls: type[Any], names: Iterable[str]) -> None:
    """Give each event a copy of the default, so that a change of one does not reach the others.

    It is to be called before the class becomes a dataclass.
    """
    for name in names:
        declared: Field[Any] = _to_field(vars(cls).get(name, MISSING))
        default = declared.default
        if default is MISSING or isinstance(default, FieldInfo) or deepcopy(default) is default:
            continue
        declared.default, declared.default_factory = MISSING, partial(deepcopy, default)
        setattr(cls, name, declared)


def check_declared(cls: type[Any], declared: Field[Any]) -> None:
    """Refuse what can be refused before other classes are defined.

    Raises:
        TypeError: a default is a ``Field()``, or the type names ``BaseModel`` itself.
    """
    place = f"{cls.__name__}.{declared.name}"
    if isinstance(declared.default, FieldInfo):
        raise TypeError(
            f"{place}: an event is a dataclass, which does not know Field(): "
            "write Annotated[..., Field(...)] = default"
        )
    refuse_bare_model(_find_annotation(cls, declared), place)


def find_declared_type(cls: type[Any], name: str) -> Any:
    """Return the type of a field.

    Raises:
        TypeError: it speaks of something that does not exist, or names ``BaseModel`` itself.
    """
    declared = find_field_type(cls, name)
    refuse_bare_model(declared, f"{cls.__name__}.{name}")
    return declared


def refuse_bare_model(annotation: Any, place: str) -> None:
    """Refuse a type that names ``BaseModel`` itself: it has no fields to be written or read.

    Raises:
        TypeError: with the ``place`` of the type.
    """
    if any(each is BaseModel for each in _walk(annotation, set())):
        raise TypeError(
            f"{place}: the fields of a model would be lost, because BaseModel has none: "
            "declare the model, or a discriminated union of models"
        )


def _to_field(declared: Any) -> Any:
    return field(default=declared) if not isinstance(declared, Field) else cast("Any", declared)


def _find_annotation(cls: type[Any], declared: Field[Any]) -> Any:
    """Return the annotation of a field. A text that names ``BaseModel`` is resolved if it can be.

    Any other text is resolved at the first use, when all that it names is defined.
    """
    if not isinstance(declared.type, str) or BaseModel.__name__ not in declared.type:
        return declared.type
    try:
        return find_field_type(cls, declared.name)
    except (AttributeError, TypeError):
        return None


def _walk(annotation: Any, seen: set[int]) -> Iterator[Any]:
    """Yield a type and those that it is made of. An alias may contain itself."""
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    yield annotation
    for each in (*get_args(annotation), _get_aliased(annotation)):
        yield from _walk(each, seen)


def _get_aliased(annotation: Any) -> Any:
    """Return what a type alias stands for, unless that is defined later."""
    try:
        return getattr(annotation, "__value__", None)
    except NameError:
        return None
