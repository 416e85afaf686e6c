"""JSON pointers (RFC 6901) as tuples of their steps."""

from typing import TypeAlias

Pointer: TypeAlias = tuple[str, ...]


def format_pointer(pointer: Pointer) -> str:
    """Return the text of a pointer, in which ``~`` is ``~0`` and ``/`` is ``~1``."""
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in pointer)


def parse_pointer(text: str) -> Pointer:
    """Return the steps of a text, which begins with a slash."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))
