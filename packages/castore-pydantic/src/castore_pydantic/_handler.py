"""The input and the output of a command's handler, by its annotations."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from inspect import Signature, unwrap
from typing import Any, Final, get_args, get_origin

from castore_pydantic._annotations import get_local_names, get_signature, resolve

_AWAITABLES: Final = (Awaitable, Coroutine)


class HandlerTypes:
    """The types of the input and the output of a function, a method or a callable object.

    The annotations are resolved when they are asked for, because they may speak of what is
    defined later.
    """

    def __init__(self, handler: Callable[..., Any]) -> None:
        self._handler = handler
        self._function = _find_function(handler)
        self._local_names = get_local_names(self._function, self._get_annotations())

    @property
    def has_input(self) -> bool:
        """Whether the input is annotated."""
        annotation, _ = self._get_annotations()
        return annotation is not Signature.empty

    def find_input(self) -> Any:
        """Return the type of the input."""
        annotation, _ = self._get_annotations()
        return self._resolve(annotation, "the input")

    def find_output(self) -> Any:
        """Return the type of the output, which is anything where it is not annotated."""
        _, annotation = self._get_annotations()
        if annotation is Signature.empty:
            return Any
        found = self._resolve(annotation, "the output")
        return get_args(found)[-1] if get_origin(found) in _AWAITABLES else found

    def _get_annotations(self) -> tuple[Any, Any]:
        """Return those of input and output. At a later call, more of their names are defined."""
        found = get_signature(self._handler)
        parameter = next(iter(found.parameters.values()), None)
        return parameter.annotation if parameter else Signature.empty, found.return_annotation

    def _resolve(self, annotation: Any, what: str) -> Any:
        function = self._function
        return resolve(
            annotation,
            f"{what} of {function.__qualname__}",
            function.__globals__,
            self._local_names,
        )


def _find_function(handler: Any) -> Any:
    handler = unwrap(handler)
    if isinstance(handler, partial):
        return _find_function(handler.func)
    return handler if hasattr(handler, "__globals__") else type(handler).__call__
