"""What a worker did not handle stays in the directory."""

from pathlib import Path
from typing import Any

import pytest

from castore_core import (
    AggregateExistsMessage,
    AggregateExistsMessageQueue,
    Event,
    EventStore,
    parse_timestamp,
)
from directory_queue import DirectoryMessageQueueAdapter, handle_messages


class Noted(Event, type="NOTED"):
    """Something was written down."""


NOON = parse_timestamp("2024-02-29T12:00:00.000Z")
STORE: EventStore[Any, Any] = EventStore(
    "NOTES", event_types=[Noted], reduce=lambda _, event: event
)


async def test_a_message_stays_until_it_was_handled(tmp_path: Path) -> None:
    """A message whose worker raises is the first of the next call, and its followers wait."""
    queue = AggregateExistsMessageQueue("NOTES_QUEUE", source_event_stores=(STORE,))
    queue.message_channel_adapter = DirectoryMessageQueueAdapter(tmp_path)
    messages = [AggregateExistsMessage("NOTES", f"a{each}", NOON) for each in range(3)]
    await queue.publish_messages(messages)
    told: list[AggregateExistsMessage] = []

    async def worker(message: AggregateExistsMessage, _: bool) -> None:
        told.append(message)
        if len(told) == 2:
            raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match="not today"):
        await handle_messages(queue, tmp_path, worker)
    await handle_messages(queue, tmp_path, worker)
    assert [messages[0], messages[1], messages[1], messages[2]] == told
    assert [] == list(tmp_path.iterdir())
