"""What the handler of a command takes and returns, by its annotations."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from inspect import Signature, signature, unwrap
from typing import Any, Final, get_args, get_origin

from castore_pydantic._annotations import get_local_names, resolve

_AWAITABLES: Final = (Awaitable, Coroutine)


class HandlerTypes:
    """The types of the input and the output of a function, a method or a callable object.

    The annotations are resolved when they are asked for, because they may speak of what is
    defined later.
    """

    def __init__(self, handler: Callable[..., Any]) -> None:
        found = signature(handler)
        parameter = next(iter(found.parameters.values()), None)
        self._input = parameter.annotation if parameter else Signature.empty
        self._output = found.return_annotation
        self._function = _find_function(handler)
        self._local_names = get_local_names(self._function, [self._input, self._output])

    @property
    def has_input(self) -> bool:
        """Whether the input is annotated."""
        return self._input is not Signature.empty

    def find_input(self) -> Any:
        """Return the type of the input."""
        return self._resolve(self._input, "the input")

    def find_output(self) -> Any:
        """Return the type of the output, which is anything where it is not annotated."""
        if self._output is Signature.empty:
            return Any
        found = self._resolve(self._output, "the output")
        return get_args(found)[-1] if get_origin(found) in _AWAITABLES else found

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
