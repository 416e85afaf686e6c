"""An event store pushes events, reads them back, and builds aggregates from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import reduce
from typing import Any, TypedDict
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    AggregateNotFoundError,
    DataclassCodec,
    Event,
    EventAlreadyExistsError,
    EventDecodeError,
    EventRecord,
    EventStore,
    ExistingAggregate,
    ForeignEventError,
    InvalidEventTypeError,
    JSONValue,
    LoadedAggregate,
    NotJSONError,
    PushedEvent,
    UndefinedStorageAdapterError,
    UnknownEventTypeError,
    VersionGapError,
    command,
)
from castore_in_memory import InMemoryEventStorageAdapter

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class AppearedPayload(TypedDict):
    """What is known of a pokemon."""

    name: str


class PokemonAppeared(Event, type="POKEMON_APPEARED"):
    """A pokemon is here."""

    payload: AppearedPayload


class PokemonLeveledUp(Event, type="POKEMON_LEVELED_UP"):
    """A pokemon became stronger."""

    payload: int = 1


class TrainerStarted(Event, type="TRAINER_STARTED"):
    """An event of another store."""


@dataclass(frozen=True)
class Pokemon:
    """The state of a pokemon, that tells all its events apart."""

    aggregate_id: str
    version: int
    name: str
    levels: tuple[int, ...] = ()


def reduce_pokemon(pokemon: Pokemon | None, event: PokemonAppeared | PokemonLeveledUp) -> Pokemon:
    """Compute the state; a pokemon levels up only when it has appeared."""
    match event:
        case PokemonAppeared(payload=payload):
            return Pokemon(event.aggregate_id, event.version, payload["name"])
        case PokemonLeveledUp(payload=levels):
            if pokemon is None:
                raise LookupError("no pokemon")
            return replace(pokemon, version=event.version, levels=(*pokemon.levels, levels))


PokemonStore = EventStore[PokemonAppeared | PokemonLeveledUp, Pokemon]


def new_store(**options: Any) -> PokemonStore:
    """Return an empty store."""
    options = {"storage_adapter": InMemoryEventStorageAdapter()} | options
    return EventStore(
        "POKEMONS",
        event_types=[PokemonAppeared, PokemonLeveledUp],
        reduce=reduce_pokemon,
        **options,
    )


def appeared(aggregate_id: str = "pikachu1", **changes: Any) -> PokemonAppeared:
    """Return a first event."""
    values: dict[str, Any] = {"version": 1, "timestamp": NOW, "payload": {"name": "Pikachu"}}
    return PokemonAppeared(aggregate_id=aggregate_id, **values | changes)


def leveled_up(version: int, levels: int = 1, aggregate_id: str = "pikachu1") -> PokemonLeveledUp:
    """Return a later event."""
    return PokemonLeveledUp(
        aggregate_id=aggregate_id,
        version=version,
        timestamp=NOW + timedelta(hours=version),
        payload=levels,
    )


async def filled_store(**options: Any) -> PokemonStore:
    """Return a store with four events of one aggregate."""
    store = new_store(**options)
    for event in HISTORY:
        await store.push_event(event)
    return store


HISTORY = (appeared(), leveled_up(2, 20), leveled_up(3, 30), leveled_up(4, 40))


# Definition


def test_store_has_its_definition() -> None:
    """A store shows what it was made of."""
    adapter = InMemoryEventStorageAdapter()
    codec = DataclassCodec(Pokemon)
    store = new_store(storage_adapter=adapter, aggregate_codec=codec)

    assert "POKEMONS" == store.event_store_id
    assert (PokemonAppeared, PokemonLeveledUp) == store.event_types
    assert reduce_pokemon is store.reduce
    assert adapter is store.storage_adapter is store.get_storage_adapter()
    assert codec is store.aggregate_codec
    assert store.on_event_pushed is None
    assert "EventStore('POKEMONS')" == repr(store)


@pytest.mark.parametrize("event_store_id", ["", "a\0b", "\ud800"])
def test_event_store_id_that_is_no_text_is_refused(event_store_id: str) -> None:
    """An id that some storage could not keep is refused before there is an event."""
    with pytest.raises(ValueError, match="event_store_id is empty, or no text"):
        EventStore(event_store_id, event_types=[PokemonAppeared], reduce=reduce_pokemon)


def test_no_event_types_are_refused() -> None:
    """A store has at least one event type."""
    nothing: list[type[PokemonAppeared]] = []

    with pytest.raises(ValueError, match="event_types is empty"):
        EventStore("POKEMONS", event_types=nothing, reduce=reduce_pokemon)


def test_two_event_types_of_one_name_are_refused() -> None:
    """What is stored under a name is of one class."""

    class Other(Event, type="POKEMON_APPEARED"):
        pass

    types: Any = [PokemonAppeared, Other]
    with pytest.raises(InvalidEventTypeError, match="'POKEMON_APPEARED' is the name of two class"):
        EventStore("POKEMONS", event_types=types, reduce=reduce_pokemon)


def test_abstract_event_type_is_refused() -> None:
    """A base without a type is no event type of a store."""

    class Base(Event):
        pass

    types: Any = [PokemonAppeared, Base]
    with pytest.raises(InvalidEventTypeError, match="event type 'Base' is abstract"):
        EventStore("POKEMONS", event_types=types, reduce=reduce_pokemon)


@pytest.mark.parametrize("event_type", [Pokemon, "POKEMON_APPEARED", reduce_pokemon, None])
def test_other_things_are_no_event_types(event_type: Any) -> None:
    """An event type is a subclass of Event."""
    with pytest.raises(TypeError, match="is not a subclass of Event"):
        EventStore("POKEMONS", event_types=[event_type], reduce=reduce_pokemon)


async def test_storage_adapter_can_be_set_later() -> None:
    """A store without an adapter says so, until it gets one."""
    store = new_store(storage_adapter=None)
    calls: list[Any] = [
        store.push_event(appeared()),
        EventStore.push_event_group(store.group_event(appeared())),
        store.get_events("pikachu1"),
        store.get_aggregate("pikachu1"),
        store.get_existing_aggregate("pikachu1"),
        store.list_aggregate_ids(),
        anext(store.iter_aggregate_ids()),
    ]
    for call in calls:
        with pytest.raises(UndefinedStorageAdapterError, match="'POKEMONS' has no storage adapter"):
            await call

    store.storage_adapter = InMemoryEventStorageAdapter()
    await store.push_event(appeared())

    assert [appeared()] == await store.get_events("pikachu1")


# Pushing


async def test_pushed_event_can_be_read() -> None:
    """What was pushed is what is read."""
    store = await filled_store()

    assert list(HISTORY) == await store.get_events("pikachu1")


async def test_taken_version_is_refused() -> None:
    """The error names the event that is there already, which stays as it is."""
    store = await filled_store()

    with pytest.raises(EventAlreadyExistsError) as error:
        await store.push_event(leveled_up(3, 99))

    assert "POKEMONS" == error.value.event_store_id
    assert ("pikachu1", 3) == (error.value.aggregate_id, error.value.version)
    assert error.value.retryable
    assert list(HISTORY) == await store.get_events("pikachu1")


async def test_force_replaces() -> None:
    """With force, an event takes the place of the one of its version."""
    store = await filled_store()
    await store.push_event(leveled_up(3, 99), force=True)

    assert [20, 99, 40] == [each.payload for each in (await store.get_events("pikachu1"))[1:]]


async def test_first_event_gives_the_next_aggregate() -> None:
    """The state after a first event is known without reading."""
    pushed = await new_store().push_event(appeared())

    assert PushedEvent(appeared(), Pokemon("pikachu1", 1, "Pikachu")) == pushed


async def test_later_event_gives_no_next_aggregate() -> None:
    """The state after a later event is not known without the state before it."""
    store = new_store()
    await store.push_event(appeared())

    assert PushedEvent(leveled_up(2), None) == await store.push_event(leveled_up(2))


async def test_prev_aggregate_gives_the_next_aggregate() -> None:
    """The state after an event is computed from the one before it, where that is given."""
    store = new_store()
    first = await store.push_event(appeared())
    second = await store.push_event(leveled_up(2, 7), prev_aggregate=first.next_aggregate)

    assert Pokemon("pikachu1", 2, "Pikachu", (7,)) == second.next_aggregate


@pytest.mark.parametrize(
    "prev_aggregate",
    [Pokemon("pikachu1", 2, ""), Pokemon("pikachu1", 0, ""), Pokemon("raichu1", 1, "")],
    ids=repr,
)
async def test_prev_aggregate_is_the_state_before_the_event(prev_aggregate: Pokemon) -> None:
    """Any other state is refused, and nothing is written."""
    store = new_store()
    await store.push_event(appeared())

    with pytest.raises(ValueError, match="is not the state before version 2 of 'pikachu1'"):
        await store.push_event(leveled_up(2), prev_aggregate=prev_aggregate)
    assert [appeared()] == await store.get_events("pikachu1")


async def test_nothing_is_written_where_the_reducer_raises() -> None:
    """An event that the reducer cannot take is not stored."""
    store = new_store()

    with pytest.raises(LookupError, match="no pokemon"):
        await store.push_event(leveled_up(1))
    assert [] == await store.get_events("pikachu1")


async def test_gap_is_refused() -> None:
    """A version cannot follow one that is not there, and the error is no conflict."""
    store = new_store()

    with pytest.raises(VersionGapError) as error:
        await store.push_event(leveled_up(5))

    assert ("POKEMONS", "pikachu1", 5) == (
        error.value.event_store_id,
        error.value.aggregate_id,
        error.value.version,
    )
    assert not isinstance(error.value, EventAlreadyExistsError)
    assert [] == await store.get_events("pikachu1")


async def test_gap_is_forced() -> None:
    """Force writes the version all the same."""
    store = new_store()
    await store.push_event(leveled_up(5), force=True)

    assert [leveled_up(5)] == await store.get_events("pikachu1")


async def test_command_does_not_run_again_after_a_gap() -> None:
    """A version that was not read from the storage would be the same the next time."""
    attempts: list[str] = []

    @command("LEVEL_UP", required_event_stores=(new_store(),))
    async def level_up(pokemon_id: str, stores: tuple[PokemonStore]) -> None:
        attempts.append(pokemon_id)
        await stores[0].push_event(leveled_up(5))

    with pytest.raises(VersionGapError):
        await level_up("pikachu1", (new_store(),))
    assert ["pikachu1"] == attempts


class AppearedTwin(Event, type="POKEMON_APPEARED"):
    """It has the name of an event type of the store."""

    payload: AppearedPayload


class RareAppeared(PokemonAppeared, type="RARE_APPEARED"):
    """It is derived from an event type of the store."""


class DerivedTwin(PokemonAppeared, type="POKEMON_APPEARED"):
    """It is derived from an event type of the store, and has its name."""


@pytest.mark.parametrize(
    "event",
    [
        TrainerStarted(aggregate_id="ash", version=1),
        AppearedTwin(aggregate_id="a", version=1, payload={"name": ""}),
        RareAppeared(aggregate_id="a", version=1, payload={"name": ""}),
        DerivedTwin(aggregate_id="a", version=1, payload={"name": ""}),
    ],
    ids=lambda event: type(event).__name__,
)
async def test_foreign_event_is_refused(event: Any) -> None:
    """An event is of a class of the store; else nothing is written."""
    store = new_store()

    with pytest.raises(ForeignEventError) as error:
        await store.push_event(event)
    with pytest.raises(ForeignEventError):
        await EventStore.push_event_group(store.group_event(event))

    assert ("POKEMONS", event.type) == (error.value.event_store_id, error.value.event_type)
    assert [] == (await store.list_aggregate_ids()).aggregate_ids


async def test_payload_that_is_not_json_is_refused() -> None:
    """The error names the place of the offending value, and nothing is written."""
    store = new_store()

    with pytest.raises(NotJSONError) as error:
        await store.push_event(appeared(payload={"name": {"first": [b"Pikachu"]}}))

    assert "payload.name.first[0]" == error.value.path
    assert [] == (await store.list_aggregate_ids()).aggregate_ids


# After the write


async def test_on_event_pushed_runs_after_the_write() -> None:
    """The hook gets the result of the push, when the event can be read."""
    seen: list[Any] = []
    store = new_store()

    async def read_again(pushed: PushedEvent[Any, Any]) -> None:
        seen.extend([pushed, await store.get_events(pushed.event.aggregate_id)])

    store.on_event_pushed = read_again
    pushed = await store.push_event(appeared())

    assert read_again is store.on_event_pushed
    assert [pushed, [appeared()]] == seen


async def test_error_of_on_event_pushed_goes_to_the_caller() -> None:
    """The event stays where the hook raises."""

    async def fail(_: PushedEvent[Any, Any]) -> None:
        raise OSError("no network")

    store = new_store(on_event_pushed=fail)

    with pytest.raises(OSError, match="no network"):
        await store.push_event(appeared())
    assert [appeared()] == await store.get_events("pikachu1")


async def test_conflict_in_on_event_pushed_is_not_retryable() -> None:
    """A conflict after the write is marked, so that no command pushes twice."""

    async def fail(_: PushedEvent[Any, Any]) -> None:
        raise EventAlreadyExistsError("POKEDEX", "kanto", 1)

    store = new_store(on_event_pushed=fail)

    with pytest.raises(EventAlreadyExistsError) as error:
        await store.push_event(appeared())
    assert not error.value.retryable


async def test_on_event_pushed_does_not_run_where_nothing_was_written() -> None:
    """A push that was refused is not announced."""
    seen: list[Any] = []

    async def remember(pushed: PushedEvent[Any, Any]) -> None:
        seen.append(pushed.event)

    store = new_store(on_event_pushed=remember)
    await store.push_event(appeared())
    with pytest.raises(EventAlreadyExistsError):
        await store.push_event(appeared())

    assert [appeared()] == seen


# Reading


@pytest.mark.parametrize(
    ("options", "versions"),
    [
        ({}, [1, 2, 3, 4]),
        ({"min_version": 2}, [2, 3, 4]),
        ({"max_version": 2}, [1, 2]),
        ({"min_version": 2, "max_version": 3}, [2, 3]),
        ({"min_version": 4, "max_version": 3}, []),
        ({"limit": 3}, [1, 2, 3]),
        ({"limit": 9}, [1, 2, 3, 4]),
        ({"reverse": True}, [4, 3, 2, 1]),
        ({"reverse": True, "limit": 1}, [4]),
        ({"reverse": True, "max_version": 3, "limit": 2}, [3, 2]),
        ({"min_version": -5, "max_version": 2**70, "limit": 2**70}, [1, 2, 3, 4]),
        ({"min_version": 5}, []),
        ({"max_version": 0}, []),
    ],
    ids=repr,
)
async def test_events_within_bounds(options: dict[str, Any], versions: list[int]) -> None:
    """Bounds are inclusive; limit counts in the order of the list."""
    store = await filled_store()

    assert versions == [each.version for each in await store.get_events("pikachu1", **options)]


async def test_no_events() -> None:
    """An aggregate that nothing happened to has no events."""
    assert [] == await (await filled_store()).get_events("raichu1")


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "1"])
async def test_bad_limit(limit: Any) -> None:
    """A limit is an integer of 1 or more."""
    store = await filled_store()

    with pytest.raises(ValueError, match=f"limit is not 1 or more: {limit!r}"):
        await store.get_events("pikachu1", limit=limit)
    with pytest.raises(ValueError, match=f"limit is not 1 or more: {limit!r}"):
        await store.list_aggregate_ids(limit=limit)
    with pytest.raises(ValueError, match=f"limit is not 1 or more: {limit!r}"):
        await anext(store.iter_aggregate_ids(limit=limit))


@pytest.mark.parametrize("bound", ["min_version", "max_version"])
@pytest.mark.parametrize("value", [True, 1.5, "1"])
async def test_bad_version_bound(bound: str, value: Any) -> None:
    """A bound is an integer."""
    options: dict[str, Any] = {bound: value}

    with pytest.raises(ValueError, match=f"{bound} is not an integer: {value!r}"):
        await new_store().get_events("pikachu1", **options)


async def test_aggregate_is_loaded() -> None:
    """A loaded aggregate comes with its events and the last of them."""
    loaded = await (await filled_store()).get_aggregate("pikachu1")

    expected = Pokemon("pikachu1", 4, "Pikachu", (20, 30, 40))
    assert LoadedAggregate(expected, HISTORY, HISTORY[-1]) == loaded


async def test_aggregate_is_loaded_as_it_was() -> None:
    """`max_version` loads an earlier state."""
    loaded = await (await filled_store()).get_aggregate("pikachu1", max_version=2)

    expected = Pokemon("pikachu1", 2, "Pikachu", (20,))
    assert LoadedAggregate(expected, HISTORY[:2], HISTORY[1]) == loaded


async def test_aggregate_without_events_is_none() -> None:
    """Loading what does not exist is no error."""
    assert LoadedAggregate(None, (), None) == await new_store().get_aggregate("pikachu1")


async def test_existing_aggregate_is_loaded() -> None:
    """An existing aggregate is loaded like any other."""
    loaded = await (await filled_store()).get_existing_aggregate("pikachu1", max_version=1)

    expected = Pokemon("pikachu1", 1, "Pikachu")
    assert ExistingAggregate(expected, HISTORY[:1], HISTORY[0]) == loaded


@pytest.mark.parametrize(("aggregate_id", "max_version"), [("raichu1", None), ("pikachu1", 0)])
async def test_missing_aggregate(aggregate_id: str, max_version: int | None) -> None:
    """An aggregate that has to exist, and does not, is an error that names it."""
    store = await filled_store()

    with pytest.raises(AggregateNotFoundError) as error:
        await store.get_existing_aggregate(aggregate_id, max_version=max_version)
    assert ("POKEMONS", aggregate_id) == (error.value.event_store_id, error.value.aggregate_id)


class StoredRecords(InMemoryEventStorageAdapter):
    """A storage that somebody else wrote to."""

    def __init__(self, *records: EventRecord) -> None:
        super().__init__()
        self.records = records

    async def get_events(self, *_: Any, **__: Any) -> list[EventRecord]:
        """Return the same in any case."""
        return list(self.records)


async def test_unknown_stored_type_is_an_error() -> None:
    """A stored event of a type that the store does not know is never passed over."""
    store = new_store(storage_adapter=StoredRecords(EventRecord("a", 3, "POKEMON_FLED", NOW)))

    with pytest.raises(UnknownEventTypeError) as error:
        await store.get_aggregate("a")

    assert "POKEMONS" == error.value.event_store_id
    assert ("a", 3) == (error.value.aggregate_id, error.value.version)
    assert "POKEMON_FLED" == error.value.event_type


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (ValueError("no date"), "no date"),
        (KeyError("date"), "KeyError was raised"),
        (TypeError("must be str"), "TypeError was raised"),
    ],
    ids=repr,
)
async def test_event_that_does_not_fit_is_an_error(fault: Exception, reason: str) -> None:
    """Whatever a codec trips over, the error names the event, and has the fault as its cause."""

    class Dated(Event, type="DATED"):
        payload: str

        @classmethod
        def decode_field(cls, name: str, value: JSONValue) -> Any:  # noqa: ARG003
            raise fault

    def reduce_dated(_: Pokemon | None, event: Dated) -> Pokemon:
        return Pokemon(event.aggregate_id, event.version, "")

    store = EventStore(
        "DATES",
        event_types=[Dated],
        reduce=reduce_dated,
        storage_adapter=StoredRecords(EventRecord("a", 3, "DATED", NOW, "today")),
    )

    with pytest.raises(EventDecodeError) as error:
        await store.get_events("a")

    assert ("DATES", "a") == (error.value.event_store_id, error.value.aggregate_id)
    assert (3, "DATED", reason) == (
        error.value.version,
        error.value.event_type,
        error.value.reason,
    )
    assert fault is error.value.__cause__


async def test_absent_field_does_not_fit() -> None:
    """A stored event without a required field names the field."""
    store = new_store(storage_adapter=StoredRecords(EventRecord("a", 1, "POKEMON_APPEARED", NOW)))

    with pytest.raises(EventDecodeError, match=r"^event 1 of aggregate 'a' .* payload is absent$"):
        await store.get_events("a")


# Computing

events_of_pikachu = st.lists(st.integers(), max_size=8).map(
    lambda levels: [
        appeared(),
        *(leveled_up(version, each) for version, each in enumerate(levels, 2)),
    ]
)


@given(events_of_pikachu)
def test_build_aggregate_is_a_fold(events: Sequence[PokemonAppeared | PokemonLeveledUp]) -> None:
    """The state is what functools.reduce makes of the events."""
    folded: Any = reduce(reduce_pokemon, events, None)

    assert folded == new_store().build_aggregate(events)


@given(events_of_pikachu, st.data())
def test_build_aggregate_can_go_on(
    events: list[PokemonAppeared | PokemonLeveledUp], data: st.DataObject
) -> None:
    """The events can be split anywhere: the rest goes on from the state of the first part."""
    store = new_store()
    cut = data.draw(st.integers(0, len(events)))
    first_part = store.build_aggregate(events[:cut])

    assert store.build_aggregate(events) == store.build_aggregate(events[cut:], first_part)


def test_no_events_build_no_aggregate() -> None:
    """Nothing comes of nothing, and a state without further events stays."""
    pokemon = Pokemon("pikachu1", 1, "Pikachu")

    assert new_store().build_aggregate([]) is None
    assert pokemon is new_store().build_aggregate([], pokemon)


# On another storage


async def test_store_on_another_adapter() -> None:
    """It has the same definition and other events; the original keeps its own."""
    store = await filled_store(on_event_pushed=None, aggregate_codec=DataclassCodec(Pokemon))
    adapter = InMemoryEventStorageAdapter()
    elsewhere = store.using(adapter)
    await elsewhere.push_event(appeared())

    assert adapter is elsewhere.storage_adapter
    assert [appeared()] == await elsewhere.get_events("pikachu1")
    assert 1 < len(await store.get_events("pikachu1"))
    assert (store.event_store_id, store.event_types, store.reduce, store.aggregate_codec) == (
        elsewhere.event_store_id,
        elsewhere.event_types,
        elsewhere.reduce,
        elsewhere.aggregate_codec,
    )


async def test_store_on_another_adapter_is_of_its_class() -> None:
    """What a subclass has of its own is there too."""

    class Named(EventStore[PokemonAppeared | PokemonLeveledUp, Pokemon]):
        name = ""

    store = Named("POKEMONS", event_types=[PokemonAppeared], reduce=reduce_pokemon)
    store.name = "kanto"
    elsewhere = store.using(InMemoryEventStorageAdapter())

    assert (Named, "kanto") == (type(elsewhere), elsewhere.name)
    assert store.storage_adapter is None


# What is asked is checked


@pytest.mark.parametrize("aggregate_id", ["", 7, None, UUID(int=1), b"a", "\ud800"], ids=repr)
async def test_id_that_no_event_has_is_refused(aggregate_id: Any) -> None:
    """An id that is no text is a mistake, rather than an aggregate without events."""
    store = new_store()

    with pytest.raises(ValueError, match="aggregate_id is"):
        await store.get_events(aggregate_id)
    with pytest.raises(ValueError, match="aggregate_id is"):
        await store.get_aggregate(aggregate_id)
    with pytest.raises(ValueError, match="aggregate_id is"):
        await store.get_existing_aggregate(aggregate_id)


async def test_id_of_a_text_like_kind_is_taken() -> None:
    """A member of an enumeration of texts stands for its value."""

    class Name(StrEnum):
        PIKACHU = "pikachu1"

    store = await filled_store()

    assert await store.get_events("pikachu1") == await store.get_events(Name.PIKACHU)


@pytest.mark.parametrize("moment", [date(2022, 1, 1), "2022-01-01", 0], ids=repr)
async def test_bound_that_is_no_moment_is_refused(moment: Any) -> None:
    """A bound of a list is an aware datetime."""
    with pytest.raises(ValueError, match="initial_event_after is not a datetime"):
        await new_store().list_aggregate_ids(initial_event_after=moment)
