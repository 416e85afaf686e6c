"""`run_projection`: the handlers of a projection, on given events."""

from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from castore_core import Event, EventStore
from castore_in_memory import InMemoryBookmarkStorageAdapter
from castore_projections import Projection, ProjectionContext
from castore_sql import SQLBookmarkStorageAdapter
from castore_test_tools import run_projection
from pokemon import (
    GameStarted,
    Pokemon,
    PokemonAppeared,
    PokemonCaught,
    PokemonLeveledUp,
    TrainerCaughtPokemon,
    pokemons,
    trainers,
)

PIKACHU = "pikachu1"

appeared = PokemonAppeared(PIKACHU, 1, payload={"name": "Pikachu", "level": 5})
leveled_up = PokemonLeveledUp(PIKACHU, 2)
caught = PokemonCaught(PIKACHU, 3, payload={"trainer_id": "ash"})
started = GameStarted("ash", 1, payload={"trainer_name": "Ash"})
caught_it = TrainerCaughtPokemon("ash", 2, payload={"pokemon_id": PIKACHU})


def make_projection(*others: EventStore[Any, Any]) -> tuple[Projection[None], list[Event]]:
    """Return a projection that notes events in a list."""
    projection = Projection(
        "notes",
        event_stores=[pokemons, trainers, *others],
        bookmarks=InMemoryBookmarkStorageAdapter(),
    )
    noted: list[Event] = []

    @projection.on(PokemonAppeared, PokemonCaught, GameStarted)
    async def note(
        event: PokemonAppeared | PokemonCaught | GameStarted, _: ProjectionContext
    ) -> None:
        noted.append(event)

    return projection, noted


async def test_returns_the_events_that_have_a_handler() -> None:
    """Events of several stores are handled in the order in which they are given."""
    projection, noted = make_projection()
    handled = await run_projection(projection, [started, appeared, leveled_up, caught_it, caught])
    assert [started, appeared, caught] == handled == noted


async def test_leaves_stores_and_bookmarks_alone() -> None:
    """The stores have no adapter here; the bookmarks are as before, and events may come again."""
    bookmarks = InMemoryBookmarkStorageAdapter()
    projection = Projection("notes", event_stores=[pokemons], bookmarks=bookmarks)
    count = 0

    @projection.on(PokemonCaught)
    async def note(_: PokemonCaught, __: ProjectionContext) -> None:
        nonlocal count
        count += 1

    assert [caught, caught] == await run_projection(projection, iter([caught, caught]))
    assert 2 == count


async def test_hands_the_transaction_to_the_handlers() -> None:
    """The caller commits, or looks into the transaction before."""
    engine = create_engine("sqlite://")
    projection = Projection(
        "pokedex", event_stores=[pokemons], bookmarks=SQLBookmarkStorageAdapter(engine)
    )

    @projection.on(PokemonAppeared)
    async def write(event: PokemonAppeared, context: ProjectionContext[Connection]) -> None:
        if not context.is_replay:
            context.transaction.execute(
                text("INSERT INTO pokedex VALUES (:name)"), {"name": event.payload["name"]}
            )

    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE pokedex (name VARCHAR(100))"))
        await run_projection(projection, [appeared, leveled_up], transaction=connection)
        await run_projection(projection, [appeared], transaction=connection, is_replay=True)
        rows = connection.execute(text("SELECT name FROM pokedex")).all()
    assert [("Pikachu",)] == [tuple(each) for each in rows]
    engine.dispose()


async def test_errors_come_out() -> None:
    """They are as the handler raised them, with a note; the events that follow wait."""
    projection, noted = make_projection()

    @projection.on(PokemonLeveledUp)
    async def fail(_: PokemonLeveledUp, __: ProjectionContext) -> None:
        raise LookupError("no such pokemon")

    with pytest.raises(LookupError, match="no such pokemon") as caught_error:
        await run_projection(projection, [appeared, leveled_up, caught])
    assert [f"while Projection('notes') handled {leveled_up!r}"] == caught_error.value.__notes__
    assert [appeared] == noted


async def test_the_store_of_the_events() -> None:
    """Where several stores have a class, the store is named."""
    others = EventStore(
        "OTHERS", event_types=[PokemonAppeared], reduce=lambda _, __: Pokemon("p", 1, "Mew", 1)
    )
    projection, noted = make_projection(others)
    with pytest.raises(ValueError, match="2 event stores of the projection have PokemonAppeared"):
        await run_projection(projection, [appeared])
    await run_projection(projection, [appeared], event_store=others)
    assert [appeared] == noted
