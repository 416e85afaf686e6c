"""Events that a handler pushes tell what it handles."""

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from castore_core import (
    LOG_START,
    AggregateExistsMessage,
    Event,
    JSONValue,
    LogEntry,
    NotificationMessage,
    StateCarryingMessage,
    event_metadata,
    format_message_id,
    get_event_metadata,
)
from castore_core.workers import handling

NOBODY: Any = None
NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Caught(Event, type="CAUGHT"):
    """A message is about it."""

    metadata: Any = None


def notify(metadata: Any = None, version: int = 1) -> NotificationMessage[Caught]:
    """Return a message."""
    return NotificationMessage("POKEMONS", Caught("pikachu1", version, metadata=metadata))


def see(*handled: object, is_apart: bool = False) -> dict[str, JSONValue]:
    """Return the values that a handler sees."""
    with handling(*handled, is_apart=is_apart):
        return get_event_metadata()


@pytest.mark.parametrize(
    "handled",
    [
        notify({"correlation_id": "c"}),
        notify({"correlationId": "c"}),
        StateCarryingMessage("POKEMONS", notify({"correlation_id": "c"}).event, NOBODY),
        LogEntry(LOG_START, "POKEMONS", notify({"correlation_id": "c"}).event.to_record()),
    ],
    ids=["snake case", "camel case", "with state", "of a log"],
)
def test_the_chain_goes_on(handled: object) -> None:
    """The correlation is that of the event, and the event is the cause."""
    assert {"correlation_id": "c", "causation_id": "POKEMONS#pikachu1#1"} == see(handled)


@pytest.mark.parametrize("metadata", [None, {}, {"correlation_id": None}, "text", []], ids=str)
def test_a_chain_begins(metadata: object) -> None:
    """An event without a correlation begins a chain, under its own id."""
    place = "POKEMONS#pikachu1#1"

    assert {"correlation_id": place, "causation_id": place} == see(notify(metadata))


def test_messages_about_aggregates() -> None:
    """A message about an aggregate has an id without a version."""
    message = AggregateExistsMessage("POKEMONS", "pikachu1", NOW)
    place = "POKEMONS#pikachu1"

    assert {"correlation_id": place, "causation_id": place} == see(message)


def test_anything_else() -> None:
    """An object that is no message gives no values."""
    assert {} == see(object())
    assert {} == see()


def test_several_messages() -> None:
    """A batch has what its messages share: no cause, and a correlation if it is one."""
    first, second = notify({"correlation_id": "c"}), notify({"correlation_id": "c"}, version=2)

    assert {"correlation_id": "c"} == see(first, second)
    assert {} == see(first, notify(version=2))
    assert {} == see(first, object())
    assert see(first) == see(first, first)


def test_values_around_it() -> None:
    """Values of the worker stay, but not its own ids, however they are spelled."""
    with event_metadata(service="pokedex", correlationId="old", causation_id="old"):
        seen = see(notify({"correlation_id": "c"}))
        apart = see(notify({"correlation_id": "c"}), is_apart=True)
        of_nothing = see(object())

    place = "POKEMONS#pikachu1#1"
    assert {"service": "pokedex", "correlation_id": "c", "causation_id": place} == seen
    assert {"correlation_id": "c", "causation_id": place} == apart
    assert {"service": "pokedex"} == of_nothing


def test_the_handler_wins() -> None:
    """A handler may begin another chain."""
    with handling(notify({"correlation_id": "c"})), event_metadata(correlation_id="mine"):
        seen = get_event_metadata()

    assert {"correlation_id": "mine", "causation_id": "POKEMONS#pikachu1#1"} == seen
    assert {} == get_event_metadata()


class CaughtInMapping(Caught, type="CAUGHT_IN_MAPPING"):
    """Its metadata are a mapping, which is stored under another name."""

    @classmethod
    def encode_field(cls, name: str, value: Any) -> JSONValue:  # noqa: ARG003 the parent's
        """Encode the mapping."""
        if "trace" not in value:
            raise ValueError("no trace")
        return {"correlation_id": value["trace"]}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [({"trace": "c"}, "c"), ({"correlation_id": "c"}, "c"), ({}, "POKEMONS#pikachu1#1")],
    ids=["stored", "held", "not encoded"],
)
def test_a_correlation_that_is_stored_under_its_name(metadata: Any, expected: str) -> None:
    """The correlation of an event is that of its record, whatever holds it in the program."""
    event = CaughtInMapping("pikachu1", 1, metadata=MappingProxyType(metadata))

    assert expected == see(NotificationMessage("POKEMONS", event))["correlation_id"]


class Model:
    """Metadata as a model has them."""

    def __init__(self, **values: object) -> None:
        vars(self).update(values)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (Model(correlation_id="c"), "c"),
        (Model(correlationId=NOW), str(NOW)),
        ({"correlation_id": 5}, 5),
        ({"correlation_id": 1.5}, "1.5"),
    ],
    ids=["model", "no text", "number", "fraction"],
)
def test_kinds_of_correlations(metadata: object, expected: object) -> None:
    """A correlation is an attribute of a model, or a key; what is no text becomes one."""
    assert expected == see(notify(metadata))["correlation_id"]


def test_ids_of_messages() -> None:
    """Ids of messages are those of Castore."""
    assert "POKEMONS#a#b#2" == format_message_id("POKEMONS", "a#b", 2)
    assert "POKEMONS#a" == format_message_id("POKEMONS", "a")
