"""Texts as HTML: a long one shows its beginning, and unfolds without a script."""

from itertools import islice
from typing import Final

from markupsafe import Markup

MAX_LENGTH: Final = 20_000  # characters of a value that are shown at all

_LONG: Final = 600  # characters, or
_MANY_LINES: Final = 12
_BEGINNING: Final = 240  # characters, or
_FIRST_LINES: Final = 4


def mark(name: str, text: str) -> Markup:
    """Return a text in a span, as far as it is shown at all."""
    shown = text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"
    return Markup('<span class="{}">{}</span>').format(name, shown)


def fold(name: str, text: str) -> Markup:
    """Return a text in a span; of a long one its beginning, with all of it behind a switch."""
    if len(text) <= _LONG and text.count("\n") < _MANY_LINES:
        return mark(name, text)
    beginning = "\n".join(islice(text[:_BEGINNING].split("\n"), _FIRST_LINES))
    return Markup(
        '<details class="long"><summary><span class="beginning">{} </span>'
        '<span class="more">{}</span><span class="less">Show less</span></summary>{}</details>'
    ).format(mark(name, f"{beginning}…"), _describe(len(text)), mark(name, text))


def fold_text(text: str) -> Markup:
    """Return a text that is no value, such as that of an error, folded where it is long."""
    return fold("text", text)


def _describe(length: int) -> str:
    if length > MAX_LENGTH:
        return f"Show {MAX_LENGTH:,} of {length:,} characters"
    return f"Show all {length:,} characters"
