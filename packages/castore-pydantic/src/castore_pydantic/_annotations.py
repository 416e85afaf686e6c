"""The meaning of annotations, also of texts, and of those with type parameters."""

import re
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from inspect import Signature, currentframe, signature
from types import FrameType, GenericAlias
from typing import Any, Final, Generic, get_args, get_origin

from pydantic import BaseModel, ConfigDict, create_model
from typing_extensions import Format, get_annotations

_OWN_MODULES: Final = ("castore_core.", "castore_pydantic.")
_DEFINING: Final = frozenset({"__init_subclass__", "__new__"})  # of a user's base or metaclass


def get_local_names(owner: Any, annotations: Iterable[object]) -> dict[str, Any]:
    """Return what some annotations may mean by the local names of a function.

    It is to be called while the function defines the class, or the function, that they are of.
    Of a module there is nothing to remember: its names are there to be looked up.
    """
    if "<locals>" not in getattr(owner, "__qualname__", ""):
        return {}
    frame = currentframe()
    while frame is not None and _is_between(frame):
        frame = frame.f_back
    names = frame.f_locals if frame else {}
    spoken_of = re.findall(r"\w+", str(list(annotations)))
    return {name: names[name] for name in spoken_of if name in names}


def get_signature(function: Callable[..., Any]) -> Signature:
    """Return a function's signature, where names that are not defined yet stay references."""
    if sys.version_info >= (3, 14):
        return signature(function, annotation_format=Format.FORWARDREF)
    return signature(function)


def find_field_type(cls: type[Any], name: str) -> Any:
    """Return the type of a field of a class, which a generic base may have declared.

    Raises:
        TypeError: the annotation speaks of something that does not exist.
    """
    owner = next(each for each in cls.__mro__ if name in _get_annotations(each))
    # In the body of the class, a field's name is its default, and `type` is an attribute.
    names = {key: each for key, each in vars(owner).items() if key not in {name, "type"}}
    for each in getattr(owner, "__type_params__", ()):
        names[each.__name__] = each
    names |= vars(owner).get("_local_names", {})
    annotation = resolve(
        _get_annotations(owner)[name],
        f"{owner.__qualname__}.{name}",
        vars(sys.modules[owner.__module__]),
        names,
    )
    return _substitute(annotation, _find_type_arguments(cls).get(owner, {}))


def resolve(annotation: Any, place: str, names: dict[str, Any], local_names: Any) -> Any:
    """Return what an annotation means, given the global and the local names of its place.

    Raises:
        TypeError: it speaks of something that does not exist.
    """

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    try:
        return typing.get_type_hints(holder, names, local_names, include_extras=True)["it"]
    except NameError as error:
        raise TypeError(f"the annotation of {place} is unknown: {error}") from error


def _get_annotations(cls: type[Any]) -> Mapping[str, Any]:
    """Return a class's own annotations, where names that are not defined yet stay references."""
    return get_annotations(cls, format=Format.FORWARDREF)


def _is_between(frame: FrameType) -> bool:
    module: str = frame.f_globals.get("__name__", "")
    return frame.f_code.co_name in _DEFINING or module.startswith(_OWN_MODULES)


def _find_type_arguments(cls: type[Any]) -> dict[type[Any], dict[Any, Any]]:
    """Return for each generic base of a class what its type parameters are there."""
    found: dict[type[Any], dict[Any, Any]] = {}

    def walk(child: type[Any]) -> None:
        for alias in vars(child).get("__orig_bases__", child.__bases__):
            base = get_origin(alias) or alias
            if base is Generic:
                continue
            parameters: tuple[Any, ...] = getattr(base, "__parameters__", ())
            arguments = get_args(alias) or parameters
            known = found.get(child, {})
            found[base] = {
                parameter: _substitute(argument, known)
                for parameter, argument in zip(parameters, arguments, strict=False)
            }
            walk(base)

    walk(cls)
    return found


def _substitute(annotation: Any, arguments: Mapping[Any, Any]) -> Any:
    if not arguments:
        return annotation
    # Only pydantic knows where a type parameter hides in its models: let it look.
    generic: Any = Generic
    create: Any = create_model
    bases = (_Unbuilt, generic[tuple(arguments)])
    model = create("Substituted", __base__=bases, it=(GenericAlias(tuple, (annotation,)), ...))
    filled = model[tuple(arguments.values())].model_fields["it"].annotation
    return get_args(filled)[0]


class _Unbuilt(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)
