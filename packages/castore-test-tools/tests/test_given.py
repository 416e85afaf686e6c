"""Scenarios: given some events, when something is done, then this comes of it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from castore_core import (
    LOG_START,
    AggregateCommands,
    AggregateExistsMessage,
    AggregateExistsMessageQueue,
    AggregateNotFoundError,
    ConnectedEventStore,
    Event,
    EventDraft,
    EventPublishError,
    EventStore,
    ForeignEventError,
    LogSlice,
    NotificationMessage,
    NotificationMessageBus,
    PushedEvent,
    StateCarryingMessage,
    StateCarryingMessageBus,
    VersionAssertionError,
    VersionGapError,
    command,
    draft,
    group_command,
    one_existing,
    several_existing,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_test_tools import (
    FrozenClock,
    Given,
    IdGenerator,
    Scenario,
    given,
    mock_event_store,
)
from pokemon import (
    CatchPokemon,
    GameStarted,
    LevelUpPokemon,
    Pokemon,
    PokemonAlreadyCaughtError,
    PokemonAppeared,
    PokemonCaught,
    PokemonEvent,
    PokemonLeveledUp,
    PokemonStore,
    Trainer,
    TrainerCaughtPokemon,
    TrainerStore,
    WildPokemonAppear,
    catch_pokemon,
    level_up_pokemon,
    pokemons,
    trainers,
    wild_pokemon_appear,
)

PIKACHU = "pikachu1"

appeared = PokemonAppeared(aggregate_id=PIKACHU, version=1, payload={"name": "Pikachu", "level": 5})
leveled_up = PokemonLeveledUp(aggregate_id=PIKACHU, version=2)
caught = PokemonCaught(aggregate_id=PIKACHU, version=2, payload={"trainer_id": "ash"})
started = GameStarted(aggregate_id="ash", version=1, payload={"trainer_name": "Ash"})
caught_it = TrainerCaughtPokemon(aggregate_id="ash", version=2, payload={"pokemon_id": PIKACHU})

pokemon_commands = AggregateCommands(pokemons)


@pokemon_commands.handler
def train(pokemon: Pokemon | None, *, levels: int) -> list[EventDraft[PokemonLeveledUp]]:
    """Make a pokemon some levels stronger."""
    if pokemon is None:
        raise LookupError("there is no such pokemon")
    return [PokemonLeveledUp.draft() for _ in range(levels)]


@pokemon_commands.existing_handler
def rest(pokemon: Pokemon, level: int) -> list[EventDraft[PokemonLeveledUp]]:
    """Make a pokemon that exists stronger, up to a level."""
    return [draft(PokemonLeveledUp)] * (level - pokemon.level)


@command("PUSH_AND_FAIL", required_event_stores=(pokemons,))
async def push_and_fail(input: PokemonEvent, event_stores: tuple[PokemonStore]) -> None:
    """Push, and raise afterwards."""
    (pokemons,) = event_stores
    await pokemons.push_event(input)
    raise LookupError("too late")


async def failure_of(scenario: Scenario[Any]) -> str:
    """Return what a scenario fails with."""
    with pytest.raises(AssertionError) as failure:
        await scenario
    return str(failure.value)


# Commands


async def test_a_command_of_several_stores() -> None:
    """All that was pushed counts, over all stores, in its order."""
    await (
        given(pokemons, [appeared])
        .given(trainers, [started])
        .when(catch_pokemon, CatchPokemon(PIKACHU, "ash"))
        .then([caught, caught_it])
    )


async def test_stores_are_given_in_any_order() -> None:
    """The command gets them in the order in which it requires them."""
    await (
        given(trainers, [started])
        .given(pokemons, [appeared])
        .when(catch_pokemon, CatchPokemon(PIKACHU, "ash"))
        .then([caught, caught_it])
    )


async def test_one_store_of_several() -> None:
    """The events that were pushed to one store can be looked at alone."""
    await (
        given(pokemons, [appeared])
        .given(trainers, [started])
        .when(catch_pokemon, CatchPokemon(PIKACHU, "ash"))
        .then([caught_it], event_store=trainers)
        .then([caught], event_store=pokemons)
    )


async def test_a_store_that_was_not_given_is_empty() -> None:
    """A command gets mocks of all the stores that it requires."""
    await (
        given(pokemons, [appeared])
        .when(catch_pokemon, CatchPokemon(PIKACHU, "ash"))
        .then_raises(AggregateNotFoundError, match="'TRAINERS' has no aggregate 'ash'")
    )


async def test_events_of_one_store_may_be_given_in_parts() -> None:
    """Events that are given of a store again are added."""
    await (
        given(pokemons, [appeared])
        .given(pokemons, [leveled_up])
        .then_aggregate(Pokemon(PIKACHU, 2, "Pikachu", 6))
    )


async def test_two_stores_of_one_id() -> None:
    """A command could be given either: that is refused."""
    other = EventStore("POKEMONS", event_types=pokemons.event_types, reduce=pokemons.reduce)
    with pytest.raises(ValueError, match="two event stores were given with the id 'POKEMONS'"):
        await given(pokemons).given(other)


async def test_the_context_of_a_command(new_id: IdGenerator) -> None:
    """Further arguments go to the command, and its result can be checked."""
    await (
        given(pokemons)
        .when(wild_pokemon_appear, WildPokemonAppear("Pikachu", 5), generate_id=new_id)
        .then([PokemonAppeared.draft(payload={"name": "Pikachu", "level": 5})])
        .then_aggregate(Pokemon("id-1", 1, "Pikachu", 5))
        .then_returns("id-1")
    )


async def test_another_result() -> None:
    """Another result than the expected one fails."""
    generate_id: Callable[[], str] = lambda: "eevee1"  # noqa: E731 inference
    scenario = given(pokemons).when(
        wild_pokemon_appear, WildPokemonAppear("Eevee", 1), generate_id=generate_id
    )
    assert "'eevee1' was returned, and not 'pikachu1'" in await failure_of(
        scenario.then_returns(PIKACHU)
    )


async def test_the_real_stores_are_left_alone() -> None:
    """Scenarios play on mocks."""
    adapter = InMemoryEventStorageAdapter()
    seen: list[PushedEvent[PokemonEvent, Pokemon]] = []

    async def remember(pushed_event: PushedEvent[PokemonEvent, Pokemon]) -> None:
        seen.append(pushed_event)

    store = EventStore(
        "POKEMONS",
        event_types=[PokemonAppeared, PokemonCaught, PokemonLeveledUp],
        reduce=pokemons.reduce,
        storage_adapter=adapter,
        on_event_pushed=remember,
    )
    await (
        given(store, [appeared]).when(level_up_pokemon, LevelUpPokemon(PIKACHU)).then([leveled_up])
    )
    assert [] == seen
    assert LogSlice([], LOG_START) == await adapter.read_events()


# Aggregate commands, and reducers


async def test_an_aggregate_command() -> None:
    """An aggregate command runs on a mock of its store."""
    await (
        given(pokemons, [appeared])
        .when(train, PIKACHU, levels=2)
        .then([PokemonLeveledUp.draft(), PokemonLeveledUp.draft()])
        .then_aggregate(Pokemon(PIKACHU, 3, "Pikachu", 7))
        .then_returns(Pokemon(PIKACHU, 3, "Pikachu", 7))
    )


async def test_an_aggregate_command_of_a_store_that_was_not_given() -> None:
    """Its store is empty then."""
    await (
        given(trainers, [started])
        .when(train, PIKACHU, levels=1)
        .then_raises(LookupError, match="no such pokemon")
    )


async def test_a_command_of_an_existing_aggregate() -> None:
    """Its result is the aggregate after it, which is there also when nothing happened."""
    start = given(pokemons, [appeared])
    await (
        start.when(rest, PIKACHU, 7)
        .then([draft(PokemonLeveledUp), draft(PokemonLeveledUp)])
        .then_returns(Pokemon(PIKACHU, 3, "Pikachu", 7))
    )
    await (
        start.when(rest, PIKACHU, level=5).then([]).then_returns(Pokemon(PIKACHU, 1, "Pikachu", 5))
    )
    await start.when(rest, "eevee1", 5).then_raises(AggregateNotFoundError, match="'eevee1'")


@group_command(one_existing(trainers), several_existing(pokemons))
def catch_all(
    trainer: Trainer, wild: Mapping[str, Pokemon]
) -> tuple[list[EventDraft[TrainerCaughtPokemon]], dict[str, EventDraft[PokemonCaught]]]:
    """Let a trainer catch pokemons, in one group."""
    return (
        [draft(TrainerCaughtPokemon, payload={"pokemon_id": each}) for each in wild],
        {each: draft(PokemonCaught, payload={"trainer_id": trainer.aggregate_id}) for each in wild},
    )


async def test_a_group_command() -> None:
    """A group command runs on mocks of its stores, and returns the aggregates after it."""
    await (
        given(pokemons, [appeared])
        .given(trainers, [started])
        .when(catch_all, "ash", [PIKACHU])
        .then([caught_it, caught])
        .then([caught], event_store=pokemons)
        .then_aggregate(Pokemon(PIKACHU, 2, "Pikachu", 5, "ash"))
        .then_returns(
            (
                Trainer("ash", 2, "Ash", (PIKACHU,)),
                {PIKACHU: Pokemon(PIKACHU, 2, "Pikachu", 5, "ash")},
            )
        )
    )


async def test_a_group_command_of_stores_that_were_not_given() -> None:
    """Its stores are empty then."""
    await (
        given(trainers, [started])
        .when(catch_all, "ash", [PIKACHU])
        .then_raises(AggregateNotFoundError, match="'pikachu1'")
    )


async def test_a_command_that_asserts_a_version() -> None:
    """Assertions among the events of a group are about the mocks of the scenario."""

    @command("CATCH", required_event_stores=(pokemons, trainers), event_already_exists_retries=0)
    async def catch(version: int, event_stores: tuple[PokemonStore, TrainerStore]) -> None:
        pokemons, trainers = event_stores
        await EventStore.push_event_group(
            pokemons.group_event(caught), trainers.assert_version("ash", version)
        )

    start = given(pokemons, [appeared]).given(trainers, [started])
    await start.when(catch, 1).then([caught])
    await start.when(catch, 2).then_raises(VersionAssertionError, match="'ash' of event store")


async def test_an_event_that_cannot_follow() -> None:
    """A version is not pushed without the one before, but may be given so."""
    await given(pokemons).when(leveled_up).then_raises(VersionGapError, match="version 2 of")
    third = PokemonLeveledUp(PIKACHU, 3)
    await given(trainers, [caught_it]).given(pokemons, [appeared, leveled_up]).when(third)


async def test_events_are_pushed() -> None:
    """Events in place of a command test a reducer; each goes to its store."""
    await (
        given(pokemons, [appeared])
        .given(trainers)
        .when(leveled_up, started)
        .then([leveled_up, started])
        .then_aggregate(Pokemon(PIKACHU, 2, "Pikachu", 6))
        .then_aggregate(Trainer("ash", 1, "Ash"))
    )


async def test_nothing_is_done() -> None:
    """The given events alone make an aggregate, and are not pushed."""
    await (
        given(pokemons, [appeared, leveled_up])
        .then([])
        .then_aggregate(Pokemon(PIKACHU, 2, "Pikachu", 6))
    )


async def test_an_event_of_no_given_store() -> None:
    """An event that belongs nowhere is refused."""
    with pytest.raises(TypeError, match="no given store has the event type GameStarted"):
        await given(pokemons).when(started)


async def test_an_event_of_several_stores() -> None:
    """So is one that could belong to two stores."""
    other = EventStore("OTHERS", event_types=pokemons.event_types, reduce=pokemons.reduce)
    with pytest.raises(TypeError, match="2 given event stores have the event type PokemonAppe"):
        await given(pokemons).given(other).when(appeared)


def test_what_is_given_is_a_store() -> None:
    """A mistake is told at once, in words."""
    wrong: Any = "POKEMONS"
    with pytest.raises(TypeError, match="not an event store: 'POKEMONS'"):
        given(wrong)
    with pytest.raises(TypeError, match="not an event store: 'POKEMONS'"):
        mock_event_store(wrong)


def test_what_is_expected_are_events() -> None:
    """A class of events is none."""
    wrong: Any = [PokemonLeveledUp]
    with pytest.raises(TypeError, match="neither an event nor a draft: <class"):
        given(pokemons).then(wrong)


def test_neither_a_command_nor_an_event() -> None:
    """When takes commands and events."""
    start: Any = given(pokemons)
    with pytest.raises(TypeError, match=r"a command with its arguments, or events, not 1"):
        start.when(1)


def test_a_command_without_its_input() -> None:
    """A command is called with something."""
    start: Any = given(pokemons)
    with pytest.raises(TypeError, match=r"needs what Command\('LEVEL_UP_POKEMON'\) is called with"):
        start.when(level_up_pokemon)
    with pytest.raises(TypeError, match=r"needs what GroupCommand\('catch_all'\) is called with"):
        start.when(catch_all)


async def test_foreign_events_are_not_given() -> None:
    """Given events are those of their store."""
    foreign: Any = started
    with pytest.raises(ForeignEventError):
        await given(pokemons, [foreign])


# Comparing events


async def test_timestamps_are_ignored(frozen_clock: FrozenClock) -> None:
    """A timestamp is compared only where that is asked for."""
    expected = PokemonLeveledUp(aggregate_id=PIKACHU, version=2)
    frozen_clock.tick()
    scenario = given(pokemons, [appeared]).when(train, PIKACHU, levels=1)

    await scenario.then([expected])
    failure = await failure_of(scenario.then([expected], ignore=()))
    assert "datetime.datetime(2022, 1, 1, 0, 0, 1" in failure
    moved = PokemonLeveledUp(aggregate_id=PIKACHU, version=2)
    await scenario.then([moved], ignore=())


async def test_ids_and_versions_can_be_ignored() -> None:
    """An ignored field may hold anything."""
    other = PokemonLeveledUp(aggregate_id="other", version=9)
    scenario = given(pokemons, [appeared]).when(train, PIKACHU, levels=1)

    await scenario.then([other], ignore=("aggregate_id", "version", "timestamp"))
    assert "version=9" in await failure_of(scenario.then([other], ignore=("timestamp",)))


@pytest.mark.parametrize("ignore", [("payload",), "timestamp", ("timestamp", "")])
async def test_what_cannot_be_ignored(ignore: Any) -> None:
    """A payload is not ignored, and a lone string is a mistake."""
    scenario = given(pokemons)
    with pytest.raises(ValueError, match="ignore is a collection of"):
        scenario.then([], ignore=ignore)
    await scenario


async def test_a_draft_is_compared_by_what_it_says() -> None:
    """A draft says nothing of id and version, and may leave out its payload."""
    scenario = given(pokemons, [appeared]).when(caught)

    await scenario.then([PokemonCaught.draft(payload={"trainer_id": "ash"})])
    await scenario.then([draft(PokemonCaught, payload={"trainer_id": "ash"})])
    await scenario.then([EventDraft(PokemonCaught, {})])
    await scenario.then([EventDraft(PokemonCaught, {"metadata": None})])
    failure = await failure_of(
        scenario.then([PokemonCaught.draft(payload={"trainer_id": "misty"})])
    )
    assert "- PokemonCaught(payload={'trainer_id': 'misty'})" in failure
    assert "+ PokemonCaught(payload={'trainer_id': 'ash'})" in failure
    with pytest.raises(AssertionError, match=r"\- PokemonLeveledUp\(\)"):
        await scenario.then([PokemonLeveledUp.draft()])


async def test_a_draft_holds_what_its_event_would() -> None:
    """A draft is compared as the event that it becomes, which may convert its payload."""

    class Named(Event, type="NAMED"):
        payload: str

        def __post_init__(self) -> None:
            super().__post_init__()
            object.__setattr__(self, "payload", self.payload.upper())

    def reduce_name(_: Pokemon | None, event: Named) -> Pokemon:
        return Pokemon(event.aggregate_id, event.version, event.payload, 1)

    names = EventStore("NAMES", event_types=[Named], reduce=reduce_name)
    scenario = given(names).when(Named(aggregate_id="a", version=1, payload="ash"))
    await scenario.then([Named.draft(payload="ash")])


async def test_a_difference_is_shown_line_by_line() -> None:
    """A line for each event, and marks at what differs."""
    other = PokemonCaught(aggregate_id=PIKACHU, version=2, payload={"trainer_id": "ann"})
    scenario = given(pokemons, [appeared]).given(trainers, [started])
    failure = await failure_of(
        scenario.when(catch_pokemon, CatchPokemon(PIKACHU, "ash")).then([other, caught_it])
    )

    lines = failure.splitlines()
    start = "PokemonCaught(aggregate_id='pikachu1', version=2, payload={'trainer_id': "
    caught_text = (
        "TrainerCaughtPokemon(aggregate_id='ash', version=2, payload={'pokemon_id': 'pikachu1'})"
    )
    assert [
        "the events that were pushed are not those that were expected (- expected, + actual)",
        f"  - {start}'ann'}}, metadata=None)",
        f"  ?{' ' * (len(start) + 3)}^^",
        f"  + {start}'ash'}}, metadata=None)",
        f"  ?{' ' * (len(start) + 3)}^^",
        f"    {caught_text}",
    ] == lines[:6]
    assert "At index 0 diff: PokemonCaught(aggregate_id='pikachu1'" in failure


async def test_missing_and_surplus_events_are_shown() -> None:
    """Events that did not come, and those that nobody expected, are told apart."""
    scenario = given(pokemons, [appeared]).when(train, PIKACHU, levels=1)

    missing = await failure_of(scenario.then([leveled_up, caught]))
    assert "    PokemonLeveledUp(aggregate_id='pikachu1', version=2)\n  - PokemonCaught" in missing
    surplus = await failure_of(scenario.then([]))
    assert "\n  + PokemonLeveledUp(aggregate_id='pikachu1', version=2)\n" in surplus


async def test_order_counts() -> None:
    """The same events in another order are others."""
    scenario = given(pokemons, [appeared]).given(trainers).when(leveled_up, started)
    assert "+ PokemonLeveledUp" in await failure_of(scenario.then([started, leveled_up]))


@pytest.mark.parametrize("level", [True, 1.0])
async def test_numbers_of_another_type_are_others(level: Any) -> None:
    """``True``, ``1`` and ``1.0`` are equal in Python, and not in JSON."""
    one = PokemonAppeared(aggregate_id="p", version=1, payload={"name": "Eevee", "level": 1})
    other = PokemonAppeared(aggregate_id="p", version=1, payload={"name": "Eevee", "level": level})

    await given(pokemons).when(one).then([one])
    assert f"'level': {level}" in await failure_of(given(pokemons).when(one).then([other]))


async def test_events_of_another_class_are_others() -> None:
    """Events are of one class, also where they hold the same."""

    class Twin(Event, type="POKEMON_LEVELED_UP"):
        """Looks like the event of the store."""

    twin = Twin(aggregate_id=PIKACHU, version=2)
    scenario = given(pokemons, [appeared]).when(leveled_up)
    assert "- Twin(" in await failure_of(scenario.then([twin]))


async def test_a_store_that_the_scenario_does_not_have() -> None:
    """To ask for another store is a mistake of the test."""
    with pytest.raises(ValueError, match="the scenario has POKEMONS, but not EventStore"):
        await given(pokemons).then([], event_store=trainers)


# Errors


async def test_an_expected_error() -> None:
    """The error is of the class or one of the classes, and its text matches."""
    scenario = (
        given(pokemons, [appeared, caught])
        .given(trainers, [started])
        .when(catch_pokemon, CatchPokemon(PIKACHU, "ash"))
    )
    await scenario.then_raises(PokemonAlreadyCaughtError)
    await scenario.then_raises((LookupError, PokemonAlreadyCaughtError), match="already belongs")
    assert "does not match 'no such'" in await failure_of(
        scenario.then_raises(PokemonAlreadyCaughtError, match="no such")
    )


async def test_no_error_where_one_was_expected() -> None:
    """A command that goes well fails the scenario, which tells what was pushed."""
    scenario = given(pokemons, [appeared]).when(train, PIKACHU, levels=1)
    failure = await failure_of(scenario.then_raises((LookupError, ValueError)))
    assert "LookupError or ValueError was not raised; pushed was [PokemonLeveledUp(" in failure


async def test_an_unexpected_error() -> None:
    """The error of the command goes through, with a note of the scenario."""
    scenario = given(pokemons, [appeared]).when(train, "missingno", levels=1).then([])
    with pytest.raises(LookupError, match="no such pokemon") as raised:
        await scenario
    (note,) = raised.value.__notes__
    assert (
        "in the scenario given('POKEMONS', [PokemonAppeared])"
        ".when(AggregateCommand('train')).then(...)"
    ) == note


async def test_another_error_than_the_expected_one() -> None:
    """Of another class, it is unexpected."""
    scenario = given(pokemons).when(train, PIKACHU, levels=1)
    with pytest.raises(LookupError, match="no such pokemon") as raised:
        await scenario.then_raises(ValueError)
    assert 1 == len(raised.value.__notes__)


async def test_each_expected_error_counts() -> None:
    """An error that is one of those expected, and not the other, fails the scenario."""
    scenario = given(pokemons).when(train, PIKACHU, levels=1).then_raises(LookupError)
    failure = await failure_of(scenario.then_raises(ValueError))
    assert "LookupError('there is no such pokemon') was raised, and not ValueError" in failure


async def test_a_command_that_raises_returns_nothing() -> None:
    """Not even `None`."""
    scenario: Scenario[Any] = given(pokemons).when(train, PIKACHU, levels=1)
    failure = await failure_of(scenario.then_raises(LookupError).then_returns(None))
    assert "LookupError('there is no such pokemon') was raised, and nothing was returned" in failure


async def test_a_misused_scenario_raises_no_expected_error() -> None:
    """A complaint of the scenario itself does not pass for an error of the command."""
    with pytest.raises(TypeError, match="no given store has the event type GameStarted"):
        await given(pokemons).when(started).then_raises(TypeError)


async def test_nothing_is_written_by_a_command_that_raises() -> None:
    """Events that were pushed before the error fail the scenario, unless they are expected."""
    scenario = given(pokemons, [appeared]).when(push_and_fail, leveled_up)

    failure = await failure_of(scenario.then_raises(LookupError))
    assert "LookupError was raised, but events had been pushed" in failure
    assert "+ PokemonLeveledUp(" in failure
    await scenario.then_raises(LookupError).then([leveled_up])


# Aggregates


async def test_another_aggregate() -> None:
    """The difference is shown."""
    failure = await failure_of(
        given(pokemons, [appeared]).then_aggregate(Pokemon(PIKACHU, 1, "Pikachu", 6))
    )
    assert "the aggregate 'pikachu1' is another one" in failure
    assert "level: 6 != 5" in failure


async def test_no_aggregate() -> None:
    """Where the aggregate is not there, the failure says so."""
    failure = await failure_of(given(pokemons).then_aggregate(Pokemon(PIKACHU, 1, "Pikachu", 6)))
    assert "there is no aggregate 'pikachu1'" in failure


async def test_aggregates_are_found_by_their_class() -> None:
    """Two stores may have an aggregate of one id."""
    namesake = GameStarted(aggregate_id=PIKACHU, version=1, payload={"trainer_name": "Ash"})
    scenario = given(trainers, [namesake]).given(pokemons, [appeared])

    await scenario.then_aggregate(Pokemon(PIKACHU, 1, "Pikachu", 5))
    await scenario.then_aggregate(Trainer(PIKACHU, 1, "Ash"), event_store=trainers)
    failure = await failure_of(
        scenario.then_aggregate(Trainer(PIKACHU, 1, "Ash"), event_store=pokemons)
    )
    assert "== Pokemon(" in failure


async def test_aggregates_of_one_class_in_two_stores() -> None:
    """Where the class does not say which store is meant, the test has to."""
    other = EventStore(
        "OTHERS",
        event_types=[PokemonAppeared, PokemonCaught, PokemonLeveledUp],
        reduce=pokemons.reduce,
    )
    pikachu = Pokemon(PIKACHU, 1, "Pikachu", 5)
    scenario = given(pokemons, [appeared]).given(other, [appeared])
    with pytest.raises(TypeError, match="say which is meant with event_store="):
        await scenario.then_aggregate(pikachu)
    await scenario.then_aggregate(pikachu, event_store=other)


# Messages


async def test_published_messages() -> None:
    """A connected store publishes to a recorded channel; events are compared as elsewhere."""
    bus = NotificationMessageBus("BUS", source_event_stores=(pokemons,))
    scenario = given(ConnectedEventStore(pokemons, bus), [appeared]).when(
        level_up_pokemon, LevelUpPokemon(PIKACHU)
    )
    later = PokemonLeveledUp(
        aggregate_id=PIKACHU, version=2, timestamp=datetime(2030, 1, 1, tzinfo=UTC)
    )

    await scenario.then([leveled_up]).then_published([NotificationMessage("POKEMONS", later)])
    failure = await failure_of(scenario.then_published([NotificationMessage("POKEMONS", caught)]))
    assert "- NotificationMessage(event_store_id='POKEMONS', event=PokemonCaught(" in failure
    assert "+ NotificationMessage(event_store_id='POKEMONS', event=PokemonLeveledUp(" in failure
    failure = await failure_of(
        scenario.then_published([NotificationMessage("POKEMONS", later)], ignore=())
    )
    assert "2030" in failure


async def test_published_states() -> None:
    """The state in a message is compared, too."""
    bus = StateCarryingMessageBus("BUS", source_event_stores=(pokemons,))
    scenario = given(ConnectedEventStore(pokemons, bus), [appeared]).when(train, PIKACHU, levels=1)
    right = Pokemon(PIKACHU, 2, "Pikachu", 6)
    wrong = Pokemon(PIKACHU, 2, "Pikachu", 7)

    await scenario.then_published([StateCarryingMessage("POKEMONS", leveled_up, right)])
    failure = await failure_of(
        scenario.then_published([StateCarryingMessage("POKEMONS", leveled_up, wrong)])
    )
    assert "level=7" in failure


async def test_published_existence() -> None:
    """The timestamp of an aggregate is one, too."""
    queue = AggregateExistsMessageQueue("QUEUE", source_event_stores=(pokemons,))
    scenario = given(ConnectedEventStore(pokemons, queue)).when(appeared)
    moment = appeared.timestamp + timedelta(days=1)
    message = AggregateExistsMessage("POKEMONS", PIKACHU, moment)

    await scenario.then_published([message])
    assert "initial_event_timestamp" in await failure_of(
        scenario.then_published([message], ignore=())
    )


async def test_messages_of_one_store_of_several() -> None:
    """The messages of one store can be looked at alone."""
    bus = NotificationMessageBus("BUS", source_event_stores=(pokemons, trainers))
    connected = ConnectedEventStore(trainers, bus), ConnectedEventStore(pokemons, bus)
    scenario = (
        given(connected[0], [started])
        .given(connected[1], [appeared])
        .when(catch_pokemon, CatchPokemon(PIKACHU, "ash"))
    )
    of_trainers = NotificationMessage("TRAINERS", caught_it)
    of_pokemons = NotificationMessage("POKEMONS", caught)

    await scenario.then_published([of_trainers], event_store=trainers)
    await scenario.then_published([of_trainers, of_pokemons])


async def test_messages_without_a_connected_store() -> None:
    """Where nothing is connected, to ask for messages is a mistake of the test."""
    with pytest.raises(TypeError, match="no connected event store"):
        await given(pokemons).then_published([])


async def test_an_error_of_the_callback_of_a_command() -> None:
    """Errors that follow a write leave the event written."""

    @command("FAIL_TO_PUBLISH", required_event_stores=(pokemons,))
    async def fail_to_publish(input: str, event_stores: tuple[PokemonStore]) -> None:
        (store,) = event_stores
        mock: Any = store
        mock.channel_adapter.fail_next(input)
        await store.push_event(leveled_up)

    bus = NotificationMessageBus("BUS", source_event_stores=(pokemons,))
    await (
        given(ConnectedEventStore(pokemons, bus), [appeared])
        .when(fail_to_publish, "no network")
        .then_raises(EventPublishError, match="is stored")
        .then([leveled_up])
        .then_published([])
    )


# Awaiting


async def test_scenarios_go_on_from_one_another() -> None:
    """Each step is a scenario of its own; awaiting one runs it on new mocks."""
    start = given(pokemons, [appeared])
    trained = start.when(train, PIKACHU, levels=1)

    for _ in range(2):
        await trained.then([leveled_up])
    await start.when(train, PIKACHU, levels=0).then([])
    await trained


async def test_awaiting_runs_the_command_once() -> None:
    """However many expectations there are."""
    runs: list[int] = []

    @command("COUNT", required_event_stores=(pokemons,))
    async def count(input: int, event_stores: tuple[PokemonStore]) -> int:
        runs.append(input)
        return input * len(event_stores)

    await given(pokemons).when(count, 7).then([]).then([]).then_returns(7)
    assert [7] == runs


async def test_steps_are_readable() -> None:
    """The text of a scenario tells its steps."""
    first = given(pokemons, [appeared]).given(trainers)
    assert isinstance(first, Given)
    second = first.when(caught, started).then_raises(LookupError).then_returns(None)
    third = second.then_aggregate(Pokemon(PIKACHU, 1, "", 1)).then_published([])
    assert (
        "given('POKEMONS', [PokemonAppeared]).given('TRAINERS', [])"
        ".when(PokemonCaught, GameStarted).then_raises(...).then_returns(...)"
        ".then_aggregate(...).then_published(...)"
    ) == repr(third)
    assert "LookupError was not raised" in await failure_of(third)
