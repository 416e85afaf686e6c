"""Pushes collide on purpose, and what runs again after a conflict can be tested."""

import asyncio
import pickle
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from castore_core import (
    AggregateCommands,
    CastoreError,
    ConflictAttempt,
    ConnectedEventStore,
    EventAlreadyExistsError,
    EventDraft,
    EventStore,
    NotificationMessage,
    NotificationMessageQueue,
    VersionAssertionError,
    command,
)
from castore_test_tools import (
    MockConnectedEventStore,
    MockEventStore,
    RaceError,
    mock_event_store,
    race,
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
    TrainerEvent,
    catch_pokemon,
    level_up_pokemon,
    pokemons,
    trainers,
)

PIKACHU = "pikachu1"

appeared = PokemonAppeared(aggregate_id=PIKACHU, version=1, payload={"name": "Pikachu", "level": 5})

PokemonMock = MockEventStore[PokemonEvent, Pokemon]
TrainerMock = MockEventStore[TrainerEvent, Trainer]


@pytest.fixture
def pokemon_mock() -> PokemonMock:
    """Return a store with Pikachu."""
    return mock_event_store(pokemons, [appeared])


@pytest.fixture
def trainer_mock() -> TrainerMock:
    """Return a store with two trainers."""
    names = ("ash", "misty")
    return mock_event_store(
        trainers,
        [
            GameStarted(aggregate_id=each, version=1, payload={"trainer_name": each})
            for each in names
        ],
    )


def level_up(version: int, aggregate_id: str = PIKACHU) -> PokemonLeveledUp:
    """Return an event."""
    return PokemonLeveledUp(aggregate_id=aggregate_id, version=version)


def appear(aggregate_id: str) -> PokemonAppeared:
    """Return an event."""
    return PokemonAppeared(aggregate_id, 1, payload={"name": "Eevee", "level": 1})


async def versions(store: PokemonStore) -> list[int]:
    """Return the versions of Pikachu."""
    return [each.version for each in await store.get_events(PIKACHU)]


async def test_commands_collide_and_run_again(pokemon_mock: PokemonMock) -> None:
    """Of three, one wins; the others meet a conflict, and then go on without waiting."""
    async with race(pokemon_mock, 3) as raced:
        await asyncio.gather(
            *(level_up_pokemon(LevelUpPokemon(PIKACHU), (pokemon_mock,)) for _ in range(3))
        )
    conflicts = [each.version for each in raced.conflicts]
    assert [2, 2] == conflicts[:2]
    assert [1, 2, 3, 4] == await versions(pokemon_mock)


async def test_without_a_race_they_may_not_collide(pokemon_mock: PokemonMock) -> None:
    """Commands that run one after the other, as they might, need no retry."""
    attempts: list[ConflictAttempt] = []

    @command(
        "LEVEL_UP",
        required_event_stores=(pokemons,),
        on_event_already_exists=lambda _, attempt: attempts.append(attempt),
    )
    async def level_up_slowly(delay: float, event_stores: tuple[PokemonStore]) -> None:
        (store,) = event_stores
        await asyncio.sleep(delay)
        loaded = await store.get_existing_aggregate(PIKACHU)
        await store.push_event(level_up(loaded.aggregate.version + 1))

    async def run_both() -> None:
        await asyncio.gather(*(level_up_slowly(each, (pokemon_mock,)) for each in (0, 0.02)))

    await run_both()
    assert [] == attempts
    async with race(pokemon_mock, 2) as raced:
        await run_both()
    assert [ConflictAttempt(1, 20)] == attempts
    assert 1 == len(raced.conflicts)
    assert [1, 2, 3, 4, 5] == await versions(pokemon_mock)


async def test_no_retries(pokemon_mock: PokemonMock) -> None:
    """A command that does not run again fails in a race."""
    commands = AggregateCommands(pokemon_mock, event_already_exists_retries=0)

    @commands.handler
    def train(_: Pokemon | None) -> EventDraft[PokemonLeveledUp]:
        return PokemonLeveledUp.draft()

    async with race(pokemon_mock, 2) as raced:
        outcomes = await asyncio.gather(train(PIKACHU), train(PIKACHU), return_exceptions=True)

    assert Pokemon(PIKACHU, 2, "Pikachu", 6) == outcomes[0]
    assert raced.conflicts == [outcomes[1]]


