"""Texts of others on a terminal: data is shown, and never obeyed."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias, cast

from castore_core import format_timestamp

Row: TypeAlias = Mapping[str, Any]
"""JSON values and moments by their names, which are camelCase as everywhere in Castore's JSON."""

# Controls (C0, DEL and C1, with which escape sequences begin), characters that hide or turn the
# direction of writing, line and paragraph separators, halves of surrogate pairs, tags.
_UNSAFE: Final = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_NAMED: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_WORD_START: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def make_visible(text: str) -> str:
    r"""Return a text in which nothing steers the terminal: an escape is shown as ``\x1b``."""
    return _UNSAFE.sub(lambda match: _escape(match[0]), text)


def format_line(text: str) -> str:
    """Return a text of several lines, such as that of an error, as one line."""
    return make_visible(" ".join(text.split()))


def format_json(value: Any, *, ascii_only: bool = False) -> str:
    r"""Write a value as one line of JSON. It reads the same, and steers no terminal.

    Numbers are as Python has them: all the digits of an integer, and ``2.0`` is no ``2``.
    """
    text = json.dumps(value, ensure_ascii=ascii_only, default=_encode_other)
    return _UNSAFE.sub(lambda match: _escape_json(match[0]), text)


def format_cell(value: Any) -> str:
    """Write a value of a row as people read it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return make_visible(value)
        case datetime():
            return format_timestamp(value)
        case list() | tuple():
            return ", ".join(map(format_cell, cast("list[object]", value)))
        case _:
            return format_json(value)


def name_column(key: str) -> str:
    """Return the words of a camelCase name: ``aggregate id`` for ``aggregateId``."""
    return _WORD_START.sub(" ", key).lower()


def _encode_other(value: object) -> str:
    if isinstance(value, datetime):
        return format_timestamp(value)
    raise TypeError(f"{type(value).__qualname__} is no JSON value")


def _escape(character: str) -> str:
    return _NAMED.get(character) or character.encode("unicode_escape", "surrogatepass").decode()


def _escape_json(character: str) -> str:
    return json.dumps(character)[1:-1]
