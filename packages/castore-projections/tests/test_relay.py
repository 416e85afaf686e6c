"""Relays: what they publish, in which order, and what becomes of messages that are refused."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from accounts import InMemoryWorld, World, eventually, no_delay
from castore_core import (
    AggregateExistsMessageBus,
    EventRecord,
    MessageChannel,
    MessageChannelEventStoreNotFoundError,
    MessageRecord,
    NotificationMessageQueue,
    StateCarryingMessageQueue,
    StorageError,
)
from castore_in_memory import InMemoryBookmarkStorageAdapter
from castore_projections import CircuitOpenError, ProjectionBusyError, Relay
from recording_channel import RecordingChannelAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def connect(world: World, adapter: RecordingChannelAdapter) -> MessageChannel[Any]:
    """Return a channel of the accounts."""
    return NotificationMessageQueue(
        "QUEUE", source_event_stores=(world.accounts,), message_channel_adapter=adapter
    )


def relay_to(world: World, *adapters: RecordingChannelAdapter, **options: Any) -> Relay:
    """Return a relay that loses no time after failures."""
    defaults: dict[str, Any] = {
        "event_stores": [world.accounts],
        "channels": [connect(world, each) for each in adapters],
        "bookmarks": world.bookmarks,
        "retry_delay": no_delay,
        "parked_delay": None,
        "poll_interval": 0.05,
    }
    return Relay("relay", **{**defaults, **options})


async def fill(world: World, aggregates: int = 10, deposits: int = 2) -> dict[str, list[int]]:
    """Push events, and return the versions of each aggregate."""
    for number in range(aggregates):
        await world.push(f"a{number}", *range(deposits))
    return {f"a{number}": list(range(1, deposits + 2)) for number in range(aggregates)}


async def get_parked(relay: Relay) -> list[tuple[str, int, bool]]:
    """Return the places of parked messages, and whether each has failed."""
    return [
        (each.aggregate_id, each.version, each.failure is not None)
        async for each in relay.iter_parked_events()
    ]


def refuse(*places: tuple[str, int]) -> Callable[[MessageRecord], bool]:
    """Return a function that refuses the messages of some events."""
    return lambda message: (message.aggregate_id, message.version) in places


def after(seconds: float) -> Callable[[int], float]:
    """Return a function that lets a parked message wait for some seconds."""
    return lambda _attempts: seconds


# What is published


async def test_every_event_is_published_once(world: World) -> None:
    """In the order of its aggregate; later runs publish what follows."""
    adapter = RecordingChannelAdapter()
    relay = relay_to(world, adapter, batch_size=7)
    expected = await fill(world)

    assert 30 == await relay.run_once()
    assert 0 == await relay.run_once()
    await world.push("a3", 1)
    assert 1 == await relay.run_once()

    expected["a3"].append(4)
    assert expected == adapter.versions
    assert 31 == len(adapter.taken)


async def test_events_that_are_pushed_while_it_runs(world: World) -> None:
    """They are published in the background."""
    adapter = RecordingChannelAdapter()
    async with relay_to(world, adapter):
        expected = await fill(world)
        await eventually(lambda: is_complete(adapter, expected))


async def is_complete(adapter: RecordingChannelAdapter, expected: dict[str, list[int]]) -> bool:
    """Tell whether a channel took all events, and check their order."""
    versions = adapter.versions
    for aggregate_id, found in versions.items():
        assert expected[aggregate_id][: len(found)] == found
    return versions == expected


async def test_events_go_as_they_are_stored(world: World) -> None:
    """Their types may be unknown, and their classes may lack a payload or metadata."""
    adapter = RecordingChannelAdapter()
    storage = world.accounts.get_storage_adapter()
    records = [
        EventRecord("a", 1, "OPENED", MOMENT, {"undeclared": [1.5, None]}, {"by": "me"}),
        EventRecord("a", 2, "VANISHED", MOMENT, None),
        EventRecord("a", 3, "DEPOSITED", MOMENT, "no amount"),
        EventRecord("a", 4, "CLOSED", MOMENT),
    ]
    for each in records:
        await storage.push_event("ACCOUNTS", each)
    await relay_to(world, adapter).run_once()

    common = {"aggregateId": "a", "timestamp": "2024-01-01T00:00:00.000Z"}
    events: list[dict[str, Any]] = [
        {"version": 1, "type": "OPENED", "payload": {"undeclared": [1.5, None]}},
        {"version": 2, "type": "VANISHED", "payload": None},
        {"version": 3, "type": "DEPOSITED", "payload": "no amount"},
        {"version": 4, "type": "CLOSED"},
    ]
    events[0]["metadata"] = {"by": "me"}
    assert [
        {"eventStoreId": "ACCOUNTS", "event": common | each} for each in events
    ] == adapter.bodies


async def test_other_stores_are_not_published(world: World) -> None:
    """Only those that the relay was given."""
    adapter = RecordingChannelAdapter()
    await world.push("a", store=world.others)
    await world.push("b")
    await relay_to(world, adapter).run_once()

    assert [("b", 1)] == adapter.places


async def test_states_are_those_after_the_events(world: World) -> None:
    """Also where later events are stored already."""
    adapter = RecordingChannelAdapter()
    channel = StateCarryingMessageQueue(
        "QUEUE", source_event_stores=(world.accounts,), message_channel_adapter=adapter
    )
    await fill(world, aggregates=2)
    await relay_to(world, channels=[channel]).run_once()

    states = [(each["event"]["version"], each["aggregate"]["version"]) for each in adapter.bodies]
    assert [(1, 1), (2, 2), (3, 3)] == sorted(set(states))
    assert 6 == len(states)


async def test_a_state_that_cannot_be_computed_is_parked(world: World) -> None:
    """At once: a type that the store does not have is still unknown a moment later."""
    adapter = RecordingChannelAdapter()
    channel = StateCarryingMessageQueue(
        "QUEUE", source_event_stores=(world.accounts,), message_channel_adapter=adapter
    )
    storage = world.accounts.get_storage_adapter()
    await storage.push_event("ACCOUNTS", EventRecord("a", 1, "VANISHED", MOMENT))
    await world.push("b", 1)
    relay = relay_to(world, channels=[channel])
    await relay.run_once()

    assert {"b": [1, 2]} == adapter.versions
    (parked,) = [each async for each in relay.iter_parked_events()]
    assert 1 == parked.attempts


async def test_first_events_tell_of_aggregates(world: World) -> None:
    """A channel of that kind is told of nothing else."""
    adapter = RecordingChannelAdapter()
    bus = AggregateExistsMessageBus(
        "BUS", source_event_stores=(world.accounts,), message_channel_adapter=adapter
    )
    await fill(world, aggregates=3)
    relay = relay_to(world, channels=[bus])

    assert 9 == await relay.run_once()
    assert [("a0", None), ("a1", None), ("a2", None)] == sorted(adapter.places)
    assert [] == await get_parked(relay)


async def test_tail_stream(world: World) -> None:
    """Events from before the first start are not published."""
    adapter = RecordingChannelAdapter()
    await world.push("a", 1)
    relay = relay_to(world, adapter, tail_stream=True)
    await relay.run_once()
    await world.push("a", 2)
    await relay.run_once()

    assert [("a", 3)] == adapter.places


async def test_reset_publishes_all_again_as_replays(world: World) -> None:
    """Events that were not published before are no replays."""
    adapter = RecordingChannelAdapter()
    relay = relay_to(world, adapter)
    await world.push("a", 1)
    await relay.run_once()
    await world.push("a", 2)
    await relay.reset()
    await relay.run_once()

    flags = [(each.version, is_replay) for each, is_replay in adapter.taken]
    assert [(1, False), (2, False), (1, True), (2, True), (3, False)] == flags


@pytest.mark.parametrize("partitions", [2, 5])
async def test_partitions(world: World, partitions: int) -> None:
    """Each has its aggregates, in their order."""
    adapter = RecordingChannelAdapter()
    expected = await fill(world, aggregates=20)
    async with relay_to(world, adapter, partitions=partitions, batch_size=3):
        await eventually(lambda: is_complete(adapter, expected))

    assert 60 == len(adapter.taken)


async def test_one_aggregate_has_all_events(world: World) -> None:
    """Its messages go one by one, so that none overtakes one that is refused."""
    adapter = RecordingChannelAdapter()
    await world.push("hot", *range(250))
    await relay_to(world, adapter).run_once()

    assert [("hot", version) for version in range(1, 252)] == adapter.places
    assert {1} == set(adapter.calls)


# Messages that are refused


@pytest.mark.parametrize("names_failures", [True, False])
async def test_a_poisoned_message_is_parked_alone(world: World, *, names_failures: bool) -> None:
    """Only the events of its aggregate wait, whatever the channel says of its failures."""
    adapter = RecordingChannelAdapter(refuses=refuse(("a4", 2)), names_failures=names_failures)
    relay = relay_to(world, adapter)
    expected = await fill(world)
    await relay.run_once()

    assert {**expected, "a4": [1]} == adapter.versions
    assert 28 == len(adapter.taken)
    assert [("a4", 2, True), ("a4", 3, False)] == await get_parked(relay)


@pytest.mark.parametrize("names_failures", [True, False])
async def test_many_poisoned_messages(world: World, *, names_failures: bool) -> None:
    """Those in between are published: here the first events of four of ten aggregates fail."""
    poisoned = [("a0", 1), ("a1", 1), ("a2", 1), ("a3", 1)]
    adapter = RecordingChannelAdapter(refuses=refuse(*poisoned), names_failures=names_failures)
    relay = relay_to(world, adapter)
    expected = await fill(world)
    await relay.run_once()

    healthy = {each: expected[each] for each in expected if (each, 1) not in poisoned}
    assert healthy == adapter.versions
    assert 18 == len(adapter.taken)


async def test_parked_messages_are_retried_on_demand(world: World) -> None:
    """Then those that wait behind them follow, each once."""
    adapter = RecordingChannelAdapter(refuses=refuse(("a1", 1)))
    relay = relay_to(world, adapter)
    expected = await fill(world, aggregates=3)
    await relay.run_once()
    adapter.refuses = refuse()
    assert 1 == await relay.retry_parked_events()
    await world.push("a1", 5)
    await relay.run_once()

    assert {**expected, "a1": [1, 2, 3, 4]} == adapter.versions
    assert 10 == len(adapter.taken)
    assert [] == await get_parked(relay)


async def test_dropped_messages_are_never_published(world: World) -> None:
    """Those behind them are."""
    adapter = RecordingChannelAdapter(refuses=refuse(("a", 2)))
    relay = relay_to(world, adapter)
    await world.push("a", 1, 2)
    await relay.run_once()
    (group,) = await relay.group_parked_events()
    assert 1 == await relay.drop_parked_events(kind=group.kind)
    await relay.run_once()

    assert [("a", 1), ("a", 3)] == adapter.places


async def test_parked_messages_are_retried_by_themselves(world: World) -> None:
    """While it runs, until the channel takes them: the events behind them follow."""
    adapter = RecordingChannelAdapter(refuses=refuse(("a1", 1)))
    relay = relay_to(world, adapter, parked_delay=after(0.05))
    expected = await fill(world, aggregates=3)

    async with relay:

        async def is_tried_again() -> bool:
            return any(
                [each.attempts > 4 async for each in relay.iter_parked_events() if each.failure]
            )

        await eventually(is_tried_again)
        adapter.refuses = refuse()
        await eventually(lambda: is_complete(adapter, expected))

    assert 9 == len(adapter.taken)
    assert [] == await get_parked(relay)


async def test_each_run_retries_messages_that_were_parked_long_ago(world: World) -> None:
    """A program that calls it every minute, say, needs no retry by hand."""
    adapter = RecordingChannelAdapter(refuses=refuse(("a", 1)))
    relay = relay_to(world, adapter, parked_delay=after(0.1))
    await world.push("a", 1)
    await relay.run_once()
    adapter.refuses = refuse()
    assert 0 == await relay.run_once()
    await asyncio.sleep(0.12)

    assert 2 == await relay.run_once()
    assert [("a", 1), ("a", 2)] == adapter.places


@pytest.mark.parametrize("names_failures", [True, False])
@pytest.mark.parametrize("seed", range(8))
async def test_order_is_kept_whatever_fails(*, names_failures: bool, seed: int) -> None:
    """Each message is refused now and then: all arrive, and those of an aggregate in order."""
    world, dice = InMemoryWorld(), random.Random(seed)
    adapter = RecordingChannelAdapter(
        refuses=lambda _: dice.random() < 0.2, names_failures=names_failures
    )
    relay = relay_to(world, adapter, parked_delay=no_delay, poll_interval=0.01, batch_size=9)
    expected = await fill(world, aggregates=6, deposits=6)
    async with relay:
        await eventually(lambda: is_complete(adapter, expected), within=20)

    assert 42 == len(adapter.taken)


# Channels that are down


async def test_a_channel_that_is_down_delays(world: World) -> None:
    """When it is up again, all arrives in order, also what was parked meanwhile."""
    adapter = RecordingChannelAdapter()
    adapter.is_down = True
    expected = await fill(world)
    relay = relay_to(world, adapter, circuit_threshold=2)
    async with relay:

        async def is_open() -> bool:
            return len([each for each in await get_parked(relay) if each[2]]) == 2

        await eventually(is_open)
        adapter.is_down = False
        await eventually(lambda: is_complete(adapter, expected))

    assert 30 == len(adapter.taken)
    assert [] == await get_parked(relay)


async def test_a_channel_that_is_down_for_a_moment(world: World) -> None:
    """Fewer fail than open the circuit, all of one aggregate: they are retried, too."""
    adapter = RecordingChannelAdapter()
    adapter.is_down = True
    await world.push("hot", *range(60))
    relay = relay_to(world, adapter, parked_delay=after(0.1))
    async with relay:

        async def are_all_parked() -> bool:
            return len(await get_parked(relay)) == 61

        await eventually(are_all_parked)
        adapter.is_down = False
        await eventually(lambda: is_complete(adapter, {"hot": [*range(1, 62)]}))

    assert 61 == len(adapter.taken)


async def test_run_once_gives_up_where_the_channel_is_down(world: World) -> None:
    """It says so, and has lost nothing."""
    adapter = RecordingChannelAdapter()
    adapter.is_down = True
    expected = await fill(world)
    relay = relay_to(world, adapter, circuit_threshold=2)
    with pytest.raises(CircuitOpenError):
        await relay.run_once()
    adapter.is_down = False
    await relay.retry_parked_events()
    await relay.run_once()

    assert expected == adapter.versions
    assert 30 == len(adapter.taken)


async def test_a_publish_that_hangs_is_cancelled(world: World) -> None:
    """It counts as failed, and the message is tried again."""
    adapter = RecordingChannelAdapter(delay=5)
    await world.push("a", 1)
    relay = relay_to(world, adapter, publish_timeout=0.05)
    run = asyncio.create_task(relay.run_once())
    await adapter.is_busy.wait()
    adapter.delay = 0.0

    assert 2 == await run
    assert [("a", 1), ("a", 2)] == adapter.places


# Several channels


async def test_all_channels_get_all_events(world: World) -> None:
    """Each of them once."""
    first, second = RecordingChannelAdapter(), RecordingChannelAdapter()
    expected = await fill(world)
    await relay_to(world, first, second, batch_size=4).run_once()

    assert [expected] * 2 == [first.versions, second.versions]
    assert [30] * 2 == [len(first.taken), len(second.taken)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_channel_gets_nothing_twice_because_of_another(
    world: World, order: Sequence[int]
) -> None:
    """The one that refuses is asked again, the other is not."""
    adapters = (
        RecordingChannelAdapter(),
        RecordingChannelAdapter(refuses=refuse(("a1", 2)), names_failures=False),
    )
    expected = await fill(world, aggregates=3)
    relay = relay_to(world, *(adapters[each] for each in order), parked_delay=after(0.05))
    async with relay:

        async def is_tried_again() -> bool:
            parked = [each async for each in relay.iter_parked_events() if each.failure]
            return any(each.attempts > 4 for each in parked)

        await eventually(is_tried_again)
        adapters[1].refuses = refuse()
        for each in adapters:
            await eventually(lambda each=each: is_complete(each, expected))

    assert [9, 9] == [len(each.taken) for each in adapters]


async def test_a_replaced_event_goes_to_all_channels(world: World) -> None:
    """A retry publishes what is stored now, also to the channel that took it as it was."""
    first = RecordingChannelAdapter()
    second = RecordingChannelAdapter(refuses=refuse(("a", 1)))
    await world.push("a")
    relay = relay_to(world, first, second, parked_delay=after(0.2))
    async with relay:

        async def is_parked() -> bool:
            return bool(await get_parked(relay))

        await eventually(is_parked)
        changed = EventRecord("a", 1, "CLOSED", MOMENT)
        storage = world.accounts.get_storage_adapter()
        await storage.push_event("ACCOUNTS", changed, force=True)
        second.refuses = refuse()

        async def is_taken() -> bool:
            return bool(second.taken)

        await eventually(is_taken)

    assert ["OPENED", "CLOSED"] == [each.type for each, _ in first.taken]
    assert ["CLOSED"] == [each.type for each, _ in second.taken]


# Leases, stops and faults


async def test_one_process_publishes_at_a_time(world: World) -> None:
    """Another one waits, and goes on where the first has stopped."""
    first, second = RecordingChannelAdapter(), RecordingChannelAdapter()
    expected = await fill(world, aggregates=2)
    lease = {"lease_duration": timedelta(seconds=1)}
    async with relay_to(world, first, **lease) as running:
        await eventually(lambda: is_complete(first, expected))
        with pytest.raises(ProjectionBusyError):
            await relay_to(world, second).run_once()
        async with relay_to(world, second, **lease):
            running.stop()
            await world.push("a5", 1)
            await eventually(lambda: is_complete(second, {"a5": [1, 2]}))

    assert expected == first.versions


async def test_a_publish_that_takes_longer_than_the_lease(world: World) -> None:
    """The lease is extended meanwhile: nobody else publishes."""
    slow, other = RecordingChannelAdapter(delay=0.5), RecordingChannelAdapter()
    await world.push("a", 1)
    lease = {"lease_duration": timedelta(milliseconds=200)}
    async with relay_to(world, slow, **lease):
        await slow.is_busy.wait()
        async with relay_to(world, other, **lease):
            await eventually(lambda: is_complete(slow, {"a": [1, 2]}))

    assert [] == other.taken
    assert 2 == len(slow.taken)


async def test_stop_lets_a_publish_end(world: World) -> None:
    """The bookmark moves, and nothing is published again."""
    adapter = RecordingChannelAdapter(delay=0.2)
    await fill(world, aggregates=5, deposits=0)
    relay = relay_to(world, adapter)
    run = asyncio.create_task(relay.run())
    await adapter.is_busy.wait()
    relay.stop()
    await run

    assert 5 == len(adapter.taken)
    assert 0 == await relay.run_once()


async def test_a_publish_that_outlasts_the_grace_is_cancelled(world: World) -> None:
    """It is published at the next run: nothing is lost."""
    adapter = RecordingChannelAdapter(delay=5)
    await fill(world, aggregates=5, deposits=0)
    relay = relay_to(world, adapter, grace_period=0.05)
    run = asyncio.create_task(relay.run())
    await adapter.is_busy.wait()
    relay.stop()
    await run
    adapter.delay = 0.0

    assert [] == adapter.taken
    assert [] == await get_parked(relay)
    assert 5 == await relay.run_once()


async def test_a_scope_of_anyio_cancels_again_and_again(world: World) -> None:
    """The publish that is under way ends, and the bookmark moves."""
    adapter = RecordingChannelAdapter(delay=0.2)
    await fill(world, aggregates=5, deposits=0)
    relay = relay_to(world, adapter)
    with anyio.CancelScope() as scope:

        async def cancel() -> None:
            await adapter.is_busy.wait()
            scope.cancel()

        async with asyncio.TaskGroup() as group:
            group.create_task(cancel())
            await relay.run()

    assert scope.cancelled_caught
    assert 5 == len(adapter.taken)
    assert 0 == await relay.run_once()


class FaultyBookmarks(InMemoryBookmarkStorageAdapter):
    """Bookmarks that do not move a number of times."""

    faults = 0

    def move_bookmark(self, *args: Any, **options: Any) -> Any:
        """Move, or raise."""
        if self.faults:
            self.faults -= 1
            raise StorageError("no answer")
        return super().move_bookmark(*args, **options)


async def test_a_bookmark_that_does_not_move(caplog: pytest.LogCaptureFixture) -> None:
    """The messages of the step, and no others, are published again."""
    world, adapter = InMemoryWorld(), RecordingChannelAdapter()
    world.bookmarks = bookmarks = FaultyBookmarks()
    expected = await fill(world)
    bookmarks.faults = 2
    async with relay_to(world, adapter, batch_size=6):
        await eventually(lambda: is_complete(adapter, expected))

        async def is_saved() -> bool:
            return not bookmarks.faults

        await eventually(is_saved)

    assert 30 + 6 + 1 == len(adapter.taken)  # after a fault, one goes alone
    assert caplog.records


# Mistakes


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"channels": []}, ValueError),
        ({"channels": ["QUEUE"]}, TypeError),
        ({"parked_delay": 3}, TypeError),
        ({"publish_timeout": 0}, ValueError),
        ({"batch_size": 0}, ValueError),
    ],
)
def test_options_are_checked(options: dict[str, Any], error: type[Exception]) -> None:
    """When the relay is made, and not when the first event comes."""
    with pytest.raises(error):
        relay_to(InMemoryWorld(), RecordingChannelAdapter(), **options)


def test_stores_are_sources_of_the_channels() -> None:
    """A channel that does not carry their messages is refused."""
    world = InMemoryWorld()
    channel = NotificationMessageQueue("QUEUE", source_event_stores=(world.others,))

    with pytest.raises(MessageChannelEventStoreNotFoundError):
        relay_to(world, channels=[channel])
