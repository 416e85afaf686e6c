"""The clock, the ids and the recorded channel, as fixtures and by themselves."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from castore_core import (
    AggregateExistsMessage,
    AggregateExistsMessageQueue,
    InvalidMessageError,
    MessagePublishError,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
)
from castore_test_tools import (
    FrozenClock,
    IdGenerator,
    RecordedMessage,
    RecordedMessageChannelAdapter,
)
from pokemon import PokemonLeveledUp, pokemons

START = datetime(2022, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """Return the timestamp of an event that is made now."""
    return PokemonLeveledUp(aggregate_id="pikachu1", version=1).timestamp


# The clock


def test_the_clock_stands_still(frozen_clock: FrozenClock) -> None:
    """All events are made at the start, until the clock moves."""
    assert [START, START, START] == [now(), frozen_clock(), now()]


def test_the_clock_ticks(frozen_clock: FrozenClock) -> None:
    """It moves on by a second, by some seconds, or by a timedelta, and back."""
    moments = [
        frozen_clock.tick(),
        frozen_clock.tick(seconds=0.25),
        frozen_clock.tick(timedelta(hours=1)),
        frozen_clock.tick(seconds=-1),
    ]
    expected = [1, 1.25, 3601.25, 3600.25]
    assert [START + timedelta(seconds=each) for each in expected] == moments
    assert now() == moments[-1]


def test_the_clock_is_set(frozen_clock: FrozenClock) -> None:
    """A moment of any offset is brought to UTC and milliseconds, as those of events are."""
    moment = datetime(2030, 5, 1, 14, 0, 0, 123456, timezone(timedelta(hours=2)))

    assert datetime(2030, 5, 1, 12, 0, 0, 123000, UTC) == frozen_clock.set(moment)
    assert now() == frozen_clock()


def test_a_clock_is_not_naive(frozen_clock: FrozenClock) -> None:
    """A naive moment is refused, and the clock stays where it is."""
    naive = datetime(2022, 1, 2)  # noqa: DTZ001
    with pytest.raises(ValueError, match="is naive"):
        frozen_clock.set(naive)
    with pytest.raises(ValueError, match="is naive"):
        FrozenClock(naive)
    assert START == frozen_clock()


def test_a_clock_by_itself() -> None:
    """A clock is a context, also within itself; the time goes on afterwards."""
    with FrozenClock(START + timedelta(days=1)) as clock:
        with clock:
            clock.tick()
        assert START + timedelta(days=1, seconds=1) == now()
    assert abs(datetime.now(UTC) - now()) < timedelta(minutes=1)
    assert "FrozenClock(2022-01-02T00:00:01.000Z)" == repr(clock)


async def test_the_clock_holds_in_async_tests(frozen_clock: FrozenClock) -> None:
    """A fixture that is not async stops the time of an async test, too."""
    frozen_clock.tick()
    assert START + timedelta(seconds=1) == now()


# Ids


def test_ids_are_counted(new_id: IdGenerator) -> None:
    """Each prefix has a count of its own."""
    ids = [new_id(), new_id(), new_id("pokemon"), new_id("trainer"), new_id("pokemon"), new_id()]
    assert ["id-1", "id-2", "pokemon-1", "trainer-1", "pokemon-2", "id-3"] == ids


def test_ids_begin_anew(new_id: IdGenerator) -> None:
    """Each test counts from 1."""
    assert "id-1" == new_id()


# The recorded channel


leveled_up = PokemonLeveledUp(aggregate_id="pikachu1", version=2, timestamp=START)
message = NotificationMessage("POKEMONS", leveled_up)


async def test_messages_are_recorded(recorded_channel: RecordedMessageChannelAdapter) -> None:
    """Messages are kept as the adapter is given them, with their replay flag, and typed."""
    bus = NotificationMessageBus(
        "BUS", source_event_stores=(pokemons,), message_channel_adapter=recorded_channel
    )
    await bus.publish_message(message)
    await bus.publish_messages([message, message], replay=True)

    record = bus.message_to_record(message)
    expected = [RecordedMessage(record, replay) for replay in (False, True, True)]
    assert expected == recorded_channel.messages
    assert [message] * 3 == recorded_channel.parse(bus)


async def test_messages_are_recorded_as_they_were(
    recorded_channel: RecordedMessageChannelAdapter,
) -> None:
    """Who changes a body afterwards, or the list, does not change the record."""
    bus = NotificationMessageBus("BUS", source_event_stores=(pokemons,))
    record = bus.message_to_record(message)
    await recorded_channel.publish_message(record)
    record.body.clear()
    recorded_channel.messages.clear()

    assert [message] == recorded_channel.parse(bus)


async def test_the_next_publish_fails(recorded_channel: RecordedMessageChannelAdapter) -> None:
    """It fails once, for all of its messages, and nothing is recorded of it."""
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(pokemons,), message_channel_adapter=recorded_channel
    )
    recorded_channel.fail_next("no network")

    with pytest.raises(MessagePublishError, match=r"2 message\(s\) .* no network") as caught:
        await queue.publish_messages([message, message])
    record = queue.message_to_record(message)
    assert ((record, "no network"), (record, "no network")) == caught.value.failures
    assert [] == recorded_channel.messages
    await queue.publish_message(message)
    assert [message] == recorded_channel.parse(queue)


async def test_clear(recorded_channel: RecordedMessageChannelAdapter) -> None:
    """A cleared channel is as new: what was to fail does not, either."""
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(pokemons,), message_channel_adapter=recorded_channel
    )
    await queue.publish_message(message)
    recorded_channel.fail_next()
    recorded_channel.clear()

    assert [] == recorded_channel.messages
    await queue.publish_message(message)
    assert [message] == recorded_channel.parse(queue)


async def test_messages_of_another_channel(
    recorded_channel: RecordedMessageChannelAdapter,
) -> None:
    """Messages are parsed by a channel of their kind."""
    queue = AggregateExistsMessageQueue(
        "EXISTS", source_event_stores=(pokemons,), message_channel_adapter=recorded_channel
    )
    await queue.publish_message(AggregateExistsMessage("POKEMONS", "pikachu1", START))

    other = NotificationMessageQueue("QUEUE", source_event_stores=(pokemons,))
    with pytest.raises(InvalidMessageError, match="QUEUE"):
        recorded_channel.parse(other)
