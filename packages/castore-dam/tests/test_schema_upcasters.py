"""Upcasters that no stored event needs are found."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from bare_aggregate import reduce_bare
from castore_core import ABSENT, Event, EventRecord, EventStore, Upcaster
from castore_dam import UpcasterUse

MOMENT = datetime(2022, 1, 1, tzinfo=UTC)


class PokemonAppeared(Event, type="POKEMON_APPEARED"):
    """A wild pokemon is here."""

    payload: Any


def rename_nick(record: EventRecord) -> EventRecord:
    """Give the name its name."""
    match record.payload:
        case {"nick": nick}:
            return record._replace(payload={"name": nick})
        case _:
            return record


def drop_name(record: EventRecord) -> EventRecord:
    """Take what `rename_nick` made."""
    if isinstance(record.payload, dict) and "name" in record.payload:
        return record._replace(payload=ABSENT)
    return record


def add_in_place(record: EventRecord) -> EventRecord:
    """Change the payload that was given."""
    if isinstance(record.payload, dict):
        record.payload["level"] = 1
    return record


def say_true(record: EventRecord) -> EventRecord:
    """Turn 1 into true, which Python takes for equal."""
    return record._replace(payload={"shiny": True}) if record.payload == {"shiny": 1} else record


def refuse_secrets(record: EventRecord) -> EventRecord:
    """Fail."""
    if record.payload == {"secret": 1}:
        raise RuntimeError
    return record


def leave(record: EventRecord) -> EventRecord:
    """Return an equal record."""
    return record._replace(payload=deepcopy(record.payload))


def leave_alone(record: EventRecord) -> EventRecord:
    """Return the same record."""
    return record


def record_of(payload: Any) -> EventRecord:
    """Return a stored event."""
    return EventRecord("pikachu1", 1, "POKEMON_APPEARED", MOMENT, payload)


def count(payloads: list[Any], *upcasters: Upcaster) -> UpcasterUse:
    """Count the upcasters that events with some payloads need."""
    use = UpcasterUse(
        EventStore(
            "POKEMONS", event_types=[PokemonAppeared], reduce=reduce_bare, upcasters=upcasters
        )
    )
    for each in payloads:
        use.count(record_of(each))
    return use


def test_unreached_upcaster() -> None:
    """An upcaster that changes nothing is not needed."""
    use = count([{"nick": "Pika"}, {"other": 1}, None], rename_nick, leave)

    assert (leave,) == use.find_unreached()
    assert [1, 0] == [each.changed for each in use.counts]
    assert use.counts[0].name.endswith("rename_nick")


def test_chain_of_upcasters() -> None:
    """Each upcaster is given what the one before it made."""
    assert [1, 1] == [
        each.changed for each in count([{"nick": "Pika"}], rename_nick, drop_name).counts
    ]


def test_change_in_place() -> None:
    """A changed payload counts, and the record that was counted stays as it was."""
    use = count([], add_in_place)
    record = record_of({"name": "Pika"})
    use.count(record)

    assert {"name": "Pika"} == record.payload
    assert () == use.find_unreached()


def test_change_to_what_python_takes_for_equal() -> None:
    """1 is another value than true."""
    assert () == count([{"shiny": 1}], say_true).find_unreached()


def test_absent_is_not_null() -> None:
    """A payload that goes, or becomes null, was changed."""

    def fill(record: EventRecord) -> EventRecord:
        return record._replace(metadata=None)

    assert () == count([{}], fill).find_unreached()


def test_upcaster_that_fails() -> None:
    """Neither it nor those after it are called unreached: nobody knows what they would do."""
    use = count([{"secret": 1}, {}], leave, refuse_secrets, rename_nick)

    assert (leave,) == use.find_unreached()
    assert [0, 1, 1] == [each.failed for each in use.counts]


def test_upcaster_that_returns_no_record() -> None:
    """That is a failure."""

    def forget(record: EventRecord) -> Any:  # noqa: ARG001 it forgets
        return None

    assert [1] == [each.failed for each in count([{}], forget).counts]


def test_record_that_cannot_be_looked_at() -> None:
    """An event that is nested too deeply says nothing about the upcasters, and raises nothing."""
    payload: list[Any] = []
    for _ in range(100_000):
        payload = [payload]

    assert [(0, 1)] == [
        (each.changed, each.failed) for each in count([payload], leave_alone).counts
    ]


def test_store_without_upcasters() -> None:
    """There is nothing to count."""
    assert () == count([{}]).find_unreached()
