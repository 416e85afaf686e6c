"""The content of snapshots, by which a snapshot that must not be used is recognised.

A snapshot carries, beside the state:

- the digest of the last event that it includes, which must still be the one that is stored;
- the generation of its aggregate, which changes when an event is replaced;
- a checksum over all of it and over its place.
"""

import json
import os
import re
import time
from hashlib import sha256
from typing import Any, Final, NamedTuple, Self, cast

from castore_core._event import MAX_VERSION
from castore_core._json import ABSENT, JSONValue
from castore_core._record import EventRecord
from castore_core._snapshot_storage import Snapshot
from castore_core._timestamp import format_timestamp

GENERATION: Final = "castore:generation"
"""The reducer version of the notes that hold generations: no reducer has it."""

GENERATION_AT: Final = MAX_VERSION
"""The version of those notes. Snapshots are below it."""

BLOCKED_FOR: Final = 3600.0
"""For so many seconds the aggregate has no snapshots when the outcome of a replacement is unknown.

A write that takes longer, in a transaction for instance, is not allowed for.
"""

# A float with an integral value, in JSON without spaces, or a text that looks like one.
_INTEGRAL_FLOAT = re.compile(r"(?:^|[\[:,])-?\d+(?:\.0(?!\d)|(?:\.\d+)?e)")

_dump = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Content(NamedTuple):
    """The content of a snapshot."""

    state: JSONValue
    event: str
    generation: str

    def seal(self, place: Snapshot) -> Snapshot:
        """Return the snapshot of a place (whose ``aggregate`` does not count)."""
        return place._replace(aggregate={**self._asdict(), "checksum": self._sum_up(place)})

    @classmethod
    def unseal(cls, snapshot: Snapshot) -> Self:
        """Return what a snapshot holds.

        Raises:
            ValueError: it is not as it was sealed, or was sealed for another place.
        """
        match snapshot.aggregate:
            case {"state": state, "event": str(event), "generation": str(generation), **rest}:
                content = cls(state, event, generation)
                if rest == {"checksum": content._sum_up(snapshot)}:
                    return content
            case _:
                pass
        raise ValueError("it is not as an event store has written it")

    def _sum_up(self, place: Snapshot) -> str:
        return digest([*place[:4], *self])


class Generation(NamedTuple):
    """Which snapshots of an aggregate are valid: those that carry its ``token``.

    While an event is being replaced, none is, and none is written.
    """

    token: str = ""
    blocked_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether snapshots may be used and written."""
        return self.blocked_at is None

    @property
    def is_stuck(self) -> bool:
        """Whether the replacement must have ended by now, one way or the other."""
        return self.blocked_at is not None and time.time() > self.blocked_at + BLOCKED_FOR

    @classmethod
    def begin(cls, *, blocked: bool = False) -> Self:
        """Return a generation that no snapshot has."""
        return cls(os.urandom(16).hex(), time.time() if blocked else None)

    def to_note(self, event_store_id: str, aggregate_id: str) -> Snapshot:
        """Return the note that tells all users of the snapshot storage."""
        value: JSONValue = {"token": self.token, "blockedAt": self.blocked_at}
        return Snapshot(event_store_id, aggregate_id, GENERATION_AT, GENERATION, value)

    @classmethod
    def from_note(cls, note: Snapshot | None) -> Self:
        """Return what a note says; without one, it is the first generation."""
        if note is None:
            return cls()
        match note.aggregate:
            case {"token": str(token), "blockedAt": None}:
                return cls(token)
            case {"token": str(token), "blockedAt": int() | float() as moment}:
                return cls(token, moment)
            case _:
                return cls("", 0.0)  # nobody knows: a new one is due


def digest_event(record: EventRecord) -> str:
    """Return the digest of a stored event."""
    data = [[] if each is ABSENT else [each] for each in (record.payload, record.metadata)]
    return digest([record.version, record.type, format_timestamp(record.timestamp), *data])


def digest(value: JSONValue) -> str:
    """Return a digest that is the same for equal values.

    So it does not depend on whether a storage keeps the order of keys, and tells 2.0 from 2.
    """
    text = _dump(value)
    if _INTEGRAL_FLOAT.search(text):
        text = _dump(_with_integers(value))
    return sha256(text.encode()).hexdigest()


def _with_integers(value: Any) -> JSONValue:
    if isinstance(value, dict):
        items = cast("dict[str, JSONValue]", value)
        return {key: _with_integers(each) for key, each in items.items()}
    if isinstance(value, list):
        return [_with_integers(each) for each in cast("list[JSONValue]", value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return cast("JSONValue", value)
