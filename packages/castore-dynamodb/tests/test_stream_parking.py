"""A handler that parks: a record that can never be published stops nothing."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from castore_core import (
    DataclassCodec,
    Event,
    EventStore,
    MessagePublishError,
    MessageRecord,
    NotificationMessageQueue,
    StateCarryingMessageQueue,
    StorageError,
)
from castore_dynamodb import DynamoDBStreamHandler, DynamoDBStreamParser, ParkedRecord
from castore_in_memory import InMemoryEventStorageAdapter


class Opened(Event, type="OPENED"):
    """An event."""


@dataclass(frozen=True)
class Door:
    """An aggregate."""

    aggregate_id: str
    version: int


def reduce(_: Door | None, event: Opened) -> Door:
    """Count the events."""
    return Door(event.aggregate_id, event.version)


class Storage(InMemoryEventStorageAdapter):
    """Does not answer for one aggregate."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Read, or fail."""
        if aggregate_id == "silent":
            raise StorageError("no answer")
        return await super().get_events(event_store_id, aggregate_id, **options)


DOORS = EventStore(
    "DOORS",
    event_types=[Opened],
    reduce=reduce,
    aggregate_codec=DataclassCodec(Door),
    storage_adapter=Storage(),
)


class ChannelAdapter:
    """Takes what it does not refuse; its error names what it refused, or it takes nothing."""

    def __init__(
        self, refuses: Callable[[MessageRecord], bool], *, names_failures: bool = True
    ) -> None:
        self.refuses = refuses
        self.names_failures = names_failures
        self.taken: list[tuple[str, int | None]] = []

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Take one message."""
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Take messages."""
        assert not replay
        refused = [each for each in messages if self.refuses(each)]
        if refused and not self.names_failures:
            raise ValueError("one of them is too large")
        taken = [each for each in messages if each not in refused]
        self.taken += [(each.aggregate_id, each.version) for each in taken]
        if refused:
            raise MessagePublishError([(each, "too large") for each in refused])


def no_delay(_attempt: int) -> float:
    """Lose no time between attempts."""
    return 0.0


def refuse(*ids: str) -> Callable[[MessageRecord], bool]:
    """Return a function that refuses the messages of some aggregates."""
    return lambda message: message.aggregate_id in ids


def make_record(aggregate_id: str, version: int = 1, *, number: int = 0, age: float = 0) -> Any:
    """Return a record as Lambda gets it."""
    image: dict[str, Any] = {
        "aggregateId": {"S": f"DOORS#{aggregate_id}"},
        "version": {"N": str(version)},
        "type": {"S": "OPENED"},
        "timestamp": {"S": "2022-01-01T00:00:00.000Z"},
    }
    if aggregate_id == "unreadable":
        image["timestamp"] = {"S": "yesterday"}
    change = {
        "NewImage": image,
        "SequenceNumber": str(number),
        "ApproximateCreationDateTime": time.time() - age,
    }
    return {"eventName": "INSERT", "dynamodb": change}


def make_records(*ids: str, age: float = 0) -> list[Any]:
    """Return records numbered from 1, with the next version of each aggregate."""
    return [
        make_record(each, ids[: number + 1].count(each), number=number + 1, age=age)
        for number, each in enumerate(ids)
    ]


