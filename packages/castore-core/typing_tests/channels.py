"""What type checkers know of message channels and connected stores, and what they refuse."""

from datetime import datetime
from typing import Any, assert_type

from definitions import (
    Pokemon,
    PokemonEvent,
    Trainer,
    TrainerEvent,
    appeared,
    pokemons,
    trainer_caught,
    trainers,
)

from castore_core import (
    AggregateExistsMessage,
    AggregateExistsMessageBus,
    AggregateExistsMessageQueue,
    ConnectedEventStore,
    EventStore,
    MessageBus,
    MessageQueue,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    PushedEvent,
    StateCarryingMessage,
    StateCarryingMessageBus,
    StateCarryingMessageQueue,
)

# A channel is inferred from its sources.

exists_queue = AggregateExistsMessageQueue("EXISTS", source_event_stores=(pokemons, trainers))
exists_bus = AggregateExistsMessageBus("EXISTS", source_event_stores=(pokemons, trainers))
one_queue = NotificationMessageQueue("ONE", source_event_stores=(pokemons,))
one_bus = NotificationMessageBus("ONE", source_event_stores=[pokemons])
both_queue = NotificationMessageQueue("BOTH", source_event_stores=(pokemons, trainers))
both_bus = NotificationMessageBus("BOTH", source_event_stores=(pokemons, trainers))
state_queue = StateCarryingMessageQueue("STATE", source_event_stores=(pokemons,))
state_bus = StateCarryingMessageBus("STATE", source_event_stores=[pokemons])

# mypy joins the aggregates of several stores to `Aggregate`, unless it is told of them.
states_queue = StateCarryingMessageQueue[PokemonEvent | TrainerEvent, Pokemon | Trainer](
    "STATES", source_event_stores=(pokemons, trainers)
)
states_bus: StateCarryingMessageBus[PokemonEvent | TrainerEvent, Pokemon | Trainer]
states_bus = StateCarryingMessageBus("STATES", source_event_stores=(pokemons, trainers))

assert_type(one_queue, NotificationMessageQueue[PokemonEvent])
assert_type(one_bus, NotificationMessageBus[PokemonEvent])
assert_type(both_queue, NotificationMessageQueue[PokemonEvent | TrainerEvent])
assert_type(both_bus, NotificationMessageBus[PokemonEvent | TrainerEvent])
assert_type(state_queue, StateCarryingMessageQueue[PokemonEvent, Pokemon])
assert_type(state_bus, StateCarryingMessageBus[PokemonEvent, Pokemon])
assert_type(states_queue, StateCarryingMessageQueue[PokemonEvent | TrainerEvent, Pokemon | Trainer])
assert_type(states_bus, StateCarryingMessageBus[PokemonEvent | TrainerEvent, Pokemon | Trainer])

# Messages

assert_type(exists_queue.parse_message("{}"), AggregateExistsMessage)
assert_type(exists_bus.parse_message(b"{}"), AggregateExistsMessage)
assert_type(exists_bus.parse_message({}).initial_event_timestamp, datetime)
assert_type(one_queue.parse_message("{}"), NotificationMessage[PokemonEvent])
assert_type(one_bus.parse_message("{}").event, PokemonEvent)
assert_type(both_queue.parse_message("{}").event, PokemonEvent | TrainerEvent)
assert_type(both_bus.parse_message("{}"), NotificationMessage[PokemonEvent | TrainerEvent])
assert_type(state_queue.parse_message("{}"), StateCarryingMessage[PokemonEvent, Pokemon])
assert_type(state_bus.parse_message("{}").aggregate, Pokemon)
assert_type(states_queue.parse_message("{}").event, PokemonEvent | TrainerEvent)
assert_type(states_bus.parse_message("{}").aggregate, Pokemon | Trainer)

exists_message = AggregateExistsMessage("POKEMONS", "pikachu1", appeared.timestamp)
notification = NotificationMessage("POKEMONS", appeared)
state = StateCarryingMessage("POKEMONS", appeared, Pokemon("pikachu1", 1, "Pikachu"))
foreign_notification = NotificationMessage("TRAINERS", trainer_caught)
foreign_state = StateCarryingMessage("TRAINERS", trainer_caught, Trainer("ash", 2))


