"""What the typing tests speak of: pokemons, and their trainers."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict

from castore_core import DataclassCodec, Event, EventStore


class AppearedPayload(TypedDict):
    """What is known of a pokemon that appears."""

    name: str
    level: int


class Trigger(TypedDict):
    """What made an event happen."""

    trigger: Literal["random", "scripted"]


class PokemonAppeared(Event, type="POKEMON_APPEARED"):
    """A wild pokemon is here."""

    payload: AppearedPayload
    metadata: Trigger | None = None


class PokemonCaught(Event, type="POKEMON_CAUGHT"):
    """Its constructor is the one of `PokemonLeveledUp`."""


class PokemonLeveledUp(Event, type="POKEMON_LEVELED_UP"):
    """Its constructor is the one of `PokemonCaught`."""


PokemonEvent: TypeAlias = PokemonAppeared | PokemonCaught | PokemonLeveledUp


@dataclass(frozen=True)
class Pokemon:
    """An aggregate."""

    aggregate_id: str
    version: int
    name: str


def reduce_pokemon(pokemon: Pokemon | None, event: PokemonEvent) -> Pokemon:
    """Compute a pokemon."""
    match event:
        case PokemonAppeared(payload=payload):
            return Pokemon(event.aggregate_id, event.version, payload["name"])
        case PokemonCaught() | PokemonLeveledUp():
            return Pokemon(event.aggregate_id, event.version, pokemon.name if pokemon else "")


class TrainerPayload(TypedDict):
    """What a trainer did with a pokemon."""

    pokemon_id: str


class TrainerStarted(Event, type="TRAINER_STARTED"):
    """A trainer begins to play."""


class TrainerCaughtPokemon(Event, type="TRAINER_CAUGHT_POKEMON"):
    """A trainer has one more."""

    payload: TrainerPayload


TrainerEvent: TypeAlias = TrainerStarted | TrainerCaughtPokemon


@dataclass(frozen=True)
class Trainer:
    """Another aggregate."""

    aggregate_id: str
    version: int


def reduce_trainer(trainer: Trainer | None, event: TrainerEvent) -> Trainer:  # noqa: ARG001 counts only
    """Compute a trainer."""
    return Trainer(event.aggregate_id, event.version)


pokemons = EventStore(
    "POKEMONS",
    event_types=[PokemonAppeared, PokemonCaught, PokemonLeveledUp],
    reduce=reduce_pokemon,
    aggregate_codec=DataclassCodec(Pokemon),
)
trainers = EventStore(
    "TRAINERS",
    event_types=[TrainerStarted, TrainerCaughtPokemon],
    reduce=reduce_trainer,
    aggregate_codec=DataclassCodec(Trainer),
)

PokemonStore: TypeAlias = EventStore[PokemonEvent, Pokemon]
TrainerStore: TypeAlias = EventStore[TrainerEvent, Trainer]

appeared = PokemonAppeared(
    aggregate_id="pikachu1", version=1, payload={"name": "Pikachu", "level": 5}
)
caught = PokemonCaught(aggregate_id="pikachu1", version=2)
trainer_caught = TrainerCaughtPokemon(
    aggregate_id="ash", version=2, payload={"pokemon_id": "pikachu1"}
)
