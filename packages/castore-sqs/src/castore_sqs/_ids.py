"""The ids that SQS is given: one that consumers see, and two by which FIFO queues go."""

import re
from hashlib import sha256
from typing import Final

from castore_core import MessageRecord, format_json, format_message_id

_FIFO_ID: Final = re.compile("[!-~]{1,128}")  # ASCII's letters, digits and punctuation
_TEXT: Final = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]{1,2048}")

# Each id that is not hashed has a "#", and no hash has one: the two are never mistaken.


def is_text(text: str) -> bool:
    """Tell whether SQS takes a text as an attribute."""
    return _TEXT.fullmatch(text) is not None


def make_message_id(message: MessageRecord) -> str:
    """Return the id that consumers see: ``store#aggregate#version``, as Castore has it.

    It is a hash where SQS allows no such text, or where it is longer than 2,048 characters.
    """
    text = format_message_id(message.event_store_id, message.aggregate_id, message.version)
    return text if is_text(text) else _hash(_get_parts(message))


def make_group_id(message: MessageRecord) -> str:
    """Return the id of the group, ``store#aggregate``: messages of one group keep their order.

    It is a hash where SQS allows no such id. Where ids with a ``#`` make one group of two
    aggregates, these have more order than they need.
    """
    parts = [message.event_store_id, message.aggregate_id]
    text = "#".join(parts)
    return text if _FIFO_ID.fullmatch(text) else _hash(parts)


def make_deduplication_id(message: MessageRecord, replay: str | None) -> str:
    """Return the id of which a queue takes one message in five minutes.

    It is the message id, followed by the name of the replay, if it is one. It is a hash where SQS
    allows no such id, and where an id with a ``#`` could make one id of two messages: event 1 of
    aggregate ``a``, and the aggregate ``a#1``.
    """
    parts = _get_parts(message)
    if replay is not None:
        parts.append(replay)
    text = "#".join(parts)
    is_plain = text.count("#") == len(parts) - 1
    return text if is_plain and _FIFO_ID.fullmatch(text) else _hash(parts)


def _get_parts(message: MessageRecord) -> list[str]:
    parts = [message.event_store_id, message.aggregate_id]
    if message.version is not None:
        parts.append(str(message.version))
    return parts


def _hash(parts: list[str]) -> str:
    return sha256(format_json([*parts]).encode()).hexdigest()
