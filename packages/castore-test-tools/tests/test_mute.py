"""A muted store writes nothing, until it is restored."""

from datetime import UTC, datetime
from typing import Any

import pytest

from castore_core import (
    ConnectedEventStore,
    EventAlreadyExistsError,
    EventStore,
    ForeignEventError,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    PushedEvent,
    VersionGapError,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_test_tools import RecordedMessageChannelAdapter, mute_event_store
from pokemon import (
    GameStarted,
    Pokemon,
    PokemonAppeared,
    PokemonCaught,
    PokemonEvent,
    PokemonLeveledUp,
    pokemons,
    trainers,
)

NOW = datetime(2022, 1, 1, tzinfo=UTC)

appeared = PokemonAppeared(
    aggregate_id="pikachu1", version=1, timestamp=NOW, payload={"name": "Pikachu", "level": 5}
)
leveled_up = PokemonLeveledUp(aggregate_id="pikachu1", version=2, timestamp=NOW)
eevee = PokemonAppeared("eevee1", 1, payload={"name": "Eevee", "level": 1})

PokemonStore = EventStore[PokemonEvent, Pokemon]


@pytest.fixture
def store() -> PokemonStore:
    """Return a store on a storage that stands for the real one."""
    return EventStore(
        "POKEMONS",
        event_types=[PokemonAppeared, PokemonCaught, PokemonLeveledUp],
        reduce=pokemons.reduce,
        storage_adapter=InMemoryEventStorageAdapter([("POKEMONS", appeared.to_record())]),
    )


async def test_nothing_is_written_while_muted(store: PokemonStore) -> None:
    """Pushes are seen by reads, and are gone afterwards."""
    real = store.storage_adapter
    with mute_event_store(store) as muted:
        assert [] == await store.get_events("pikachu1")
        await store.push_event(eevee)
        assert [eevee] == await store.get_events("eevee1")
        assert muted.event_store is store

    assert real is store.storage_adapter
    assert [appeared] == await store.get_events("pikachu1")
    assert [] == await store.get_events("eevee1")


async def test_initial_events(store: PokemonStore) -> None:
    """A muted store begins with the events that it is given."""
    with mute_event_store(store, [appeared, leveled_up]):
        assert [appeared, leveled_up] == await store.get_events("pikachu1")


async def test_events_that_cannot_follow(store: PokemonStore) -> None:
    """A version is not pushed without the one before, but a muted store may begin with it."""
    with mute_event_store(store), pytest.raises(VersionGapError):
        await store.push_event(leveled_up)
    with mute_event_store(store, [leveled_up]):
        await store.push_event(PokemonLeveledUp("pikachu1", 3))
        assert 2 == len(await store.get_events("pikachu1"))


async def test_restore(store: PokemonStore) -> None:
    """A store is muted at once, and restored by a call; a second one does nothing."""
    real = store.storage_adapter
    muted = mute_event_store(store)
    assert real is not store.storage_adapter

    muted.restore()
    assert real is store.storage_adapter
    other = InMemoryEventStorageAdapter()
    store.storage_adapter = other
    muted.restore()
    assert other is store.storage_adapter


def test_restored_after_an_error(store: PokemonStore) -> None:
    """An error within the context goes through, and the store is restored."""
    real = store.storage_adapter

    def fail() -> None:
        with mute_event_store(store):
            raise LookupError("within")

    with pytest.raises(LookupError, match="within"):
        fail()
    assert real is store.storage_adapter


def test_a_store_without_an_adapter() -> None:
    """Where there was no adapter, there is none again."""
    store: PokemonStore = EventStore(
        "POKEMONS", event_types=pokemons.event_types, reduce=pokemons.reduce
    )
    with mute_event_store(store):
        assert store.storage_adapter is not None
    assert store.storage_adapter is None


async def test_muted_within_muted(store: PokemonStore) -> None:
    """Each context brings back what was there before it."""
    with mute_event_store(store):
        await store.push_event(appeared)
        with mute_event_store(store):
            assert [] == await store.get_events("pikachu1")
        assert [appeared] == await store.get_events("pikachu1")


async def test_muted_stores_are_pushed_in_one_group(store: PokemonStore) -> None:
    """Several muted stores take a group."""
    started = GameStarted(aggregate_id="ash", version=1, payload={"trainer_name": "Ash"})
    with mute_event_store(store, [appeared]), mute_event_store(trainers):
        await EventStore.push_event_group(
            store.group_event(leveled_up), trainers.group_event(started)
        )
        assert [appeared, leveled_up] == await store.get_events("pikachu1")
        assert [started] == await trainers.get_events("ash")


async def test_the_callback_is_called(store: PokemonStore) -> None:
    """It is the store itself that is muted, with the callback that it has."""
    seen: list[PokemonEvent] = []

    async def remember(pushed_event: PushedEvent[PokemonEvent, Pokemon]) -> None:
        seen.append(pushed_event.event)

    store.on_event_pushed = remember
    with mute_event_store(store):
        await store.push_event(eevee)

    assert [eevee] == seen
    assert store.on_event_pushed is remember


@pytest.mark.parametrize(
    ("events", "error"),
    [
        ([leveled_up, leveled_up], EventAlreadyExistsError),
        (
            [GameStarted(aggregate_id="a", version=1, payload={"trainer_name": ""})],
            ForeignEventError,
        ),
    ],
)
def test_refused_initial_events(store: PokemonStore, events: Any, error: type[Exception]) -> None:
    """Where the initial events are refused, nothing is muted."""
    real = store.storage_adapter
    with pytest.raises(error):
        mute_event_store(store, events)
    assert real is store.storage_adapter


# Connected stores


async def test_a_connected_store_is_muted_with_its_channel(store: PokemonStore) -> None:
    """The original and the channel are muted, too, and both are restored."""
    real_storage, real_adapter = store.storage_adapter, RecordedMessageChannelAdapter()
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(store,), message_channel_adapter=real_adapter
    )
    connected = ConnectedEventStore(store, queue)
    with mute_event_store(connected, [appeared]) as muted:
        await connected.push_event(leveled_up)
        assert [appeared, leveled_up] == await store.get_events("pikachu1")

    assert [NotificationMessage("POKEMONS", leveled_up)] == muted.published
    assert [False] == [each.replay for each in muted.channel_adapter.messages]
    assert [] == real_adapter.messages
    assert real_adapter is queue.message_channel_adapter
    assert real_storage is connected.storage_adapter
    assert real_storage is store.storage_adapter
    assert [appeared] == await connected.get_events("pikachu1")


