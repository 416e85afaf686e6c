"""No text that may be logged quotes a payload or metadata."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

from castore_core import (
    AggregateCommands,
    ConnectedEventStore,
    DataclassCodec,
    Event,
    EventRecord,
    EventStore,
    MessagePublishError,
    MessageRecord,
    NotificationMessageQueue,
    PushedEvent,
    StateCarryingMessageQueue,
    errors,
)
from castore_in_memory import InMemoryEventStorageAdapter

MARK = "hunter2"


class Registered(Event, type="REGISTERED"):
    """Somebody has a password now."""

    payload: Any = None
    metadata: Any = None

    @classmethod
    def decode_field(cls, name: str, value: Any) -> Any:
        """Trip over some values."""
        if value == {"unreadable": MARK}:
            raise KeyError(value["unreadable"])
        return super().decode_field(name, value)


class Forgotten(Event, type="FORGOTTEN"):
    """An event of no store."""

    payload: Any = None


@dataclass(frozen=True)
class User:
    """An aggregate."""

    aggregate_id: str
    version: int
    password: Any


def reduce_user(_: User | None, event: Registered) -> User:
    """Compute a user, if not the wrong one."""
    if event.payload == {"reducer": MARK}:
        return User("wrong", event.version, event.payload)
    return User(event.aggregate_id, event.version, event.payload)


Store: TypeAlias = EventStore[Registered, User]


class BrokenChannel:
    """Takes no message."""

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Refuse."""
        raise MessagePublishError([(message, f"no network, replay={replay}")])

    async def publish_messages(self, messages: Any, *, replay: bool = False) -> None:
        """Refuse."""
        raise MessagePublishError([(each, f"no network, replay={replay}") for each in messages])


def new_store(**options: Any) -> Store:
    """Return an empty store."""
    return EventStore(
        "USERS",
        event_types=[Registered],
        reduce=reduce_user,
        storage_adapter=InMemoryEventStorageAdapter(),
        aggregate_codec=DataclassCodec(User),
        **options,
    )


def registered(payload: Any, version: int = 1, metadata: Any = None) -> Registered:
    """Return an event."""
    return Registered("ash", version, payload=payload, metadata=metadata)


def connect(store: Store, channel_class: Any = NotificationMessageQueue) -> Store:
    """Return a store whose messages are never taken."""
    channel = channel_class(
        "QUEUE", source_event_stores=(store,), message_channel_adapter=BrokenChannel()
    )
    return ConnectedEventStore(store, channel)


async def fail_hook(pushed: PushedEvent[Registered, User]) -> None:
    """Fail with the payload."""
    raise LookupError(pushed.event.payload)


async def cancel_hook(_: PushedEvent[Registered, User]) -> None:
    """End the task."""
    raise asyncio.CancelledError


def fail_upcaster(record: EventRecord) -> EventRecord:
    """Fail with the payload."""
    raise LookupError(record.payload)


async def push_not_json() -> None:
    """Push a set."""
    await new_store().push_event(registered({"password": {MARK}}))


async def push_bytes() -> None:
    """Push bytes, in the metadata."""
    await new_store().push_event(registered(1, metadata=[MARK.encode()]))


async def push_surrogate() -> None:
    """Push no text."""
    await new_store().push_event(registered(f"{MARK}\ud800"))


async def push_foreign() -> None:
    """Push an event of another store."""
    foreign: Any = Forgotten("ash", 1, payload=MARK)
    await new_store().push_event(foreign)


async def push_draft() -> None:
    """Push a draft."""
    draft: Any = Registered.draft(payload=MARK)
    await new_store().push_event(draft)


async def push_unreduced() -> None:
    """Push what the reducer trips over."""
    await new_store().push_event(registered({"reducer": MARK}))


async def push_after_another_state() -> None:
    """Push with a state that is not the one before."""
    await new_store().push_event(registered(1, 2), prev_aggregate=User("ash", 7, MARK))


async def push_taken() -> None:
    """Push a version that is taken."""
    store = new_store()
    await store.push_event(registered(MARK))
    await store.push_event(registered(MARK))


async def push_after_a_gap() -> None:
    """Push a version that cannot follow."""
    await new_store().push_event(registered(MARK, 7))


async def push_unpublished() -> None:
    """Push what the channel does not take."""
    await connect(new_store()).push_event(registered(MARK))


