"""Commands, inputs and errors that were made to mislead whoever tries a command."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from html import unescape
from secrets import token_hex
from typing import Annotated, Any, NotRequired, TypedDict
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict

from castore_core import (
    Command,
    ConnectedEventStore,
    JSONValue,
    NotificationMessageQueue,
    StorageError,
    command,
)
from castore_in_memory import InMemoryMessageQueueAdapter
from castore_json_schema import json_schema_command
from castore_pydantic import pydantic_command
from castore_visualizer import with_context
from castore_visualizer._command_runs import rehearse
from castore_visualizer._diff import compare
from castore_visualizer._fields import list_fields
from pokemon import (
    GameStarted,
    PokemonAppeared,
    PokemonLeveledUp,
    catch_pokemon,
    level_up_pokemon,
    pokemons,
    trainers,
    wild_pokemon_appear,
)

STORES = (pokemons,)
PAGE = "/command?name=X"


def read(answer: Any) -> str:
    """Return the text of an answer, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def name_field(*path: str) -> str:
    """Return the name of the field of a value."""
    return f"input.{json.dumps(path)}"


def make_command(
    kind: Any, seen: list[Any] | None = None, make: Callable[..., Any] = command
) -> Any:
    """Return a command that notes its input, and returns it."""

    async def handler(input: Any, event_stores: Any) -> Any:
        del event_stores
        if seen is not None:
            seen.append(input)
        return input

    handler.__annotations__["input"] = kind
    return make("X", required_event_stores=STORES)(handler)


def make_raising(error: BaseException, *, pushes: bool = False) -> Any:
    """Return a command that fails, after a push where it is asked to push."""

    async def handler(input: Any, event_stores: Any) -> None:
        del input
        if pushes:
            await event_stores[0].push_event(PokemonLeveledUp("pikachu", 4))
        raise error

    return command("X", required_event_stores=STORES)(handler)


@dataclass(frozen=True)
class Switches:
    """An input with switches."""

    is_on: bool = True
    is_known: bool | None = None


class Node(BaseModel):
    """An input that has itself in it."""

    name: str
    is_leaf: bool = False
    parent: "Node | None" = None


@dataclass(frozen=True)
class Link:
    """The same, as a dataclass."""

    name: str
    following: "Link | None" = None


class Color(Enum):
    """A choice."""

    RED = "red"


@dataclass(frozen=True)
class Dates:
    """A part of an input."""

    day: date


class Values(TypedDict):
    """An input with types that JSON lacks."""

    at: NotRequired[datetime]
    until: Annotated[datetime, {"not": "hashable"}]
    price: Decimal
    id: UUID
    color: Color
    dates: None | Dates  # noqa: RUF036 this order is tested


