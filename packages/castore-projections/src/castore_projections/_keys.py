"""Ids of bookmarks: several parts, joined so that no two lists of parts are one id."""

from hashlib import sha256


def make_key(*parts: str) -> str:
    """Join parts to an id: ``%`` and ``/`` in them are escaped."""
    return "/".join(each.replace("%", "%25").replace("/", "%2F") for each in parts)


def find_partition(event_store_id: str, aggregate_id: str, partitions: int) -> int:
    """Return the number, from 0, of the partition that has an aggregate.

    It depends on the two ids alone: every process, of every version of Python, agrees.
    """
    if partitions == 1:
        return 0
    digest = sha256(make_key(event_store_id, aggregate_id).encode()).digest()
    return int.from_bytes(digest[:8]) % partitions
