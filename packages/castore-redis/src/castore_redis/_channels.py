"""Names of Pub/Sub channels: one for each kind of message, so that listeners subscribe to kinds.

    <prefix>:{<event store>}:<type>                  a message
    <prefix>:{<event store>}:<type>:__REPLAYED__     its replay

The braces are a hash tag: on a cluster, the messages of one event store go through one shard, and
keep their order.
"""

from typing import Final

from castore_core import REPLAYED
from castore_redis._names import escape, escape_pattern

_REPLAY_END: Final = f":{REPLAYED}"


def make_channel(prefix: str, event_store_id: str, type: str, *, replay: bool) -> str:
    """Return the name of the channel of a kind of message."""
    name = f"{prefix}:{{{escape(event_store_id)}}}:{escape(type)}"
    return f"{name}{_REPLAY_END}" if replay else name


def make_pattern(prefix: str, event_store_id: str) -> str:
    """Return a pattern of the channels of an event store, and of no other."""
    return f"{escape_pattern(prefix)}:{{{escape(event_store_id)}}}:*"


def is_replay(channel: str) -> bool:
    """Tell whether a channel is one of replays."""
    return channel.endswith(_REPLAY_END)