async def test_aggregate_commands_collide(pokemon_mock: PokemonMock) -> None:
    """The pushes of aggregate commands are groups."""
    commands = AggregateCommands(pokemon_mock)

    @commands.handler
    def train(_: Pokemon | None, *, levels: int) -> list[EventDraft[PokemonLeveledUp]]:
        return [PokemonLeveledUp.draft()] * levels

    async with race(pokemon_mock, 2) as raced:
        outcomes = await asyncio.gather(train(PIKACHU, levels=2), train(PIKACHU, levels=3))

    assert [3, 6] == [each.version for each in outcomes if each]
    assert 1 == len(raced.conflicts)


@pytest.mark.parametrize("raced_store", ["pokemons", "trainers"])
async def test_groups_over_several_stores_collide(
    pokemon_mock: PokemonMock, trainer_mock: TrainerMock, raced_store: str
) -> None:
    """A race is about a group if one of its events, the first or not, is of the store."""
    stores = pokemon_mock, trainer_mock
    store: MockEventStore = pokemon_mock if raced_store == "pokemons" else trainer_mock
    async with race(store, 2) as raced:
        outcomes = await asyncio.gather(
            catch_pokemon(CatchPokemon(PIKACHU, "ash"), stores),
            catch_pokemon(CatchPokemon(PIKACHU, "misty"), stores),
            return_exceptions=True,
        )

    assert outcomes[0] is None
    assert isinstance(outcomes[1], PokemonAlreadyCaughtError)
    assert ["POKEMONS"] == [each.event_store_id for each in raced.conflicts]
    (event,) = (await pokemon_mock.get_events(PIKACHU))[1:]
    assert isinstance(event, PokemonCaught)
    assert {"trainer_id": "ash"} == event.payload


async def test_a_single_push_and_a_group_collide(pokemon_mock: PokemonMock) -> None:
    """The pushes go on in the order in which they came."""

    async def push_group() -> None:
        await EventStore.push_event_group(pokemon_mock.group_event(level_up(2)))

    async with race(pokemon_mock, 2):
        outcomes = await asyncio.gather(
            push_group(), pokemon_mock.push_event(level_up(2)), return_exceptions=True
        )
    assert outcomes[0] is None
    assert isinstance(outcomes[1], EventAlreadyExistsError)


async def test_groups_that_assert_each_other_collide(
    pokemon_mock: PokemonMock, trainer_mock: TrainerMock
) -> None:
    """A race is about a group, too, if it asserts a version of the store."""

    async def catch() -> None:
        caught = PokemonCaught(PIKACHU, 2, payload={"trainer_id": "ash"})
        await EventStore.push_event_group(
            pokemon_mock.group_event(caught), trainer_mock.assert_version("ash", 1)
        )

    async def retire() -> None:
        retired = TrainerCaughtPokemon("ash", 2, payload={"pokemon_id": "last"})
        await EventStore.push_event_group(
            trainer_mock.group_event(retired), pokemon_mock.assert_version(PIKACHU, 1)
        )

    async with race(trainer_mock, 2) as raced:
        outcomes = await asyncio.gather(catch(), retire(), return_exceptions=True)
    assert [None, VersionAssertionError] == [each and type(each) for each in outcomes]
    assert raced.conflicts == [outcomes[1]]
    assert [1] == [each.version for each in await trainer_mock.get_events("ash")]


async def test_each_push_is_through_before_the_next(pokemon_mock: PokemonMock) -> None:
    """They go on one after the other, so that a storage is not asked for more than that."""
    log: list[str] = []
    adapter = pokemon_mock.get_storage_adapter()

    class Logging:
        async def push_event(self, *args: Any, **options: Any) -> None:
            log.append("begin")
            await asyncio.sleep(0.001)
            await adapter.push_event(*args, **options)
            log.append("end")

    logging: Any = Logging()
    pokemon_mock.storage_adapter = logging
    async with race(pokemon_mock, 3):
        await asyncio.gather(
            *(pokemon_mock.push_event(appear(f"eevee{each}")) for each in range(3))
        )
    assert ["begin", "end"] * 3 == log
    assert logging is pokemon_mock.storage_adapter


