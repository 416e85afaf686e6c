"""Partition keys of what is no event, beside events in one table."""

from hashlib import sha256

from castore_aws import count_bytes
from castore_dynamodb._sizes import MAX_KEY_SIZE


def make_own_key(kind: str, *ids: str) -> str:
    """Return the partition key of something of a kind.

    It begins with ``#``, as no event's does. Where the ids make it too long, it has their hash.
    """
    escaped = (each.replace("%", "%25").replace("#", "%23") for each in ids)
    key = "#".join(["", kind, *escaped])
    if count_bytes(key) <= MAX_KEY_SIZE:
        return key
    return f"#{kind}#%sha256:{sha256(key.encode()).hexdigest()}"
