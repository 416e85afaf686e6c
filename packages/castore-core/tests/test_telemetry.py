"""The seam of telemetry: what it is told, and that its failures change nothing."""

import asyncio
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from inspect import iscoroutinefunction, signature
from typing import Any, NotRequired, TypedDict

import pytest

from castore_core import (
    COMMANDS_STORE_ID,
    Event,
    EventAlreadyExistsError,
    EventDraft,
    EventStore,
    MessageRecord,
    NotificationMessage,
    NotificationMessageQueue,
    command,
    event_metadata,
    group_command,
    one,
)
from castore_core.telemetry import (
    NO_HEADERS,
    Observation,
    Operation,
    Origin,
    get_headers,
    get_trace_metadata,
    note,
    observed,
    use_telemetry,
)
from castore_in_memory import InMemoryEventStorageAdapter


class Noted(Event, type="NOTED"):
    """Somebody noted something."""

    payload: str
    metadata: dict[str, str] | None = None


class Keeper:
    """A telemetry that keeps what it is told."""

    def __init__(self) -> None:
        self.ended: list[Operation] = []
        self.notes: list[tuple[str, Mapping[str, Any]]] = []
        self.origins: list[Origin | None] = []

    @contextmanager
    def observe(self, operation: Operation) -> Generator[None]:
        """Keep an operation that has ended."""
        try:
            yield
        finally:
            self.ended.append(operation)

    def note(self, name: str, values: Mapping[str, Any]) -> None:
        """Keep a note."""
        self.notes.append((name, values))

    def get_headers(self, origin: Origin | None = None) -> Mapping[str, str]:
        """Return a header."""
        self.origins.append(origin)
        return {"trace": "t1"}

    def get_metadata(self) -> Mapping[str, str]:
        """Return a trace."""
        return {"trace": "t1"}


class Failing:
    """A telemetry that fails at everything."""

    def __init__(self, *, begins: bool) -> None:
        self._begins = begins

    def observe(self, operation: Operation) -> AbstractContextManager[object]:
        """Fail at once, or at the end."""
        if not self._begins:
            raise RuntimeError("no beginning")
        return self._fail_at_the_end(operation)

    def note(self, name: str, values: Mapping[str, Any]) -> None:
        """Fail."""
        raise RuntimeError(f"no note of {name}, {values}")

    def get_headers(self, origin: Origin | None = None) -> Mapping[str, str]:
        """Fail."""
        raise RuntimeError(f"no headers for {origin}")

    def get_metadata(self) -> Mapping[str, str]:
        """Fail."""
        raise RuntimeError("no metadata")

    @contextmanager
    def _fail_at_the_end(self, operation: Operation) -> Generator[None]:
        try:
            yield
        finally:
            raise RuntimeError(f"no end of {operation.kind}")


class Kept:
    """An adapter that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[MessageRecord] = []

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Keep a message."""
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self,
        messages: Sequence[MessageRecord],
        *,
        replay: bool = False,
    ) -> None:
        """Keep messages."""
        assert not replay
        self.messages.extend(messages)


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    """Install a telemetry for a test."""
    keeper = Keeper()
    use_telemetry(keeper)
    yield keeper
    use_telemetry(None)


@pytest.fixture(params=["at the beginning", "at the end"])
def _failing(request: pytest.FixtureRequest) -> Iterator[None]:
    use_telemetry(Failing(begins=request.param == "at the end"))
    yield
    use_telemetry(None)


@pytest.fixture
def notes() -> EventStore[Noted, Noted]:
    """Give a store."""
    return EventStore(
        "NOTES",
        event_types=[Noted],
        reduce=lambda _, event: event,
        storage_adapter=InMemoryEventStorageAdapter(),
    )


async def test_an_operation_has_its_results(
    keeper: Keeper, notes: EventStore[Noted, Noted]
) -> None:
    """A telemetry is told of an operation with its values, and of its results at its end."""
    await notes.push_event(Noted("n1", 1, payload="milk"))
    await notes.get_aggregate("n1")
    push, load = keeper.ended
    assert ("push", "NOTES", "n1") == (push.kind, push.name, push.values["aggregate_id"])
    expected = {"events_read": 1, "snapshot_version": None, "version": 1}
    assert expected == load.results
    assert push.error is None


async def test_an_operation_has_its_error(keeper: Keeper, notes: EventStore[Noted, Noted]) -> None:
    """An operation that raised has its error, and raises it."""
    await notes.push_event(Noted("n1", 1, payload="milk"))
    with pytest.raises(EventAlreadyExistsError) as raised:
        await notes.push_event(Noted("n1", 1, payload="milk"))
    assert raised.value is keeper.ended[1].error


@pytest.mark.usefixtures("keeper")
async def test_a_wrong_call_says_so_itself(notes: EventStore[Noted, Noted]) -> None:
    """A call with wrong arguments raises what it raises without telemetry."""
    group: Any = EventStore.push_event_group
    with pytest.raises(TypeError, match="not made by group_event"):
        await group("an event")
    push: Any = notes.push_event
    with pytest.raises(TypeError, match="unexpected keyword argument 'when'"):
        await push(Noted("n1", 1, payload="milk"), when="now")
    with pytest.raises(TypeError, match="not an event: str"):
        await push("an event")


