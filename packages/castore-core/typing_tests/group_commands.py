"""Group commands that type checkers accept, with their types, and those that they refuse."""

from collections.abc import Mapping, Sequence
from typing import Any, assert_type

from definitions import (
    Pokemon,
    PokemonAppeared,
    PokemonCaught,
    PokemonEvent,
    PokemonLeveledUp,
    PokemonStore,
    Trainer,
    TrainerCaughtPokemon,
    TrainerEvent,
    TrainerStarted,
    TrainerStore,
    pokemons,
    trainers,
)

from castore_core import (
    Drafts,
    EventDraft,
    GroupCommand,
    draft,
    group_command,
    one,
    one_existing,
    several,
    several_existing,
)


@group_command(one(trainers), several_existing(pokemons), event_already_exists_retries=3)
def catch(
    trainer: Trainer | None, caught: Mapping[str, Pokemon], ball: str, *, at: int
) -> tuple[Drafts[TrainerEvent], dict[str, EventDraft[PokemonCaught]]]:
    """Decide on one aggregate and on several."""
    assert_type(caught["pikachu1"], Pokemon)
    start = [draft(TrainerStarted)] * (at if ball == "great" and trainer is None else 0)
    caught_all = [draft(TrainerCaughtPokemon, payload={"pokemon_id": each}) for each in caught]
    return [*start, *caught_all], {each: PokemonCaught.draft() for each in caught}


@group_command(several(pokemons, asserted=False), one_existing(trainers), one(pokemons))
async def trade(
    _given: Mapping[str, Pokemon | None], trainer: Trainer, pokemon: Pokemon | None
) -> (
    tuple[
        Mapping[str, Drafts[PokemonEvent]],
        EventDraft[TrainerCaughtPokemon],
        list[EventDraft[PokemonLeveledUp] | EventDraft[PokemonCaught]],
    ]
    | None
):
    """Decide on three sources, later, or on nothing."""
    assert_type(trainer, Trainer)
    assert_type(pokemon, Pokemon | None)
    return None


@group_command(one_existing(pokemons))
def level_up(_: Pokemon, *, levels: int) -> list[EventDraft[PokemonLeveledUp]]:
    """Decide on one source."""
    return [PokemonLeveledUp.draft()] * levels


@group_command(several(pokemons))
async def appear(
    absent: Mapping[str, Pokemon | None], name: str
) -> dict[str, EventDraft[PokemonAppeared]]:
    """Decide on several aggregates of one source, later."""
    return {each: PokemonAppeared.draft(payload={"name": name, "level": 1}) for each in absent}


@group_command(one(pokemons), one(trainers), one(pokemons), one_existing(trainers))
def take_four(
    _first: Pokemon | None, _second: Trainer | None, _third: Pokemon | None, _fourth: Trainer
) -> tuple[None, None, EventDraft[PokemonCaught], None]:
    """Decide on four sources."""
    return None, None, PokemonCaught.draft(), None


async def run(ids: Sequence[str], keys: Mapping[str, int]) -> None:
    """Know the ids, the arguments and the aggregates."""
    assert_type(
        await catch("ash", ["pikachu1"], "great", at=1),
        tuple[Trainer | None, Mapping[str, Pokemon]],
    )
    assert_type(
        await trade(["eevee1"], "ash", "mew1"),
        tuple[Mapping[str, Pokemon | None], Trainer, Pokemon | None],
    )
    assert_type(await level_up("pikachu1", levels=2), Pokemon)
    assert_type(await appear({"mew1"}, "Mew"), Mapping[str, Pokemon | None])
    assert_type(
        await take_four("a", "b", "c", "d"),
        tuple[Pokemon | None, Trainer | None, Pokemon | None, Trainer],
    )
    await appear(ids, "Mew")
    await appear(keys, "Mew")
    await appear(keys.keys(), name="Mew")
    await appear((), "Mew")

    await catch("ash", "pikachu1", "great", at=1)  # type: ignore[arg-type]
    await catch(["ash"], ["pikachu1"], "great", at=1)  # type: ignore[arg-type]
    await catch("ash", [1], "great", at=1)  # type: ignore[list-item]
    await catch("ash", ["pikachu1"], 1, at=1)  # type: ignore[arg-type]
    await catch("ash", ["pikachu1"], "great")  # type: ignore[call-arg]
    await catch("ash", ["pikachu1"], at=1)  # type: ignore[call-arg]
    await catch("ash", ["pikachu1"], "great", at=1, force=True)  # type: ignore[call-arg]
    await level_up(["pikachu1"], levels=2)  # type: ignore[arg-type]
    await take_four("a", "b", "c")  # type: ignore[call-arg]


# On other stores of the same kinds

assert_type(catch.event_stores, tuple[TrainerStore, PokemonStore])
assert_type(level_up.event_stores, tuple[PokemonStore])

catch.using(pokemons, trainers)  # type: ignore[arg-type]
catch.using(trainers)  # type: ignore[call-arg]


async def run_elsewhere() -> None:
    """Know the arguments and the aggregates as before."""
    elsewhere = catch.using(trainers, pokemons)
    assert_type(
        await elsewhere("ash", ["pikachu1"], "great", at=1),
        tuple[Trainer | None, Mapping[str, Pokemon]],
    )
    await elsewhere("ash", ["pikachu1"], "great", at="1")  # type: ignore[arg-type]


def take_any_command(command: GroupCommand[..., Any, *tuple[Any, ...]]) -> str:
    """Take whatever comes."""
    return command.command_id


take_any_command(catch)
take_any_command(level_up)


# Handlers that do not fit


@group_command(one(pokemons), one(trainers))  # type: ignore[arg-type]
def return_foreign_drafts(
    _pokemon: Pokemon | None, _trainer: Trainer | None
) -> tuple[EventDraft[TrainerStarted], EventDraft[PokemonCaught]]:
    """Mix up the stores."""
    return TrainerStarted.draft(), PokemonCaught.draft()


@group_command(several(pokemons))  # type: ignore[arg-type]
def return_foreign_drafts_of_several(
    absent: Mapping[str, Pokemon | None],
) -> dict[str, EventDraft[TrainerStarted]]:
    """Return drafts of another store."""
    return {each: TrainerStarted.draft() for each in absent}


@group_command(several(pokemons))  # type: ignore[arg-type]
def forget_ids(absent: Mapping[str, Pokemon | None]) -> list[EventDraft[PokemonCaught]]:
    """Decide on several without their ids."""
    return [PokemonCaught.draft() for _ in absent]


@group_command(one_existing(pokemons), one_existing(trainers))  # type: ignore[arg-type]
def decide_once(_pokemon: Pokemon, _trainer: Trainer) -> EventDraft[PokemonCaught]:
    """Decide on one of two sources."""
    return PokemonCaught.draft()


@group_command(one_existing(pokemons), one_existing(trainers))  # type: ignore[arg-type]
def take_wrong_aggregates(_trainer: Trainer, _pokemon: Pokemon) -> tuple[None, None]:
    """Take the aggregates in another order."""
    return None, None


@group_command(several(pokemons))  # type: ignore[arg-type]
def forget_absence(_pokemons: Mapping[str, Pokemon]) -> None:
    """Take no absent pokemons."""


@group_command(one(pokemons))  # type: ignore[arg-type]
def take_nothing() -> None:
    """Take no aggregate."""


group_command()  # type: ignore[call-overload]
group_command(pokemons)  # type: ignore[call-overload]
group_command(one(pokemons), event_already_exists_retries="1")  # type: ignore[call-overload]
one("POKEMONS")  # type: ignore[arg-type]
