"""Drafts and recordings meet the conflicts that the storages behind them would meet."""

import asyncio
from typing import Any

import pytest

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    EventStore,
    InvalidEventGroupError,
    VersionGapError,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_visualizer._draft_storage import DraftStorageAdapter
from castore_visualizer._recording_storage import RecordingStorageAdapter
from pokemon import GameStarted, PokemonLeveledUp


class OtherStorageAdapter(InMemoryEventStorageAdapter):
    """A storage of another kind."""


def ignore(event_store_id: str, record: EventRecord) -> None:
    """Take the report of a recording."""
    del event_store_id, record


async def test_a_draft_storage_meets_the_conflicts_of_a_storage(world: Any) -> None:
    """A version that is taken and a gap are refused, as they are for real."""
    drafted = world.pokemons.using(DraftStorageAdapter(world.adapter))
    for version, error in ((3, EventAlreadyExistsError), (5, VersionGapError)):
        with pytest.raises(error):
            await drafted.push_event(PokemonLeveledUp("pikachu", version))
    await drafted.push_event(PokemonLeveledUp("pikachu", 4))
    with pytest.raises(EventAlreadyExistsError):
        await drafted.push_event(PokemonLeveledUp("pikachu", 4))

    events = await drafted.get_events("pikachu", reverse=True)
    assert [4, 3, 2, 1] == [each.version for each in events]
    assert 3 == len(await world.pokemons.get_events("pikachu"))


async def test_drafts_that_race_for_a_version_are_a_conflict(world: Any) -> None:
    """Of two groups at once, one is kept whole, and the other one is refused."""
    drafts = DraftStorageAdapter(world.adapter)
    pokemons, trainers = world.pokemons.using(drafts), world.trainers.using(drafts)

    async def push(trainer_id: str) -> None:
        await EventStore.push_event_group(
            pokemons.group_event(PokemonLeveledUp("pikachu", 4)),
            trainers.group_event(GameStarted(trainer_id, 1, payload={"trainer_name": "X"})),
        )

    results = await asyncio.gather(push("misty"), push("brock"), return_exceptions=True)
    kept = [await trainers.get_events(each) for each in ("misty", "brock")]

    assert [1, 0] == [len(each) for each in kept]
    assert [type(None), EventAlreadyExistsError] == [type(each) for each in results]


async def test_drafts_in_a_row_follow_each_other(world: Any) -> None:
    """A group may have several events of one aggregate, in the order of their versions."""
    drafted = world.pokemons.using(DraftStorageAdapter(world.adapter))
    rising = [drafted.group_event(PokemonLeveledUp("pikachu", each)) for each in (4, 5)]
    await EventStore.push_event_group(*rising)

    assert 5 == len(await drafted.get_events("pikachu"))


@pytest.mark.parametrize("is_draft", [True, False])
async def test_storages_of_different_kinds_write_no_group(world: Any, is_draft: bool) -> None:
    """Events of two kinds of storages are refused, as they are without a wrapper."""

    def wrap(adapter: InMemoryEventStorageAdapter) -> Any:
        return (
            DraftStorageAdapter(adapter) if is_draft else RecordingStorageAdapter(adapter, ignore)
        )

    pokemons = world.pokemons.using(wrap(world.adapter))
    trainers = world.trainers.using(wrap(OtherStorageAdapter()))
    with pytest.raises(InvalidEventGroupError, match="cannot write together"):
        await EventStore.push_event_group(
            pokemons.group_event(PokemonLeveledUp("pikachu", 4)),
            trainers.group_event(GameStarted("misty", 1, payload={"trainer_name": "Misty"})),
        )

    assert 3 == len(await pokemons.get_events("pikachu"))
