"""A validated command with an idempotency key returns an equal output each time."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field, SecretStr

from castore_core import (
    EventDecodeError,
    EventStore,
    IdempotencyKeyReusedError,
    InvalidCommandOutputError,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_pydantic import PydanticCommand, pydantic_command
from catches import Caught, Store, Stores, reduce_last

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Catch(BaseModel):
    """The input, of which the sender gives the id of the pokemon."""

    pokemon_id: str = Field(alias="pokemonId")
    catch_id: UUID = Field(default_factory=uuid4)
    tags: set[str] = set()


class Receipt(BaseModel):
    """The output."""

    catch_id: UUID = Field(alias="catchId")
    at: datetime
    price: Decimal


blank = EventStore("POKEMONS", event_types=[Caught], reduce=reduce_last)


@pytest.fixture
def store() -> Store:
    """Return an empty store."""
    return blank.using(InMemoryEventStorageAdapter())


@pydantic_command("CATCH", required_event_stores=(blank,))
async def catch(input: Catch, event_stores: Stores) -> Receipt:
    """Catch a pokemon."""
    await event_stores[0].push_event(Caught(input.pokemon_id, 1, payload=NOW))
    return Receipt(catchId=input.catch_id, at=NOW, price=Decimal("1.50"))


async def test_an_output_comes_back_as_its_type(store: Store) -> None:
    """An output comes back as its declared type, from Python and from JSON, defaults included."""
    keyed = catch.with_idempotency_key("a")

    first = await keyed.run_json('{"pokemonId": "p"}', (store,))
    again = [
        await keyed.run_json({"pokemonId": "p"}, (store,)),
        await keyed(Catch(pokemonId="p"), (store,)),
    ]

    assert [first, first] == again
    assert "1.50" == str(again[0].price)
    assert 1 == len(await store.get_events("p"))


async def test_another_input_is_refused(store: Store) -> None:
    """Inputs are compared as the sender gave them, as JSON."""
    keyed = catch.with_idempotency_key("a")
    await keyed.run_json({"pokemonId": "p"}, (store,))

    with pytest.raises(IdempotencyKeyReusedError, match="'CATCH'"):
        await keyed.run_json({"pokemonId": "q"}, (store,))


async def test_an_input_with_a_set_is_not_compared(store: Store) -> None:
    """An input with a set is not compared: its order is another one in each process."""
    keyed = catch.with_idempotency_key("a")

    first = await keyed.run_json({"pokemonId": "p", "tags": ["a", "b"]}, (store,))

    assert first == await keyed.run_json({"pokemonId": "q", "tags": ["b", "a"]}, (store,))


async def test_an_input_without_json_is_not_compared(store: Store) -> None:
    """An input that is not JSON is not compared: the key alone counts."""

    async def handle(input: Any, event_stores: Stores) -> int:  # noqa: ARG001
        return len(await event_stores[0].get_events("p"))

    keyed = PydanticCommand(
        "ANY", required_event_stores=(blank,), handler=handle
    ).with_idempotency_key("a")

    assert [0, 0] == [await keyed(each, (store,)) for each in (object(), object())]


class Secret(BaseModel):
    """An output that is written as asterisks."""

    token: SecretStr


@pytest.mark.parametrize(
    ("output_type", "output", "reason"),
    [
        (Receipt, {"at": NOW}, "output.catchId: Field required"),
        (Secret, Secret(token=SecretStr("x")), "would be read as asterisks"),
        (None, Receipt(catchId=UUID(int=1), at=NOW, price=Decimal(1)), "dict in the place of"),
        (None, object(), "Unable to serialize unknown type"),
        (list[float], [float("inf")], "output[0]: is inf, which JSON does not have"),
    ],
    ids=["invalid", "hidden", "undeclared", "no-json", "infinite"],
)
async def test_an_output_that_would_not_come_back_is_refused(
    store: Store, output_type: Any, output: Any, reason: str
) -> None:
    """An output that would not come back is refused before anything is written."""

    async def handle(input: str, event_stores: Stores):  # noqa: ANN202
        await event_stores[0].push_event(Caught(input, 1, payload=NOW))
        return output

    made: Any = PydanticCommand(
        "ANY", required_event_stores=(blank,), handler=handle, output_type=output_type
    )
    with pytest.raises(InvalidCommandOutputError, match="and nothing was written") as caught:
        await made.with_idempotency_key("a")("p", (store,))

    assert reason in str(caught.value)
    assert not caught.value.is_written
    assert [] == await store.get_events("p")


async def test_an_output_without_annotation_is_json(store: Store) -> None:
    """JSON values come back as they are."""

    async def handle(input: str, event_stores: Stores):  # noqa: ANN202, ARG001
        return {"caught": [input]}

    made: Any = PydanticCommand("ANY", required_event_stores=(blank,), handler=handle)
    keyed = made.with_idempotency_key("a")

    assert [{"caught": ["p"]}] * 2 == [await keyed("p", (store,)) for _ in range(2)]


async def test_an_output_whose_type_has_changed(store: Store) -> None:
    """The error names the places, and quotes no value."""

    async def handle(input: Catch, event_stores: Stores) -> int:  # noqa: ARG001
        raise AssertionError

    await catch.with_idempotency_key("a")(Catch(pokemonId="p"), (store,))
    changed = PydanticCommand("CATCH", required_event_stores=(blank,), handler=handle)

    with pytest.raises(EventDecodeError, match="its output does not fit the command"):
        await changed.with_idempotency_key("a")(Catch(pokemonId="p"), (store,))