async def test_connected_stores_collide() -> None:
    """The event that wins is published, and the one that does not is not."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(pokemons,))
    mock = mock_event_store(ConnectedEventStore(pokemons, queue), [appeared])
    async with race(mock, 2) as raced:
        await asyncio.gather(
            *(level_up_pokemon(LevelUpPokemon(PIKACHU), (mock,)) for _ in range(2))
        )
    assert isinstance(mock, MockConnectedEventStore)
    assert 1 == len(raced.conflicts)
    assert [2, 3] == [
        each.event.version for each in mock.published if isinstance(each, NotificationMessage)
    ]


async def test_a_race_is_about_the_storage(pokemon_mock: PokemonMock) -> None:
    """A connected store and its original write to one place; other stores do not."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(pokemons,))
    mock = mock_event_store(ConnectedEventStore(pokemons, queue), [appeared])
    async with race(mock.event_store, 2) as raced:
        await pokemon_mock.push_event(level_up(2))
        outcomes = await asyncio.gather(
            mock.push_event(level_up(2)),
            mock.event_store.push_event(level_up(2)),
            return_exceptions=True,
        )
    assert raced.conflicts == [outcomes[1]]


async def test_two_races_at_once(pokemon_mock: PokemonMock, trainer_mock: TrainerMock) -> None:
    """Races may overlap, and end in any order."""
    other = mock_event_store(pokemons, [appeared])
    first_ended = asyncio.Event()

    async def race_on(store: PokemonStore, begin: Awaitable[Any], end: Awaitable[Any]) -> int:
        await begin
        async with race(store, 2) as raced:
            await asyncio.gather(
                *(level_up_pokemon(LevelUpPokemon(PIKACHU), (store,)) for _ in range(2))
            )
            await end
        first_ended.set()
        return len(raced.conflicts)

    counts = await asyncio.gather(
        race_on(pokemon_mock, asyncio.sleep(0), asyncio.sleep(0.01)),
        race_on(other, asyncio.sleep(0.002), first_ended.wait()),
    )
    assert [1, 1] == counts
    await trainer_mock.push_event(
        GameStarted(aggregate_id="brock", version=1, payload={"trainer_name": "Brock"})
    )


async def test_pushes_are_as_before_afterwards(pokemon_mock: PokemonMock) -> None:
    """A race leaves nothing behind, also after an error."""
    before = dict(vars(EventStore))

    async def fail() -> None:
        async with race(pokemon_mock, 2):
            assert before != dict(vars(EventStore))
            raise LookupError("within")

    with pytest.raises(LookupError, match="within"):
        await fail()
    assert before == dict(vars(EventStore))


async def test_fewer_pushes_than_expected(pokemon_mock: PokemonMock) -> None:
    """Those that wait are told how many came, and nothing was written."""
    outcomes: list[Any] = []

    async def race_of_two() -> None:
        async with race(pokemon_mock, 3, timeout=0.05):
            pushes = [pokemon_mock.push_event(level_up(each)) for each in (2, 3)]
            outcomes.extend(await asyncio.gather(*pushes, return_exceptions=True))

    start = time.monotonic()
    with pytest.raises(RaceError) as raised:
        await race_of_two()
    assert [RaceError, RaceError] == [type(each) for each in outcomes]
    assert time.monotonic() - start < 2
    assert "3 pushes to event store 'POKEMONS' were to collide, but 2 came" == str(raised.value)
    assert [1] == await versions(pokemon_mock)


async def test_the_error_of_those_who_wait_goes_through(pokemon_mock: PokemonMock) -> None:
    """Nobody has to look for it."""
    with pytest.raises(RaceError, match="but 1 came"):
        async with race(pokemon_mock, 2, timeout=0.01):
            await level_up_pokemon(LevelUpPokemon(PIKACHU), (pokemon_mock,))


