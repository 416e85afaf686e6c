"""Page tokens: opaque to the user, checked when they come back."""

import json
from binascii import a2b_base64, b2a_base64, crc32
from datetime import datetime
from typing import Any, NamedTuple, cast

from castore_core._checks import checked_limit
from castore_core._json import JSONValue
from castore_core._timestamp import format_timestamp, parse_timestamp
from castore_core.errors import InvalidPageTokenError


class AggregateIdsQuery(NamedTuple):
    """The options of a list of aggregates."""

    limit: int | None = None
    initial_event_after: datetime | None = None
    initial_event_before: datetime | None = None
    reverse: bool = False


def encode_page_token(event_store_id: str, query: AggregateIdsQuery, cursor: JSONValue) -> str:
    """Return the token of the page that begins at ``cursor``.

    It carries a checksum against damage. It is not signed: a client that forges one can ask for
    what the query could have asked for anyway.
    """
    content = [
        event_store_id,
        query.limit,
        query.initial_event_after and format_timestamp(query.initial_event_after),
        query.initial_event_before and format_timestamp(query.initial_event_before),
        query.reverse,
        cursor,
    ]
    return _seal(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def decode_page_token(event_store_id: str, token: str) -> tuple[AggregateIdsQuery, JSONValue]:
    """Return the options and the cursor that a token carries.

    Raises:
        InvalidPageTokenError: the token is damaged, or another store's.
    """
    try:
        owner, limit, after, before, reverse, cursor = _open(token)
        query = AggregateIdsQuery(
            limit,
            None if after is None else parse_timestamp(after),
            None if before is None else parse_timestamp(before),
            reverse,
        )
        _check_query(query)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidPageTokenError(event_store_id, "it is damaged") from error
    if owner != event_store_id:
        raise InvalidPageTokenError(event_store_id, f"it is one of {owner!r}")
    return query, cursor


def _check_query(query: AggregateIdsQuery) -> None:
    if checked_limit(query.limit) != query.limit:
        raise ValueError("its limit is out of bounds")
    if type(query.reverse) is not bool:
        raise ValueError("its direction is neither")


_TO_URL = str.maketrans("+/", "-_")
_FROM_URL = str.maketrans("-_", "+/")


def _seal(data: bytes) -> str:
    sealed = crc32(data).to_bytes(4, "big") + data
    return b2a_base64(sealed, newline=False).decode().translate(_TO_URL).rstrip("=")


def _open(token: str) -> list[Any]:
    padded = token.translate(_FROM_URL) + "=" * (-len(token) % 4)
    data = a2b_base64(padded)[4:]
    if token != _seal(data):
        raise ValueError("it would not have been written so")
    return cast("list[Any]", json.loads(data))
