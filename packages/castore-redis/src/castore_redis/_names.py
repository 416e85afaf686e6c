"""Names of keys and channels: ids are data, and no two of them clash."""

import re
from typing import Final

_SPECIAL: Final = re.compile(r"[%:{}*?\[\]\\^]")
_ESCAPED: Final = re.compile(r"%([0-9A-F]{2})")
_GLOB: Final = re.compile(r"([*?\[\]\\^])")


def escape(text: str) -> str:
    """Return a text without separators, braces and characters of patterns, and never an empty one.

    >>> escape("a:b*")
    'a%3Ab%2A'
    """
    return _SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", text) or "%"


def unescape(name: str) -> str:
    """Return the text that was escaped."""
    return "" if name == "%" else _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)


def escape_pattern(text: str) -> str:
    """Return a pattern that matches just the text."""
    return _GLOB.sub(r"\\\1", text)
