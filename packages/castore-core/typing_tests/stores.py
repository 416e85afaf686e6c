"""What type checkers know of event stores, and what they refuse."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, assert_type

from definitions import (
    Pokemon,
    PokemonAppeared,
    PokemonCaught,
    PokemonEvent,
    PokemonLeveledUp,
    Trainer,
    TrainerEvent,
    appeared,
    caught,
    pokemons,
    reduce_pokemon,
    trainer_caught,
    trainers,
)

from castore_core import (
    AggregateIdsPage,
    Event,
    EventStorageAdapter,
    EventStore,
    ExistingAggregate,
    GroupedEvent,
    ListedAggregate,
    LoadedAggregate,
    PushedEvent,
    VersionAssertion,
)

# A store is inferred from its event types and its reducer.

assert_type(pokemons, EventStore[PokemonEvent, Pokemon])
assert_type(trainers, EventStore[TrainerEvent, Trainer])
assert_type(
    EventStore(
        "POKEMONS",
        event_types=(PokemonAppeared, PokemonCaught, PokemonLeveledUp),
        reduce=reduce_pokemon,
    ),
    EventStore[PokemonEvent, Pokemon],
)


def reduce_twins(pokemon: Pokemon | None, event: PokemonCaught | PokemonLeveledUp) -> Pokemon:
    """Compute a pokemon from events whose constructors are identical."""
    return Pokemon(event.aggregate_id, event.version, pokemon.name if pokemon else "")


assert_type(
    EventStore("TWINS", event_types=[PokemonCaught, PokemonLeveledUp], reduce=reduce_twins),
    EventStore[PokemonCaught | PokemonLeveledUp, Pokemon],
)
assert_type(
    EventStore("TWINS", event_types=(PokemonCaught, PokemonLeveledUp), reduce=reduce_twins),
    EventStore[PokemonCaught | PokemonLeveledUp, Pokemon],
)


def reduce_one(pokemon: Pokemon | None, event: PokemonCaught) -> Pokemon:
    """Compute a pokemon from one type of event."""
    return Pokemon(event.aggregate_id, event.version, pokemon.name if pokemon else "")


assert_type(
    EventStore("ONE", event_types=[PokemonCaught], reduce=reduce_one),
    EventStore[PokemonCaught, Pokemon],
)

EventStore("ONE", event_types=[PokemonCaught, PokemonLeveledUp], reduce=reduce_one)  # type: ignore[list-item]
EventStore("ONE", event_types=(PokemonCaught, PokemonLeveledUp), reduce=reduce_one)  # type: ignore[arg-type]


def reduce_to_text(text: str | None, event: PokemonCaught) -> str:
    """Return no aggregate: it has no aggregate_id and no version."""
    return f"{text} {event.version}"


EventStore("TEXTS", event_types=[PokemonCaught], reduce=reduce_to_text)  # type: ignore[type-var]


def reduce_to_nothing(pokemon: Pokemon | None, event: PokemonCaught) -> None:
    """Return nothing."""


EventStore("NOTHING", event_types=[PokemonCaught], reduce=reduce_to_nothing)  # type: ignore[type-var]
EventStore("TYPES", event_types=[Pokemon], reduce=reduce_one)  # type: ignore[list-item]

# A bare EventStore is any store.


def take_any_store(store: EventStore) -> None:
    """Take whatever comes."""
    assert_type(store, EventStore[Any, Any])


take_any_store(pokemons)
take_any_store(trainers)

# Attributes

assert_type(pokemons.event_store_id, str)
assert_type(pokemons.event_types, tuple[type[PokemonEvent], ...])
assert_type(pokemons.reduce(None, appeared), Pokemon)
assert_type(pokemons.storage_adapter, EventStorageAdapter | None)
assert_type(pokemons.get_storage_adapter(), EventStorageAdapter)
assert_type(pokemons.get_json_schemas(), dict[str, dict[str, Any]])
pokemons.event_store_id = "TRAINERS"  # type: ignore[misc]


async def call_later(pushed_event: PushedEvent[PokemonEvent, Pokemon]) -> None:
    """Do nothing with a pushed event."""


async def call_with_trainer(pushed_event: PushedEvent[TrainerEvent, Trainer]) -> None:
    """Do nothing with a pushed event of a trainer."""


pokemons.on_event_pushed = call_later
pokemons.on_event_pushed = call_with_trainer  # type: ignore[assignment]

# Results


async def push(pokemon: Pokemon, trainer: Trainer) -> None:
    """Know what was pushed."""
    pushed = await pokemons.push_event(appeared)
    assert_type(pushed, PushedEvent[PokemonEvent, Pokemon])
    assert_type(pushed.event, PokemonEvent)
    assert_type(pushed.next_aggregate, Pokemon | None)
    await pokemons.push_event(caught, prev_aggregate=pokemon, force=True)

    await pokemons.push_event(trainer_caught)  # type: ignore[arg-type]
    await pokemons.push_event(caught, prev_aggregate=trainer)  # type: ignore[arg-type]
    await pokemons.push_event(caught, pokemon)  # type: ignore[call-arg]
    pokemons.group_event(trainer_caught)  # type: ignore[arg-type]
    pokemons.group_event(caught, prev_aggregate=trainer)  # type: ignore[arg-type]


async def push_groups() -> None:
    """Know what was pushed, in its place."""
    first = pokemons.group_event(appeared)
    second = trainers.group_event(trainer_caught)
    assert_type(first, GroupedEvent[PokemonEvent, Pokemon])
    assert_type(second, GroupedEvent[TrainerEvent, Trainer])

    assert_type(await EventStore.push_event_group(first), tuple[PushedEvent[PokemonEvent, Pokemon]])
    assert_type(
        await EventStore.push_event_group(first, second, force=True),
        tuple[PushedEvent[PokemonEvent, Pokemon], PushedEvent[TrainerEvent, Trainer]],
    )
    assert_type(
        await EventStore.push_event_group(first, second, first),
        tuple[
            PushedEvent[PokemonEvent, Pokemon],
            PushedEvent[TrainerEvent, Trainer],
            PushedEvent[PokemonEvent, Pokemon],
        ],
    )
    assert_type(
        await EventStore.push_event_group(*[first, first]),
        tuple[PushedEvent[PokemonEvent, Pokemon], ...],
    )
    assert_type(
        await EventStore.push_event_group(first, first, first, first),
        tuple[PushedEvent[PokemonEvent, Pokemon], ...],
    )
    assert_type(
        await EventStore.push_event_group(first, second, first, second),
        tuple[PushedEvent[Any, Any], ...],
    )

    await EventStore.push_event_group(appeared)  # type: ignore[call-overload]


async def push_groups_with_assertions() -> None:
    """Know what was pushed, if the assertions come last."""
    first = pokemons.group_event(appeared)
    second = trainers.group_event(trainer_caught)
    assertion = trainers.assert_version("ash", 3)
    assert_type(assertion, VersionAssertion)

    assert_type(
        await EventStore.push_event_group(first, assertion),
        tuple[PushedEvent[PokemonEvent, Pokemon]],
    )
    assert_type(
        await EventStore.push_event_group(first, second, assertion, assertion, force=True),
        tuple[PushedEvent[PokemonEvent, Pokemon], PushedEvent[TrainerEvent, Trainer]],
    )
    assert_type(
        await EventStore.push_event_group(assertion, first),
        tuple[PushedEvent[PokemonEvent, Pokemon], ...],
    )
    several: list[GroupedEvent[PokemonEvent, Pokemon] | VersionAssertion] = [first, assertion]
    assert_type(
        await EventStore.push_event_group(*several),
        tuple[PushedEvent[PokemonEvent, Pokemon], ...],
    )
    assert_type(
        await EventStore.push_event_group(first, assertion, second),
        tuple[PushedEvent[Any, Any], ...],
    )

    trainers.assert_version("ash", "3")  # type: ignore[arg-type]
    trainers.assert_version("ash")  # type: ignore[call-arg]


def use_another_storage(adapter: EventStorageAdapter) -> None:
    """Know that the store is of the same kind."""
    assert_type(pokemons.using(adapter), EventStore[PokemonEvent, Pokemon])

    pokemons.using(trainers)  # type: ignore[arg-type]


async def read() -> None:
    """Know what was read."""
    assert_type(
        await pokemons.get_events("pikachu1", min_version=1, max_version=2, limit=3, reverse=True),
        list[PokemonEvent],
    )

    loaded = await pokemons.get_aggregate("pikachu1", max_version=2)
    assert_type(loaded, LoadedAggregate[PokemonEvent, Pokemon])
    assert_type(loaded.aggregate, Pokemon | None)
    assert_type(loaded.events, tuple[PokemonEvent, ...])
    assert_type(loaded.last_event, PokemonEvent | None)
    loaded.aggregate = None  # type: ignore[misc]

    existing = await pokemons.get_existing_aggregate("pikachu1")
    assert_type(existing, ExistingAggregate[PokemonEvent, Pokemon])
    assert_type(existing.aggregate, Pokemon)
    assert_type(existing.last_event, PokemonEvent)
    assert_type((loaded.snapshot_version, existing.snapshot_version), tuple[int | None, int | None])
    assert_type((loaded.events_read, existing.events_read), tuple[int, int])

    await pokemons.get_events("pikachu1", 1)  # type: ignore[call-arg]


async def list_ids() -> None:
    """Know what was listed."""
    page = await pokemons.list_aggregate_ids(
        limit=1, initial_event_after=datetime.now(UTC), reverse=True, page_token=None
    )
    assert_type(page, AggregateIdsPage)
    assert_type(page.aggregates[0], ListedAggregate)
    assert_type(page.aggregates[0].initial_event_timestamp, datetime)
    assert_type(page.aggregate_ids, list[str])
    assert_type(page.next_page_token, str | None)
    assert_type(pokemons.iter_aggregate_ids(limit=10), AsyncIterator[str])
    async for aggregate_id in pokemons.iter_aggregate_ids():
        assert_type(aggregate_id, str)


def compute(pokemon: Pokemon, trainer: Trainer) -> None:
    """Know what was computed."""
    assert_type(pokemons.build_aggregate([appeared, caught]), Pokemon | None)
    assert_type(pokemons.build_aggregate([caught], pokemon), Pokemon | None)
    assert_type(pokemons.simulate_aggregate([appeared], at=datetime.now(UTC)), Pokemon | None)
    assert_type(pokemons.event_from_record(appeared.to_record()), PokemonEvent)

    pokemons.build_aggregate([trainer_caught])  # type: ignore[list-item]
    pokemons.build_aggregate([caught], trainer)  # type: ignore[arg-type]


# What is only read is covariant.


def take_pushed(pushed: PushedEvent[Event, Pokemon]) -> None:
    """Take whatever happened to a pokemon."""


def take_loaded(loaded: LoadedAggregate[Event, Pokemon]) -> None:
    """Take a pokemon, whatever happened to it."""


def take_pushed_trainer(pushed: PushedEvent[TrainerEvent, Trainer]) -> None:
    """Take what happened to a trainer."""


async def widen() -> None:
    """Give narrower results."""
    take_pushed(await pokemons.push_event(appeared))
    take_loaded(await pokemons.get_existing_aggregate("pikachu1"))
    take_pushed_trainer(await pokemons.push_event(appeared))  # type: ignore[arg-type]
