"""A handler with an idempotency key pushes into a unit of work, which is written at its end."""

from typing import Any

import pytest

from castore_core import (
    COMMANDS_STORE_ID,
    Command,
    Event,
    EventAlreadyExistsError,
    EventStore,
    VersionAssertionError,
    VersionGapError,
)
from counters import (
    Counted,
    Counter,
    Handler,
    Storage,
    Store,
    count_one,
    get_versions,
    make_command,
    make_store,
)


@pytest.fixture
def storage() -> Storage:
    """Give an empty storage."""
    return Storage()


@pytest.fixture
def store(storage: Storage) -> Store:
    """Give a store."""
    return make_store(storage)


async def run(store: Store, handler: Handler, key: str = "a", **options: Any) -> Any:
    """Run a handler once, with a key."""
    return await make_command(store, handler, **options).with_idempotency_key(key)("c", (store,))


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"reverse": True}, [4, 3, 2, 1]),
        ({"limit": 3}, [1, 2, 3]),
        ({"limit": 1, "reverse": True}, [4]),
        ({"min_version": 2, "max_version": 3}, [2, 3]),
        ({"max_version": 2}, [1, 2]),
    ],
)
async def test_a_handler_reads_what_it_has_pushed(
    store: Store, bounds: dict[str, Any], expected: list[int]
) -> None:
    """Reads merge stored and collected events, in every order and within all bounds."""
    for version in (1, 2):
        await store.push_event(Counted("c", version))

    async def read(input: str, event_stores: tuple[Store]) -> list[int]:
        await count_one(input, event_stores)
        await count_one(input, event_stores)
        assert [1, 2] == await get_versions(store)
        return [each.version for each in await event_stores[0].get_events("c", **bounds)]

    assert expected == await run(store, read)


async def test_a_handler_loads_what_it_has_pushed(store: Store) -> None:
    """An aggregate has its collected events, also one that begins; the list does not have it."""

    async def load(input: str, event_stores: tuple[Store]) -> int:
        await count_one(input, event_stores)
        await count_one(input, event_stores)
        assert [] == (await event_stores[0].list_aggregate_ids()).aggregate_ids
        return (await event_stores[0].get_existing_aggregate(input)).aggregate.version

    assert 2 == await run(store, load)


async def test_a_collected_event_is_a_copy(store: Store) -> None:
    """Changes that the handler makes to a payload after the push are not written."""

    class Listed(Event, type="LISTED"):
        payload: list[str]

    def reduce(_: Counter | None, event: Listed) -> Counter:
        return Counter(event.aggregate_id, event.version)

    lists = EventStore(
        "LISTS", event_types=[Listed], reduce=reduce, storage_adapter=store.storage_adapter
    )

    async def change(_: None, event_stores: tuple[EventStore[Listed, Counter]]) -> None:
        payload = ["before"]
        await event_stores[0].push_event(Listed("c", 1, payload=payload))
        payload.append("after")
        (read,) = await event_stores[0].get_events("c")
        read.payload.append("read")

    command = Command("CHANGE", required_event_stores=(lists,), handler=change)
    await command.with_idempotency_key("a")(None, (lists,))

    assert [["before"]] == [each.payload for each in await lists.get_events("c")]


async def test_a_version_that_was_pushed_before_is_taken(store: Store) -> None:
    """The handler meets the conflict at once, and may go on."""

    async def push_twice(input: str, event_stores: tuple[Store]) -> str:
        await event_stores[0].push_event(Counted(input, 1))
        with pytest.raises(EventAlreadyExistsError, match="version 1"):
            await event_stores[0].push_event(Counted(input, 1))
        return "done"

    assert "done" == await run(store, push_twice)
    assert [1] == await get_versions(store)


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("reads", [True, False])
async def test_a_version_that_is_stored_is_taken(store: Store, retries: int, reads: bool) -> None:
    """A handler that handles the conflict meets it, at the latest when it runs again."""
    await store.push_event(Counted("c", 1))

    async def begin(input: str, event_stores: tuple[Store]) -> str:
        if reads:
            await event_stores[0].get_events(input)
        try:
            await event_stores[0].push_event(Counted(input, 1))
        except EventAlreadyExistsError:
            return "it was there"
        return "begun"

    assert "it was there" == await run(store, begin, event_already_exists_retries=retries)


async def test_a_gap_is_refused(store: Store, storage: Storage) -> None:
    """The write refuses a gap, and the command does not run again."""

    async def leap(input: str, event_stores: tuple[Store]) -> None:
        await event_stores[0].push_event(Counted(input, 3))

    with pytest.raises(VersionGapError, match="version 3"):
        await run(store, leap)

    assert [] == storage.groups


