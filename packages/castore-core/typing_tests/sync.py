"""Façades that type checkers accept, with their types, and those that they refuse."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, assert_type

from commands import catch_pokemon
from definitions import (
    Pokemon,
    PokemonEvent,
    PokemonLeveledUp,
    PokemonStore,
    Trainer,
    TrainerEvent,
    TrainerStore,
    appeared,
    caught,
    pokemons,
    trainer_caught,
    trainers,
)

from castore_core import (
    AggregateCommands,
    AggregateIdsPage,
    Drafts,
    EventDraft,
    EventStorageAdapter,
    EventStore,
    ExistingAggregate,
    GroupedEvent,
    LoadedAggregate,
    NotificationMessage,
    NotificationMessageQueue,
    PushedEvent,
    StateCarryingMessage,
    StateCarryingMessageBus,
    VersionAssertion,
    group_command,
    one,
    several,
)
from castore_core.sync import (
    EventLoopThread,
    SyncAggregateCommand,
    SyncAggregateCommands,
    SyncCommand,
    SyncEventStore,
    SyncExistingAggregateCommand,
    SyncGroupCommand,
    SyncMessageChannel,
    SyncStateCarryingMessageChannel,
    run,
)

# Stores

sync_pokemons = SyncEventStore(pokemons)
sync_trainers = SyncEventStore(trainers, event_loop=EventLoopThread(), timeout=5)
assert_type(sync_pokemons, SyncEventStore[PokemonEvent, Pokemon])
assert_type(sync_pokemons.event_store, EventStore[PokemonEvent, Pokemon])
assert_type(sync_pokemons.with_timeout(2), SyncEventStore[PokemonEvent, Pokemon])
assert_type(sync_pokemons.storage_adapter, EventStorageAdapter | None)
assert_type(sync_pokemons.push_event(appeared), PushedEvent[PokemonEvent, Pokemon])
assert_type(sync_pokemons.get_events("pikachu1", min_version=2), list[PokemonEvent])
assert_type(sync_pokemons.get_aggregate("pikachu1"), LoadedAggregate[PokemonEvent, Pokemon])
assert_type(
    sync_pokemons.get_existing_aggregate("pikachu1"), ExistingAggregate[PokemonEvent, Pokemon]
)
assert_type(sync_pokemons.list_aggregate_ids(limit=1), AggregateIdsPage)
assert_type(sync_pokemons.iter_aggregate_ids(), Iterator[str])
assert_type(sync_pokemons.build_aggregate([appeared, caught]), Pokemon | None)
sync_pokemons.push_event(trainer_caught)  # type: ignore[arg-type]
sync_pokemons.push_event(appeared, prev_aggregate=Trainer("ash", 1))  # type: ignore[arg-type]
sync_pokemons.get_events("pikachu1", 1)  # type: ignore[call-arg]
sync_pokemons.get_aggregate(1)  # type: ignore[arg-type]


async def await_nothing() -> None:
    """Results are no awaitables."""
    await sync_pokemons.push_event(appeared)  # type: ignore[misc]


# Groups

grouped_pokemon = sync_pokemons.group_event(caught)
grouped_trainer = sync_trainers.group_event(trainer_caught)
assert_type(grouped_pokemon, GroupedEvent[PokemonEvent, Pokemon])
assert_type(sync_pokemons.assert_version("pikachu1", 1), VersionAssertion)
assert_type(
    SyncEventStore.push_event_group(grouped_pokemon, grouped_trainer, force=True),
    tuple[PushedEvent[PokemonEvent, Pokemon], PushedEvent[TrainerEvent, Trainer]],
)
assert_type(
    sync_pokemons.push_event_group(grouped_pokemon, sync_trainers.assert_version("ash", 2)),
    tuple[PushedEvent[PokemonEvent, Pokemon]],
)
assert_type(
    SyncEventStore.push_event_group(*[grouped_pokemon]),
    tuple[PushedEvent[PokemonEvent, Pokemon], ...],
)

# Commands


def generate_id() -> str:
    """Return an id."""
    return "pikachu1"


sync_catch = SyncCommand(catch_pokemon)
assert_type(sync_catch("pikachu1", (pokemons, trainers), 1, generate_id=generate_id), bool)
assert_type(sync_catch.required_event_stores, tuple[PokemonStore, TrainerStore])
sync_catch(1, (pokemons, trainers), 1, generate_id=generate_id)  # type: ignore[arg-type]
sync_catch("pikachu1", (trainers, pokemons), 1, generate_id=generate_id)  # type: ignore[arg-type]
sync_catch("pikachu1", (pokemons, trainers), 1)  # type: ignore[call-arg]

commands = AggregateCommands(pokemons)


@commands.handler
def meet(_pokemon: Pokemon | None, *, levels: int) -> list[EventDraft[PokemonLeveledUp]]:
    """Handle a command."""
    return [PokemonLeveledUp.draft() for _ in range(levels)]


@commands.existing_handler
def level_up(_pokemon: Pokemon, *, levels: int) -> list[EventDraft[PokemonLeveledUp]]:
    """Handle a command of a pokemon that exists."""
    return [PokemonLeveledUp.draft() for _ in range(levels)]


assert_type(SyncAggregateCommand(meet)("pikachu1", levels=2), Pokemon | None)
assert_type(SyncExistingAggregateCommand(level_up)("pikachu1", levels=2), Pokemon)
assert_type(SyncExistingAggregateCommand(level_up).using(pokemons)("a", levels=2), Pokemon)
assert_type(SyncAggregateCommands(commands).run("meet", "pikachu1"), Pokemon | None)
assert_type(SyncAggregateCommands(commands), SyncAggregateCommands[PokemonEvent, Pokemon])
SyncExistingAggregateCommand(meet)  # type: ignore[arg-type]
SyncExistingAggregateCommand(level_up)("pikachu1", levels="2")  # type: ignore[arg-type]
SyncExistingAggregateCommand(level_up)("pikachu1")  # type: ignore[call-arg]

# Commands over several aggregates


@group_command(one(pokemons), several(trainers))
def catch_all(
    _pokemon: Pokemon | None, _trainers: Mapping[str, Trainer | None], ball: str, *, at: int
) -> tuple[Drafts[PokemonEvent], dict[str, EventDraft[TrainerEvent]]]:
    """Handle a command over several aggregates."""
    return [PokemonLeveledUp.draft()] * at if ball else None, {}


sync_catch_all = SyncGroupCommand(catch_all).with_idempotency_key("key")
assert_type(
    sync_catch_all("pikachu1", ["ash"], "great", at=1),
    tuple[Pokemon | None, Mapping[str, Trainer | None]],
)
sync_catch_all("pikachu1", ["ash"], at=1)  # type: ignore[call-arg]
sync_catch_all("pikachu1", 1, "great", at=1)  # type: ignore[arg-type]

# Channels

queue = SyncMessageChannel(NotificationMessageQueue("QUEUE", source_event_stores=(pokemons,)))
assert_type(queue, SyncMessageChannel[NotificationMessage[PokemonEvent]])
assert_type(queue.parse_message("{}"), NotificationMessage[PokemonEvent])
queue.publish_message(NotificationMessage("POKEMONS", caught))
queue.publish_message(caught)  # type: ignore[arg-type]

bus = SyncStateCarryingMessageChannel(
    StateCarryingMessageBus("BUS", source_event_stores=(pokemons,))
)
assert_type(bus, SyncStateCarryingMessageChannel[PokemonEvent, Pokemon])
assert_type(bus.parse_message("{}"), StateCarryingMessage[PokemonEvent, Pokemon])
bus.get_aggregate_and_publish_message(NotificationMessage("POKEMONS", caught))

# Coroutines


async def count(text: str) -> int:
    """Return a number."""
    return len(text)


assert_type(run(count("a"), timeout=1), int)
assert_type(
    EventLoopThread().run(pokemons.push_event(appeared)), PushedEvent[PokemonEvent, Pokemon]
)
run(count)  # type: ignore[arg-type]


def take_any_store(_store: SyncEventStore) -> None:
    """Take whatever comes."""


take_any_store(sync_pokemons)
take_any_store(sync_trainers)
callback: Callable[[PokemonEvent], Any] = sync_pokemons.push_event