async def test_a_connected_store_of_a_connected_store(store: PokemonStore) -> None:
    """All channels are muted."""
    adapters = RecordedMessageChannelAdapter(), RecordedMessageChannelAdapter()
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(store,), message_channel_adapter=adapters[0]
    )
    bus = NotificationMessageBus(
        "BUS", source_event_stores=(store,), message_channel_adapter=adapters[1]
    )
    connected = ConnectedEventStore(ConnectedEventStore(store, queue), bus)
    with mute_event_store(connected, [appeared]) as muted:
        await connected.push_event(leveled_up)

    assert [NotificationMessage("POKEMONS", leveled_up)] == muted.published
    assert [[], []] == [each.messages for each in adapters]
    assert adapters == (queue.message_channel_adapter, bus.message_channel_adapter)


def test_a_channel_of_another_making_is_refused(store: PokemonStore) -> None:
    """A channel whose adapter cannot be exchanged would publish in earnest; nothing is muted."""

    class OtherChannel:
        def get_source_event_store(self, event_store_id: str) -> str:
            return event_store_id

    real = store.storage_adapter
    channel: Any = OtherChannel()
    with pytest.raises(TypeError, match="is no MessageChannel"):
        mute_event_store(ConnectedEventStore(store, channel))
    assert real is store.storage_adapter


async def test_a_muted_store_is_of_one_context(store: PokemonStore) -> None:
    """Entered again, it would let through what its user takes for muted."""
    muted = mute_event_store(store)
    with muted:
        with pytest.raises(RuntimeError, match=r"\('POKEMONS'\) is muted for one context"):
            muted.__enter__()
        await store.push_event(appeared)
    with pytest.raises(RuntimeError, match="mute it again"), muted:
        await store.push_event(appeared)
    assert [appeared] == await store.get_events("pikachu1")
