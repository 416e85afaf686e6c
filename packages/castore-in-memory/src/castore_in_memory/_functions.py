"""Functions that users give: workers, listeners and hooks."""

from functools import partial
from inspect import isasyncgenfunction, isgeneratorfunction, signature
from typing import Any, cast


def check_function(function: object, role: str, *parameters: str) -> None:
    """Refuse, as soon as it is given, an object that these arguments cannot call.

    Raises:
        TypeError: it is no function, nor an object that can be called; or it is a class, whose
            call would make an object and handle nothing; or it is a generator function, whose call
            would run nothing of it; or it takes other arguments.
    """
    if isinstance(function, type):
        raise TypeError(f"{role} is a class, not a function: {name_function(function)}")
    if not callable(function):
        raise TypeError(f"{role} is not a function, but a {type(function).__qualname__}")
    if isgeneratorfunction(function) or isasyncgenfunction(function):
        raise TypeError(f"{role} is a generator function: {name_function(function)}")
    if not _takes(function, len(parameters)):
        expected = ", ".join(parameters)
        raise TypeError(f"{role} does not take ({expected}): {name_function(function)}")


def name_function(function: object) -> str:
    """Return the qualified name of a function, or of the class of an object that can be called.

    A name has no values in it, as the text of a partial function or of an object may have.
    """
    if isinstance(function, partial):
        return name_function(cast("Any", function).func)
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{getattr(named, '__module__', None)}.{getattr(named, '__qualname__', None)}"


def _takes(function: Any, count: int) -> bool:
    try:
        expected = signature(function, follow_wrapped=False)
    except Exception:  # noqa: BLE001 some builtins have none, and annotations may fail in any way
        return True
    try:
        expected.bind(*[None] * count)
    except TypeError:
        return False
    return True
