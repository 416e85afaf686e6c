"""Names of keys: those of a stream share a slot of a cluster."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from zlib import crc32

_HASH_TAG: Final = re.compile(r"^[^{]*\{[^}]+\}")  # a cluster hashes what is in the first braces


class StreamKeys(NamedTuple):
    """A stream, and the keys beside it that a consumer group has."""

    stream: str
    lease: str
    dead_letters: str
    workers: str


def name_streams(stream: str, count: int) -> list[str]:
    """Return the names of streams: ``stream`` if it is one, and else ``stream:0``, and so on."""
    return [stream] if count == 1 else [f"{stream}:{number}" for number in range(count)]


def name_keys(stream: str, group: str) -> StreamKeys:
    """Return the keys of a consumer group, which are in the slot of its stream."""
    base = stream if _HASH_TAG.match(stream) else f"{{{stream}}}"
    names = (f"{base}:{group}:{each}" for each in ("lease", "dead", "workers"))
    return StreamKeys(stream, *names)


def check_stream(stream: object) -> None:
    """Check the name of a stream.

    Raises:
        ValueError: it is no text, or is empty, or no key beside it could share its slot.
    """
    if not isinstance(stream, str) or not stream:
        raise ValueError(f"stream is not the name of a key: {stream!r:.100}")
    if "}" in stream and not _HASH_TAG.match(stream):
        raise ValueError(f"stream has a brace that ends no hash tag: {stream!r:.100}")


def find_stream(streams: Sequence[str], event_store_id: str, aggregate_id: str) -> str:
    """Return the stream of an aggregate, the same one in every process."""
    if len(streams) == 1:
        return streams[0]
    return streams[crc32(make_group_id(event_store_id, aggregate_id).encode()) % len(streams)]


def make_group_id(event_store_id: str, aggregate_id: str) -> str:
    """Return what messages of one aggregate have in common: ``store#aggregate``."""
    return f"{event_store_id}#{aggregate_id}"
