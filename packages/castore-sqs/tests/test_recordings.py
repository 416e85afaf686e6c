"""What is sent is what Castore 2.4.2 sends, and what it sent is read.

recordings/ has what the npm packages sent, and what a consumer received.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from castore_core import (
    AggregateExistsMessageQueue,
    DataclassCodec,
    Event,
    EventStore,
    JSONValue,
    MessageQueue,
    MessageRecord,
    NotificationMessageQueue,
    StateCarryingMessageQueue,
)
from castore_sqs import SQSMessageParser, SQSMessageQueueAdapter

FOLDER = Path(__file__).parent / "recordings"
QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/queue"
RECORDINGS: dict[str, Any] = {
    f"{path.parent.name}/{path.stem}": json.loads(path.read_text())
    for path in sorted(FOLDER.glob("*/*.json"))
}
CORNER_CASES: Any = RECORDINGS.pop("sqs/identifier-corner-cases")["out"]
SAME = [name for name in RECORDINGS if not (name.startswith("sqs-fifo") and "replay" in name)]
"""What Castore sends as it should: its replays on FIFO queues are lost in deduplication."""


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
QUEUES: dict[str, MessageQueue[Any]] = {
    "AggregateExistsMessageQueue": AggregateExistsMessageQueue(
        "EXISTS", source_event_stores=(POKEMONS,)
    ),
    "NotificationMessageQueue": NotificationMessageQueue(
        "NOTIFICATIONS", source_event_stores=(POKEMONS,)
    ),
    "StateCarryingMessageQueue": StateCarryingMessageQueue(
        "STATES", source_event_stores=(POKEMONS,)
    ),
}


def get_url(*, fifo: bool) -> str:
    """Return the URL of a queue, which tells of which kind it is."""
    return f"{QUEUE_URL}.fifo" if fifo else QUEUE_URL


def get_wire(published: Any, *, fifo: bool) -> list[Any]:
    """Return the requests of a recording, to be changed at will; they do not have the URL."""
    return [{**each["body"], "QueueUrl": get_url(fifo=fifo)} for each in published["wire"]]


async def send(client: Any, name: str) -> None:
    """Publish the message of a recording."""
    recording = RECORDINGS[name]
    queue = QUEUES[recording["channel"]]
    adapter = SQSMessageQueueAdapter(client, get_url(fifo=recording["fifo"]), recording["fifo"])
    message = queue.message_to_record(queue.parse_message(recording["message"]))
    await adapter.publish_message(message, replay=recording["options"].get("replay", False))


@pytest.mark.parametrize("name", SAME)
async def test_a_message_is_sent_as_castore_does(
    make_fake_client: Callable[..., Any], name: str
) -> None:
    """The request is the same, byte for byte."""
    client = make_fake_client()
    await send(client, name)
    recording = RECORDINGS[name]
    assert get_wire(recording["publishMessage"], fifo=recording["fifo"]) == client.calls


@pytest.mark.parametrize("name", sorted(RECORDINGS.keys() - set(SAME)))
async def test_a_replay_is_another_message_to_a_fifo_queue(
    make_fake_client: Callable[..., Any], name: str
) -> None:
    """The request is the same but for the deduplication id, which begins with Castore's."""
    client = make_fake_client()
    await send(client, name)
    [expected] = get_wire(RECORDINGS[name]["publishMessage"], fifo=True)
    [sent] = client.calls
    expected_id, sent_id = (each.pop("MessageDeduplicationId") for each in (expected, sent))
    assert expected == sent
    assert sent_id.startswith(f"{expected_id}#replay-")


@pytest.mark.parametrize("name", SAME)
async def test_a_batch_has_the_same_messages(
    make_fake_client: Callable[..., Any], name: str
) -> None:
    """An entry of a batch is what the message is alone; Castore's has no messageId."""
    recording = RECORDINGS[name]
    queue = QUEUES[recording["channel"]]
    client = make_fake_client()
    adapter = SQSMessageQueueAdapter(client, get_url(fifo=recording["fifo"]), recording["fifo"])
    message = queue.message_to_record(queue.parse_message(recording["message"]))

    await adapter.publish_messages([message], replay=recording["options"].get("replay", False))

    [expected] = get_wire(recording["publishMessage"], fifo=recording["fifo"])
    [sent] = client.calls
    queue_url = expected.pop("QueueUrl")
    assert {"QueueUrl": queue_url, "Entries": [{"Id": "0", **expected}]} == sent


@pytest.mark.parametrize("name", ["unicode-id", "id-with-space", "id-130-chars"])
@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
async def test_odd_ids(make_fake_client: Callable[..., Any], name: str, *, fifo: bool) -> None:
    """They are what Castore sends, but for what a FIFO queue does not take: that is hashed."""
    [expected] = get_wire(CORNER_CASES[name], fifo=fifo)
    body = json.loads(expected["MessageBody"])
    record = MessageRecord("POKEMONS", body["event"]["aggregateId"], 1, "T", body)
    client = make_fake_client()

    await SQSMessageQueueAdapter(client, get_url(fifo=fifo), fifo).publish_message(record)

    [sent] = client.calls
    ids = [sent.pop(each, "") for each in ("MessageGroupId", "MessageDeduplicationId")]
    assert expected == sent
    assert [64 if fifo else 0] * 2 == [len(each) for each in ids]


@pytest.mark.parametrize("name", RECORDINGS)
async def test_what_castore_sent_is_read(name: str) -> None:
    """A consumer gets the same message, and knows whether it is a replay."""
    recording = RECORDINGS[name]
    queue = QUEUES[recording["channel"]]
    [received] = recording["publishMessage"]["received"]

    message, context = await SQSMessageParser(queue).parse_record({**received, "MessageId": "m1"})

    assert recording["message"] == queue.message_to_record(message).body
    assert recording["options"].get("replay", False) == context.replay
    assert received["Attributes"].get("MessageGroupId") == context.group_id
