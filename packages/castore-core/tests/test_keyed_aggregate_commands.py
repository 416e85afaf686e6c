"""A command of one aggregate with an idempotency key has one effect."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from castore_core import (
    COMMANDS_STORE_ID,
    AggregateCommands,
    AggregateNotFoundError,
    DataclassCodec,
    Event,
    EventDecodeError,
    EventDraft,
    EventStore,
    GroupedRecord,
    IdempotencyKeyReusedError,
    Snapshots,
    UnknownOutcomeError,
)
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter


class LeveledUp(Event, type="LEVELED_UP"):
    """One level more."""


@dataclass(frozen=True)
class Pokemon:
    """An aggregate."""

    aggregate_id: str
    version: int


def level(_: Pokemon | None, event: LeveledUp) -> Pokemon:
    """Compute the state."""
    return Pokemon(event.aggregate_id, event.version)


class Storage(InMemoryEventStorageAdapter):
    """A storage whose answers can be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[list[str]] = []
        self.answers_to_lose = 0

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Write a group."""
        await super().push_event_group(group, **options)
        self.groups.append([each.event_store_id for each in group])
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            raise UnknownOutcomeError("POKEMONS", "p", 1)


Store = EventStore[LeveledUp, Pokemon]


def make_store(event_store_id: str = "POKEMONS", **options: Any) -> Store:
    """Return a store."""
    return EventStore(
        event_store_id,
        event_types=[LeveledUp],
        reduce=level,
        storage_adapter=Storage(),
        **options,
    )


def make_commands(store: Store) -> AggregateCommands[LeveledUp, Pokemon]:
    """Return the commands."""
    commands = AggregateCommands(store, event_already_exists_pause=0)

    @commands.handler
    def level_up(pokemon: Pokemon | None, *, levels: int) -> list[EventDraft[LeveledUp]]:  # noqa: ARG001
        return [LeveledUp.draft() for _ in range(levels)]

    @commands.handler
    def level_at(pokemon: Pokemon | None, moment: datetime) -> EventDraft[LeveledUp]:  # noqa: ARG001
        return LeveledUp.draft(timestamp=moment)

    @commands.existing_handler
    def train(pokemon: Pokemon) -> EventDraft[LeveledUp]:  # noqa: ARG001
        return LeveledUp.draft()

    return commands


def get_groups(store: Store) -> list[list[str]]:
    """Return what was written at a time."""
    storage = store.storage_adapter
    assert isinstance(storage, Storage)
    return storage.groups


async def test_a_repeated_call_returns_the_aggregate_as_it_was_after_the_first() -> None:
    """A repeated call pushes nothing and returns the first aggregate, despite later events."""
    store = make_store()
    commands = make_commands(store)

    first = await commands.with_idempotency_key("a").run("level_up", "p", levels=2)
    other = await commands.with_idempotency_key("b").run("level_up", "p", levels=1)
    again = await make_commands(store).with_idempotency_key("a").run("level_up", "p", levels=2)

    assert (Pokemon("p", 2), Pokemon("p", 3), Pokemon("p", 2)) == (first, other, again)
    assert [
        ["POKEMONS", "POKEMONS", COMMANDS_STORE_ID],
        ["POKEMONS", COMMANDS_STORE_ID],
    ] == get_groups(store)


async def test_without_a_key_nothing_is_recorded() -> None:
    """The commands that a keyed one was made of are as they were."""
    store = make_store()
    commands = make_commands(store)
    commands.with_idempotency_key("a")

    assert Pokemon("p", 1) == await commands.run("level_up", "p", levels=1)
    assert [["POKEMONS"]] == get_groups(store)


@pytest.mark.parametrize("levels_before", [0, 1])
async def test_a_handler_without_drafts(levels_before: int) -> None:
    """A handler without drafts records the aggregate as it was, or its absence, alone."""
    store = make_store()
    run = make_commands(store).run
    await run("level_up", "p", levels=levels_before)
    keyed = make_commands(store).with_idempotency_key("a")

    first = await keyed.run("level_up", "p", levels=0)
    await run("level_up", "p", levels=5)

    assert first == await keyed.run("level_up", "p", levels=0)
    assert first == (Pokemon("p", 1) if levels_before else None)


async def test_other_arguments_are_refused() -> None:
    """Another aggregate or argument is refused; one that is no JSON value is not compared."""
    commands = make_commands(make_store()).with_idempotency_key("a")
    moments = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2)]
    await commands.run("level_up", "p", levels=1)
    assert [1, 1] == [(await commands.run("level_at", "q", each)).version for each in moments]  # type: ignore[union-attr]

    with pytest.raises(IdempotencyKeyReusedError, match="command 'level_up'"):
        await commands.run("level_up", "p", levels=2)
    with pytest.raises(IdempotencyKeyReusedError):
        await commands.run("level_up", "q", levels=1)
    with pytest.raises(IdempotencyKeyReusedError):
        await commands.run("level_at", "p", moments[0])


async def test_commands_of_two_stores_have_keys_of_their_own() -> None:
    """Commands of two stores share no key, in one storage and under one name; `using` keeps it."""
    store, other = make_store(), make_store("OTHERS")
    other.storage_adapter = store.storage_adapter
    commands = make_commands(store).with_idempotency_key("a")

    for each in (store, other):
        assert Pokemon("p", 1) == await commands.using(each).run("level_up", "p", levels=1)

    assert 2 == len(get_groups(store))


async def test_an_aggregate_that_does_not_exist() -> None:
    """Nothing is recorded, and the command may run once the aggregate is there."""
    store = make_store()
    commands = make_commands(store)
    keyed = commands.with_idempotency_key("a")
    with pytest.raises(AggregateNotFoundError):
        await keyed.run("train", "p")
    await commands.run("level_up", "p", levels=1)

    assert [Pokemon("p", 2)] * 2 == [await keyed.run("train", "p") for _ in range(2)]


async def test_sixteen_calls_at_once() -> None:
    """One of sixteen calls has an effect, and all return the same."""
    store = make_store()
    commands = make_commands(store)

    found = await asyncio.gather(
        *(commands.with_idempotency_key("a").run("level_up", "p", levels=1) for _ in range(16))
    )

    assert [Pokemon("p", 1)] * 16 == found
    assert 1 == len(get_groups(store))


async def test_a_lost_answer() -> None:
    """After a lost answer, the record tells that the events are there."""
    store = make_store()
    assert isinstance(store.storage_adapter, Storage)
    store.storage_adapter.answers_to_lose = 1

    found = await make_commands(store).with_idempotency_key("a").run("level_up", "p", levels=1)

    assert Pokemon("p", 1) == found
    assert [1] == [each.version for each in await store.get_events("p")]


async def test_an_aggregate_with_snapshots() -> None:
    """A repeated call loads it at its version, also where a snapshot is of a later one."""
    store = make_store(
        aggregate_codec=DataclassCodec(Pokemon),
        snapshots=Snapshots(
            InMemorySnapshotStorageAdapter(), every=1, reducer_version="1", in_background=False
        ),
    )
    keyed = make_commands(store).with_idempotency_key("a")
    await keyed.run("level_up", "p", levels=1)
    await make_commands(store).run("level_up", "p", levels=4)

    assert Pokemon("p", 1) == await keyed.run("level_up", "p", levels=1)


async def test_a_record_that_is_no_version_of_an_aggregate() -> None:
    """A record that somebody has changed is not believed."""
    store = make_store()
    keyed = make_commands(store).with_idempotency_key("a")
    await keyed.run("level_up", "p", levels=1)
    storage = store.storage_adapter
    assert isinstance(storage, Storage)
    (entry,) = (await storage.read_events([COMMANDS_STORE_ID])).entries
    assert isinstance(entry.record.payload, dict)
    payload = {**entry.record.payload, "output": "p"}
    await storage.push_event(COMMANDS_STORE_ID, entry.record._replace(payload=payload), force=True)

    with pytest.raises(EventDecodeError, match="its output does not fit"):
        await keyed.run("level_up", "p", levels=1)


@pytest.mark.parametrize("key", ["", "k" * 1001, None], ids=repr)
def test_a_key_is_a_text(key: Any) -> None:
    """A key that is no text of 1 to 1,000 characters is refused."""
    with pytest.raises(ValueError, match="an idempotency key is"):
        make_commands(make_store()).with_idempotency_key(key)
