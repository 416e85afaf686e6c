"""Where projections begin, and which may run beside each other."""

import asyncio
from typing import Any, cast

import pytest

from accounts import Closed, Deposited, Opened, World, make_accounts
from castore_core import Event, EventStore, StorageError
from castore_in_memory import InMemoryEventStorageAdapter
from castore_projections import (
    PartitionsChangedError,
    Projection,
    ProjectionBusyError,
    ProjectionContext,
    ProjectionRetiredError,
    ProjectionWaitTimeoutError,
)
from castore_projections._keys import find_partition, make_key


async def test_tail_stream(world: World) -> None:
    """The first start pins the bookmark to the end of the log; a later one goes on there."""
    await world.push("a", 1)
    projection = world.project(tail_stream=True)
    assert 0 == await projection.run_once()
    await world.push("a", 2)
    assert 1 == await world.project(tail_stream=True).run_once()
    assert {"a": 2} == await world.read()


async def test_tail_stream_skips_nothing_after_the_start(world: World) -> None:
    """Events that are pushed once the projection has been entered are handled."""
    await world.push("a", 1)
    async with world.project(tail_stream=True, poll_interval=0.05) as projection:
        await world.push("a", 2)
        await projection.wait_for(Deposited("a", 3, payload={"amount": 2}))
    assert {"a": 2} == await world.read()


async def test_always_tail_stream(world: World) -> None:
    """Each start passes over the events that came while it did not run."""
    await world.push("a", 1)
    assert 0 == await world.project(always_tail_stream=True).run_once()
    await world.push("a", 2)
    async with world.project(always_tail_stream=True, poll_interval=0.05) as projection:
        await world.push("a", 4)
        await projection.wait_for(Deposited("a", 4, payload={"amount": 4}))
    assert {"a": 4} == await world.read()


async def test_stores_of_others_are_left_alone(world: World) -> None:
    """Events of stores that are not its own are not handled, and bring the bookmark on."""
    projection = world.project()
    await world.push("a", 1, store=world.others)
    assert 0 == await projection.run_once()
    assert 0 == (await projection.status()).events_behind
    assert {} == await world.read()


async def test_several_stores(world: World) -> None:
    """The handlers of a class get its events from all stores, and know from which."""
    stores: list[tuple[str, str]] = []
    projection = world.project(event_stores=[world.accounts, world.others])

    @projection.on(Opened)
    async def note(event: Opened, context: ProjectionContext[Any]) -> None:
        stores.append((context.event_store_id, event.aggregate_id))

    await world.push("a", 1)
    await world.push("a", 1, store=world.others)
    await projection.run_once()
    assert [("ACCOUNTS", "a"), ("OTHERS", "a")] == stores


async def test_one_runs_at_a_time(world: World) -> None:
    """`run_once` refuses while another one runs, and tells which."""
    async with world.project(poll_interval=0.05):
        await asyncio.sleep(0.2)
        with pytest.raises(ProjectionBusyError) as caught:
            await world.project().run_once()
        assert caught.value.owner
    await world.project().run_once()


async def test_one_object_runs_once_at_a_time(world: World) -> None:
    """A projection that runs cannot be run; after its end it can."""
    projection = world.project(poll_interval=0.05)
    async with projection:
        with pytest.raises(RuntimeError, match="runs already"):
            await projection.run()
    async with projection:
        await world.push("a", 1)
        await projection.wait_for(Deposited("a", 2, payload={"amount": 1}))


async def test_stand_by_takes_over(world: World) -> None:
    """Of two that run, the one without the lease goes on when the other one ends."""
    first, second = world.project(poll_interval=0.05), world.project(poll_interval=0.05)
    async with second:
        async with first:
            await world.push("a", 1)
            await second.wait_for(Deposited("a", 2, payload={"amount": 1}))
        await world.push("a", 2)
        await second.wait_for(Deposited("a", 3, payload={"amount": 2}))
    assert {"a": 3} == await world.read()


async def test_partitions_do_not_change(world: World) -> None:
    """Another number of partitions is refused: it would begin anew."""
    await world.project(partitions=2).run_once()
    with pytest.raises(PartitionsChangedError) as caught:
        await world.project(partitions=3).run_once()
    assert (2, 3) == (caught.value.started, caught.value.given)


async def test_names_are_apart(world: World) -> None:
    """Projections whose names look alike have bookmarks of their own."""
    await world.push("a", 1)
    for name in ("a", "a/b", "a%2Fb", "a/v1"):
        assert 1 == await world.project(name).run_once()


async def test_retired_versions_refuse(world: World) -> None:
    """A version that was replaced handles nothing, and ends by itself."""
    old = world.project()
    await old.run_once()
    await world.project(version=2).switch()
    await world.push("a", 1)

    with pytest.raises(ProjectionRetiredError):
        await old.run_once()
    async with asyncio.timeout(5):
        await old.run()
    assert {} == await world.read()


async def test_running_version_retires(world: World) -> None:
    """A switch lets the running version pause, and end."""
    old = asyncio.create_task(world.project(poll_interval=0.05).run())
    await asyncio.sleep(0.1)
    await world.push("a", 1)
    await world.project(version=2).switch(timeout=10)
    async with asyncio.timeout(5):
        await old


