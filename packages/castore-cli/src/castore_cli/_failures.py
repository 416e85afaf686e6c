"""Errors as one line: the fault and, in code of the user's, its place."""

import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from castore_cli.errors import CommandError
from castore_core import CastoreError, name_type

_STANDARD_LIBRARY: Final = Path(sysconfig.get_path("stdlib"))


def describe(error: BaseException) -> str:
    """Return what an error says; of errors that nobody expects, their type and place too."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(map(describe, find_leaves(cast("BaseException", error)))))
    text = _add_notes(error, _get_text(error))
    if text and isinstance(error, (CastoreError, CommandError, OSError)):
        return text
    return describe_with_place(error)


def describe_with_place(error: BaseException) -> str:
    """Return the type and the text of an error, and the line of the user's code that it is from."""
    text = _add_notes(error, error.msg if isinstance(error, SyntaxError) else str(error))
    named = f"{name_type(error)}: {text}" if text else name_type(error)
    place = find_place(error)
    return f"{named} ({place})" if place else named


def find_place(error: BaseException) -> str | None:
    """Return the file and line where an error arose: the innermost of the user's, if there is any.

    That is a line outside of Python, of installed packages and of castore.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shorten(error.filename)}, line {error.lineno}"
    frames = [
        each for each in traceback.extract_tb(error.__traceback__) if each.filename[:1] != "<"
    ]
    own = [each for each in frames if _is_of_user(Path(each.filename))]
    if not own:
        return None
    return f"{_shorten(own[-1].filename)}, line {own[-1].lineno}"


def find_leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors of a group, and of the groups in it; an error alone yields itself."""
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from find_leaves(each)
    else:
        yield error


def _get_text(error: BaseException) -> str:
    """Return the text of an error; of a file that cannot be opened, without the error's number."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror[:1].lower()}{error.strerror[1:]}: {error.filename!r}"
    return str(error)


def _add_notes(error: BaseException, text: str) -> str:
    return "; ".join([text, *getattr(error, "__notes__", [])])


def _is_of_user(path: Path) -> bool:
    if "site-packages" in path.parts or "dist-packages" in path.parts:
        return False
    if any(each.startswith("castore_") for each in path.parts):
        return False
    return not path.is_relative_to(_STANDARD_LIBRARY)


def _shorten(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
