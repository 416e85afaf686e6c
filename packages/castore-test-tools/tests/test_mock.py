"""A mock has the definition of a store, and events of its own."""

from datetime import UTC, datetime
from typing import Any

import pytest

from castore_core import (
    AggregateExistsMessage,
    AggregateExistsMessageBus,
    ConnectedEventStore,
    EventAlreadyExistsError,
    EventPublishError,
    EventRecord,
    EventStore,
    ForeignEventError,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    PushedEvent,
    StateCarryingMessage,
    StateCarryingMessageBus,
    VersionAssertionError,
    VersionGapError,
    command,
)
from castore_test_tools import (
    MockConnectedEventStore,
    MockEventStore,
    RecordedMessageChannelAdapter,
    given,
    mock_event_store,
)
from pokemon import (
    GameStarted,
    Pokemon,
    PokemonAppeared,
    PokemonCaught,
    PokemonEvent,
    PokemonLeveledUp,
    TrainerCaughtPokemon,
    pokemons,
    trainers,
)

NOW = datetime(2022, 1, 1, tzinfo=UTC)

appeared = PokemonAppeared(
    aggregate_id="pikachu1", version=1, timestamp=NOW, payload={"name": "Pikachu", "level": 5}
)
leveled_up = PokemonLeveledUp(aggregate_id="pikachu1", version=2, timestamp=NOW)
caught = PokemonCaught(
    aggregate_id="pikachu1", version=2, timestamp=NOW, payload={"trainer_id": "ash"}
)
started = GameStarted(aggregate_id="ash", version=1, payload={"trainer_name": "Ash"})


