"""Traces that go on: in messages, in metadata, in tasks and in threads."""

import asyncio
from collections.abc import Sequence
from threading import Thread
from typing import Any

from opentelemetry import trace

from castore_core import (
    ConnectedEventStore,
    Event,
    EventStore,
    JSONValue,
    MessageRecord,
    NotificationMessage,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
    InMemoryMessageQueueAdapter,
    MessageContext,
)
from notes import Noted, make_notes, make_queue
from recorded import Recorded, get_attributes, get_context, get_links, get_trace_id, is_child

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331


class Kept:
    """An adapter that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[MessageRecord] = []

    async def publish_message(self, message: MessageRecord, **_: bool) -> None:
        """Keep a message."""
        self.messages.append(message)

    async def publish_messages(self, messages: Sequence[MessageRecord], **_: bool) -> None:
        """Keep messages."""
        self.messages.extend(messages)


def ignore(_: object, __: MessageContext) -> None:
    """Handle a message."""


def tell(version: int = 1, **metadata: JSONValue) -> NotificationMessage[Noted]:
    """Return a message."""
    return NotificationMessage("NOTES", Noted("n1", version, payload="milk", metadata=metadata))


async def test_a_push_writes_its_trace_into_metadata(recorded: Recorded) -> None:
    """The event is stored, and returned, with the context of the span of its push."""
    notes = make_notes(InMemoryEventStorageAdapter())
    pushed = await notes.push_event(Noted("n1", 1, payload="milk", metadata={"by": "ash"}))
    context = get_context(recorded.find("push NOTES"))
    expected = f"00-{context.trace_id:032x}-{context.span_id:016x}"
    metadata = pushed.event.metadata or {}
    assert [pushed.event] == await notes.get_events("n1")
    assert "ash" == metadata["by"]
    assert str(metadata["traceparent"]).startswith(expected)


async def test_a_trace_that_is_there_stays(recorded: Recorded) -> None:
    """An event that names a trace keeps it."""
    notes = make_notes(InMemoryEventStorageAdapter())
    event = Noted("n1", 1, payload="milk", metadata={"traceparent": PARENT})
    assert event == (await notes.push_event(event)).event
    assert 1 == len(recorded.spans)


async def test_metadata_without_room(recorded: Recorded) -> None:
    """An event whose type has no room for the trace is stored as it is."""

    class Plain(Event, type="PLAIN"):
        payload: str

    store = EventStore(
        "PLAIN",
        event_types=[Plain],
        reduce=lambda _, event: event,
        storage_adapter=(adapter := InMemoryEventStorageAdapter()),
    )
    event = Plain("p1", 1, payload="milk")
    await store.push_event(event)
    (record,) = await adapter.get_events("PLAIN", "p1")
    assert event.to_record() == record
    assert ["push PLAIN"] == recorded.names


async def test_traces_can_be_kept_out_of_metadata(recorded: Recorded) -> None:
    """With ``trace_metadata=False``, nothing is stored with events."""
    recorded.instrument(trace_metadata=False)
    notes = make_notes(InMemoryEventStorageAdapter())
    event = Noted("n1", 1, payload="milk")
    assert event == (await notes.push_event(event)).event


async def test_events_of_a_group_have_the_trace(recorded: Recorded) -> None:
    """Each event of a group is stored, and returned, with the trace of the group."""
    notes = make_notes(InMemoryEventStorageAdapter())
    events = [Noted("n1", each, payload="milk") for each in (1, 2)]
    pushed = await EventStore.push_event_group(*map(notes.group_event, events))
    span_id = f"{get_context(recorded.find('push NOTES')).span_id:016x}"
    assert [each.event for each in pushed] == await notes.get_events("n1")
    assert all(span_id in str(each.event.metadata) for each in pushed)


async def test_a_message_goes_on_with_the_trace_of_its_event(recorded: Recorded) -> None:
    """A message that is published later, as by a relay, carries the trace of the push."""
    queue = make_queue(make_notes())
    queue.message_channel_adapter = kept = Kept()
    await queue.publish_message(tell(traceparent=PARENT))
    assert {"traceparent": PARENT} == kept.messages[0].headers
    assert {SPAN_ID} == get_links(recorded.find("publish NOTE_QUEUE"))


async def test_a_batch_is_linked_to_the_traces_of_its_events(recorded: Recorded) -> None:
    """Messages of a batch carry their own traces, and one without a trace that of the batch."""
    queue = make_queue(make_notes())
    queue.message_channel_adapter = kept = Kept()
    other = PARENT.replace("3331-", "3332-")
    messages = [tell(traceparent=PARENT), tell(2, traceparent=other), tell(3)]
    await queue.publish_messages(messages)
    span = recorded.find("publish NOTE_QUEUE")
    own = [each.headers["traceparent"] for each in kept.messages]
    assert [PARENT, other] == own[:2]
    assert f"{get_context(span).span_id:016x}" in own[2]
    assert {SPAN_ID, SPAN_ID + 1} == get_links(span)


async def test_a_replay_begins_a_trace(recorded: Recorded) -> None:
    """A replay does not go on with a trace that may be long over, and is linked to it."""
    notes = make_notes(InMemoryEventStorageAdapter())
    queue = make_queue(notes)
    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=ignore)
    async with adapter:
        await queue.publish_message(tell(traceparent=PARENT), replay=True)
        await adapter.join()
    publish, span = recorded.find("publish NOTE_QUEUE"), recorded.find("process NOTE_QUEUE")
    assert get_trace_id(publish) != TRACE_ID
    assert get_trace_id(publish) == get_trace_id(span)
    assert {SPAN_ID} == get_links(publish)


async def test_headers_of_others_are_continued(recorded: Recorded) -> None:
    """A message of a publisher elsewhere is handled in its trace, by its headers."""
    queue = make_queue(make_notes())
    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=ignore)
    record = queue.message_to_record(tell())._replace(headers={"traceparent": PARENT})
    async with adapter:
        with recorded.tracer.start_as_current_span("elsewhere"):
            await adapter.publish_message(record)
        await adapter.join()
    span = recorded.find("process NOTE_QUEUE")
    assert span.parent is not None
    assert (TRACE_ID, SPAN_ID) == (get_trace_id(span), span.parent.span_id)
    assert {get_context(recorded.find("elsewhere")).span_id} == get_links(span)


async def test_metadata_without_headers_are_continued(recorded: Recorded) -> None:
    """A message without headers is handled in the trace of its event."""
    queue = make_queue(make_notes())
    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=ignore)
    async with adapter:
        await adapter.publish_message(queue.message_to_record(tell(traceparent=PARENT)))
        await adapter.join()
    assert TRACE_ID == get_trace_id(recorded.find("process NOTE_QUEUE"))


async def test_headers_that_are_no_trace(recorded: Recorded) -> None:
    """A message with a damaged header is handled in a trace of its own."""
    queue = make_queue(make_notes())
    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=ignore)
    record = queue.message_to_record(tell())._replace(headers={"traceparent": "damaged"})
    async with adapter:
        await adapter.publish_message(record)
        await adapter.join()
    assert recorded.find("process NOTE_QUEUE").parent is None


async def test_spans_stay_in_their_tasks(recorded: Recorded) -> None:
    """Of pushes at the same time, each is a child of its own request."""
    notes = make_notes(InMemoryEventStorageAdapter())

    async def request(number: int) -> None:
        with recorded.tracer.start_as_current_span(f"request {number}"):
            await asyncio.sleep(0)
            await notes.push_event(Noted(f"n{number}", 1, payload="milk"))

    await asyncio.gather(*map(request, range(20)))
    pushes = {
        get_attributes(each)["castore.aggregate.id"]: each
        for each in recorded.find_all("push NOTES")
    }
    assert all(is_child(pushes[f"n{each}"], recorded.find(f"request {each}")) for each in range(20))
    assert not trace.get_current_span().get_span_context().is_valid


async def test_handlers_see_their_own_span(recorded: Recorded) -> None:
    """A handler runs within the span of its message, also where it publishes more."""
    notes = make_notes(InMemoryEventStorageAdapter())
    queue = make_queue(notes)
    connected = ConnectedEventStore(notes, queue)
    current: list[int] = []

    async def work(message: NotificationMessage[Noted], _: MessageContext) -> None:
        current.append(trace.get_current_span().get_span_context().span_id)
        if message.event.version < 3:
            event = message.event
            await connected.push_event(Noted(event.aggregate_id, event.version + 1, payload="more"))

    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=work)
    async with adapter:
        await connected.push_event(Noted("n1", 1, payload="milk"))
        await adapter.join()
    spans = recorded.find_all("process NOTE_QUEUE")
    assert current == [get_context(each).span_id for each in spans]
    assert 1 == len({get_trace_id(each) for each in recorded.spans})


def test_threads(recorded: Recorded) -> None:
    """Pushes of several threads are recorded, each with its own trace."""

    def push(number: int) -> None:
        notes = make_notes(InMemoryEventStorageAdapter())
        asyncio.run(push_one(notes, number))

    async def push_one(notes: Any, number: int) -> None:
        await notes.push_event(Noted(f"n{number}", 1, payload="milk"))

    threads = [Thread(target=push, args=(each,)) for each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert 4 == len({get_trace_id(each) for each in recorded.spans})
