"""Commands are rehearsed against a copy in memory, and run for real where that is allowed."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any, Literal, TypedDict

import pytest
from pydantic import BaseModel, PositiveInt

from castore_core import (
    AggregateCommands,
    Command,
    ConnectedEventStore,
    EventDraft,
    NotificationMessageQueue,
    command,
    group_command,
    one_existing,
    several_existing,
)
from castore_in_memory import InMemoryMessageQueueAdapter
from castore_json_schema import json_schema_command
from castore_pydantic import pydantic_command
from castore_visualizer import with_context
from pokemon import (
    Pokemon,
    PokemonAppeared,
    PokemonCaught,
    PokemonLeveledUp,
    PokemonStore,
    Trainer,
    catch_pokemon,
    level_up_pokemon,
    pokemons,
    wild_pokemon_appear,
)

PIKACHU = {'input.["pokemon_id"]': "pikachu"}


def read(answer: Any) -> str:
    """Return the text of an answer, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def page_of(name: str) -> str:
    """Return the address of a command."""
    return f"/command?name={name}"


def test_a_rehearsal_shows_events_and_states_and_writes_nothing(
    serve: Any, send: Any, world: Any
) -> None:
    """All the aggregates that a command would change are shown, of any store."""
    free = PokemonAppeared("eevee", 1, payload={"name": "Eevee", "level": 2})
    world.do(world.pokemons.push_event(free))
    client = serve(commands=[catch_pokemon])
    fields = {'input.["pokemon_id"]': "eevee", 'input.["trainer_id"]': "ash"}
    answer = send(
        client, page_of("CATCH_POKEMON"), name="CATCH_POKEMON", action="rehearse", **fields
    )
    text = read(answer)

    assert 200 == answer.status_code
    assert "2 events would be written" in text
    assert "trainer_id changed null ash" in text
    assert "pokemon_ids[0] added \N{EN DASH} eevee" in text
    assert 1 == len(world.do(world.pokemons.get_events("eevee")))


def test_a_rehearsal_calls_no_hook_and_publishes_nothing(serve: Any, send: Any, world: Any) -> None:
    """Nobody is told of events that were never pushed."""
    told: list[Any] = []

    async def tell(pushed: Any) -> None:
        told.append(pushed)

    queue = NotificationMessageQueue("NEWS", source_event_stores=(world.pokemons,))
    queue.message_channel_adapter = adapter = InMemoryMessageQueueAdapter(queue)
    world.pokemons.on_event_pushed = tell
    connected = ConnectedEventStore(world.pokemons, queue)
    client = serve(stores=[connected], commands=[level_up_pokemon], allow_writes=True)
    page, fields = page_of("LEVEL_UP_POKEMON"), {"name": "LEVEL_UP_POKEMON", **PIKACHU}
    send(client, page, action="rehearse", **fields)
    assert ([], []) == (told, adapter.pending)

    assert "1 event written" in read(send(client, page, action="run", **fields))
    assert (1, 1) == (len(told), len(adapter.pending))


def test_a_real_run_shows_what_it_wrote(serve: Any, send: Any, world: Any) -> None:
    """The output, the events and the next state are shown, and stored."""
    new = with_context(wild_pokemon_appear, generate_id=lambda: "mew")
    client = serve(commands=[new], allow_writes=True)
    fields = {'input.["name"]': "Mew", 'input.["level"]': "7"}
    answer = send(
        client, page_of("WILD_POKEMON_APPEAR"), name="WILD_POKEMON_APPEAR", action="run", **fields
    )

    assert "Done: 1 event written" in read(answer)
    assert Pokemon("mew", 1, "Mew", 7) == world.do(world.pokemons.get_aggregate("mew")).aggregate


def test_a_rule_that_refuses_is_shown(serve: Any, send: Any) -> None:
    """The error of the handler is told in its words."""
    client = serve(commands=[catch_pokemon])
    fields = {**PIKACHU, 'input.["trainer_id"]': "ash"}
    answer = send(
        client, page_of("CATCH_POKEMON"), name="CATCH_POKEMON", action="rehearse", **fields
    )

    assert 422 == answer.status_code
    assert "Refused: pokemon 'pikachu' already belongs to trainer 'ash'" in read(answer)


def test_an_aggregate_that_moved_on_is_a_conflict(serve: Any, send: Any, world: Any) -> None:
    """A run is based on the versions that the rehearsal has shown, or nothing is written."""
    client = serve(commands=[level_up_pokemon], allow_writes=True)
    page, fields = page_of("LEVEL_UP_POKEMON"), {"name": "LEVEL_UP_POKEMON", **PIKACHU}
    rehearsal = send(client, page, action="rehearse", **fields).text
    seen = re.search(r'name="seen" value="([^"]+)"', rehearsal)
    assert seen is not None
    world.do(world.pokemons.push_event(PokemonLeveledUp("pikachu", 4)))
    answer = send(client, page, action="run", seen=unescape(seen[1]), **fields)

    assert 409 == answer.status_code
    assert "pikachu is at version 4 by now; what you saw was based on version 3" in read(answer)
    assert 4 == len(world.do(world.pokemons.get_events("pikachu")))