async def test_switch_with_other_partitions(world: World) -> None:
    """Events are replays exactly if the old version has handled them, however it was split."""
    old = world.project(partitions=2)
    for number in range(8):
        await world.push(f"a{number}", 1)
    await old.run_once()
    replays: dict[str, bool] = {}
    new = world.project(version=2, partitions=3)

    @new.on(Opened)
    async def note(event: Opened, context: ProjectionContext[Any]) -> None:
        replays[event.aggregate_id] = context.is_replay

    for number in range(8, 16):
        await world.push(f"a{number}", 1)
    await new.switch()
    await new.run_once()
    assert {f"a{number}": number < 8 for number in range(16)} == replays


async def test_wait_for_times_out(world: World) -> None:
    """Waiting ends with an error of its own."""
    projection = world.project()
    await world.push("a", 1)
    with pytest.raises(ProjectionWaitTimeoutError) as caught:
        await projection.wait_for(Deposited("a", 2, payload={"amount": 1}), timeout=0.05)
    assert ("a", 2) == (caught.value.aggregate_id, caught.value.version)


async def test_wait_for_an_event_that_is_not_stored(world: World) -> None:
    """An event that nobody pushed is refused at once."""
    with pytest.raises(ValueError, match="has no event 7"):
        await world.project().wait_for(Closed("a", 7))


async def test_wait_for_needs_one_store(world: World) -> None:
    """Where two stores have the class, the store has to be given."""
    projection = world.project(event_stores=[world.accounts, world.others])
    await world.push("a", 1)
    await projection.run_once()
    with pytest.raises(ValueError, match="2 event stores"):
        await projection.wait_for(Opened("a", 1))
    assert await projection.wait_for(Opened("a", 1), event_store=world.accounts)


async def test_reset_waits_for_runners(world: World) -> None:
    """A reset lets the running projection pause, and it goes on from the start."""
    projection = world.project(poll_interval=0.05, on_clear=world.clear)
    async with projection:
        await world.push("a", 1)
        await projection.wait_for(Deposited("a", 2, payload={"amount": 1}))
        await world.project(on_clear=world.clear).reset(timeout=10)
        await projection.wait_for(Deposited("a", 2, payload={"amount": 1}))
    assert {"a": 1} == await world.read()


async def test_tables_that_are_missing_are_told_at_once(world: World) -> None:
    """A storage that does not answer at the start raises, instead of being tried again."""

    class Broken:
        """Bookmarks whose table is missing."""

        async def get_bookmark(self, _bookmark_id: str) -> None:
            """Raise."""
            raise StorageError("no table")

    projection = world.project(bookmarks=Broken())
    with pytest.raises(StorageError, match="no table"):
        await projection.run()


def test_arguments_are_checked(world: World) -> None:
    """Arguments that cannot work are refused when the projection is made."""
    stores = [world.accounts]
    make: Any = Projection
    wrong: list[dict[str, Any]] = [
        {"name": ""},
        {"version": 0},
        {"partitions": 0},
        {"batch_size": 0},
        {"max_attempts": 0},
        {"poll_interval": 0},
        {"event_stores": []},
        {"event_stores": [world.accounts, world.accounts]},
    ]
    for options in wrong:
        with pytest.raises(ValueError, match=r"."):
            make(**{"name": "a", "event_stores": stores, "bookmarks": world.bookmarks, **options})


def test_handlers_are_checked(world: World) -> None:
    """A handler that is no coroutine function, or has a foreign event, is refused."""
    projection = world.project()

    class Foreign(Event, type="FOREIGN"):
        """An event of no store here."""

    with pytest.raises(TypeError, match="async function"):
        projection.on(Opened)(cast("Any", print))
    with pytest.raises(ValueError, match="has <class"):

        @projection.on(Foreign)
        async def note(event: Foreign, context: ProjectionContext[Any]) -> None:
            raise NotImplementedError


async def test_stores_need_one_log(world: World) -> None:
    """Stores on two adapters have no common order, unless a log is given."""
    apart = make_accounts(InMemoryEventStorageAdapter(), "APART")
    with pytest.raises(ValueError, match="different storage adapters"):
        await world.project(event_stores=[world.accounts, apart]).run_once()


async def test_storage_without_a_log(world: World) -> None:
    """A storage that has no log is refused with a hint to messages."""
    store: EventStore[Any, Any] = make_accounts(cast("Any", object()))
    with pytest.raises(TypeError, match="hand the messages"):
        await world.project(event_stores=[store]).run_once()


def test_keys_are_injective() -> None:
    """No two lists of parts are one key."""
    keys = [("a", "b-c"), ("a-b", "c"), ("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c"), ("a", "b", "c")]
    assert len(keys) == len({make_key(*each) for each in keys})


def test_partitions_are_known_forever() -> None:
    """The partition of an aggregate never changes: bookmarks depend on it."""
    found = [find_partition("POKEMONS", f"pikachu{number}", 5) for number in range(8)]
    assert [find_partition("POKEMONS", f"pikachu{number}", 5) for number in range(8)] == found
    assert {0, 1, 2, 3, 4} == {find_partition("P", str(number), 5) for number in range(99)}
