"""Commands that type checkers accept, with their types, and those that they refuse."""

from collections.abc import Callable
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
    TrainerStore,
    pokemons,
    trainers,
)

from castore_core import (
    AggregateCommand,
    AggregateCommands,
    Command,
    ConflictAttempt,
    EventAlreadyExistsError,
    EventDraft,
    ExistingAggregateCommand,
    command,
    draft,
)


async def catch(
    input: str,
    event_stores: tuple[PokemonStore, TrainerStore],
    now: int,
    *,
    generate_id: Callable[[], str],
) -> bool:
    """Handle a command."""
    pokemons, trainers = event_stores
    assert_type(pokemons, PokemonStore)
    assert_type(trainers, TrainerStore)
    return input == generate_id() * now


catch_pokemon = Command("CATCH_POKEMON", required_event_stores=(pokemons, trainers), handler=catch)


@command("CATCH_POKEMON", required_event_stores=(pokemons, trainers))
async def catch_pokemon_decorated(
    input: str,
    event_stores: tuple[PokemonStore, TrainerStore],
    now: int,
    *,
    generate_id: Callable[[], str],
) -> bool:
    """Handle a command."""
    return await catch(input, event_stores, now, generate_id=generate_id)


@command("RENAME", required_event_stores=(pokemons,), event_already_exists_retries=0)
async def rename(input: dict[str, int], event_stores: tuple[PokemonStore]) -> None:
    """Handle a command without a context and an output."""


async def run_commands() -> None:
    """Know the input, the stores, the context and the output."""
    assert_type(catch_pokemon.required_event_stores, tuple[PokemonStore, TrainerStore])
    assert_type(
        await catch_pokemon("pikachu1", (pokemons, trainers), 1, generate_id=lambda: "id"), bool
    )
    assert_type(
        await catch_pokemon.handler("pikachu1", (pokemons, trainers), 1, generate_id=lambda: "id"),
        bool,
    )
    assert_type(
        await catch_pokemon_decorated("pikachu1", (pokemons, trainers), 1, generate_id=lambda: ""),
        bool,
    )
    await rename({"level": 1}, (pokemons,))
    assert_type(rename.required_event_stores, tuple[PokemonStore])

    await catch_pokemon("pikachu1", (trainers, pokemons), 1, generate_id=lambda: "id")  # type: ignore[arg-type]
    await catch_pokemon("pikachu1", (pokemons,), 1, generate_id=lambda: "id")  # type: ignore[arg-type]
    await catch_pokemon(1, (pokemons, trainers), 1, generate_id=lambda: "id")  # type: ignore[arg-type]
    await catch_pokemon("pikachu1", (pokemons, trainers), "1", generate_id=lambda: "id")  # type: ignore[arg-type]
    await catch_pokemon("pikachu1", (pokemons, trainers), 1, generate_id="id")  # type: ignore[arg-type]
    await catch_pokemon("pikachu1", (pokemons, trainers), 1)  # type: ignore[call-arg]
    await catch_pokemon("pikachu1", (pokemons, trainers))  # type: ignore[call-arg]
    await catch_pokemon_decorated("pikachu1", (pokemons, trainers), 1)  # type: ignore[call-arg]
    await catch_pokemon_decorated("pikachu1", (trainers, pokemons), 1, generate_id=lambda: "id")  # type: ignore[arg-type]
    await rename({"level": 1}, (pokemons,), 1)  # type: ignore[call-arg]
    await rename({"level": "1"}, (pokemons,))  # type: ignore[dict-item]


Command("CATCH_POKEMON", required_event_stores=(trainers, pokemons), handler=catch)  # type: ignore[misc]
Command("CATCH_POKEMON", required_event_stores=(pokemons,), handler=catch)  # type: ignore[misc]


@command("CATCH_POKEMON", required_event_stores=(trainers,))  # type: ignore[arg-type]
async def take_wrong_stores(input: str, event_stores: tuple[PokemonStore]) -> None:
    """Ask for other stores than those that are required."""


async def log_conflict(error: EventAlreadyExistsError, attempt: ConflictAttempt) -> None:
    """Take both arguments."""
    assert_type(attempt.attempt_number, int)
    assert_type(attempt.retries_left, int)
    assert_type(error.version, int)


def misunderstand_conflict(error: str, attempt: ConflictAttempt) -> None:
    """Take another argument."""


Command(
    "CATCH_POKEMON",
    required_event_stores=(pokemons, trainers),
    handler=catch,
    on_event_already_exists=log_conflict,
)
Command(
    "CATCH_POKEMON",
    required_event_stores=(pokemons, trainers),
    handler=catch,
    on_event_already_exists=misunderstand_conflict,  # type: ignore[arg-type]
)

# Aggregate commands

pokemon_commands = AggregateCommands(pokemons)
assert_type(pokemon_commands, AggregateCommands[PokemonEvent, Pokemon])


@pokemon_commands.handler
def appear(pokemon: Pokemon | None, name: str, *, level: int) -> EventDraft[PokemonAppeared]:
    """Return one draft."""
    assert_type(pokemon, Pokemon | None)
    return PokemonAppeared.draft(payload={"name": name, "level": level})


@pokemon_commands.handler
def level_up(pokemon: Pokemon | None, *, levels: int) -> list[EventDraft[PokemonLeveledUp]]:
    """Return several drafts."""
    return [PokemonLeveledUp.draft()] * (levels if pokemon else 0)


@pokemon_commands.handler
async def catch_and_train(
    pokemon: Pokemon | None,
) -> list[EventDraft[PokemonCaught] | EventDraft[PokemonLeveledUp]] | None:
    """Return drafts of two types, later, or none."""
    return [PokemonCaught.draft(), PokemonLeveledUp.draft()] if pokemon else None


