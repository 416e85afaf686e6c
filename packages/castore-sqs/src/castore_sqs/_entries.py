"""Messages of castore as entries of SQS: their attributes, ids and sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from castore_aws import Entry, count_bytes
from castore_core import MessageRecord
from castore_sqs._headers import is_header
from castore_sqs._ids import is_text, make_deduplication_id, make_group_id, make_message_id

_MOST_ATTRIBUTES: Final = 10  # of a message
_REPLAY: Final = {"DataType": "Number", "StringValue": "1"}
# AWS counts the name, the type and the value of an attribute.
_MESSAGE_ID_SIZE: Final = len("messageId" + "String")
_REPLAY_SIZE: Final = len("replay" + "Number" + "1")


@dataclass(frozen=True)
class EntryWriter:
    """Makes the entries of one call, all of them replays or none.

    ``replay`` names the replay. Each call that publishes one has a name of its own: a FIFO queue
    that got the live message, or the same replay a minute ago, takes it all the same. Headers
    are left out where they would take a message beyond ``max_bytes``.
    """

    fifo: bool
    replay: str | None
    max_bytes: int

    @classmethod
    def begin(cls, *, fifo: bool, replay: bool, max_bytes: int) -> "EntryWriter":
        """Return the writer of a call."""
        return cls(fifo, f"replay-{uuid4().hex}" if replay else None, max_bytes)

    def make_entry(self, message: MessageRecord, text: str) -> Entry:
        """Return the entry of a message, with the text of its body."""
        body = escape(text)
        message_id = make_message_id(message)
        size = count_bytes(body) + count_bytes(message_id) + _MESSAGE_ID_SIZE
        attributes = {"messageId": _make_attribute(message_id)}
        if self.replay is not None:
            attributes["replay"] = _REPLAY
            size += _REPLAY_SIZE
        headers = _choose(message.headers, _MOST_ATTRIBUTES - len(attributes))
        if headers and (with_headers := size + _count_header_bytes(headers)) <= self.max_bytes:
            size = with_headers
            attributes |= {name: _make_attribute(value) for name, value in headers.items()}
        parameters: dict[str, Any] = {"MessageBody": body, "MessageAttributes": attributes}
        if not self.fifo:
            return Entry(message, parameters, size)
        group = make_group_id(message)
        parameters["MessageDeduplicationId"] = make_deduplication_id(message, self.replay)
        parameters["MessageGroupId"] = group
        return Entry(message, parameters, size, group)


def _make_attribute(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def _choose(headers: Mapping[str, str], most: int) -> dict[str, str]:
    """Return the headers that SQS takes as attributes, and no more than a message may have."""
    fit = {name: each for name, each in headers.items() if is_header(name) and is_text(each)}
    return dict(list(fit.items())[:most])


def _count_header_bytes(headers: Mapping[str, str]) -> int:
    return sum(count_bytes(name + "String" + value) for name, value in headers.items())


def escape(text: str) -> str:
    """Escape what JSON has in its strings as it is, and SQS does not take: U+FFFE and U+FFFF."""
    if text.isascii():
        return text
    return text.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
