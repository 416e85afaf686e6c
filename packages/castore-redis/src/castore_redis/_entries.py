"""Messages of castore as entries of a stream."""

from collections.abc import Mapping, Sequence
from typing import Final

from castore_core import MessageRecord, format_json

EVENT_STORE_ID: Final = "eventStoreId"
AGGREGATE_ID: Final = "aggregateId"
BODY: Final = "body"
REPLAY: Final = "replay"
HEADER: Final = "header:"


def make_fields(message: MessageRecord, *, replay: bool) -> list[bytes]:
    """Return the fields of a message and their values, in turns.

    Raises:
        TypeError, ValueError, RecursionError: the body is no JSON.
    """
    fields = [EVENT_STORE_ID, message.event_store_id, AGGREGATE_ID, message.aggregate_id]
    fields += [BODY, format_json(message.body)]
    fields += [REPLAY, "1"] if replay else []
    for name, value in message.headers.items():
        if _is_encodable(name + value):  # or it would keep the message back
            fields += [HEADER + name, value]
    return [each.encode() for each in fields]


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_headers(fields: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers among the fields of a message."""
    found = [each for each in fields if each.startswith(HEADER)]
    return {each.removeprefix(HEADER): fields[each] for each in found}


def read_fields(fields: Sequence[bytes]) -> Mapping[str, str]:
    r"""Return fields by their name. Bytes that are no UTF-8 become ``\xff``, which is no JSON."""
    texts = [each.decode(errors="backslashreplace") for each in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))
