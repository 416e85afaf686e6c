"""Errors without the values in them: to log, and to keep.

The text of an error often shows values. That of pydantic shows the input, that of a `KeyError` the
key. So only the frames and the types of errors are printed here, and the texts of castore's own
errors where they quote no other.
"""

import traceback
from collections.abc import Iterator
from textwrap import indent
from typing import Any, Final, cast

from castore_core.errors import CastoreError, InvalidMessageError, StorageError

_MOST_ERRORS: Final = 20  # of one chain, or of one group
_MOST_FRAMES: Final = 50  # of one error: the innermost

_CAUSE: Final = "The error above was the direct cause of the one below:"
_CONTEXT: Final = "While the error above was handled, the one below occurred:"
_LEFT_OUT: Final = "[the errors before it are left out]"


def format_error(error: BaseException) -> str:
    """Return the frames and the types of an error and of those behind it, fit to be logged.

    It has the texts of castore's own errors where they quote no other. The order is that of
    Python: causes come first. Notes, and the texts of syntax errors, are left out too. The lines
    are those of source files.
    """
    return _format_chain(error, set())


def name_type(error: BaseException) -> str:
    """Return the qualified name of the type of an error."""
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return module + kind.__qualname__


def drop_frames(error: BaseException) -> None:
    """Take the frames from an error and from those behind it, so that their locals are freed.

    The object that lacked an attribute is taken from an `AttributeError`: it may be a local, too.
    """
    seen: set[int] = set()
    errors = [error]
    while errors:
        each = errors.pop()
        if id(each) not in seen:
            seen.add(id(each))
            each.with_traceback(None)  # an assignment would fail where the class is frozen
            if isinstance(each, AttributeError):
                BaseException.__setattr__(each, "obj", None)
            errors.extend(_get_errors_behind(each))


def _get_errors_behind(error: BaseException) -> Iterator[BaseException]:
    for each in (error.__cause__, error.__context__):
        if each is not None:
            yield each
    yield from _get_members(error)


def _name(error: BaseException) -> str:
    return f"{name_type(error)}: {error}" if _is_plain(error) else name_type(error)


def _is_plain(error: BaseException) -> bool:
    """Tell whether the text of an error holds ids and types only."""
    if isinstance(error, (InvalidMessageError, StorageError)):
        return error.__cause__ is None
    return isinstance(error, CastoreError) and not error.quotes_others


def _get_members(error: BaseException) -> tuple[BaseException, ...]:
    return cast("Any", error).exceptions if isinstance(error, BaseExceptionGroup) else ()


def _format_chain(error: BaseException, seen: set[int]) -> str:
    paragraphs: list[str] = []
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if len(paragraphs) >= 2 * _MOST_ERRORS:
            paragraphs.append(_LEFT_OUT)
            break
        seen.add(id(current))
        earlier, connection = _get_earlier(current)
        paragraphs.append(_format_one(current, seen))
        if earlier is not None and id(earlier) not in seen:
            paragraphs.append(connection)
        current = earlier
    return "\n\n".join(reversed(paragraphs))


def _get_earlier(error: BaseException) -> tuple[BaseException | None, str]:
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__, _CAUSE
    return error.__context__, _CONTEXT


def _format_one(error: BaseException, seen: set[int]) -> str:
    lines = [_name(error)]
    if error.__traceback__ is not None:
        frames = "".join(traceback.format_tb(error.__traceback__, limit=-_MOST_FRAMES))
        lines = ["Traceback (most recent call last):", frames.rstrip("\n"), *lines]
    members = _get_members(error)
    lines += [indent(_format_chain(each, seen), "  | ") for each in members[:_MOST_ERRORS]]
    if len(members) > _MOST_ERRORS:
        lines.append(f"  | [{len(members) - _MOST_ERRORS} more]")
    return "\n".join(lines)
