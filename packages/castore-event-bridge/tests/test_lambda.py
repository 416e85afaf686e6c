"""Events that Lambda hands over become messages, and go to a handler."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from castore_core import (
    Event,
    EventDecodeError,
    EventRecord,
    EventStore,
    InvalidMessageError,
    MessageChannelEventStoreNotFoundError,
    NotificationMessage,
    NotificationMessageBus,
    UnknownEventTypeError,
)
from castore_event_bridge import (
    EventBridgeHandler,
    EventBridgeMessageContext,
    EventBridgeMessageParser,
)


class Caught(Event, type="CAUGHT"):
    """An event."""


def reduce(_: Caught | None, event: Caught) -> Caught:
    """Keep the last event."""
    return event


POKEMONS = EventStore("POKEMONS", event_types=[Caught], reduce=reduce)
BUS = NotificationMessageBus("BUS", source_event_stores=(POKEMONS,))
MOMENT = datetime(2022, 1, 1, tzinfo=UTC)
MESSAGE = NotificationMessage("POKEMONS", Caught(aggregate_id="a1", version=1, timestamp=MOMENT))


def make_event(store_id: str = "POKEMONS", event_type: str = "CAUGHT", **changes: Any) -> Any:
    """Return an event as Lambda gets it."""
    return {
        "version": "0",
        "id": "11710aed-b79e-4468-a20b-bb3c0c3b4860",
        "detail-type": event_type,
        "source": store_id,
        "account": "123456789012",
        "time": "2026-11-20T23:40:30Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": {
            "eventStoreId": store_id,
            "event": {
                "aggregateId": "a1",
                "version": 1,
                "type": event_type,
                "timestamp": "2022-01-01T00:00:00.000Z",
            },
        },
        **changes,
    }


def make_event_without(name: str) -> Any:
    """Return an event that lacks a field."""
    return {each: value for each, value in make_event().items() if each != name}


async def test_an_event_is_read() -> None:
    """It is the typed message, and what EventBridge tells of it."""
    found = await EventBridgeMessageParser(BUS).parse_event(make_event())

    context = EventBridgeMessageContext(
        "11710aed-b79e-4468-a20b-bb3c0c3b4860",
        datetime(2026, 11, 20, 23, 40, 30, tzinfo=UTC),
        replay=False,
    )
    assert (MESSAGE, context) == found


@pytest.mark.parametrize(
    "changes", [{"detail-type": "__REPLAYED__"}, {"replay-name": "again"}], ids=["ours", "archive"]
)
async def test_a_replay_is_one(changes: dict[str, str]) -> None:
    """Whether it was published as one, or an archive of EventBridge has put it again."""
    found = await EventBridgeMessageParser(BUS).parse_event(make_event(**changes))

    assert (MESSAGE, True) == (found.message, found.context.replay)


@pytest.mark.parametrize("name", ["id", "time", "detail-type", "detail"])
async def test_what_is_no_event_is_refused(name: str) -> None:
    """A target may have asked for a part of the event only."""
    with pytest.raises(InvalidMessageError, match=f"no event of EventBridge: it has no {name}"):
        await EventBridgeMessageParser(BUS).parse_event(make_event_without(name))


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (make_event(time="yesterday"), InvalidMessageError),
        (make_event(time=7), InvalidMessageError),
        (make_event(detail="text"), InvalidMessageError),
        (make_event(detail={}), InvalidMessageError),
        (
            make_event(detail={"messageUrl": "https://bucket.s3.amazonaws.com/key"}),
            InvalidMessageError,
        ),
        (make_event("TRAINERS"), MessageChannelEventStoreNotFoundError),
        (make_event(event_type="VANISHED"), UnknownEventTypeError),
    ],
    ids=["time", "number", "text", "detail", "claim", "store", "type"],
)
async def test_what_is_no_message_is_refused(event: Any, error: type[Exception]) -> None:
    """The error says why."""
    with pytest.raises(error):
        await EventBridgeMessageParser(BUS).parse_event(event)


def test_a_handler_gets_the_message() -> None:
    """A coroutine function is awaited."""
    told: list[object] = []

    async def handle(
        message: NotificationMessage[Caught], context: EventBridgeMessageContext
    ) -> None:
        await asyncio.sleep(0)
        told.append((message, context.replay))

    EventBridgeHandler(BUS, handle)(make_event(), None)

    assert [(MESSAGE, False)] == told


async def test_a_plain_function_is_a_handler() -> None:
    """In an event loop, the handler is awaited by the name of its method."""
    told: list[object] = []

    def handle(message: NotificationMessage[Caught], _: EventBridgeMessageContext) -> None:
        told.append(message)

    await EventBridgeHandler(BUS, handle).handle_event(make_event())

    assert [MESSAGE] == told


def test_what_a_handler_raises_goes_to_lambda() -> None:
    """Lambda tries again, and then uses its dead-letter queue."""

    def handle(_: object, __: object) -> None:
        raise ConnectionError("not today")

    with pytest.raises(ConnectionError, match="not today"):
        EventBridgeHandler(BUS, handle)(make_event())


def test_a_type_that_the_channel_skips(caplog: pytest.LogCaptureFixture) -> None:
    """The event counts as handled: nothing is called, raised or logged."""
    told: list[object] = []
    lenient = NotificationMessageBus(
        "BUS", source_event_stores=(POKEMONS,), skip_unknown_types=True
    )

    EventBridgeHandler(lenient, lambda message, _: told.append(message))(
        make_event(event_type="FLED")
    )

    assert [] == told
    assert [] == caplog.records


def test_what_is_no_message_is_logged_and_goes_to_lambda(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is neither handled nor dropped."""
    told: list[object] = []

    def handle(*message: object) -> None:
        told.append(message)

    with (
        caplog.at_level(logging.ERROR, "castore_event_bridge"),
        pytest.raises(UnknownEventTypeError),
    ):
        EventBridgeHandler(BUS, handle)(make_event(event_type="VANISHED"))

    assert [] == told
    assert "11710aed-b79e-4468-a20b-bb3c0c3b4860" in caplog.text
    assert "is no message of the channel: UnknownEventTypeError" in caplog.text


