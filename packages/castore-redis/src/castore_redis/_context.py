"""What a handler is told beside the message."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RedisMessageContext:
    """What a handler is told beside the message.

    ``message_id`` is the id of the entry in its ``stream``. ``attempt`` counts from 1 how often
    workers of the group had the message, this time included.
    """

    message_id: str
    attempt: int
    replay: bool
    stream: str
