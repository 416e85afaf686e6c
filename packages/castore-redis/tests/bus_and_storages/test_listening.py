"""Messages of a bus as an async iterator, and filters that are subscriptions."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any, cast

import anyio
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from castore_core import (
    AggregateExistsMessage,
    Event,
    EventStore,
    MessageChannelEventStoreNotFoundError,
    NotificationMessage,
    NotificationMessageBus,
    StateCarryingMessage,
)
from castore_in_memory import InMemoryMessageBusAdapter
from castore_redis import MessageNotRead, MessagesMissed, RedisMessageBusAdapter, listen
from listener_reports import Reports, receive
from parcels import (
    Delivered,
    Ordered,
    Parcel,
    Written,
    delivered,
    letters,
    make_aggregate_bus,
    make_bus,
    make_state_bus,
    ordered,
    parcels,
    written,
)

PATIENCE = 10  # seconds


async def take(messages: AsyncIterator[Any], count: int) -> list[Any]:
    """Return so many messages, and assert that no other one follows soon."""
    found: list[Any] = []
    with anyio.fail_after(PATIENCE):
        while len(found) < count:
            found.append(await anext(messages))
    with anyio.move_on_after(0.05):
        found.append(await anext(messages))
    return found


async def publish_all(bus: NotificationMessageBus[Any]) -> None:
    """Publish each kind of message, and its replay."""
    messages = [ordered(1), delivered(1), written(1)]
    await bus.publish_messages(messages)
    await bus.publish_messages(messages, replay=True)


def name_types(messages: Iterable[NotificationMessage[Any]]) -> list[str]:
    """Return the types of the events."""
    return [each.event.type for each in messages]


async def test_messages_arrive_in_their_order(redis: Redis, prefix: str) -> None:
    """All of them, from the moment of the subscription on."""
    bus = make_bus(redis, prefix)
    await bus.publish_message(ordered(0))

    async with listen(bus) as messages:
        expected = [ordered(number, payload="été 😀") for number in range(1, 200)]
        await bus.publish_messages(expected)
        assert expected == await take(aiter(messages), len(expected))


async def test_a_loop_subscribes_by_itself(redis: Redis, prefix: str) -> None:
    """Without a context, the first turn subscribes, and the end of the loop lets go."""
    bus = make_bus(redis, prefix)

    async def publish() -> None:
        while True:
            await bus.publish_message(ordered(1))
            await asyncio.sleep(0.01)

    publisher = asyncio.ensure_future(publish())
    with anyio.fail_after(PATIENCE):
        async for message in listen(bus):
            assert "ORDERED" == message.event.type
            break
    publisher.cancel()
    await asyncio.wait([publisher])

    await expect_no_subscriber(redis, prefix)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["ORDERED", "DELIVERED", "WRITTEN"] * 2),
        ({"event_stores": [parcels]}, ["ORDERED", "DELIVERED"] * 2),
        ({"event_stores": (letters, parcels)}, ["ORDERED", "DELIVERED", "WRITTEN"] * 2),
        ({"event_types": [Delivered]}, ["DELIVERED"] * 2),
        ({"event_types": [Delivered, Written]}, ["DELIVERED", "WRITTEN"] * 2),
        ({"event_types": [Event]}, ["ORDERED", "DELIVERED", "WRITTEN"] * 2),
        ({"event_types": [Ordered], "event_stores": [parcels]}, ["ORDERED"] * 2),
        ({"event_types": [Ordered], "replays": True}, ["ORDERED"]),
        ({"replays": False}, ["ORDERED", "DELIVERED", "WRITTEN"]),
        ({"replays": True, "event_stores": [letters]}, ["WRITTEN"]),
    ],
)
async def test_filters(
    redis: Redis, prefix: str, filters: dict[str, Any], expected: list[str]
) -> None:
    """Each message that passes arrives once, and no other one."""
    bus = make_bus(redis, prefix)

    async with listen(bus, **filters) as messages:
        await publish_all(bus)
        assert expected == name_types(await take(aiter(messages), len(expected)))


async def test_filters_are_subscriptions(redis: Redis, reader: Redis, prefix: str) -> None:
    """The server knows which channels a listener wants, and no others have a subscriber."""
    anything: Any = reader
    async with listen(make_bus(redis, prefix), event_types=[Delivered]):
        found = await anything.pubsub_channels(f"{prefix}:*")

    base = f"{prefix}:{{PARCELS}}:DELIVERED"
    assert [base, f"{base}:__REPLAYED__"] == sorted(each.decode() for each in found)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b:c"), ("a:b", "c")),
        (("a", "b"), ("a*", "b")),
        (("a", "b"), ("?", "b")),
        (("ab", "c"), ("[a]b", "c")),
        (("a", "b"), ("a}", "b")),
        (("a%3Ab", "c"), ("a:b", "c")),
        (("a", "b"), ("a", "B")),
        (("a\\*", "b"), ("a*", "b")),
        (("a", "__REPLAYED__X"), ("a", "__REPLAYED__Y")),
    ],
)
async def test_names_are_data(
    redis: Redis, prefix: str, one: tuple[str, str], other: tuple[str, str]
) -> None:
    """Stores and types whose names look alike, or like a pattern, are different ones."""
    stores: list[EventStore[Any, Any]] = []
    messages: list[NotificationMessage[Any]] = []
    for store_id, kind in (one, other):
        event_type: Any = type("Noted", (Event,), {}, type=kind)
        known = next((each for each in stores if each.event_store_id == store_id), None)
        if known is not None:
            stores.remove(known)
            known_types = [*known.event_types, event_type]
        else:
            known_types = [event_type]
        stores.append(EventStore(store_id, event_types=known_types, reduce=_reduce))
        messages.append(NotificationMessage(store_id, event_type("a1", 1)))
    bus = NotificationMessageBus(
        "NAMES",
        source_event_stores=tuple(stores),
        message_channel_adapter=RedisMessageBusAdapter(redis, channel_prefix=f"{prefix}*"),
    )

    for expected in messages:
        event: Event = expected.event
        async with listen(bus, event_types=[type(event)]) as received:
            await bus.publish_messages(messages)
            assert [expected] == await take(aiter(received), 1)
        store = bus.get_source_event_store(expected.event_store_id)
        async with listen(bus, event_stores=[store]) as received:
            await bus.publish_messages(messages)
            wanted = [each for each in messages if each.event_store_id == store.event_store_id]
            assert wanted == await take(aiter(received), len(wanted))


async def test_other_buses_are_apart(redis: Redis, prefix: str) -> None:
    """The prefix tells them apart, also where it looks like a pattern."""
    bus, other = make_bus(redis, f"{prefix}[a]"), make_bus(redis, f"{prefix}a")

    async with listen(bus) as messages:
        await other.publish_message(ordered(1))
        await bus.publish_message(expected := ordered(2))
        assert [expected] == await take(aiter(messages), 1)


async def test_states_and_aggregates(redis: Redis, prefix: str) -> None:
    """The other kinds of bus have listeners, too."""
    states, aggregates = make_state_bus(redis, prefix), make_aggregate_bus(redis, f"{prefix}-a")
    event = Delivered("p1", 2)
    state = StateCarryingMessage("PARCELS", event, Parcel("p1", 2))
    exists = AggregateExistsMessage("LETTERS", "l1", event.timestamp)

    async with (
        listen(states, event_types=[Delivered]) as some,
        listen(aggregates, event_stores=[letters]) as others,
    ):
        await states.publish_message(state)
        await aggregates.publish_message(exists, replay=True)
        assert [state] == await take(aiter(some), 1)
        assert [exists] == await take(aiter(others), 1)


async def test_what_is_no_message_is_reported(redis: Redis, prefix: str) -> None:
    """It is passed over, and so are events of types that the bus does not know."""
    reports: list[Any] = []
    bus = make_bus(redis, prefix)
    body = '{"eventStoreId":"PARCELS","event":{"aggregateId":"a","version":1,"type":"LOST",'
    body += '"timestamp":"2022-01-01T00:00:00.000Z"}}'

    async with listen(bus, on_report=reports.append) as messages:
        client: Any = redis
        await client.publish(f"{prefix}:{{PARCELS}}:ORDERED", "{}")
        await client.publish(f"{prefix}:{{PARCELS}}:LOST", body)
        await bus.publish_message(expected := ordered(1))
        assert [expected] == await take(aiter(messages), 1)

    assert [MessageNotRead, MessageNotRead] == [type(each) for each in reports]
    assert f"{prefix}:{{PARCELS}}:LOST" == reports[1].channel


async def test_bytes_that_are_no_text_are_survived(
    place: tuple[str, int], reader: Redis, prefix: str
) -> None:
    """As names of channels, and as bodies: also where the client decodes, and cannot read on."""
    url, protocol = place
    make = cast("Any", Redis).from_url
    publisher: Any = reader
    client = make(url, protocol=protocol, decode_responses=protocol == 3)
    bus = make_bus(client, prefix)
    strange = f"{prefix}:{{PARCELS}}:".encode() + b"\xff", f"{prefix}:{{PARCELS}}:OLD".encode()
    reports = Reports()

    async with aclosing(client), listen(bus, on_report=reports.tell) as subscription:
        messages = aiter(subscription)
        for count, channel in enumerate(strange, 1):
            await publisher.publish(channel, b"\xff")
            if protocol == 3:
                await reports.wait_for(MessagesMissed, count)
            await bus.publish_message(ordered(count))
            assert f"p{count}" == await receive(messages)
            if protocol == 2:
                await reports.wait_for(MessageNotRead, count)


async def test_unknown_types_are_skipped_where_the_bus_says_so(redis: Redis, prefix: str) -> None:
    """Nothing is reported then."""
    reports: list[Any] = []
    bus = NotificationMessageBus(
        "POST",
        source_event_stores=(EventStore("PARCELS", event_types=[Ordered], reduce=_reduce),),
        message_channel_adapter=RedisMessageBusAdapter(redis, channel_prefix=prefix),
        skip_unknown_types=True,
    )

    async with listen(bus, on_report=reports.append) as messages:
        await make_bus(redis, prefix).publish_messages([delivered(1), expected := ordered(1)])
        assert [expected] == await take(aiter(messages), 1)

    assert [] == reports


async def test_a_message_that_comes_in_pieces(redis: Redis, prefix: str) -> None:
    """The pauses of a listener that asks for a sign of life lose no part of a long message."""
    bus = make_bus(redis, prefix)

    async with listen(bus, ping_interval=0.002) as messages:
        expected = [ordered(number, payload="x" * 5_000_000) for number in range(3)]
        await bus.publish_messages(expected)
        assert expected == await take(aiter(messages), 3)
        await asyncio.sleep(0.2)
        await bus.publish_message(expected[0])
        assert [expected[0]] == await take(aiter(messages), 1)


async def test_a_small_buffer_loses_nothing(redis: Redis, prefix: str) -> None:
    """While it is full nothing is read: the server keeps what comes."""
    bus = make_bus(redis, prefix)

    async with listen(bus, buffer_size=1) as messages:
        expected = [ordered(number) for number in range(2_000)]
        await bus.publish_messages(expected)
        await asyncio.sleep(0.1)
        assert expected == await take(aiter(messages), len(expected))


async def test_a_listener_lets_its_connection_go(redis: Redis, prefix: str) -> None:
    """The server has no subscriber afterwards, and the client can be used."""
    bus = make_bus(redis, prefix)
    async with listen(bus):
        pass
    await expect_no_subscriber(redis, prefix)
    await bus.publish_message(ordered(1))


async def test_a_scope_that_cancels_repeatedly(redis: Redis, prefix: str) -> None:
    """A listener in an anyio scope that is cancelled lets its connection go."""
    bus = make_bus(redis, prefix)
    found: list[Any] = []

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                async with listen(bus) as messages:
                    ready.set()
                    async for each in messages:
                        found.append(each)
                        tasks.cancel_scope.cancel()

            ready = anyio.Event()
            tasks.start_soon(read)
            await ready.wait()
            await bus.publish_message(ordered(1))
            await anyio.sleep_forever()

    assert 1 == len(found)
    await expect_no_subscriber(redis, prefix)


async def test_a_subscription_is_used_once(redis: Redis, prefix: str) -> None:
    """A second use is an error that says so."""
    subscription = listen(make_bus(redis, prefix))
    async with subscription:
        pass

    with pytest.raises(RuntimeError, match="used once"):
        async with subscription:
            pass


async def test_a_server_that_is_not_there(prefix: str) -> None:
    """The beginning fails, with the error of the client."""
    client = Redis(port=1, retry_on_error=[])

    with pytest.raises(RedisConnectionError):
        async with listen(make_bus(client, prefix)):
            pass

    await client.aclose()


async def test_filters_that_are_mistakes(prefix: str) -> None:
    """The error says which one."""
    bus = make_bus(Redis(), prefix)
    unknown = EventStore("UNKNOWN", event_types=[Written], reduce=_reduce)
    wrong: Any = "WRITTEN"

    with pytest.raises(MessageChannelEventStoreNotFoundError):
        listen(bus, event_stores=[unknown])
    with pytest.raises(ValueError, match="event_stores is empty"):
        listen(bus, event_stores=[])
    with pytest.raises(ValueError, match="event_types is empty"):
        listen(bus, event_types=[])
    with pytest.raises(ValueError, match="no messages with a Written"):
        listen(bus, event_types=[Written], event_stores=[parcels])
    with pytest.raises(TypeError, match="no class of events: 'WRITTEN'"):
        listen(bus, event_types=[wrong])
    with pytest.raises(ValueError, match="buffer_size is not 1 or more"):
        listen(bus, buffer_size=0)
    with pytest.raises(ValueError, match="ping_interval is 0"):
        listen(bus, ping_interval=0)
    with pytest.raises(TypeError, match="on_report"):
        listen(bus, on_report=wrong)
    anything: Any = listen
    with pytest.raises(ValueError, match="no messages with a Written"):
        anything(make_aggregate_bus(Redis(), prefix), event_types=[Written])


async def test_a_bus_of_another_adapter() -> None:
    """The error names the adapter."""
    bus = NotificationMessageBus("POST", source_event_stores=(parcels,))
    InMemoryMessageBusAdapter.attach_to(bus)

    with pytest.raises(TypeError, match="no adapter for Redis, but InMemoryMessageBusAdapter"):
        listen(bus)


async def expect_no_subscriber(redis: Redis, prefix: str) -> None:
    """Assert that soon nobody is subscribed to a channel of a bus."""
    client: Any = redis
    with anyio.fail_after(PATIENCE):
        while await client.publish(f"{prefix}:{{PARCELS}}:ORDERED", "{}"):  # noqa: ASYNC110 the server tells nobody
            await asyncio.sleep(0.01)


def _reduce(_: Parcel | None, event: Event) -> Parcel:
    return Parcel(event.aggregate_id, event.version)
