"""Messages: what is told to others about what was pushed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeAlias

from castore_core._aggregate import A_co
from castore_core._event import MAX_VERSION, E_co
from castore_core._json import ABSENT, Absent, JSONValue, check_json, is_unicode
from castore_core._record import EventRecord
from castore_core._telemetry import NO_HEADERS
from castore_core._timestamp import format_timestamp, parse_timestamp


@dataclass(frozen=True)
class AggregateExistsMessage:
    """Tells that an aggregate exists, without saying anything of its events."""

    event_store_id: str
    aggregate_id: str
    initial_event_timestamp: datetime


@dataclass(frozen=True)
class NotificationMessage(Generic[E_co]):
    """Tells that an event was pushed."""

    event_store_id: str
    event: E_co


@dataclass(frozen=True)
class StateCarryingMessage(Generic[E_co, A_co]):
    """Tells that an event was pushed, and the state of the aggregate after it."""

    event_store_id: str
    event: E_co
    aggregate: A_co


class MessageRecord(NamedTuple):
    """A message as channel adapters see it: JSON values, and no user's class.

    ``type`` is the event's type, or ``__AGGREGATE_EXISTS__``; ``version`` the event's version, or
    ``None`` then. ``body`` is the message as it is written on the wire, in camelCase; the repr,
    which may be logged, leaves it out. ``headers`` go beside the body, where the channel has a
    place for them: the trace that the message belongs to.
    """

    event_store_id: str
    aggregate_id: str
    version: int | None
    type: str
    body: "MessageBody"
    headers: Mapping[str, str] = NO_HEADERS

    def __repr__(self) -> str:
        return (
            f"MessageRecord({self.event_store_id!r}, {self.aggregate_id!r}, "
            f"version={self.version}, type={self.type!r})"
        )


def format_message_id(event_store_id: str, aggregate_id: str, version: int | None = None) -> str:
    """Return the id of the message of an event: ``store#aggregate#version``, as Castore has it.

    That of a message about an aggregate has no version.
    """
    place = f"{event_store_id}#{aggregate_id}"
    return place if version is None else f"{place}#{version}"


MessageBody: TypeAlias = dict[str, JSONValue]


def event_to_body(record: EventRecord) -> MessageBody:
    """Write an event as messages carry it."""
    body: MessageBody = {
        "aggregateId": record.aggregate_id,
        "version": record.version,
        "type": record.type,
        "timestamp": format_timestamp(record.timestamp),
    }
    if record.payload is not ABSENT:
        body["payload"] = record.payload
    if record.metadata is not ABSENT:
        body["metadata"] = record.metadata
    return body


def event_from_body(body: JSONValue) -> EventRecord:
    """Read an event as messages carry it.

    Raises:
        ValueError: the body is no event.
    """
    if not isinstance(body, dict):
        raise ValueError("its event is not an object")
    return EventRecord(
        text_from_body(body, "aggregateId"),
        _version_from_body(body),
        text_from_body(body, "type"),
        timestamp_from_body(body, "timestamp"),
        _json_from_body(body, "payload"),
        _json_from_body(body, "metadata"),
    )


def text_from_body(body: MessageBody, key: str) -> str:
    """Read a string of a body, such as an id.

    Raises:
        ValueError: the key is missing, or its value is no string, empty or not well-formed Unicode.
    """
    value = _get(body, key)
    if not isinstance(value, str):
        raise ValueError(f"its {key} is not a string")
    if not value or not is_unicode(value):
        raise ValueError(f"its {key} is empty, or not well-formed Unicode")
    return value


def timestamp_from_body(body: MessageBody, key: str) -> datetime:
    """Read a moment of a body.

    Raises:
        ValueError: the key is missing, or holds something else.
    """
    text = text_from_body(body, key)
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise ValueError(f"its {key} {text!r:.100} is no moment: {error}") from error


def _version_from_body(body: MessageBody) -> int:
    version = _get(body, "version")
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise ValueError("its version is not an integer from 1 to 2**53 - 1")
    return version


def _json_from_body(body: MessageBody, key: str) -> JSONValue | Absent:
    if key not in body:
        return ABSENT
    check_json(body[key], key)
    return body[key]


def _get(body: MessageBody, key: str) -> JSONValue:
    if key not in body:
        raise ValueError(f"it has no {key}")
    return body[key]
