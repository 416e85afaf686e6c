"""The event store ``POKEMONS``."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypedDict

from castore_core import DataclassCodec, Event, EventStore


class AppearedPayload(TypedDict):
    """What is seen of a wild pokemon."""

    name: str
    level: int


class CaughtPayload(TypedDict):
    """Who caught the pokemon."""

    trainer_id: str


class Throw(TypedDict):
    """How the pokemon was caught."""

    ball: Literal["poke", "great", "ultra", "master"]


class PokemonAppeared(Event, type="POKEMON_APPEARED"):
    """A wild pokemon appeared."""

    payload: AppearedPayload


class PokemonCaught(Event, type="POKEMON_CAUGHT"):
    """A trainer caught the pokemon."""

    payload: CaughtPayload
    metadata: Throw | None = None


class PokemonLeveledUp(Event, type="POKEMON_LEVELED_UP"):
    """The pokemon is one level stronger."""


PokemonEvent: TypeAlias = PokemonAppeared | PokemonCaught | PokemonLeveledUp


@dataclass(frozen=True)
class Pokemon:
    """A pokemon, wild or caught."""

    aggregate_id: str
    version: int
    name: str
    level: int
    trainer_id: str | None = None

    @property
    def status(self) -> Literal["wild", "caught"]:
        """Whether somebody caught it."""
        return "wild" if self.trainer_id is None else "caught"


def reduce_pokemon(pokemon: Pokemon | None, event: PokemonEvent) -> Pokemon:
    """Return the pokemon after the event."""
    match event:
        case PokemonAppeared(payload=payload):
            return Pokemon(event.aggregate_id, event.version, payload["name"], payload["level"])
        case PokemonCaught(payload=payload):
            assert pokemon is not None
            return replace(pokemon, version=event.version, trainer_id=payload["trainer_id"])
        case PokemonLeveledUp():
            assert pokemon is not None
            return replace(pokemon, version=event.version, level=pokemon.level + 1)


PokemonStore: TypeAlias = EventStore[PokemonEvent, Pokemon]

pokemons = EventStore(
    "POKEMONS",
    event_types=[PokemonAppeared, PokemonCaught, PokemonLeveledUp],
    reduce=reduce_pokemon,
    aggregate_codec=DataclassCodec(Pokemon),
)
