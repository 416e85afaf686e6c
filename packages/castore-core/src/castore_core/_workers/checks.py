"""Checks of options: the error names the option, its bounds, and the value."""

from math import isfinite
from typing import TypeGuard


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Check a whole number between two bounds, inclusive.

    Raises:
        ValueError: it is out of its bounds, or no ``int``.
    """
    bounds = f"{least} or more" if most is None else f"{least} to {most}"
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is not {bounds}, as a whole number: {value!r:.100}")
    if value < least or (most is not None and value > most):
        raise ValueError(f"{name} is not {bounds}: {value!r}")


def check_seconds(name: str, value: object) -> None:
    """Check a time in seconds: a number that is 0 or more, and finite.

    Raises:
        ValueError: it is not.
    """
    if not _is_number(value) or not (value >= 0 and isfinite(value)):
        raise ValueError(f"{name} is not a number of seconds, 0 or more: {value!r:.100}")


def check_time_limit(name: str, value: object, most: float) -> None:
    """Check a time limit in seconds: a number that is more than 0, or ``None`` for no limit.

    Raises:
        ValueError: it is neither.
    """
    if value is not None and not (_is_number(value) and 0 < value <= most):
        limits = f"more than 0 and up to {most:g}, and not None"
        raise ValueError(f"{name} is not a number of seconds, {limits}: {value!r:.100}")


def check_type(name: str, value: object, kind: type) -> None:
    """Check that a value is of a class.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} is no {kind.__name__}: {value!r:.100}")


def check_callable(name: str, value: object) -> None:
    """Check that a value can be called.

    Raises:
        TypeError: it cannot.
    """
    if not callable(value):
        raise TypeError(f"{name} cannot be called: {value!r:.100}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
