"""The event store ``TRAINERS``."""

from dataclasses import dataclass, replace
from typing import TypeAlias, TypedDict

from castore_core import Event, EventStore


class GameStartedPayload(TypedDict):
    """Who plays."""

    trainer_name: str


class TrainerCaughtPokemonPayload(TypedDict):
    """Which pokemon was caught."""

    pokemon_id: str


class GameStarted(Event, type="GAME_STARTED"):
    """A trainer began to play."""

    payload: GameStartedPayload


class TrainerCaughtPokemon(Event, type="POKEMON_CAUGHT"):
    """The trainer caught a pokemon.

    The type is also one of the pokemons: a type belongs to its store.
    """

    payload: TrainerCaughtPokemonPayload


TrainerEvent: TypeAlias = GameStarted | TrainerCaughtPokemon


@dataclass(frozen=True)
class Trainer:
    """A trainer, with the pokemons in the order in which they were caught."""

    aggregate_id: str
    version: int
    name: str
    pokemon_ids: tuple[str, ...] = ()


def reduce_trainer(trainer: Trainer | None, event: TrainerEvent) -> Trainer:
    """Return the trainer after the event."""
    match event:
        case GameStarted(payload=payload):
            return Trainer(event.aggregate_id, event.version, payload["trainer_name"])
        case TrainerCaughtPokemon(payload=payload):
            assert trainer is not None
            pokemon_ids = (*trainer.pokemon_ids, payload["pokemon_id"])
            return replace(trainer, version=event.version, pokemon_ids=pokemon_ids)


TrainerStore: TypeAlias = EventStore[TrainerEvent, Trainer]

trainers = EventStore(
    "TRAINERS",
    event_types=[GameStarted, TrainerCaughtPokemon],
    reduce=reduce_trainer,
)
