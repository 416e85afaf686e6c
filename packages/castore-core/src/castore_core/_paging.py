"""Page tokens: opaque to the user, checked when they come back."""

import hmac
import json
from binascii import a2b_base64, b2a_base64, crc32
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, cast

from castore_core._checks import checked_limit
from castore_core._json import JSONValue
from castore_core._timestamp import format_timestamp, parse_timestamp
from castore_core.errors import InvalidPageTokenError

_SHORTEST_KEY = 16


class AggregateIdsQuery(NamedTuple):
    """The options of a list of aggregates."""

    limit: int | None = None
    initial_event_after: datetime | None = None
    initial_event_before: datetime | None = None
    reverse: bool = False


class PageTokens:
    """Makes the page tokens of an event store, and opens them.

    Without keys a token carries a checksum against damage. A client that forges one can drop the
    limit and the bounds that it carries. With ``keys`` tokens are signed (HMAC with SHA-256): the
    first key signs, and all of them are accepted, so that keys can be rotated.

    Raises:
        ValueError: a key is no bytes, or has fewer than 16.
    """

    def __init__(self, event_store_id: str, keys: Iterable[object] = ()) -> None:
        self.keys = tuple(_checked_key(each) for each in keys)
        self._event_store_id = event_store_id

    def encode(self, query: AggregateIdsQuery, cursor: JSONValue) -> str:
        """Return the token of the page that begins at ``cursor``."""
        content = [
            self._event_store_id,
            query.limit,
            query.initial_event_after and format_timestamp(query.initial_event_after),
            query.initial_event_before and format_timestamp(query.initial_event_before),
            query.reverse,
            cursor,
        ]
        data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        return _to_text(self._make_seals(data)[0] + data)

    def decode(self, token: str) -> tuple[AggregateIdsQuery, JSONValue]:
        """Return the options and the cursor that a token carries.

        Raises:
            InvalidPageTokenError: the token is damaged, forged, or another store's.
        """
        try:
            owner, limit, after, before, reverse, cursor = self._open(token)
            query = AggregateIdsQuery(
                limit,
                None if after is None else parse_timestamp(after),
                None if before is None else parse_timestamp(before),
                reverse,
            )
            _check_query(query)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            reason = "it is damaged, or signed with another key" if self.keys else "it is damaged"
            raise InvalidPageTokenError(self._event_store_id, reason) from error
        if owner != self._event_store_id:
            raise InvalidPageTokenError(self._event_store_id, f"it is one of {owner!r:.100}")
        return query, cursor

    def _make_seals(self, data: bytes) -> list[bytes]:
        if not self.keys:
            return [crc32(data).to_bytes(4, "big")]
        return [hmac.digest(each, data, "sha256") for each in self.keys]

    def _open(self, token: str) -> list[Any]:
        sealed = _from_text(token)
        length = 32 if self.keys else 4
        seal, data = sealed[:length], sealed[length:]
        if not any(hmac.compare_digest(seal, each) for each in self._make_seals(data)):
            raise ValueError("its seal is not of this store")
        return cast("list[Any]", json.loads(data))


def _checked_key(key: object) -> bytes:
    if not isinstance(key, bytes) or len(key) < _SHORTEST_KEY:
        raise ValueError(f"page_token_keys is a list of bytes, at least {_SHORTEST_KEY} in each")
    return key


def _check_query(query: AggregateIdsQuery) -> None:
    if checked_limit(query.limit) != query.limit:
        raise ValueError("its limit is out of bounds")
    if type(query.reverse) is not bool:
        raise ValueError("its direction is neither")


_TO_URL = str.maketrans("+/", "-_")
_FROM_URL = str.maketrans("-_", "+/")


def _to_text(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode().translate(_TO_URL).rstrip("=")


def _from_text(token: str) -> bytes:
    padded = token.translate(_FROM_URL) + "=" * (-len(token) % 4)
    data = a2b_base64(padded)
    if token != _to_text(data):
        raise ValueError("it would not have been written so")
    return data
