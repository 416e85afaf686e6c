"""What is put is what Castore 2.4.2 puts, and what it put is read.

recordings/ has what the npm packages sent, and what a queue behind a rule received.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from castore_core import (
    AggregateExistsMessageBus,
    DataclassCodec,
    Event,
    EventStore,
    JSONValue,
    MessageBus,
    NotificationMessageBus,
    StateCarryingMessageBus,
)
from castore_event_bridge import EventBridgeMessageBusAdapter, EventBridgeMessageParser

FOLDER = Path(__file__).parent / "recordings"
RECORDINGS: dict[str, Any] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}


class Appeared(Event, type="APPEARED"):
    """An event with everything."""

    payload: dict[str, JSONValue]
    metadata: JSONValue


class LeveledUp(Event, type="LEVELLED_UP"):
    """An event with nothing."""


@dataclass(frozen=True)
class Pokemon:
    """The aggregate."""

    aggregate_id: str
    version: int
    name: str
    level: int
    status: str


def reduce(_: Pokemon | None, event: Appeared | LeveledUp) -> Pokemon:
    """Be there for the declaration: messages carry the aggregate."""
    return Pokemon(event.aggregate_id, event.version, "", 0, "")


POKEMONS = EventStore(
    "POKEMONS",
    event_types=[Appeared, LeveledUp],
    reduce=reduce,
    aggregate_codec=DataclassCodec(Pokemon, rename={"aggregate_id": "aggregateId"}),
)
BUSES: dict[str, MessageBus[Any]] = {
    "AggregateExistsMessageBus": AggregateExistsMessageBus(
        "EXISTS", source_event_stores=(POKEMONS,)
    ),
    "NotificationMessageBus": NotificationMessageBus(
        "NOTIFICATIONS", source_event_stores=(POKEMONS,)
    ),
    "StateCarryingMessageBus": StateCarryingMessageBus("STATES", source_event_stores=(POKEMONS,)),
}


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_message_is_put_as_castore_does(
    make_fake_client: Callable[..., Any], name: str
) -> None:
    """The entry is the same, byte for byte, alone and in a batch."""
    recording = RECORDINGS[name]
    bus = BUSES[recording["channel"]]
    record = bus.message_to_record(bus.parse_message(recording["message"]))
    client = make_fake_client()
    adapter = EventBridgeMessageBusAdapter(client, "<BUS>")

    await adapter.publish_message(record, **recording["options"])
    await adapter.publish_messages([record], **recording["options"])

    (alone,) = recording["publishMessage"]["wire"]
    (batch,) = recording["publishMessages"]["wire"]
    assert [alone["body"]["Entries"], batch["body"]["Entries"]] == client.calls


@pytest.mark.parametrize("name", RECORDINGS)
async def test_an_event_of_castore_is_read(name: str) -> None:
    """What came from the rule is the message that was published, and is a replay if it was one."""
    recording = RECORDINGS[name]
    bus = BUSES[recording["channel"]]
    (alone,) = (each["parsed"] for each in recording["publishMessage"]["deliveredToSqsTarget"])
    (batch,) = recording["publishMessages"]["deliveredToSqsTarget"]
    parser = EventBridgeMessageParser(bus)

    for event in (alone, batch):
        message, context = await parser.parse_event(event)

        assert recording["message"] == bus.message_to_record(message).body
        assert event["id"] == context.event_id
        is_marked = recording["channel"] != "AggregateExistsMessageBus"  # Castore marks no such one
        assert (is_marked and "replay" in name) == context.replay
