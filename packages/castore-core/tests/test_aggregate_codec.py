"""The codec of dataclasses turns aggregates into JSON objects and back."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import DataclassCodec, JSONValue


@dataclass(frozen=True)
class Pokemon:
    """An aggregate."""

    aggregate_id: str
    version: int
    moves: Any = ()
    computed: str = field(default="computed", init=False)


PIKACHU = Pokemon("pikachu1", 3, ["thunder"])


def test_fields_are_keys() -> None:
    """Each field that the constructor takes is written under its name."""
    expected = {"aggregate_id": "pikachu1", "version": 3, "moves": ["thunder"]}

    assert expected == DataclassCodec(Pokemon).encode(PIKACHU)


def test_fields_can_be_renamed() -> None:
    """With `rename`, a field is written and read under another name, in its place."""
    codec = DataclassCodec(Pokemon, rename={"aggregate_id": "aggregateId"})
    encoded = codec.encode(PIKACHU)

    assert {"aggregateId": "pikachu1", "version": 3, "moves": ["thunder"]} == encoded
    assert isinstance(encoded, dict)
    assert ["aggregateId", "version", "moves"] == list(encoded)
    assert PIKACHU == codec.decode(encoded)


def test_names_can_be_swapped() -> None:
    """A name that one field gives up is free for another."""
    codec = DataclassCodec(Pokemon, rename={"version": "moves", "moves": "version"})

    assert PIKACHU == codec.decode(codec.encode(PIKACHU))


def test_unknown_field_cannot_be_renamed() -> None:
    """A name that is no field is a mistake."""
    with pytest.raises(ValueError, match="Pokemon has no field level, name"):
        DataclassCodec(Pokemon, rename={"name": "n", "level": "l"})


def test_two_fields_of_one_name_are_refused() -> None:
    """No field hides another."""
    with pytest.raises(ValueError, match="two fields of Pokemon get one name"):
        DataclassCodec(Pokemon, rename={"version": "moves"})


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(),
    st.lists(st.integers() | st.none()),
)
def test_round_trip(aggregate_id: str, version: int, moves: list[int | None]) -> None:
    """An aggregate of JSON values comes back as it was."""
    pokemon = Pokemon(aggregate_id, version, moves)
    codec = DataclassCodec(Pokemon)

    assert pokemon == codec.decode(codec.encode(pokemon))


def test_default_stands_for_a_missing_key() -> None:
    """A field that an older writer did not know gets its default; unknown keys are passed over."""
    stored: JSONValue = {"aggregate_id": "pikachu1", "version": 3, "shiny": True}

    assert Pokemon("pikachu1", 3) == DataclassCodec(Pokemon).decode(stored)


def test_missing_key_is_refused() -> None:
    """A field without a default has to be there; the error names it."""
    with pytest.raises(ValueError, match="missing 1 required positional argument: 'version'"):
        DataclassCodec(Pokemon).decode({"aggregate_id": "pikachu1"})


@pytest.mark.parametrize("value", [None, [], "pikachu1", 1, True])
def test_other_values_are_no_aggregate(value: JSONValue) -> None:
    """An aggregate is an object."""
    with pytest.raises(ValueError, match="an aggregate is an object, not"):
        DataclassCodec(Pokemon).decode(value)