class Parked(list[ParkedRecord]):
    """Keeps what is parked."""

    async def __call__(self, parked: ParkedRecord) -> None:
        """Keep one."""
        await asyncio.sleep(0)
        self.append(parked)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the records."""
        return [int(each.sequence_number) for each in self]


def make_handler(adapter: ChannelAdapter, park: Any, **options: Any) -> DynamoDBStreamHandler[Any]:
    """Return a handler that parks."""
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(DOORS,), message_channel_adapter=adapter
    )
    options = {"retry_delay": no_delay, **options}
    return DynamoDBStreamHandler(DynamoDBStreamParser((DOORS,)), queue, park=park, **options)


def fail_at(number: int | None) -> dict[str, Any]:
    """Return what Lambda is told."""
    return {"batchItemFailures": [] if number is None else [{"itemIdentifier": str(number)}]}


MANY = [f"a{each}" for each in range(30)]


@pytest.mark.parametrize("names_failures", [True, False])
@pytest.mark.parametrize("place", [0, 5, 17, 29])
def test_a_poisoned_message_stops_nothing(place: int, *, names_failures: bool) -> None:
    """All others are published, each once, and Lambda hears of no failure."""
    adapter, parked = ChannelAdapter(refuse(MANY[place]), names_failures=names_failures), Parked()

    answer = make_handler(adapter, parked)({"Records": make_records(*MANY)})

    assert fail_at(None) == answer
    assert [(each, 1) for each in MANY if each != MANY[place]] == adapter.taken
    (only,) = parked
    assert place + 1 == int(only.sequence_number)
    assert only.event is not None
    assert MANY[place] == only.event.record.aggregate_id
    assert isinstance(only.error, Exception)


def test_a_record_that_cannot_be_read_stops_nothing() -> None:
    """It needs no other message as a proof."""
    adapter, parked = ChannelAdapter(refuse()), Parked()
    handler = make_handler(adapter, parked)

    assert fail_at(None) == handler({"Records": make_records("unreadable")})
    assert fail_at(None) == handler({"Records": make_records("a", "unreadable", "b")})

    assert [("a", 1), ("b", 1)] == adapter.taken
    assert [1, 2] == parked.numbers
    assert [None, None] == [each.event for each in parked]


def test_later_events_of_the_aggregate_are_parked_behind_it() -> None:
    """In their order, and without an error of their own."""
    adapter, parked = ChannelAdapter(refuse("a")), Parked()

    answer = make_handler(adapter, parked)({"Records": make_records("b", "a", "c", "a", "b", "a")})

    assert fail_at(None) == answer
    assert [("b", 1), ("c", 1), ("b", 2)] == adapter.taken
    assert [2, 4, 6] == parked.numbers
    assert [True, False, False] == [each.error is not None for each in parked]


def test_a_refusal_that_passes_is_no_poison() -> None:
    """A message is tried three times."""
    refusals = iter([True, True])
    adapter = ChannelAdapter(lambda each: each.aggregate_id == "b" and next(refusals, False))
    parked = Parked()

    assert fail_at(None) == make_handler(adapter, parked)({"Records": make_records("a", "b", "c")})
    assert [("a", 1), ("b", 1), ("c", 1)] == adapter.taken
    assert [] == parked


@pytest.mark.parametrize("names_failures", [True, False])
@pytest.mark.parametrize("taken", [0, 4, 14])
def test_a_channel_that_is_down_parks_nothing(taken: int, *, names_failures: bool) -> None:
    """Lambda tries again from the first message that it did not take."""
    ids = MANY[taken:]
    adapter, parked = ChannelAdapter(refuse(*ids), names_failures=names_failures), Parked()
    handler, records = make_handler(adapter, parked), make_records(*MANY)

    assert fail_at(taken + 1) == handler({"Records": records})
    assert fail_at(taken + 1) == handler({"Records": records[taken:]})
    adapter.refuses = refuse()
    assert fail_at(None) == handler({"Records": records[taken:]})

    assert {(each, 1) for each in MANY} == {*adapter.taken}
    assert [] == parked


def test_a_channel_that_goes_down_after_a_poisoned_message() -> None:
    """That one is parked, as the channel took others after it; those that are left come again."""
    adapter, parked = ChannelAdapter(refuse("a1", *MANY[5:])), Parked()

    assert fail_at(6) == make_handler(adapter, parked)({"Records": make_records(*MANY)})
    assert [2] == parked.numbers


def test_a_poisoned_message_that_comes_alone() -> None:
    """Nothing shows that the channel is up: it is parked when it is old enough."""
    adapter, parked = ChannelAdapter(refuse("a")), Parked()
    handler = make_handler(adapter, parked, park_after=timedelta(minutes=10))

    assert fail_at(1) == handler({"Records": make_records("a", age=500)})
    assert [] == parked
    assert fail_at(None) == handler({"Records": make_records("a", age=700)})
    assert [1] == parked.numbers


def test_many_poisoned_messages_in_a_row() -> None:
    """They look as if the channel were down, until they are old enough."""
    adapter, parked = ChannelAdapter(refuse(*MANY[:7])), Parked()
    handler, records = make_handler(adapter, parked), make_records(*MANY, age=4000)

    first, calls = 0, 0
    while failed := handler({"Records": records[first:]})["batchItemFailures"]:
        first, calls = int(failed[0]["itemIdentifier"]) - 1, calls + 1
        assert calls < 10

    assert [1, 2, 3, 4, 5, 6, 7] == parked.numbers
    assert [(each, 1) for each in MANY[7:]] == adapter.taken


def test_a_record_that_cannot_be_parked_has_failed() -> None:
    """Lambda tries again from there, and the records before it are done."""

    def park(parked: ParkedRecord) -> None:
        raise OSError(f"no place for {parked}")

    adapter = ChannelAdapter(refuse("b"))

    assert fail_at(2) == make_handler(adapter, park)({"Records": make_records("a", "b", "c")})


def test_parked_records_can_be_published_later() -> None:
    """They are records as Lambda has them."""
    adapter, parked = ChannelAdapter(refuse("b")), Parked()
    handler = make_handler(adapter, parked)
    handler({"Records": make_records("a", "b", "b", "c")})
    adapter.refuses = refuse()

    assert fail_at(None) == handler({"Records": [each.record for each in parked]})
    assert [("a", 1), ("c", 1), ("b", 1), ("b", 2)] == adapter.taken


async def test_states() -> None:
    """One that cannot be computed is parked; for a storage that does not answer Lambda waits."""
    adapter, parked = ChannelAdapter(refuse()), Parked()
    queue = StateCarryingMessageQueue(
        "QUEUE", source_event_stores=(DOORS,), message_channel_adapter=adapter
    )
    await DOORS.push_event(Opened("a", 1), force=True)
    handler = DynamoDBStreamHandler(DynamoDBStreamParser((DOORS,)), queue, park=parked)

    assert fail_at(None) == await handler.publish_records(make_records("missing", "a"))
    assert fail_at(1) == await handler.publish_records(make_records("silent", "a"))
    old = make_records("silent", "a", age=4000)
    assert fail_at(None) == await handler.publish_records(old)

    assert [("a", 1)] * 3 == adapter.taken
    assert [1, 1] == parked.numbers


def test_what_is_left_goes_back_when_time_is_up() -> None:
    """The suspects before it come again as well, unless they are parked."""
    adapter, parked = ChannelAdapter(refuse("a")), Parked()

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 0

    handler = make_handler(adapter, parked)
    assert fail_at(1) == handler({"Records": make_records("a", "b")}, Context())
    assert fail_at(2) == handler({"Records": make_records("b", "c")}, Context())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("names_failures", [True, False])
def test_every_event_is_published_or_parked(seed: int, *, names_failures: bool) -> None:
    """Whatever fails: each aggregate's events arrive in order, and behind a parked one none."""
    dice = random.Random(seed)
    poisoned = {(f"a{dice.randrange(12)}", dice.randrange(1, 4)) for _ in range(3)}
    adapter = ChannelAdapter(
        lambda each: (each.aggregate_id, each.version) in poisoned or dice.random() < 0.1,
        names_failures=names_failures,
    )
    parked = Parked()
    handler = make_handler(adapter, parked)
    records = make_records(*(f"a{dice.randrange(12)}" for _ in range(60)))

    first, calls = 0, 0
    while failed := handler({"Records": records[first:]})["batchItemFailures"]:
        first, calls = int(failed[0]["itemIdentifier"]) - 1, calls + 1
        assert calls < 50

    expected = [
        (each["dynamodb"]["NewImage"]["aggregateId"]["S"].removeprefix("DOORS#"), number)
        for each in records
        for number in [int(each["dynamodb"]["NewImage"]["version"]["N"])]
    ]
    passed = [each.event.record[:2] for each in parked if each.event]
    assert {*expected} == {*adapter.taken, *passed}
    for aggregate_id in {name for name, _ in expected}:
        places = dict.fromkeys(adapter.taken)
        versions = [version or 0 for name, version in places if name == aggregate_id]
        assert versions == sorted(versions)


def test_park_is_a_function() -> None:
    """Something else is refused when the handler is made."""
    with pytest.raises(TypeError, match="park is not callable"):
        make_handler(ChannelAdapter(refuse()), "PARKED")