async def test_a_cancelled_operation_ends(keeper: Keeper) -> None:
    """An operation that is cancelled is told to have ended."""

    @observed(lambda: Operation("read", "STUCK", {}))
    async def wait() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert isinstance(keeper.ended[0].error, asyncio.CancelledError)


@pytest.mark.usefixtures("_failing")
async def test_a_telemetry_that_fails(
    notes: EventStore[Noted, Noted], caplog: pytest.LogCaptureFixture
) -> None:
    """Its failures are logged, and change no answer and no error."""
    with caplog.at_level(logging.WARNING, "castore_core"):
        await notes.push_event(Noted("n1", 1, payload="milk"))
        with pytest.raises(EventAlreadyExistsError):
            await notes.push_event(Noted("n1", 1, payload="milk"))
        note("ConflictMet", attempt=1)
        assert NO_HEADERS == get_headers()
        assert NO_HEADERS == get_trace_metadata()
    assert [Noted.type] == [each.type for each in await notes.get_events("n1")]
    assert {"castore_core"} == {each.name for each in caplog.records}
    assert all("the telemetry failed: RuntimeError" in each.message for each in caplog.records)


async def test_a_telemetry_that_comes_or_goes_meanwhile(keeper: Keeper) -> None:
    """An operation ends with the telemetry that it began with, or with none."""
    with Observation(Operation("read", "FIRST", {})):
        use_telemetry(None)
        with Observation(Operation("read", "SECOND", {})):
            use_telemetry(keeper)
    assert ["FIRST"] == [each.name for each in keeper.ended]


async def test_messages_get_headers(keeper: Keeper, notes: EventStore[Noted, Noted]) -> None:
    """Adapters get each message with headers; those that it has already stay."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(notes,))
    queue.message_channel_adapter = kept = Kept()
    event = Noted("n1", 1, payload="milk", metadata={"by": "ash"})
    record = queue.message_to_record(NotificationMessage("NOTES", event))
    await queue.publish_records([record, record._replace(headers={"trace": "own"})])
    assert [{"trace": "t1"}, {"trace": "own"}] == [each.headers for each in kept.messages]
    assert Origin(metadata={"by": "ash"}) == keeper.origins[0]


async def test_messages_without_telemetry(notes: EventStore[Noted, Noted]) -> None:
    """Without telemetry, adapters get messages as they are."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(notes,))
    queue.message_channel_adapter = kept = Kept()
    record = queue.message_to_record(NotificationMessage("NOTES", Noted("n1", 1, payload="milk")))
    await queue.publish_records([record])
    assert kept.messages[0] is record
    assert NO_HEADERS == record.headers


class Declared(TypedDict):
    """Metadata that name what they hold."""

    trace: NotRequired[str]
    by: NotRequired[str]


class Signed(Event, type="SIGNED"):
    """Somebody signed."""

    metadata: Declared | None = None


@pytest.mark.usefixtures("keeper")
async def test_a_trace_goes_where_there_is_room() -> None:
    """Declared keys hold the trace; those of the context and of the event win."""
    store = EventStore(
        "SIGNATURES",
        event_types=[Signed],
        reduce=lambda _, event: event,
        storage_adapter=InMemoryEventStorageAdapter(),
    )

    with event_metadata(by="ash"):
        traced = await store.push_event(Signed("s1", 1))
    with event_metadata(trace="t2"):
        given = await store.push_event(Signed("s1", 2))
    (grouped,) = await EventStore.push_event_group(
        store.group_event(Signed("s1", 3, metadata={"trace": "t3"}))
    )

    assert {"by": "ash", "trace": "t1"} == traced.event.metadata
    assert {"trace": "t2"} == given.event.metadata
    assert {"trace": "t3"} == grouped.event.metadata


async def test_commands_are_operations(keeper: Keeper, notes: EventStore[Noted, Noted]) -> None:
    """A command over several aggregates is one, and so is the write of one that has a key."""

    @group_command(one(notes))
    def note_down(_: Noted | None, text: str) -> EventDraft[Noted]:
        return Noted.draft(payload=text)

    @command("NOTE", required_event_stores=(notes,))
    async def write(text: str, event_stores: tuple[EventStore[Noted, Noted]]) -> None:
        await event_stores[0].push_event(Noted("n2", 1, payload=text))

    await note_down("n1", "milk")
    await write.with_idempotency_key("key")("bread", (notes,))

    commands = [each.name for each in keeper.ended if each.kind == "command"]
    pushes = [(each.name, each.values.get("count")) for each in keeper.ended if each.kind == "push"]
    assert ["note_down", "NOTE"] == commands
    assert [("NOTES", 1), ("NOTES", None), (f"NOTES, {COMMANDS_STORE_ID}", 2)] == pushes


def test_observed_functions_stay_coroutine_functions() -> None:
    """Methods that are observed are still recognized as what they are."""
    for each in (EventStore.push_event, EventStore.get_aggregate, EventStore.push_event_group):
        assert iscoroutinefunction(each)
    assert "prev_aggregate" in signature(EventStore.push_event).parameters


def test_notes_without_telemetry() -> None:
    """Without telemetry, nobody is told."""
    note("ConflictMet", attempt=1)
    assert NO_HEADERS == get_headers()