@pokemon_commands.existing_handler
def rename_pokemon(pokemon: Pokemon, name: str) -> EventDraft[PokemonAppeared]:
    """Need the pokemon to be there."""
    assert_type(pokemon, Pokemon)
    return draft(PokemonAppeared, payload={"name": name, "level": 5})


@pokemon_commands.existing_handler
async def free(pokemon: Pokemon) -> list[EventDraft[PokemonCaught] | EventDraft[PokemonLeveledUp]]:
    """Need the pokemon to be there, later."""
    return [PokemonCaught.draft(), PokemonLeveledUp.draft()] if pokemon.name else []


def take_existing_command(command: ExistingAggregateCommand[..., Pokemon, PokemonEvent]) -> None:
    """Take a command of pokemons that are there."""


async def run_existing_aggregate_commands() -> None:
    """Know that there is an aggregate."""
    take_existing_command(rename_pokemon)
    take_existing_command(appear)  # type: ignore[arg-type]
    assert_type(await rename_pokemon("pikachu1", "Raichu"), Pokemon)
    assert_type(await rename_pokemon("pikachu1", name="Raichu"), Pokemon)
    assert_type(await free("pikachu1"), Pokemon)
    assert_type(await rename_pokemon.using(pokemons)("pikachu1", "Raichu"), Pokemon)
    assert_type(await pokemon_commands.run("rename_pokemon", "pikachu1"), Pokemon | None)

    await rename_pokemon("pikachu1")  # type: ignore[call-arg]
    await rename_pokemon("pikachu1", 1)  # type: ignore[arg-type]
    await rename_pokemon("pikachu1", "Raichu", level=5)  # type: ignore[call-arg]


@pokemon_commands.existing_handler  # type: ignore[arg-type]
def take_a_trainer(trainer: Trainer) -> None:
    """Take another aggregate."""


async def run_aggregate_commands() -> None:
    """Know the arguments and the aggregate."""
    assert_type(await appear("pikachu1", "Pikachu", level=5), Pokemon | None)
    assert_type(await level_up("pikachu1", levels=2), Pokemon | None)
    assert_type(await catch_and_train("pikachu1"), Pokemon | None)
    assert_type(await pokemon_commands.run("level_up", "pikachu1", levels=2), Pokemon | None)

    await appear("pikachu1", "Pikachu", level="5")  # type: ignore[arg-type]
    await appear("pikachu1", "Pikachu")  # type: ignore[call-arg]
    await appear("pikachu1", 1, level=5)  # type: ignore[arg-type]
    await appear(1, "Pikachu", level=5)  # type: ignore[arg-type]
    await level_up("pikachu1", levels=2, force=True)  # type: ignore[call-arg]


@pokemon_commands.handler  # type: ignore[arg-type]
def return_foreign_draft(pokemon: Pokemon | None) -> EventDraft[TrainerCaughtPokemon] | None:
    """Return a draft of another store."""


@pokemon_commands.handler  # type: ignore[arg-type]
def forget_absence(pokemon: Pokemon) -> None:
    """Take no absent pokemon."""


# On another store of the same kind

assert_type(appear.event_store, PokemonStore)
assert_type(pokemon_commands.using(pokemons), AggregateCommands[PokemonEvent, Pokemon])

appear.using(trainers)  # type: ignore[arg-type]
pokemon_commands.using(trainers)  # type: ignore[arg-type]


async def run_elsewhere() -> None:
    """Know the arguments and the aggregate as before."""
    assert_type(await appear.using(pokemons)("pikachu1", "Pikachu", level=5), Pokemon | None)

    await appear.using(pokemons)("pikachu1", "Pikachu", level="5")  # type: ignore[arg-type]


def take_any_command(command: AggregateCommand[..., Any]) -> str:
    """Take whatever comes."""
    return command.name


take_any_command(appear)


# With an idempotency key

assert_type(
    catch_pokemon.with_idempotency_key("key").required_event_stores,
    tuple[PokemonStore, TrainerStore],
)
assert_type(pokemon_commands.with_idempotency_key("key"), AggregateCommands[PokemonEvent, Pokemon])
catch_pokemon.with_idempotency_key(1)  # type: ignore[arg-type]
appear.with_idempotency_key(1)  # type: ignore[arg-type]
pokemon_commands.with_idempotency_key(None)  # type: ignore[arg-type]


async def run_with_keys() -> None:
    """Know all as before."""
    stores = (pokemons, trainers)
    keyed = catch_pokemon.with_idempotency_key("key")
    assert_type(await keyed("pikachu1", stores, 1, generate_id=lambda: "id"), bool)
    assert_type(await keyed.handler("pikachu1", stores, 1, generate_id=lambda: "id"), bool)
    assert_type(
        await appear.with_idempotency_key("key")("pikachu1", "Pikachu", level=5), Pokemon | None
    )
    assert_type(
        await rename_pokemon.with_idempotency_key("key").using(pokemons)("pikachu1", "Raichu"),
        Pokemon,
    )
    assert_type(
        await pokemon_commands.with_idempotency_key("key").run("level_up", "pikachu1", levels=2),
        Pokemon | None,
    )

    await keyed("pikachu1", stores, 1)  # type: ignore[call-arg]
    await keyed(1, stores, 1, generate_id=lambda: "id")  # type: ignore[arg-type]
    await keyed("pikachu1", (trainers, pokemons), 1, generate_id=lambda: "id")  # type: ignore[arg-type]
    await appear.with_idempotency_key("key")("pikachu1", "Pikachu", level="5")  # type: ignore[arg-type]
    await rename_pokemon.with_idempotency_key("key")("pikachu1", 1)  # type: ignore[arg-type]
