"""The context that a handler is given with a message."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RedisMessageContext:
    """The context that a handler is given with a message.

    ``message_id`` is the id of the entry in its ``stream``. ``attempt`` counts from 1 how often
    workers of the group had the message, this time included. ``headers`` are the
    values that the message carries beside its body.
    """

    message_id: str
    attempt: int
    replay: bool
    stream: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
