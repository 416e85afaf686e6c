"""The span of each operation."""

from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from castore_core import (
    AggregateCommands,
    ConnectedEventStore,
    EventDraft,
    EventStore,
    NotificationMessage,
    NotificationMessageBus,
    command,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
    InMemoryMessageBusAdapter,
    InMemoryMessageQueueAdapter,
    MessageContext,
)
from notes import Note, Noted, NoteStore, make_notes, make_queue
from recorded import Recorded, get_attributes, is_child


@pytest.fixture
def notes() -> NoteStore:
    """Give a store in memory."""
    return make_notes(InMemoryEventStorageAdapter())


async def test_a_push(recorded: Recorded, notes: NoteStore) -> None:
    """A push has a span that tells the event, without its payload."""
    await notes.push_event(Noted("n1", 1, payload="milk"))
    expected = {
        "castore.operation": "push",
        "castore.event_store.id": "NOTES",
        "castore.aggregate.id": "n1",
        "castore.event.version": 1,
        "castore.event.type": "NOTED",
    }
    assert expected == get_attributes(recorded.find("push NOTES"))


async def test_a_push_that_is_forced(recorded: Recorded, notes: NoteStore) -> None:
    """The span of a push tells whether it may replace events."""
    await notes.push_event(Noted("n1", 1, payload="milk"), force=True)
    assert get_attributes(recorded.find("push NOTES"))["castore.push.force"] is True


async def test_a_group(recorded: Recorded, notes: NoteStore) -> None:
    """A group has one span, which tells how many events it has, and of which types."""
    events = [Noted("n1", each, payload="milk") for each in (1, 2)]
    await EventStore.push_event_group(*map(notes.group_event, events))
    attributes = get_attributes(recorded.find("push NOTES"))
    assert 2 == attributes["castore.push.events"]
    assert ("NOTED",) == attributes["castore.event.type"]
    assert "n1" == attributes["castore.aggregate.id"]


async def test_a_group_of_two_stores(recorded: Recorded) -> None:
    """The span of a group names all its stores."""
    adapter = InMemoryEventStorageAdapter()
    notes, others = make_notes(adapter), make_notes(adapter, event_store_id="OTHERS")
    event = Noted("n1", 1, payload="milk")
    await EventStore.push_event_group(notes.group_event(event), others.group_event(event))
    assert ["push NOTES, OTHERS"] == recorded.names


async def test_a_load(recorded: Recorded, notes: NoteStore) -> None:
    """A load has one span, which tells how many events were read."""
    for each in (1, 2, 3):
        await notes.push_event(Noted("n1", each, payload="milk"))
    await notes.get_aggregate("n1")
    attributes = get_attributes(recorded.find("load NOTES"))
    assert 3 == attributes["castore.load.events"]
    assert 3 == attributes["castore.aggregate.version"]
    assert "read NOTES" not in recorded.names


async def test_a_load_of_nothing(recorded: Recorded, notes: NoteStore) -> None:
    """A load that finds no events tells so."""
    await notes.get_aggregate("nobody")
    assert 0 == get_attributes(recorded.find("load NOTES"))["castore.load.events"]


async def test_a_read(recorded: Recorded, notes: NoteStore) -> None:
    """Reading events has a span of its own kind."""
    await notes.push_event(Noted("n1", 1, payload="milk"))
    await notes.get_events("n1")
    assert 1 == get_attributes(recorded.find("read NOTES"))["castore.load.events"]


async def test_a_command_and_its_attempts(recorded: Recorded, notes: NoteStore) -> None:
    """A command has one span, with an event for each conflict, and is no error for one."""
    versions = iter([1, 2])

    @command("NOTE", required_event_stores=(notes,), event_already_exists_pause=0)
    async def note(text: str, stores: tuple[NoteStore]) -> None:
        await stores[0].push_event(Noted("n1", next(versions), payload=text))

    await notes.push_event(Noted("n1", 1, payload="milk"))
    await note("bread", (notes,))
    span = recorded.find("command NOTE")
    (conflict,) = span.events
    assert "castore.conflict" == conflict.name
    assert 1 == dict(conflict.attributes or {})["castore.attempt"]
    assert 2 == get_attributes(span)["castore.command.attempts"]
    assert span.status.is_unset
    assert 2 == sum(is_child(each, span) for each in recorded.find_all("push NOTES"))