async def push_unpublished_state() -> None:
    """Push what the channel does not take, with its state."""
    await connect(new_store(), StateCarryingMessageQueue).push_event(registered(MARK))


async def push_unpublished_and_unhooked() -> None:
    """Push where both fail that follow."""
    await connect(new_store(on_event_pushed=fail_hook)).push_event(registered(MARK))


async def push_cancelled() -> None:
    """Push where the hook is cancelled after the publish failed."""
    await connect(new_store(on_event_pushed=cancel_hook)).push_event(registered(MARK))


async def push_group_unpublished() -> None:
    """Push a group of which no event is published."""
    store = connect(new_store())
    await EventStore.push_event_group(
        store.group_event(registered(MARK)), store.group_event(registered(MARK, 2))
    )


async def push_no_group() -> None:
    """Push events that were not grouped."""
    event: Any = registered(MARK)
    await EventStore.push_event_group(event)


async def return_no_draft() -> None:
    """Return an event from a handler."""
    commands = AggregateCommands(new_store())

    @commands.handler
    def register(_: User | None) -> Any:
        return [registered(MARK), {"password": MARK}]

    await register("ash")


async def read_unreadable() -> None:
    """Read what the codec trips over."""
    store = new_store()
    await store.push_event(registered(1))
    record = registered({"unreadable": MARK}, 2).to_record()
    await store.get_storage_adapter().push_event("USERS", record)
    await store.get_events("ash")


async def read_with_a_bad_upcaster() -> None:
    """Read what an upcaster trips over."""
    store = new_store(upcasters=[fail_upcaster])
    await store.push_event(registered(MARK))
    await store.get_events("ash")


async def parse_bad_message() -> None:
    """Parse what is no message."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(new_store(),))
    event = {"aggregateId": "ash", "version": 0, "type": "REGISTERED", "payload": MARK}
    queue.parse_message({"eventStoreId": "USERS", "event": event})


async def parse_bad_state() -> None:
    """Parse a message with a state of another kind."""
    queue = StateCarryingMessageQueue("QUEUE", source_event_stores=(new_store(),))
    body = {
        "eventStoreId": "USERS",
        "event": {
            "aggregateId": "ash",
            "version": 1,
            "type": "REGISTERED",
            "timestamp": "2022-01-01T00:00:00.000Z",
        },
        "aggregate": [MARK],
    }
    queue.parse_message(body)


async def publish_messages() -> None:
    """Publish what is not taken."""
    record = MessageRecord("USERS", "ash", 1, "REGISTERED", {"payload": MARK})
    await BrokenChannel().publish_messages([record, record])


FAILURES: list[Callable[[], Awaitable[None]]] = [
    parse_bad_message,
    parse_bad_state,
    publish_messages,
    push_after_a_gap,
    push_after_another_state,
    push_bytes,
    push_cancelled,
    push_draft,
    push_foreign,
    push_group_unpublished,
    push_no_group,
    push_not_json,
    push_surrogate,
    push_taken,
    push_unpublished,
    push_unpublished_and_unhooked,
    push_unpublished_state,
    push_unreduced,
    read_unreadable,
    read_with_a_bad_upcaster,
    return_no_draft,
]


def get_texts(error: BaseException) -> str:
    """Return what a log may have of an error of ours: its text, its repr and its notes."""
    return f"{error} {error!r} {''.join(traceback.format_exception_only(error))}"


@pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__)
async def test_no_text_of_an_error_has_the_payload(fail: Callable[[], Awaitable[None]]) -> None:
    """Neither the text of an error, nor its repr or a note, quotes what was written or read."""
    with pytest.raises(BaseException) as raised:  # noqa: PT011 each failure has its own
        await fail()

    assert MARK not in get_texts(raised.value)
    assert len(get_texts(raised.value)) < 3000


def test_repr_of_an_error_is_its_text() -> None:
    """Asyncio logs the repr of an error that nobody awaited."""
    error = errors.EventPublishError("USERS", "QUEUE", PushedEvent(registered(MARK)))

    assert f"<EventPublishError: {error}>" == repr(error)


def test_repr_of_a_message_has_no_body() -> None:
    """Adapters may log the messages that they could not send."""
    message = MessageRecord("USERS", "ash", 1, "REGISTERED", {"payload": MARK})

    assert "MessageRecord('USERS', 'ash', version=1, type='REGISTERED')" == repr(message)
