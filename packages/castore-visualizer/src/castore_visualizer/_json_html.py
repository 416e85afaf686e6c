"""JSON values as HTML: every part of them is text, and marked by its kind."""

import json
from collections.abc import Iterator
from typing import Final

from markupsafe import Markup, escape

from castore_core import Absent, JSONValue

MAX_LENGTH: Final = 20_000  # characters of a value that are shown at once
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
    """Return a value that has nothing inside, in one line."""
    if isinstance(value, Absent):
        return Markup('<span class="none">absent</span>')
    if isinstance(value, str):
        return _mark("str", value) if value else Markup('<span class="none">empty text</span>')
    return _render_simple(value)


def _iter_parts(value: JSONValue, line: str) -> Iterator[Markup]:
    if isinstance(value, dict) and value:
        inner = line + _INDENT
        yield Markup("{")
        for index, (key, each) in enumerate(value.items()):
            yield escape(f",{inner}" if index else inner)
            yield _mark("key", json.dumps(key, ensure_ascii=False)) + ": "
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
            return _mark("lit", text)
        case int() | float():
            return _mark("num", text)
        case str():
            return _mark("str", text)
        case _:
            return escape(text)


def _mark(name: str, text: str) -> Markup:
    shown = text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"
    return Markup('<span class="{}">{}</span>').format(name, shown)