async def test_force_is_refused(store: Store) -> None:
    """A forced push is refused: it is for repairs, which are not commands."""

    async def force(input: str, event_stores: tuple[Store]) -> None:
        await event_stores[0].push_event(Counted(input, 1), force=True)

    with pytest.raises(ValueError, match="does not push with force"):
        await run(store, force)


async def test_groups_are_collected_whole_or_not(store: Store) -> None:
    """A group that meets a conflict leaves nothing, and the handler may go on."""

    async def push_groups(input: str, event_stores: tuple[Store]) -> None:
        (inner,) = event_stores
        await inner.push_event(Counted(input, 1))
        with pytest.raises(EventAlreadyExistsError):
            await EventStore.push_event_group(
                inner.group_event(Counted("d", 1)), inner.group_event(Counted(input, 1))
            )

    await run(store, push_groups)

    assert ([1], []) == (await get_versions(store), await get_versions(store, "d"))


async def test_assertions_hold_at_the_write(store: Store, storage: Storage) -> None:
    """A group's assertion is part of the write: an aggregate that moves meanwhile is a conflict."""
    await store.push_event(Counted("other", 1))
    seen: list[int] = []

    async def depend(input: str, event_stores: tuple[Store]) -> int:
        (inner,) = event_stores
        version = (await inner.get_existing_aggregate("other")).aggregate.version
        seen.append(version)
        await EventStore.push_event_group(
            inner.group_event(Counted(input, 1)), inner.assert_version("other", version)
        )
        return version

    async def move() -> None:
        await store.push_event(Counted("other", 2))

    storage.before_write = move

    assert 2 == await run(store, depend)
    assert [1, 2] == seen


async def test_assertions_within_a_handler(store: Store) -> None:
    """A wrong assertion fails at once; that of an aggregate which is written later is implied."""
    await store.push_event(Counted("c", 1))

    async def depend(_: str, event_stores: tuple[Store]) -> None:
        (inner,) = event_stores
        for version in (0, 2):
            with pytest.raises(VersionAssertionError):
                await EventStore.push_event_group(inner.assert_version("c", version))
        await EventStore.push_event_group(inner.assert_version("c", 1))
        await inner.push_event(Counted("c", 2))
        await EventStore.push_event_group(inner.assert_version("c", 2))

    await run(store, depend)

    assert [1, 2] == await get_versions(store)


async def test_a_store_that_is_used_after_the_end(store: Store, storage: Storage) -> None:
    """A task that outlives its command cannot push: nobody would write its event."""
    kept: list[Store] = []

    async def keep(_: str, event_stores: tuple[Store]) -> None:
        kept.extend(event_stores)

    await run(store, keep)

    with pytest.raises(RuntimeError, match="the command has ended"):
        await kept[0].push_event(Counted("c", 1))
    assert [[COMMANDS_STORE_ID]] == storage.groups


async def test_a_store_that_is_used_after_an_error(store: Store) -> None:
    """A task that outlives a handler which raised cannot push either."""
    kept: list[Store] = []

    async def fail(_: str, event_stores: tuple[Store]) -> None:
        kept.extend(event_stores)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await run(store, fail)
    with pytest.raises(RuntimeError, match="the command has ended"):
        await kept[0].push_event(Counted("c", 1))


async def test_a_store_that_is_used_during_the_write(store: Store, storage: Storage) -> None:
    """A task of the handler cannot push during the write, which would not have its event."""
    kept: list[Store] = []

    async def keep(_: str, event_stores: tuple[Store]) -> None:
        kept.extend(event_stores)

    async def push_late() -> None:
        with pytest.raises(RuntimeError, match="the command has ended"):
            await kept[0].push_event(Counted("c", 1))
        kept.clear()

    storage.before_write = push_late
    await run(store, keep)

    assert [] == kept


async def test_a_command_within_a_command(store: Store, storage: Storage) -> None:
    """A command that a handler runs is part of the same write, with its own key or without."""
    inner = make_command(store, count_one)

    async def run_inner(input: str, event_stores: tuple[Store]) -> list[int]:
        return [
            await inner(input, event_stores),
            await inner.with_idempotency_key("inner")(input, event_stores),
            await inner.with_idempotency_key("inner")(input, event_stores),
        ]

    outer = Command("OUTER", required_event_stores=(store,), handler=run_inner)
    outputs = [await outer.with_idempotency_key("outer")("c", (store,)) for _ in range(2)]
    outputs.append([await inner.with_idempotency_key("inner")("c", (store,))])

    assert [[1, 2, 2], [1, 2, 2], [2]] == outputs
    (group,) = storage.groups
    assert ["COUNTERS", "COUNTERS", COMMANDS_STORE_ID, COMMANDS_STORE_ID] == group
