"""What a handler is told beside the message."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SQSMessageContext:
    """What a handler is told beside the message.

    ``attempt`` counts from 1 how often SQS handed the message out. ``message_id`` is the one that
    SQS gave. On a FIFO queue ``group_id`` is the group that has an order; messages of a standard
    queue may have one too, which has none. ``headers`` are the attributes of type
    String, apart from those of castore.
    """

    message_id: str
    attempt: int
    replay: bool
    group_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
