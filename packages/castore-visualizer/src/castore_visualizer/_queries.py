"""The query of an address, read with care: it may have come from anywhere."""

from datetime import datetime
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from castore_visualizer._moments import parse_moment

_MOST_DIGITS: Final = 15


def get_text(request: Request, name: str) -> str:
    """Return a text of the query, or an empty one. No id has a NUL, which databases refuse."""
    text = request.query_params.get(name, "")
    if "\0" in text:
        raise HTTPException(400, f"{name} is no text: it has a NUL.")
    return text


def get_number(request: Request, name: str) -> int | None:
    """Return a whole number of the query, 0 or more, or ``None`` without one."""
    text = get_text(request, name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise HTTPException(400, f"{name} is no whole number: {text!r}.")
    return int(text)


def get_moment(request: Request, name: str) -> datetime | None:
    """Return a moment of the query, or ``None`` without one."""
    text = get_text(request, name)
    try:
        return parse_moment(text)
    except ValueError as error:
        raise HTTPException(
            400, f"{text!r} is no moment ({name!r}). Write it as in 2026-01-31 or 2026-01-31T12:00."
        ) from error
