"""What type checkers know of snapshots, and what they refuse."""

from typing import assert_type

from definitions import (
    Pokemon,
    PokemonAppeared,
    PokemonCaught,
    PokemonEvent,
    PokemonLeveledUp,
    pokemons,
    reduce_pokemon,
)

from castore_core import (
    DataclassCodec,
    Event,
    EventStorageAdapter,
    EventStore,
    ReducerSources,
    SnapshotOccasion,
    Snapshots,
    SnapshotStorageAdapter,
)


def is_caught(occasion: SnapshotOccasion) -> bool:
    """Write a snapshot when a pokemon was caught."""
    assert_type(occasion.event, Event)
    assert_type(occasion.events_read, int | None)
    return isinstance(occasion.event, PokemonCaught)


async def use(adapter: SnapshotStorageAdapter, events: EventStorageAdapter) -> None:
    """Infer the store as without snapshots."""
    async with Snapshots(adapter, policy=is_caught, keep=2) as snapshots:
        assert_type(snapshots, Snapshots)
        store = EventStore(
            "POKEMONS",
            event_types=[PokemonAppeared, PokemonCaught, PokemonLeveledUp],
            reduce=reduce_pokemon,
            aggregate_codec=DataclassCodec(Pokemon),
            snapshots=snapshots,
        )
        assert_type(store, EventStore[PokemonEvent, Pokemon])
        assert_type(store.snapshots, Snapshots | None)
        assert_type(store.using(events, snapshots=snapshots), EventStore[PokemonEvent, Pokemon])
        assert_type(ReducerSources.of(store).version, str)
        assert_type(snapshots.counts["used"], int)

        snapshots.counts["unused"]  # type: ignore[index]
        store.snapshots = adapter  # type: ignore[assignment]
        pokemons.snapshots = None

    Snapshots(adapter, policy=lambda occasion: occasion.event.version > 1)
    Snapshots(adapter, policy=lambda occasion: occasion.version > 1)  # type: ignore[attr-defined]
    Snapshots(adapter, 3)  # type: ignore[call-arg]
    Snapshots(events)  # type: ignore[arg-type]
