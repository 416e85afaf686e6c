"""Rules choose the messages that their pattern asks for."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import pytest

from castore_core import AGGREGATE_EXISTS, REPLAYED, Event, MessageRecord
from castore_event_bridge import EventBridgeMessageBusAdapter, event_pattern

PATIENCE = 20  # seconds


class Caught(Event, type="CAUGHT"):
    """An event."""


class Leveled(Event, type="LEVELED"):
    """Another one."""


def make_message(event_type: str, store_id: str = "POKEMONS") -> MessageRecord:
    """Return a message about an event."""
    body: Any = {"eventStoreId": store_id, "event": {"type": event_type}}
    return MessageRecord(store_id, "a1", 1, event_type, body)


def make_claim(detail_type: str) -> dict[str, Any]:
    """Return what follows the source in an entry whose body lies in S3."""
    return {"DetailType": detail_type, "Detail": json.dumps({"messageUrl": "https://s3/key"})}


async def publish_everything(client: Any, event_bus_name: str) -> None:
    """Publish a message of each kind."""
    adapter = EventBridgeMessageBusAdapter(client, event_bus_name)
    live = [make_message(each) for each in ("CAUGHT", "LEVELED", AGGREGATE_EXISTS)]
    await adapter.publish_messages([*live, make_message("CAUGHT", "TRAINERS")])
    await adapter.publish_messages(
        [make_message("CAUGHT"), make_message("LEVELED"), make_message("CAUGHT", "TRAINERS")],
        replay=True,
    )
    claims = [make_claim(each) for each in ("CAUGHT", "LEVELED", REPLAYED)]
    client.put_events(
        Entries=[{"Source": "POKEMONS", "EventBusName": event_bus_name, **each} for each in claims]
    )


async def receive(outlet: Any, count: int) -> list[str]:
    """Return what the rule let through, in one word each."""
    events: list[Any] = []
    deadline = monotonic() + PATIENCE
    found = True
    while found or (len(events) < count and monotonic() < deadline):
        found = await asyncio.to_thread(outlet.receive)
        events += found
    return sorted(map(describe, events))


def describe(event: Any) -> str:
    """Say what an event is."""
    kind = event["detail-type"]
    if kind == REPLAYED:
        kind = "replayed " + event["detail"].get("event", {"type": ""})["type"]
    claim = " claim" if "messageUrl" in event["detail"] else ""
    store = "" if event["source"] == "POKEMONS" else f" of {event['source']}"
    return f"{kind}{claim}{store}"


LIVE = ["CAUGHT", "CAUGHT claim", "LEVELED", "LEVELED claim", AGGREGATE_EXISTS]
REPLAYS = ["replayed  claim", "replayed CAUGHT", "replayed LEVELED"]
CAUGHT = ["CAUGHT", "CAUGHT claim"]
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "the whole store": ({}, LIVE + REPLAYS),
    "without replays": ({"replays": False}, LIVE),
    "replays only": ({"replays": "only"}, REPLAYS),
    "some types": (
        {"event_types": [Caught]},
        [*CAUGHT, "replayed  claim", "replayed CAUGHT"],
    ),
    "some types without replays": ({"event_types": [Caught], "replays": False}, CAUGHT),
    "replays of some types": (
        {"event_types": [Caught], "replays": "only"},
        ["replayed  claim", "replayed CAUGHT"],
    ),
    "all types": ({"event_types": [Caught, Leveled]}, [*LIVE[:-1], *REPLAYS]),
    "aggregates": ({"event_types": [AGGREGATE_EXISTS]}, [AGGREGATE_EXISTS]),
    "aggregates and a type": (
        {"event_types": [AGGREGATE_EXISTS, "CAUGHT"], "replays": False},
        [AGGREGATE_EXISTS, *CAUGHT],
    ),
}


@pytest.mark.parametrize(("options", "expected"), CASES.values(), ids=CASES.keys())
async def test_a_rule_lets_through(
    make_client: Callable[..., Awaitable[Any]],
    make_outlet: Callable[..., Awaitable[Any]],
    url: str,
    options: dict[str, Any],
    expected: list[str],
) -> None:
    """It lets through what was asked for, and nothing of another store.

    A replay whose body lies in S3 does not say which type it is of. It is rather one too many than
    one too few.
    """
    outlet = await make_outlet(url, event_pattern(event_store_id="POKEMONS", **options))

    await publish_everything(await make_client("boto3", url), outlet.event_bus_name)

    assert sorted(expected) == await receive(outlet, len(expected))


def test_a_plain_pattern_is_plain() -> None:
    """There is no operator where none is needed."""
    assert {"source": ["POKEMONS"]} == event_pattern(event_store_id="POKEMONS")
    assert {"source": ["POKEMONS"], "detail-type": ["CAUGHT", "LEVELED"]} == event_pattern(
        event_store_id="POKEMONS", event_types=[Caught, "LEVELED", "CAUGHT"], replays=False
    )


@pytest.mark.parametrize(
    "options",
    [
        {"event_types": []},
        {"event_types": [], "replays": "only"},
        {"event_types": [AGGREGATE_EXISTS], "replays": "only"},
    ],
    ids=["no types", "replays of no types", "replays of aggregates"],
)
def test_a_pattern_of_nothing_is_refused(options: Any) -> None:
    """A rule that lets nothing through is a mistake."""
    with pytest.raises(ValueError, match="would choose nothing"):
        event_pattern(event_store_id="POKEMONS", **options)


def test_one_type_is_no_list_of_types() -> None:
    """Its letters would be types, and the rule would let nothing through."""
    with pytest.raises(TypeError, match="not a list of types: 'CAUGHT'"):
        event_pattern(event_store_id="POKEMONS", event_types="CAUGHT")
