"""Checks of the options of an adapter, and of numbers that no column can hold."""

MAX_INTEGER = 2**63 - 1


def check_table_name(name: object, option: str = "table_name") -> None:
    """Refuse a name that no table can have."""
    if not isinstance(name, str) or not name or "\0" in name or not _is_unicode(name):
        raise ValueError(f"{option} is not the name of a table: {name!r}")


def check_busy_timeout(seconds: object) -> None:
    """Refuse a value that is no number of seconds, 0 or more."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise ValueError(f"busy_timeout is not 0 or more: {seconds!r}")


def check_rows_in_loop(rows: object) -> None:
    """Refuse a value that is no number of rows, 0 or more."""
    if type(rows) is not int or rows < 0:
        raise ValueError(f"rows_in_loop is not 0 or more: {rows!r}")


def check_position(position: object) -> None:
    """Refuse what is no position, such as the ``None`` of an event that is not there."""
    if not isinstance(position, str):
        raise ValueError(f"position is no text: {position!r}")


def clamp_limit(limit: int) -> int:
    """Return the nearest limit that a column can hold."""
    return min(limit, MAX_INTEGER - 1)  # a list looks one further


def clamp(version: int) -> int:
    """Return the nearest version that a column can hold."""
    return max(-MAX_INTEGER, min(version, MAX_INTEGER))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