async def publish() -> None:
    """Publish what each channel carries, and nothing else."""
    await exists_queue.publish_message(exists_message, replay=True)
    await exists_bus.publish_messages([exists_message])
    await one_queue.publish_message(notification)
    await one_bus.publish_messages([notification], replay=True)
    await both_bus.publish_messages([notification, foreign_notification])
    await state_queue.publish_message(state)
    await state_bus.get_aggregate_and_publish_message(notification)
    await states_bus.publish_messages([state, foreign_state])

    await exists_queue.publish_message(notification)  # type: ignore[arg-type]
    await exists_bus.publish_message(notification)  # type: ignore[arg-type]
    await one_queue.publish_message(foreign_notification)  # type: ignore[arg-type]
    await one_bus.publish_messages([foreign_notification])  # type: ignore[list-item]
    await one_bus.publish_message(state)  # type: ignore[arg-type]
    await state_queue.publish_message(notification)  # type: ignore[arg-type]
    await state_queue.publish_message(foreign_state)  # type: ignore[arg-type]
    await state_bus.get_aggregate_and_publish_message(foreign_notification)  # type: ignore[arg-type]


# What is only read is covariant, and a queue or a bus can be asked for by its messages.


def take_queue(queue: MessageQueue[NotificationMessage[PokemonEvent]]) -> None:
    """Take a queue of notifications of pokemons."""


def take_bus(bus: MessageBus[StateCarryingMessage[PokemonEvent, Pokemon]]) -> None:
    """Take a bus of states of pokemons."""


take_queue(one_queue)
take_queue(one_bus)  # type: ignore[arg-type]
take_queue(exists_queue)  # type: ignore[arg-type]
take_bus(state_bus)
take_bus(state_queue)  # type: ignore[arg-type]
wider_message: NotificationMessage[PokemonEvent | TrainerEvent] = notification

# Connected stores

assert_type(ConnectedEventStore(pokemons, exists_queue), ConnectedEventStore[PokemonEvent, Pokemon])
assert_type(ConnectedEventStore(pokemons, exists_bus), ConnectedEventStore[PokemonEvent, Pokemon])
assert_type(ConnectedEventStore(pokemons, one_queue), ConnectedEventStore[PokemonEvent, Pokemon])
assert_type(ConnectedEventStore(pokemons, one_bus), ConnectedEventStore[PokemonEvent, Pokemon])
assert_type(ConnectedEventStore(pokemons, both_queue), ConnectedEventStore[PokemonEvent, Pokemon])
assert_type(ConnectedEventStore(pokemons, both_bus), ConnectedEventStore[PokemonEvent, Pokemon])
assert_type(ConnectedEventStore(pokemons, state_queue), ConnectedEventStore[PokemonEvent, Pokemon])
assert_type(ConnectedEventStore(pokemons, state_bus), ConnectedEventStore[PokemonEvent, Pokemon])
assert_type(ConnectedEventStore(trainers, states_queue), ConnectedEventStore[TrainerEvent, Trainer])
assert_type(ConnectedEventStore(trainers, states_bus), ConnectedEventStore[TrainerEvent, Trainer])

ConnectedEventStore(trainers, one_queue)  # type: ignore[misc]
ConnectedEventStore(trainers, one_bus)  # type: ignore[misc]
ConnectedEventStore(trainers, state_queue)  # type: ignore[misc]
ConnectedEventStore(trainers, state_bus)  # type: ignore[misc]

connected = ConnectedEventStore(pokemons, one_bus)
store: EventStore[PokemonEvent, Pokemon] = connected
assert_type(connected.event_store, EventStore[PokemonEvent, Pokemon])
NotificationMessageBus("NESTED", source_event_stores=(connected,))


async def push() -> None:
    """Push to a connected store as to any other."""
    assert_type(await connected.push_event(appeared), PushedEvent[PokemonEvent, Pokemon])
    assert_type(
        await EventStore.push_event_group(connected.group_event(appeared)),
        tuple[PushedEvent[PokemonEvent, Pokemon]],
    )
    await connected.push_event(trainer_caught)  # type: ignore[arg-type]


def take_any_channel(queue: NotificationMessageQueue, bus: MessageBus) -> Any:
    """Take whatever comes."""
    return queue.message_channel_id, bus.message_channel_id


take_any_channel(one_queue, exists_bus)
