"""JSON values as HTML: every part of them is text, and marked by its kind."""

import json
from collections.abc import Iterator
from typing import Final

from markupsafe import Markup, escape

from castore_core import Absent, JSONValue
from castore_visualizer._texts import MAX_LENGTH, fold, mark

_INDENT: Final = "  "


def render_json(value: JSONValue | Absent) -> Markup:
    """Return a value as indented JSON, with spans that say what each part is."""
    if isinstance(value, Absent):
        return Markup('<span class="none">absent</span>')
    parts: list[Markup] = []
    length = 0
    for each in _iter_parts(value, "\n"):
        parts.append(each)
        length += len(each)
        if length > MAX_LENGTH:
            parts.append(Markup('<span class="none"> … the rest is left out</span>'))
            break
    return Markup("").join(parts)


def render_value(value: JSONValue | Absent) -> Markup:
    """Return a value that has nothing inside; a long text is folded."""
    if isinstance(value, Absent):
        return Markup('<span class="none">absent</span>')
    if isinstance(value, str):
        return fold("str", value) if value else Markup('<span class="none">empty text</span>')
    return _render_simple(value)


def _iter_parts(value: JSONValue, line: str) -> Iterator[Markup]:
    if isinstance(value, dict) and value:
        inner = line + _INDENT
        yield Markup("{")
        for index, (key, each) in enumerate(value.items()):
            yield escape(f",{inner}" if index else inner)
            yield mark("key", json.dumps(key, ensure_ascii=False)) + ": "
            yield from _iter_parts(each, inner)
        yield escape(line + "}")
    elif isinstance(value, list) and value:
        inner = line + _INDENT
        yield Markup("[")
        for index, each in enumerate(value):
            yield escape(f",{inner}" if index else inner)
            yield from _iter_parts(each, inner)
        yield escape(line + "]")
    else:
        yield _render_simple(value)


def _render_simple(value: JSONValue) -> Markup:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return Markup('<span class="none">a number that is too large to be shown</span>')
    match value:
        case None | bool():
            return mark("lit", text)
        case int() | float():
            return mark("num", text)
        case str():
            return mark("str", text)
        case _:
            return escape(text)