async def test_a_command_of_an_aggregate(recorded: Recorded, notes: NoteStore) -> None:
    """The span of a command has the load and the push for its children."""
    commands = AggregateCommands(notes)

    @commands.handler
    def write(_: Note | None, *, text: str) -> EventDraft[Noted]:
        return Noted.draft(payload=text)

    await write("n1", text="milk")
    span = recorded.find("command write")
    assert "NOTES" == get_attributes(span)["castore.event_store.id"]
    assert 1 == get_attributes(span)["castore.command.attempts"]
    assert is_child(recorded.find("load NOTES"), span)
    assert is_child(recorded.find("push NOTES"), span)


async def test_a_publish(recorded: Recorded, notes: NoteStore) -> None:
    """A publish is a producer, in the words of OpenTelemetry."""
    queue = make_queue(notes)
    InMemoryMessageQueueAdapter.attach_to(queue)
    await queue.publish_message(NotificationMessage("NOTES", Noted("n1", 1, payload="milk")))
    span = recorded.find("publish NOTE_QUEUE")
    expected = {
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "NOTE_QUEUE",
        "messaging.system": "in_memory",
        "castore.event_store.id": "NOTES",
        "castore.aggregate.id": "n1",
        "castore.event.version": 1,
        "castore.event.type": "NOTED",
    }
    assert SpanKind.PRODUCER == span.kind
    assert expected == get_attributes(span)


async def test_a_publish_of_several(recorded: Recorded, notes: NoteStore) -> None:
    """A batch tells how many messages it has."""
    queue = make_queue(notes)
    InMemoryMessageQueueAdapter.attach_to(queue)
    events = [Noted("n1", each, payload="milk") for each in (1, 2)]
    await queue.publish_messages([NotificationMessage("NOTES", each) for each in events])
    attributes = get_attributes(recorded.find("publish NOTE_QUEUE"))
    assert 2 == attributes["messaging.batch.message_count"]


async def test_handling(recorded: Recorded, notes: NoteStore) -> None:
    """The handling of a message is a consumer, within the trace of the push."""
    queue = make_queue(notes)
    adapter = InMemoryMessageQueueAdapter.attach_to(queue)
    seen: list[MessageContext] = []

    async def work(_: Any, context: MessageContext) -> None:
        seen.append(context)
        await notes.get_events("n1")

    adapter.worker = work
    async with adapter:
        event = Noted("n1", 1, payload="milk")
        await ConnectedEventStore(notes, queue).push_event(event)
        await adapter.join()
    push, publish = recorded.find("push NOTES"), recorded.find("publish NOTE_QUEUE")
    span = recorded.find("process NOTE_QUEUE")
    assert SpanKind.CONSUMER == span.kind
    assert is_child(publish, push)
    assert is_child(span, publish)
    assert [] == [*publish.links, *span.links]  # it is their own trace
    assert is_child(recorded.find("read NOTES"), span)
    assert 1 == get_attributes(span)["castore.attempt"]
    assert ["traceparent"] == list(seen[0].headers)


async def test_handling_by_listeners(recorded: Recorded, notes: NoteStore) -> None:
    """Each listener of a bus has a span of its own."""
    bus = NotificationMessageBus("NOTE_BUS", source_event_stores=(notes,))
    adapter = InMemoryMessageBusAdapter.attach_to(bus)

    def hear(_: object, __: MessageContext) -> None:
        """Hear."""

    adapter.on(hear)
    adapter.on(hear)
    async with adapter:
        await bus.publish_message(NotificationMessage("NOTES", Noted("n1", 1, payload="milk")))
        await adapter.join()
    publish = recorded.find("publish NOTE_BUS")
    assert [True, True] == [
        is_child(each, publish) for each in recorded.find_all("process NOTE_BUS")
    ]


async def test_no_payload_is_recorded(recorded: Recorded, notes: NoteStore) -> None:
    """Neither payloads nor metadata get into spans."""
    queue = make_queue(notes)
    InMemoryMessageQueueAdapter.attach_to(queue)
    event = Noted("n1", 1, payload="swordfish", metadata={"by": "swordfish"})
    await ConnectedEventStore(notes, queue).push_event(event)
    await notes.get_aggregate("n1")
    assert "swordfish" not in "".join(each.to_json() for each in recorded.spans)


async def test_ids_can_be_left_out(recorded: Recorded, notes: NoteStore) -> None:
    """Without ``record_ids``, no span has the id of an aggregate."""
    recorded.instrument(record_ids=False)
    queue = make_queue(notes)
    InMemoryMessageQueueAdapter.attach_to(queue)
    await ConnectedEventStore(notes, queue).push_event(Noted("swordfish", 1, payload="milk"))
    await notes.get_aggregate("swordfish")
    assert "swordfish" not in "".join(each.to_json() for each in recorded.spans)
