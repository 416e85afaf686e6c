"""Positions: places in the one order in which a log has its events."""

import re
from typing import Final, TypeAlias

from castore_core.errors import InvalidLogPositionError

LogPosition: TypeAlias = str
"""A place in a log: a text that sorts as the log is ordered. Only its own log knows more of it."""

LOG_START: Final[LogPosition] = ""
"""The position before the first event, in every log."""

MAX_POSITION_NUMBER: Final = 2**63 - 1
"""The greatest number that `format_position` takes: the greatest row id of a database."""

_FORMATTED = re.compile(r"[0-7][0-9a-f]{15}")


def check_log_query(event_store_ids: object, limit: object = 1) -> None:
    """Refuse a query that no log can answer: every log calls this first.

    Raises:
        ValueError: ``event_store_ids`` is a text, which is a sequence of its letters, or
            ``limit`` is no integer of 1 or more.
    """
    if isinstance(event_store_ids, str):
        raise ValueError("event_store_ids is a text: give a list of ids")
    check_limit(limit)


def check_limit(limit: object) -> None:
    """Refuse a limit that no page can have: adapters call this first where they read pages.

    Raises:
        ValueError: ``limit`` is no integer of 1 or more.
    """
    if type(limit) is not int or limit < 1:
        raise ValueError(f"limit is not 1 or more: {limit!r}")


def format_position(number: int) -> LogPosition:
    """Return the position of a log that counts its events: 16 digits, hexadecimal.

    Raises:
        ValueError: ``number`` is not from 1 to 2**63 - 1.
    """
    if not 1 <= number <= MAX_POSITION_NUMBER:
        raise ValueError(f"a position counts from 1 to 2**63 - 1, which {number} is not")
    return f"{number:016x}"


def parse_position(position: object) -> int:
    """Return the number of a position that `format_position` made, and 0 before the first.

    Raises:
        InvalidLogPositionError: another kind of log made it.
    """
    if position == LOG_START:
        return 0
    if not isinstance(position, str) or not _FORMATTED.fullmatch(position):
        raise InvalidLogPositionError(str(position), "it was made by another log")
    return int(position, 16)