async def test_a_push_that_comes_too_late(pokemon_mock: PokemonMock) -> None:
    """It did not collide with anything, and so fails as well."""
    outcomes: list[Any] = []

    async def push_one_after_the_other() -> None:
        async with race(pokemon_mock, 2, timeout=0.01):
            for version in (2, 2):
                push = pokemon_mock.push_event(level_up(version))
                outcomes.extend(await asyncio.gather(push, return_exceptions=True))

    with pytest.raises(RaceError, match="but 1 came"):
        await push_one_after_the_other()
    message = "2 pushes to event store 'POKEMONS' were to collide, but 1 came"
    assert [message] * 2 == [str(each) for each in outcomes]


async def test_no_push_at_all(pokemon_mock: PokemonMock) -> None:
    """A race that nobody came to is an error at its end."""
    with pytest.raises(RaceError, match="but 0 came"):
        async with race(pokemon_mock, 2):
            await pokemon_mock.get_events(PIKACHU)


async def test_pushes_that_still_wait_at_the_end(pokemon_mock: PokemonMock) -> None:
    """They fail, rather than wait on."""
    tasks: list[asyncio.Future[Any]] = []

    async def leave_one_behind() -> None:
        async with race(pokemon_mock, 2):
            tasks.append(asyncio.ensure_future(pokemon_mock.push_event(level_up(2))))
            await asyncio.sleep(0)

    with pytest.raises(RaceError, match="but 1 came"):
        await leave_one_behind()
    with pytest.raises(RaceError, match="but 1 came"):
        await tasks[0]


async def test_a_push_that_is_cancelled(pokemon_mock: PokemonMock) -> None:
    """Others do not wait for it."""
    async with race(pokemon_mock, 2):
        task = asyncio.ensure_future(pokemon_mock.push_event(level_up(2)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await pokemon_mock.push_event(level_up(2))
    assert [1, 2] == await versions(pokemon_mock)


@pytest.mark.parametrize("n", [0, -1])
async def test_a_race_of_nobody(pokemon_mock: PokemonMock, n: int) -> None:
    """A race is of one push or more."""
    with pytest.raises(ValueError, match="1 or more"):
        async with race(pokemon_mock, n):
            raise AssertionError


async def test_a_race_of_one(pokemon_mock: PokemonMock) -> None:
    """One push waits for nobody."""
    async with race(pokemon_mock, 1) as raced:
        await pokemon_mock.push_event(level_up(2))
    assert [] == raced.conflicts


def test_the_error_pickles() -> None:
    """As all errors do."""
    error = RaceError("POKEMONS", 3, 2)
    loaded = pickle.loads(pickle.dumps(error))  # noqa: S301 our own
    assert (str(error), 3, 2) == (str(loaded), loaded.expected, loaded.came)


async def push_no_group(store: Any) -> None:
    """Push what is no event of a group."""
    await EventStore.push_event_group(store)


async def push_foreign_event(store: Any) -> None:
    """Push what is no event of the store."""
    await store.push_event(
        GameStarted(aggregate_id="ash", version=1, payload={"trainer_name": "Ash"})
    )


@pytest.mark.parametrize("refused", [push_no_group, push_foreign_event])
async def test_refused_pushes(
    pokemon_mock: PokemonMock, refused: Callable[[Any], Awaitable[Any]]
) -> None:
    """A push that no store takes raises the same error as without a race."""
    with pytest.raises((TypeError, CastoreError)) as outside:
        await refused(pokemon_mock)
    async with race(pokemon_mock, 1):
        with pytest.raises((TypeError, CastoreError)) as within:
            await refused(pokemon_mock)
        await pokemon_mock.push_event(level_up(2))
    assert repr(outside.value) == repr(within.value)


async def test_pushes_of_several_event_loops(pokemon_mock: PokemonMock) -> None:
    """They could not wait for each other, and are refused rather than left to hang."""

    def push_elsewhere() -> None:
        asyncio.run(level_up_pokemon(LevelUpPokemon(PIKACHU), (pokemon_mock,)))

    async with race(pokemon_mock, 1):
        with pytest.raises(RuntimeError, match="several event loops"):
            await asyncio.to_thread(push_elsewhere)
        await pokemon_mock.push_event(level_up(2))
    assert [1, 2] == await versions(pokemon_mock)