class Opaque(BaseModel):
    """A model that JSON schema cannot describe."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    lock: asyncio.Lock


class Mute(Exception):  # noqa: N818 of a test
    """An error that cannot even tell its text."""

    def __str__(self) -> str:
        raise RuntimeError


def test_a_switch_that_is_off_stays_off(serve: Any, send: Any) -> None:
    """The form after a rehearsal has what was rehearsed, and not the default again."""
    seen: list[Any] = []
    client = serve(commands=[make_command(Switches, seen)])
    assert 'is_on&#34;]" checked' in client.get(PAGE).text
    page = send(client, PAGE, name="X", action="rehearse").text
    assert [Switches(is_on=False, is_known=None)] == seen
    assert 'is_on&#34;]">' in page


def test_a_switch_that_may_be_left_out_is_a_choice(serve: Any, send: Any) -> None:
    """``None``, ``True`` and ``False`` are three values."""
    seen: list[Any] = []
    client = serve(commands=[make_command(Switches, seen)])
    for each in ("", "true", "false"):
        send(client, PAGE, name="X", action="rehearse", **{name_field("is_known"): each})
    assert [None, True, False] == [each.is_known for each in seen]


@pytest.mark.parametrize("kind", [Node, Link])
def test_an_input_that_has_itself_in_it_can_be_entered(serve: Any, send: Any, kind: Any) -> None:
    """The parts that may be left out are JSON, and are left out where nothing is entered."""
    seen: list[Any] = []
    make = pydantic_command if kind is Node else command
    client = serve(commands=[make_command(kind, seen, make)])
    answer = send(client, PAGE, name="X", action="rehearse", **{name_field("name"): "a"})
    assert 200 == answer.status_code, read(answer)
    assert [kind(name="a")] == seen


def test_values_that_json_lacks_are_decoded(serve: Any, send: Any) -> None:
    """Also where their types are qualified, or beside ``None``."""
    seen: list[Any] = []
    client = serve(commands=[make_command(Values, seen)])
    key = "12345678-1234-5678-1234-567812345678"
    fields = {
        name_field("at"): "2026-01-31",
        name_field("until"): "2026-01-31",
        name_field("price"): "1.10",
        name_field("id"): key,
        name_field("color"): '"red"',
        name_field("dates", "day"): "2026-01-31",
    }
    answer = send(client, PAGE, name="X", action="rehearse", **fields)
    assert 200 == answer.status_code, read(answer)
    moment = datetime(2026, 1, 31)  # noqa: DTZ001 as it was entered
    assert [
        {
            "at": moment,
            "until": moment,
            "price": Decimal("1.10"),
            "id": UUID(key),
            "color": Color.RED,
            "dates": Dates(date(2026, 1, 31)),
        }
    ] == seen


def test_a_model_without_a_schema_is_json(serve: Any) -> None:
    """Its form has one field for all of it."""
    client = serve(commands=[make_command(Opaque)])
    assert 'name="input.[]"' in client.get(PAGE).text


ODD_SCHEMAS: list[Any] = [
    {"properties": {"x": True}},
    {"properties": {"x": {"anyOf": [True, {"type": "null"}]}}},
    {"properties": {"x": {"$ref": "#/anyOf/0"}}, "anyOf": [True, True]},
    {"properties": {"x": {"$ref": "#/properties/x"}}},
]


@pytest.mark.parametrize("schema", ODD_SCHEMAS)
def test_schemas_of_any_form_have_fields(serve: Any, schema: Any) -> None:
    """Parts that have no field of their own are entered as JSON."""

    def make(command_id: str, **options: Any) -> Any:
        return json_schema_command(command_id, input_schema=schema, **options)

    assert ["json"] == [each.kind for each in list_fields(schema)]
    assert 200 == serve(commands=[make_command(dict, make=make)]).get(PAGE).status_code


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", "1e999", "-Infinity", "{"])
def test_texts_that_are_no_json_are_refused(serve: Any, send: Any, text: str) -> None:
    """Python reads more than JSON is, and no text may be too deep for it."""
    seen: list[Any] = []
    client = serve(commands=[make_command(Any, seen)])
    answer = send(client, PAGE, name="X", action="rehearse", **{name_field(): text})
    assert (422, []) == (answer.status_code, seen)


def test_half_characters_are_shown(serve: Any, send: Any) -> None:
    """JSON may have lone surrogates, which no page can have."""
    client = serve(commands=[make_command(Any)])
    answer = send(client, PAGE, name="X", action="rehearse", **{name_field(): '"\\ud800"'})
    assert 200 == answer.status_code


@pytest.mark.parametrize("error", [Mute(), UnicodeError("\ud800"), ExceptionGroup("x", [Mute()])])
@pytest.mark.parametrize("action", ["rehearse", "run"])
def test_errors_of_any_kind_are_told(serve: Any, send: Any, error: Exception, action: str) -> None:
    """An error that cannot tell its text has its name."""
    client = serve(commands=[make_raising(error)], allow_writes=True)
    answer = send(client, PAGE, name="X", action=action, **{name_field(): "1"})
    assert 422 == answer.status_code
    assert type(error).__name__ in read(answer)


def test_events_before_an_error_are_told(serve: Any, send: Any, world: Any) -> None:
    """A command that fails half-way has written, and the page shows it."""
    client = serve(commands=[make_raising(ValueError("no"), pushes=True)], allow_writes=True)
    text = read(send(client, PAGE, name="X", action="run", **{name_field(): "1"}))
    assert "1 event had been written by then" in text
    assert "POKEMON_LEVELED_UP" in text
    assert "Nothing was written" not in text
    assert 4 == len(world.do(world.pokemons.get_events("pikachu")))


def test_events_before_a_conflict_are_told(serve: Any, send: Any) -> None:
    """The conflict of a second push does not undo the first."""

    async def push_twice(input: Any, event_stores: Any) -> None:
        del input
        for version in (4, 2):
            await event_stores[0].push_event(PokemonLeveledUp("pikachu", version))

    twice = Command(
        "X", required_event_stores=STORES, handler=push_twice, event_already_exists_retries=0
    )
    client = serve(commands=[twice], allow_writes=True)
    fields = {"name": "X", name_field(): "1"}
    assert "and nothing was written" in read(send(client, PAGE, action="rehearse", **fields))
    answer = send(client, PAGE, action="run", **fields)
    assert 409 == answer.status_code
    assert "nothing was written" not in read(answer)
    assert "1 event had been written by then" in read(answer)


def test_a_storage_that_fails_may_have_written(serve: Any, send: Any) -> None:
    """Nobody knows, and so the page does not say."""
    client = serve(commands=[make_raising(StorageError("lost"))], allow_writes=True)
    text = read(send(client, PAGE, name="X", action="run", **{name_field(): "1"}))
    assert "lost" in text
    assert "Nothing was written" not in text


def test_another_input_than_was_rehearsed_is_not_run(serve: Any, send: Any) -> None:
    """Events are shown before they are written: a changed input is rehearsed first."""
    client = serve(commands=[make_command(Any)], allow_writes=True)
    page = send(client, PAGE, name="X", action="rehearse", **{name_field(): "1"}).text
    shown = re.search(r'name="shown" value="(\w+)"', page)
    assert shown is not None
    for text, expected in (("2", "The input was changed"), ("1", "Done: 0 events written")):
        fields = {name_field(): text, "shown": shown[1]}
        assert expected in read(send(client, PAGE, name="X", action="run", **fields))


@pytest.mark.parametrize(
    "seen", ['[["POKEMONS", {}, 1e999]]', '[[[], "a", "x"]]', "[" * 50_000, "{", '"abc"']
)
def test_a_broken_form_is_refused(serve: Any, send: Any, seen: str) -> None:
    """The versions that a form says were seen may be made up."""
    client = serve(commands=[make_command(Any)], allow_writes=True)
    fields = {"action": "run", "seen": seen, name_field(): "1"}
    assert 400 == send(client, PAGE, name="X", **fields).status_code


def test_stores_with_several_channels_are_rehearsed(serve: Any, send: Any, world: Any) -> None:
    """None of the channels is told, and for real, each is."""
    queues = [NotificationMessageQueue(each, source_event_stores=STORES) for each in "AB"]
    store: Any = world.pokemons
    for each in queues:
        each.message_channel_adapter = InMemoryMessageQueueAdapter(each)
        store = ConnectedEventStore(store, each)
    client = serve(stores=[store], commands=[level_up_pokemon], allow_writes=True)
    page = "/command?name=LEVEL_UP_POKEMON"
    fields = {"name": "LEVEL_UP_POKEMON", name_field("pokemon_id"): "pikachu"}
    adapters: list[Any] = [each.message_channel_adapter for each in queues]

    assert 200 == send(client, page, action="rehearse", **fields).status_code
    assert [0, 0] == [len(each.pending) for each in adapters]
    assert 200 == send(client, page, action="run", **fields).status_code
    assert [1, 1] == [len(each.pending) for each in adapters]


async def test_a_rehearsal_that_never_ends_is_ended() -> None:
    """Its error says so."""

    async def wait(input: Any, event_stores: Any) -> None:
        del input, event_stores
        await asyncio.Event().wait()

    endless = command("X", required_event_stores=())(wait)
    run = await rehearse(endless, {}, None, 0.01)
    assert "the rehearsal took more than 0.01 seconds" == str(run.error)


def test_a_number_beyond_all_digits_is_told(serve: Any, send: Any) -> None:
    """Python itself refuses to write it."""

    async def compute(input: Any, event_stores: Any) -> int:
        del input, event_stores
        return 10**5000

    large = command("X", required_event_stores=STORES)(compute)
    answer = send(serve(commands=[large]), PAGE, name="X", action="rehearse", **{name_field(): "1"})
    assert "a number that is too large to be shown" in read(answer)


def test_keys_that_look_like_paths_are_told_apart() -> None:
    """No value hides another one, whatever their keys are."""
    value: JSONValue = {
        "a.b": 1,
        "a": {"b": 2},
        "c": [3],
        "c[0]": 4,
        "": 5,
        "d": {"": 6},
        "e": 7,
        '["a.b"]': 8,
    }
    assert [1, 2, 3, 4, 5, 6, 7, 8] == [each.after for each in compare(value, value)]


def test_real_runs_have_the_storage_of_the_store(serve: Any, send: Any) -> None:
    """A handler that reads the log of its store can do so here, too."""

    async def count(input: Any, event_stores: Any) -> int:
        del input
        return await event_stores[0].storage_adapter.count_events(["POKEMONS"], "")

    counting = command("X", required_event_stores=STORES)(count)
    client = serve(commands=[counting], allow_writes=True)
    answer = send(client, PAGE, name="X", action="run", **{name_field(): "1"})
    assert "Output 3" in read(answer)


def test_groups_are_written_for_real(serve: Any, send: Any, world: Any) -> None:
    """A command that writes to two stores at once does so atomically, as without a visualizer."""
    client = serve(commands=[catch_pokemon], allow_writes=True)
    world.do(
        world.pokemons.push_event(PokemonAppeared("eevee", 1, payload={"name": "E", "level": 2}))
    )
    fields = {name_field("pokemon_id"): "eevee", name_field("trainer_id"): "ash"}
    answer = send(
        client, "/command?name=CATCH_POKEMON", name="CATCH_POKEMON", action="run", **fields
    )
    assert "Done: 2 events written" in read(answer)


def test_numbers_and_lines_are_as_they_were_entered(serve: Any, send: Any) -> None:
    """No float replaces a number that it cannot hold, and browsers send lines with CR and LF."""
    seen: list[Any] = []
    schema: Any = {
        "type": "object",
        "properties": {
            "number": {"type": "number"},
            "lines": {"type": "string", "maxLength": 1000},
        },
        "required": ["number", "lines"],
    }

    def make(command_id: str, **options: Any) -> Any:
        return json_schema_command(command_id, input_schema=schema, **options)

    client = serve(commands=[make_command(dict, seen, make)])
    fields = {name_field("number"): "9007199254740993", name_field("lines"): "a\r\nb"}
    assert 200 == send(client, PAGE, name="X", action="rehearse", **fields).status_code
    assert [{"number": 9007199254740993, "lines": "a\nb"}] == seen


@pytest.mark.parametrize("action", ["rehearse", "run"])
def test_events_of_other_stores_are_shown(serve: Any, send: Any, world: Any, action: str) -> None:
    """A handler may write to stores that are not shown, as commands with an idempotency key do."""
    keyed = level_up_pokemon.with_idempotency_key("a key")
    client = serve(stores=[world.pokemons], commands=[keyed], allow_writes=True)
    fields = {"name": "LEVEL_UP_POKEMON", name_field("pokemon_id"): "pikachu"}
    answer = send(client, "/command?name=LEVEL_UP_POKEMON", action=action, **fields)
    assert 200 == answer.status_code, read(answer)
    assert "level changed 6 7" in read(answer)
    assert "castore.commands" in read(answer)
    assert "The visualizer does not have this event store" in read(answer)
    assert {"rehearse": 3, "run": 4}[action] == len(world.do(world.pokemons.get_events("pikachu")))


def test_a_rehearsal_with_other_stores_can_be_run(serve: Any, send: Any, world: Any) -> None:
    """The versions that it has seen are those of the stores that are shown."""

    async def start_game(input: Any, event_stores: Any) -> None:
        del input
        hidden = trainers.using(event_stores[0].storage_adapter)
        await hidden.push_event(GameStarted("misty", 1, payload={"trainer_name": "Misty"}))

    client = serve(
        stores=[world.pokemons],
        commands=[command("X", required_event_stores=STORES)(start_game)],
        allow_writes=True,
    )
    page = send(client, PAGE, name="X", action="rehearse", **{name_field(): "1"}).text
    hidden: dict[str, str] = dict(re.findall(r'name="(seen|shown)" value="([^"]*)"', page))
    fields = {key: unescape(each) for key, each in hidden.items()}
    answer = send(client, PAGE, name="X", action="run", **{name_field(): "1"}, **fields)
    assert "Done: 1 event written" in read(answer)
    assert 1 == len(world.do(world.trainers.get_events("misty")))


def test_a_form_is_run_once(serve: Any, send: Any, world: Any) -> None:
    """Two clicks, and a page that is loaded again, run a command once."""
    new = with_context(wild_pokemon_appear, generate_id=lambda: token_hex(8))
    client = serve(commands=[new], allow_writes=True)
    page = "/command?name=WILD_POKEMON_APPEAR"
    fields = {
        "name": "WILD_POKEMON_APPEAR",
        name_field("name"): "Mew",
        name_field("level"): "7",
    }
    rehearsal = send(client, page, action="rehearse", **fields).text
    hidden: dict[str, str] = dict(
        re.findall(r'name="(seen|shown|once)" value="([^"]*)"', rehearsal)
    )
    fields |= {key: unescape(each) for key, each in hidden.items()}
    answers = [send(client, page, action="run", **fields) for _ in range(2)]

    assert [200, 409] == [each.status_code for each in answers]
    assert "This form was sent already" in read(answers[1])
    assert 2 == len(world.do(world.pokemons.list_aggregate_ids()).aggregates)


@pytest.mark.parametrize("action", ["rehearse", "run"])
def test_a_command_that_waits_for_something_cancelled_is_told(
    serve: Any, send: Any, action: str
) -> None:
    """The request goes on: nobody has cancelled it."""
    client = serve(commands=[make_raising(asyncio.CancelledError())], allow_writes=True)
    answer = send(client, PAGE, name="X", action=action, **{name_field(): "1"})
    assert 422 == answer.status_code
    assert "was cancelled" in read(answer)


@pytest.mark.parametrize("depth", [100, 600, 900, 950, 990])
def test_deep_input_is_told_or_taken(serve: Any, send: Any, depth: int) -> None:
    """However deep it is, there is a page."""
    client = serve(commands=[make_command(Any)])
    text = "[" * depth + "]" * depth
    answer = send(client, PAGE, name="X", action="rehearse", **{name_field(): text})
    assert answer.status_code in {200, 422}
