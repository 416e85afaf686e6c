"""The lines of an archive, chained by their hashes. The page on archives has the format."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Self, cast

from castore_core import (
    ABSENT,
    EventRecord,
    MessageBody,
    check_json,
    event_from_body,
    event_to_body,
    format_timestamp,
    parse_timestamp,
)

FORMAT: Final = "castore-archive"
FORMAT_VERSION: Final = 1

_ENDING: Final = ',"hash":"{}"}}\n'
_ENDING_LENGTH: Final = len(_ENDING.format("0" * 64))


class ArchiveHeader(NamedTuple):
    """The first line of an archive.

    Attributes:
        event_store_ids: the event stores whose events are in it.
        exported_at: when the export began.
    """

    event_store_ids: tuple[str, ...]
    exported_at: datetime

    def to_body(self) -> MessageBody:
        """Return the JSON object of the line."""
        return {
            "format": FORMAT,
            "formatVersion": FORMAT_VERSION,
            "eventStoreIds": [*self.event_store_ids],
            "exportedAt": format_timestamp(self.exported_at),
        }

    @classmethod
    def from_body(cls, body: MessageBody) -> Self:
        """Return the header of a line.

        Raises:
            ValueError: it is none, or one of another version of the format.
        """
        match body:
            case {
                "format": "castore-archive",
                "formatVersion": 1,
                "eventStoreIds": list(ids),
                "exportedAt": str(exported_at),
            } if all(isinstance(each, str) for each in ids):
                return cls(tuple(cast("list[str]", ids)), parse_timestamp(exported_at))
            case {"format": "castore-archive", "formatVersion": version} if version != 1:
                raise ValueError(f"it is of version {version!r:.100} of the format, and not 1")
            case _:
                raise ValueError("it is no header of an archive of castore")


class ArchivedEvent(NamedTuple):
    """An event of an archive.

    Attributes:
        event_store_id: the store that it was exported from.
        record: as it was stored.
    """

    event_store_id: str
    record: EventRecord

    def to_body(self) -> MessageBody:
        """Return the JSON object of its line."""
        return {"eventStoreId": self.event_store_id, **event_to_body(self.record)}

    @classmethod
    def from_body(cls, body: MessageBody) -> Self:
        """Return the event of a line.

        Raises:
            ValueError: it is none.
        """
        event_store_id = body.get("eventStoreId")
        if not isinstance(event_store_id, str):
            raise ValueError("it is no event: its eventStoreId is not a string")
        return cls(event_store_id, event_from_body(body))


@dataclass(frozen=True)
class ArchiveSummary:
    """A complete archive whose hashes are right.

    Attributes:
        event_counts: how many events of each event store are in it, by the id of the store.
        exported_at: when the export began.
        hash: that of the last line, and so of all: 64 hexadecimal digits. Keep it elsewhere to
            tell the archive from one that somebody wrote in its place.
    """

    event_counts: Mapping[str, int]
    exported_at: datetime
    hash: str

    @property
    def event_count(self) -> int:
        """How many events are in it."""
        return sum(self.event_counts.values())

    def to_json(self) -> dict[str, Any]:
        """Return JSON values of it."""
        return {
            "event counts": dict(self.event_counts),
            "exported at": format_timestamp(self.exported_at),
            "hash": self.hash,
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the summary of JSON values."""
        return cls(value["event counts"], parse_timestamp(value["exported at"]), value["hash"])


class HashChain:
    """Makes and checks lines, of which each has the hash of all before it and of itself.

    Args:
        hash_: that of the line before; empty at the beginning.
    """

    def __init__(self, hash_: str = "") -> None:
        self.hash = hash_

    def make_line(self, body: MessageBody) -> bytes:
        """Return the next line.

        Raises:
            ValueError: the object cannot be written as JSON.
        """
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        content = text[:-1].encode()
        return content + self._follow(content)

    def read_line(self, line: bytes) -> MessageBody:
        """Return the object of the next line.

        Raises:
            ValueError: its hash is wrong, or it is no object of JSON.
        """
        content = line[:-_ENDING_LENGTH]
        if line[len(content) :] != self._follow(content):
            raise ValueError("its hash is wrong: the line was changed, or one before it is missing")
        try:
            body = json.loads(line.decode())
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except ValueError:
            raise ValueError("it is no JSON") from None
        if not isinstance(body, dict):
            raise ValueError("it is no object of JSON")
        return cast("MessageBody", body)

    def _follow(self, content: bytes) -> bytes:
        self.hash = hashlib.sha256(self.hash.encode() + content).hexdigest()
        return _ENDING.format(self.hash).encode()


def make_event_line(chain: HashChain, event: ArchivedEvent) -> bytes:
    """Return the line of an event.

    Raises:
        NotJSONError: its payload or metadata has a value that no JSON has, which something else
            than castore has stored.
    """
    try:
        return chain.make_line(event.to_body())
    except (ValueError, RecursionError):
        aggregate_id, version = event.record[:2]
        name = f"event {version} of aggregate {aggregate_id!r} in {event.event_store_id!r}"
        for field in ("payload", "metadata"):
            if (value := getattr(event.record, field)) is not ABSENT:
                check_json(value, f"{name}: {field}")
        raise