def test_a_lost_race_is_shown_as_a_conflict(serve: Any, send: Any) -> None:
    """The event that was there first is named, and leads to its page."""

    async def always_late(input: dict[str, Any], event_stores: tuple[PokemonStore]) -> None:
        await event_stores[0].push_event(
            PokemonCaught("pikachu", 3, payload={"trainer_id": str(input)})
        )

    late = Command(
        "LATE",
        required_event_stores=(pokemons,),
        handler=always_late,
        event_already_exists_retries=0,
    )
    client = serve(commands=[late], allow_writes=True)
    answer = send(client, page_of("LATE"), name="LATE", action="run", **{"input.[]": "{}"})

    assert 409 == answer.status_code
    assert "Somebody else was first" in read(answer)
    assert "POKEMON_LEVELED_UP is there since 2026-01-07 09:00:00" in read(answer)


class Order(TypedDict):
    """An input that is a ``TypedDict``."""

    item: str
    count: int


class Address(BaseModel):
    """A part of an input."""

    street: str


class Customer(BaseModel):
    """An input that is a model of pydantic."""

    name: str
    age: PositiveInt
    address: Address
    tags: list[str] = []


@dataclass(frozen=True)
class Choice:
    """An input that is a dataclass."""

    size: Literal["small", "large"]
    is_gift: bool = False
    note: str | None = None


def make_commands(seen: list[Any]) -> dict[str, tuple[Any, dict[str, str], Any]]:
    """Return commands of all kinds, what is entered into their forms, and what they get."""
    stores = (pokemons,)

    def note(kind: Any) -> Callable[..., Any]:
        async def handler(input: Any, event_stores: tuple[PokemonStore]) -> None:
            del event_stores
            seen.append(input)

        handler.__annotations__["input"] = kind
        return handler

    schema = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}
    model = Customer(name="Ada", age=36, address=Address(street="Main"), tags=["a"])
    return {
        "typed_dict": (
            command("X", required_event_stores=stores)(note(Order)),
            {"item": "lamp", "count": "2"},
            {"item": "lamp", "count": 2},
        ),
        "dataclass": (
            command("X", required_event_stores=stores)(note(Choice)),
            {"size": '"large"', "is_gift": "on"},
            Choice("large", is_gift=True),
        ),
        "pydantic": (
            pydantic_command("X", required_event_stores=stores)(note(Customer)),
            {"name": "Ada", "age": "36", "address.street": "Main", "tags": '["a"]'},
            model,
        ),
        "json_schema": (
            json_schema_command("X", required_event_stores=stores, input_schema=schema)(note(dict)),
            {"n": "1.5"},
            {"n": 1.5},
        ),
    }


@pytest.mark.parametrize("kind", ["typed_dict", "dataclass", "pydantic", "json_schema"])
def test_forms_are_made_of_all_kinds_of_input(serve: Any, send: Any, kind: str) -> None:
    """Each value has a field, and the handler gets the input that its type describes."""
    seen: list[Any] = []
    made, entered, expected = make_commands(seen)[kind]
    client = serve(commands=[made])
    page = client.get("/command?name=X").text
    fields = {f"input.{json.dumps(path.split('.'))}": each for path, each in entered.items()}
    assert all(f'name="{each}"' in unescape(page) for each in fields)
    answer = send(client, page_of("X"), name="X", action="rehearse", **fields)

    assert 200 == answer.status_code, read(answer)
    assert [expected] == seen


def test_invalid_input_is_told(serve: Any, send: Any) -> None:
    """Texts that are no number, missing values and refusals of a model are told; nothing runs."""
    seen: list[Any] = []
    made = make_commands(seen)
    client = serve(commands=[made["pydantic"][0]])
    base = {'input.["name"]': "Ada", 'input.["address", "street"]': "Main"}
    for age, text in (
        ("x", "age: 'x' is not a whole number"),
        ("", "age: it is required"),
        ("-1", "greater than 0"),
    ):
        answer = send(
            client, page_of("X"), name="X", action="rehearse", **base, **{'input.["age"]': age}
        )
        assert 422 == answer.status_code
        assert text in read(answer)
    assert [] == seen


def test_aggregate_commands_are_run(serve: Any, send: Any, world: Any) -> None:
    """Their form has the id of the aggregate, and the arguments of the handler."""
    commands = AggregateCommands(world.pokemons)

    @commands.existing_handler
    def level_up(pokemon: Pokemon, *, levels: int = 1) -> list[EventDraft[PokemonLeveledUp]]:
        """Level up."""
        del pokemon
        return [PokemonLeveledUp.draft() for _ in range(levels)]

    client = serve(commands=[level_up])
    fields = {'input.["aggregate id"]': "pikachu", 'input.["levels"]': "2"}
    name = "POKEMONS.level_up"
    answer = send(client, page_of(name), name=name, action="rehearse", **fields)

    assert "2 events would be written" in read(answer)
    assert "level changed 6 8" in read(answer)


def test_group_commands_are_run(serve: Any, send: Any, world: Any) -> None:
    """Their form has the ids of each source, and the arguments of the handler."""

    @group_command(one_existing(world.trainers), several_existing(world.pokemons))
    def train(
        trainer: Trainer, pokemons: Mapping[str, Pokemon], *, levels: int
    ) -> tuple[None, dict[str, list[EventDraft[PokemonLeveledUp]]]]:
        """Train some pokemons."""
        del trainer
        return None, {each: [PokemonLeveledUp.draft() for _ in range(levels)] for each in pokemons}

    client = serve(commands=[train])
    fields = {
        'input.["1. id of TRAINERS"]': "ash",
        'input.["2. ids of POKEMONS"]': '["pikachu"]',
        'input.["levels"]': "2",
    }
    answer = send(client, page_of("train"), name="train", action="rehearse", **fields)

    assert "2 events would be written" in read(answer), read(answer)
    assert "level changed 6 8" in read(answer)
