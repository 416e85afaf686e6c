"""Tokens of pages: where each log goes on, as a text in an address."""

import base64
import json
from binascii import Error

from starlette.exceptions import HTTPException

from castore_core import LogPosition
from castore_visualizer._json_kinds import is_list


def pack(positions: list[LogPosition | None]) -> str:
    """Return the token of a page."""
    data = json.dumps(positions, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unpack(token: str, count: int) -> list[LogPosition | None]:
    """Return the positions of a token, or ``count`` times ``None`` without one."""
    if not token:
        return [None] * count
    try:
        found: object = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, Error, RecursionError) as error:
        raise HTTPException(400, "The page token is damaged.") from error
    if not is_list(found) or len(found) != count:
        raise HTTPException(400, "The page token is of another visualizer.")
    return [each if isinstance(each, str) else None for each in found]
