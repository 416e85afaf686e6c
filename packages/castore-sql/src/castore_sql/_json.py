"""JSON values as texts, and back."""

import json

import msgspec

from castore_core import JSONValue

# Half of the time of a read goes into JSON. Of the fast decoders, msgspec keeps integers of any
# size; orjson would turn those beyond 64 bits into floats.
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

ENCODE_ERRORS = (ValueError, TypeError, OverflowError, RecursionError)


def to_text(value: JSONValue) -> str:
    """Return a value as JSON; one that is none raises one of ``ENCODE_ERRORS``."""
    return _encode(value).decode()


def from_text(text: str) -> JSONValue:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none.
    """
    value: JSONValue
    try:
        value = _decode(text)
    except msgspec.DecodeError:  # another writer's, such as a lone surrogate
        value = json.loads(text)
    return value