class NoStorage:
    """A storage adapter that nobody may use."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} of the real storage adapter was asked for")


def make_store(**options: Any) -> EventStore[PokemonEvent, Pokemon]:
    """Return a store whose storage nobody may use."""
    adapter: Any = NoStorage()
    return EventStore(
        "POKEMONS",
        event_types=[PokemonAppeared, PokemonCaught, PokemonLeveledUp],
        reduce=pokemons.reduce,
        storage_adapter=adapter,
        aggregate_codec=pokemons.aggregate_codec,
        **options,
    )


async def test_a_mock_begins_with_its_initial_events() -> None:
    """Making a mock needs no await; its events may be of several aggregates."""
    eevee = PokemonAppeared(aggregate_id="eevee1", version=1, payload={"name": "Eevee", "level": 1})
    mock = mock_event_store(pokemons, [appeared, leveled_up, eevee])

    assert (appeared, leveled_up, eevee) == mock.initial_events
    assert [appeared, leveled_up] == await mock.get_events("pikachu1")
    assert [eevee] == await mock.get_events("eevee1")
    pikachu = (await mock.get_existing_aggregate("pikachu1")).aggregate
    assert Pokemon("pikachu1", 2, "Pikachu", 6) == pikachu


async def test_reset() -> None:
    """Reset goes back to the initial events."""
    mock = mock_event_store(pokemons, iter([appeared]))
    await mock.push_event(leveled_up)
    mock.reset()

    assert [appeared] == await mock.get_events("pikachu1")
    await mock.push_event(caught)
    assert [appeared, caught] == await mock.get_events("pikachu1")


async def test_the_original_is_left_alone() -> None:
    """Neither the store nor its storage adapter sees what is pushed to the mock."""
    store = make_store()
    before = dict(vars(store))
    mock = mock_event_store(store)
    await mock.push_event(appeared)

    assert before == vars(store)


async def test_a_mock_has_the_definition_of_the_original() -> None:
    """Upcasters, side effect and codec are those of the store."""

    def rename(record: EventRecord) -> EventRecord:
        return record._replace(type=record.type.replace("GREW", "LEVELED_UP"))

    def forget(held: dict[int, PokemonEvent], event: PokemonEvent) -> dict[int, PokemonEvent]:
        return held or {event.version: event}

    store = make_store(upcasters=[rename], simulate_side_effect=forget)
    mock = mock_event_store(store)
    old = EventRecord("pikachu1", 2, "POKEMON_GREW", NOW)

    assert "MockEventStore('POKEMONS')" == repr(mock)
    assert store.event_types == mock.event_types
    assert store.aggregate_codec is mock.aggregate_codec
    assert leveled_up == mock.event_from_record(old)
    assert Pokemon("pikachu1", 1, "Pikachu", 5) == mock.simulate_aggregate([appeared, leveled_up])


async def test_a_mock_does_not_call_the_callback_of_the_original() -> None:
    """It would have effects; a callback that is set on the mock is called."""
    seen: list[str] = []

    async def tell_the_world(pushed_event: PushedEvent[PokemonEvent, Pokemon]) -> None:
        seen.append(f"the world: {pushed_event.event.type}")

    async def tell_the_test(pushed_event: PushedEvent[PokemonEvent, Pokemon]) -> None:
        seen.append(f"the test: {pushed_event.event.type}")

    store = make_store(on_event_pushed=tell_the_world)
    mock = mock_event_store(store)
    await mock.push_event(appeared)
    mock.on_event_pushed = tell_the_test
    await mock.push_event(leveled_up)

    assert ["the test: POKEMON_LEVELED_UP"] == seen
    assert store.on_event_pushed is tell_the_world


async def test_mocks_are_pushed_in_one_group() -> None:
    """A group over several mocks is all or nothing."""
    pokemon_mock = mock_event_store(pokemons, [appeared])
    trainer_mock = mock_event_store(trainers, [started])
    second = TrainerCaughtPokemon(aggregate_id="ash", version=2, payload={"pokemon_id": "pikachu1"})

    await EventStore.push_event_group(
        pokemon_mock.group_event(caught), trainer_mock.group_event(second)
    )
    with pytest.raises(EventAlreadyExistsError, match="'pikachu1' of event store 'POKEMONS'"):
        await EventStore.push_event_group(
            trainer_mock.group_event(
                TrainerCaughtPokemon(aggregate_id="ash", version=3, payload={"pokemon_id": "x"})
            ),
            pokemon_mock.group_event(caught),
        )

    assert [appeared, caught] == await pokemon_mock.get_events("pikachu1")
    assert [started, second] == await trainer_mock.get_events("ash")


async def test_a_group_of_mocks_asserts_a_version() -> None:
    """An assertion is about the events of its own mock."""
    pokemon_mock = mock_event_store(pokemons, [appeared])
    trainer_mock = mock_event_store(trainers, [started])
    grouped = pokemon_mock.group_event(caught)

    with pytest.raises(VersionAssertionError, match="'ash' of event store 'TRAINERS'"):
        await EventStore.push_event_group(grouped, trainer_mock.assert_version("ash", 2))
    await EventStore.push_event_group(grouped, trainer_mock.assert_version("ash", 1))
    assert [appeared, caught] == await pokemon_mock.get_events("pikachu1")


async def test_a_mock_refuses_gaps() -> None:
    """A version is not pushed without the one before, but a mock may begin with it."""
    mock = mock_event_store(pokemons)
    with pytest.raises(VersionGapError, match="version 2 of aggregate 'pikachu1' cannot follow"):
        await mock.push_event(leveled_up)

    third = PokemonLeveledUp("pikachu1", 3)
    mock = mock_event_store(pokemons, [leveled_up])
    await mock.push_event(third)
    assert [leveled_up, third] == await mock.get_events("pikachu1")
    mock.reset()
    await mock.push_event(third)


def test_foreign_initial_events_are_refused() -> None:
    """An initial event is one of the store."""
    foreign: Any = started
    with pytest.raises(ForeignEventError):
        mock_event_store(pokemons, [foreign])


def test_initial_events_of_one_version_are_refused() -> None:
    """Two initial events of one version are a conflict."""
    with pytest.raises(EventAlreadyExistsError):
        mock_event_store(pokemons, [leveled_up, caught])


# Subclasses


class Pokedex(EventStore[PokemonEvent, Pokemon]):
    """A store with a method, and an attribute, of its own."""

    def __init__(self, owner: str, adapter: Any = None) -> None:
        super().__init__(
            "POKEMONS",
            event_types=[PokemonAppeared, PokemonCaught, PokemonLeveledUp],
            reduce=pokemons.reduce,
            storage_adapter=adapter,
        )
        self.owner = owner

    async def get_level(self, aggregate_id: str) -> str:
        """Tell the owner the level of a pokemon."""
        level = (await self.get_existing_aggregate(aggregate_id)).aggregate.level
        return f"{self.owner}, its level is {level}"


async def test_the_mock_of_a_subclass_has_its_methods() -> None:
    """It is of both classes, with events of its own, and goes back to them."""
    store = Pokedex("Ash", NoStorage())
    mock = mock_event_store(store, [appeared])
    await mock.push_event(leveled_up)

    assert isinstance(mock, Pokedex)
    assert isinstance(mock, MockEventStore)
    assert "Ash, its level is 6" == await mock.get_level("pikachu1")
    mock.reset()
    assert "Ash, its level is 5" == await mock.get_level("pikachu1")
    assert "MockPokedex('POKEMONS')" == repr(mock)
    assert isinstance(store.storage_adapter, NoStorage)


async def test_a_command_gets_the_mock_of_a_subclass() -> None:
    """What a command asks of its store, a scenario has too."""

    @command("LEVEL", required_event_stores=(Pokedex("Ash"),))
    async def get_level(input: str, event_stores: tuple[Pokedex]) -> str:
        return await event_stores[0].get_level(input)

    (store,) = get_level.required_event_stores
    scenario = given(store, [appeared]).when(get_level, "pikachu1")
    await scenario.then_returns("Ash, its level is 5")


async def test_the_mock_of_a_mock() -> None:
    """A mock is of the class of the store that it stands in for, however often."""
    mock: Any = mock_event_store(mock_event_store(Pokedex("Ash")), [appeared])

    assert "Ash, its level is 5" == await mock.get_level("pikachu1")


class Announced(ConnectedEventStore[PokemonEvent, Pokemon]):
    """A connected store with a method of its own."""

    async def announce(self, event: PokemonEvent) -> str:
        """Push an event, and say so."""
        return f"{(await self.push_event(event)).event.type}!"


async def test_the_mock_of_a_connected_subclass_has_its_methods() -> None:
    """It publishes to a channel of its own, like any."""
    connected, channel = connect()
    mock = mock_event_store(Announced(connected.event_store, channel), [appeared])

    assert isinstance(mock, Announced)
    assert "POKEMON_LEVELED_UP!" == await mock.announce(leveled_up)
    assert [NotificationMessage("POKEMONS", leveled_up)] == mock.published
    assert isinstance(channel.message_channel_adapter, NoStorage)


# Connected stores


def connect(
    new_channel: Any = NotificationMessageQueue,
) -> tuple[ConnectedEventStore[PokemonEvent, Pokemon], Any]:
    """Return a connected store, and its channel, neither of which may be used."""
    store = make_store()
    channel = new_channel(
        "CHANNEL", source_event_stores=(store, trainers), message_channel_adapter=NoStorage()
    )
    return ConnectedEventStore(store, channel), channel


async def test_the_mock_of_a_connected_store_records_what_it_publishes() -> None:
    """It is a connected store and a mock; its messages are typed, and not those of the original."""
    connected, channel = connect()
    mock = mock_event_store(connected, [appeared])
    await mock.push_event(leveled_up)

    assert isinstance(mock, ConnectedEventStore)
    assert isinstance(mock, MockEventStore)
    assert [NotificationMessage("POKEMONS", leveled_up)] == mock.published
    assert [False] == [each.replay for each in mock.channel_adapter.messages]
    assert "MockConnectedEventStore('POKEMONS')" == repr(mock)
    assert "CHANNEL" == mock.message_channel.message_channel_id
    assert isinstance(channel.message_channel_adapter, NoStorage)
    assert isinstance(connected.storage_adapter, NoStorage)


async def test_existence_is_published() -> None:
    """Channels of aggregates are told of the first event."""
    mock = mock_event_store(connect(AggregateExistsMessageBus)[0])
    await mock.push_event(appeared)
    await mock.push_event(leveled_up)

    assert [AggregateExistsMessage("POKEMONS", "pikachu1", NOW)] == mock.published


async def test_states_are_published() -> None:
    """The state is that of the mock, however it is published."""
    store = make_store()
    channel = StateCarryingMessageBus("CHANNEL", source_event_stores=(store,))
    mock = mock_event_store(ConnectedEventStore(store, channel), [appeared])
    await mock.push_event(leveled_up)
    notification = NotificationMessage("POKEMONS", leveled_up)
    mock_channel: Any = mock.message_channel
    await mock_channel.get_aggregate_and_publish_message(notification, replay=True)

    state = StateCarryingMessage("POKEMONS", leveled_up, Pokemon("pikachu1", 2, "Pikachu", 6))
    assert [state, state] == mock.published
    assert [False, True] == [each.replay for each in mock.channel_adapter.messages]


async def test_reset_of_a_connected_mock() -> None:
    """Reset brings back the initial events, and forgets what was published."""
    mock = mock_event_store(connect()[0], [appeared])
    await mock.push_event(leveled_up)
    mock.reset()

    assert [] == mock.published
    assert [appeared] == await mock.get_events("pikachu1")
    assert (appeared,) == mock.initial_events


async def test_publishing_can_be_told_to_fail() -> None:
    """The event is stored then, and the next publish goes well again."""
    mock = mock_event_store(connect()[0], [appeared])
    mock.channel_adapter.fail_next()

    with pytest.raises(EventPublishError):
        await mock.push_event(leveled_up)
    assert [appeared, leveled_up] == await mock.get_events("pikachu1")
    assert [] == mock.published


async def test_a_connected_store_of_a_connected_store() -> None:
    """Each connection has a recorded channel of its own."""
    inner, _ = connect()
    outer_channel = NotificationMessageBus("BUS", source_event_stores=(inner,))
    mock = mock_event_store(ConnectedEventStore(inner, outer_channel), [appeared])
    await mock.push_event(leveled_up)

    assert isinstance(mock.event_store, MockConnectedEventStore)
    message = NotificationMessage("POKEMONS", leveled_up)
    assert [[message], [message]] == [mock.published, mock.event_store.published]
    mock.reset()
    assert [[], []] == [mock.published, mock.event_store.published]


def test_a_channel_of_another_making_is_refused() -> None:
    """A channel whose adapter cannot be exchanged would publish in earnest."""

    class OtherChannel:
        def get_source_event_store(self, event_store_id: str) -> str:
            return event_store_id

    channel: Any = OtherChannel()
    with pytest.raises(TypeError, match="is no MessageChannel"):
        mock_event_store(ConnectedEventStore(make_store(), channel))


def test_the_recorded_channel_of_a_mock_is_its_own() -> None:
    """Two mocks of one store share nothing."""
    connected, _ = connect()
    first, second = mock_event_store(connected), mock_event_store(connected)

    assert isinstance(first.channel_adapter, RecordedMessageChannelAdapter)
    assert first.channel_adapter is not second.channel_adapter
    assert first.storage_adapter is not second.storage_adapter