MARK = "hunter2"


def pass_over(_: object, __: object) -> None:
    """Handle nothing."""


@pytest.mark.parametrize(
    "changes",
    [
        {"detail": MARK},
        {"detail": {"eventStoreId": "POKEMONS", "event": MARK}},
        {"detail": {"eventStoreId": "POKEMONS", "event": {"payload": MARK}}},
        {"detail": {"messageUrl": f"https://claims.s3.amazonaws.com/x?X-Amz-Signature={MARK}"}},
        {"time": "yesterday" * 1_000, "detail": {"event": MARK}},
        {"id": "x" * 1_000 + MARK, "detail": {}},
    ],
    ids=["text", "event", "payload", "claim", "time", "id"],
)
def test_a_log_does_not_show_what_is_in_a_message(
    caplog: pytest.LogCaptureFixture, changes: dict[str, Any]
) -> None:
    """Logs are read by others; what is quoted is short."""
    handler = EventBridgeHandler(BUS, pass_over)

    with caplog.at_level(logging.ERROR), pytest.raises(InvalidMessageError) as caught:
        handler(make_event(**changes))

    assert MARK not in f"{caplog.text} {caught.value} {caught.value!r}"
    assert "is no message of the channel" in caplog.text
    assert len(caplog.text) < 500


def test_a_log_does_not_show_what_an_upcaster_says(caplog: pytest.LogCaptureFixture) -> None:
    """Programs quote values in their errors; whoever handles the error sees it all."""

    def refuse(record: EventRecord) -> EventRecord:
        raise ValueError(f"no such thing as {record.payload}")

    store = EventStore("POKEMONS", event_types=[Caught], reduce=reduce, upcasters=[refuse])
    bus = NotificationMessageBus("BUS", source_event_stores=(store,))
    event = make_event()
    event["detail"]["event"]["payload"] = MARK

    with caplog.at_level(logging.DEBUG), pytest.raises(EventDecodeError):
        EventBridgeHandler(bus, pass_over)(event)

    assert "EventDecodeError" in caplog.text
    assert MARK not in caplog.text
