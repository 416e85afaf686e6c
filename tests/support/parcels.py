"""Parcels and letters: two event stores, and the buses of their messages on Redis."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from redis.asyncio import Redis, RedisCluster

from castore_core import (
    AggregateExistsMessageBus,
    DataclassCodec,
    Event,
    EventStore,
    NotificationMessage,
    NotificationMessageBus,
    StateCarryingMessageBus,
)
from castore_redis import RedisMessageBusAdapter


class Ordered(Event, type="ORDERED"):
    """Somebody ordered a parcel."""

    payload: str


class Delivered(Event, type="DELIVERED"):
    """The parcel is there."""


class Written(Event, type="WRITTEN"):
    """Somebody wrote a letter."""


@dataclass(frozen=True)
class Parcel:
    """The state of a parcel, or of a letter."""

    aggregate_id: str
    version: int


def reduce(_: Parcel | None, event: Event) -> Parcel:
    """Count versions."""
    return Parcel(event.aggregate_id, event.version)


parcels = EventStore(
    "PARCELS",
    event_types=[Ordered, Delivered],
    reduce=reduce,
    aggregate_codec=DataclassCodec(Parcel),
)
letters = EventStore(
    "LETTERS", event_types=[Written], reduce=reduce, aggregate_codec=DataclassCodec(Parcel)
)

Bus: TypeAlias = NotificationMessageBus[Any]


def make_bus(client: Redis | RedisCluster, prefix: str, **options: Any) -> Bus:
    """Return a bus of notifications."""
    return NotificationMessageBus(
        "POST",
        source_event_stores=(parcels, letters),
        message_channel_adapter=RedisMessageBusAdapter(client, channel_prefix=prefix),
        **options,
    )


def make_state_bus(
    client: Redis | RedisCluster, prefix: str
) -> StateCarryingMessageBus[Any, Parcel]:
    """Return a bus of messages with states."""
    return StateCarryingMessageBus(
        "STATES",
        source_event_stores=(parcels, letters),
        message_channel_adapter=RedisMessageBusAdapter(client, channel_prefix=prefix),
    )


def make_aggregate_bus(client: Redis | RedisCluster, prefix: str) -> AggregateExistsMessageBus:
    """Return a bus of messages about new aggregates."""
    return AggregateExistsMessageBus(
        "AGGREGATES",
        source_event_stores=(parcels, letters),
        message_channel_adapter=RedisMessageBusAdapter(client, channel_prefix=prefix),
    )


def ordered(number: int, *, payload: str = "") -> NotificationMessage[Any]:
    """Return a message about a parcel that was ordered."""
    return NotificationMessage("PARCELS", Ordered(f"p{number}", 1, payload=payload))


def delivered(number: int) -> NotificationMessage[Any]:
    """Return a message about a parcel that was delivered."""
    return NotificationMessage("PARCELS", Delivered(f"p{number}", 2))


def written(number: int) -> NotificationMessage[Any]:
    """Return a message about a letter."""
    return NotificationMessage("LETTERS", Written(f"l{number}", 1))
