"""Messages that come at the same time, twice, and in any order: each event is handled once."""

import asyncio
import random
from typing import Any

import pytest

from accounts import Deposited, InMemoryWorld, Opened, World, make_accounts
from castore_core import NotificationMessage
from castore_in_memory import InMemoryBookmarkStorageAdapter
from castore_projections import MissingEventsError, Projection, ProjectionContext

NAMES = ("a", "b", "a-b")
EVENTS = 6  # of each aggregate
TASKS = 32


def follow(world: World, *, with_store: bool = True) -> tuple[Projection[Any], list[Any]]:
    """Return a projection that notes what it handles, and the notes."""
    accounts = world.accounts if with_store else make_accounts(None)
    projection = world.project(event_stores=[accounts])
    notes: list[Any] = []

    @projection.on(Opened, Deposited)
    async def note(event: Opened | Deposited, _context: ProjectionContext[Any]) -> None:
        await asyncio.sleep(0)
        notes.append((event.aggregate_id, event.version))

    return projection, notes


async def make_messages(world: World) -> list[NotificationMessage[Any]]:
    """Push events, and return their messages."""
    messages: list[NotificationMessage[Any]] = []
    for name in NAMES:
        await world.push(name, *range(1, EVENTS))
        events = await world.accounts.get_events(name)
        messages += [NotificationMessage("ACCOUNTS", each) for each in events]
    return messages


def check(notes: list[Any]) -> None:
    """Check that each event was handled once, in the order of its aggregate."""
    for name in NAMES:
        versions = [version for each, version in notes if each == name]
        assert [*range(1, EVENTS + 1)] == versions


@pytest.mark.parametrize("processes", [1, 3])
async def test_tasks_hand_over_the_same_messages(world: World, processes: int) -> None:
    """32 tasks, also of several processes, hand over all messages, each in an order of its own."""
    messages = await make_messages(world)
    projections, notes = zip(*(follow(world) for _ in range(processes)), strict=True)

    async def hand_over(number: int) -> int:
        shuffled = random.Random(number).sample(messages, len(messages))
        projection = projections[number % processes]
        return sum([await projection.handle(each) for each in shuffled])

    handled = await asyncio.gather(*map(hand_over, range(TASKS)))

    assert len(messages) == sum(handled)
    assert len(messages) == sum(map(len, notes))
    if processes == 1:
        check(notes[0])
    assert dict.fromkeys(NAMES, sum(range(EVENTS))) == await world.read()


async def test_messages_without_a_store_come_again(world: World) -> None:
    """Where nothing can be read, a message that came too early is refused until it fits."""
    messages = await make_messages(world)
    projection, notes = follow(world, with_store=False)
    refused = 0

    async def hand_over(number: int) -> None:
        nonlocal refused
        todo = random.Random(number).sample(messages, len(messages))
        while todo:
            message = todo.pop(0)
            try:
                await projection.handle(message)
            except MissingEventsError:
                refused += 1
                todo.append(message)
                await asyncio.sleep(0)

    await asyncio.gather(*map(hand_over, range(TASKS)))

    assert refused
    check(notes)
    assert dict.fromkeys(NAMES, sum(range(EVENTS))) == await world.read()


async def test_handler_that_fails_has_its_message_again(world: World) -> None:
    """The error is raised; events before it stay handled, and the rest comes with the next."""
    messages = await make_messages(world)
    projection, _ = follow(world)
    is_broken = True

    @projection.on(Deposited)
    async def fail(event: Deposited, _context: ProjectionContext[Any]) -> None:
        if is_broken and event.version == 4:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await projection.handle(messages[EVENTS - 1])
    if world.is_transactional:
        assert {"a": 1 + 2} == await world.read()
    is_broken = False
    assert 3 == await projection.handle(messages[EVENTS - 1])
    assert 0 == await projection.handle(messages[0])
    if world.is_transactional:
        assert {"a": sum(range(EVENTS))} == await world.read()


async def test_wait_for_events_that_come_with_messages(world: World) -> None:
    """A caller waits for the message of an event, where the projection never read a log."""
    messages = await make_messages(world)
    projection, _ = follow(world)
    event = messages[2].event
    waiting = asyncio.ensure_future(projection.wait_for(event))
    await projection.handle(messages[1])
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await projection.handle(messages[2])
    await waiting


async def test_wait_for_without_a_log() -> None:
    """So does one whose event store has no log at all."""
    world = InMemoryWorld()
    messages = await make_messages(world)
    projection = Projection(
        "p", event_stores=[make_accounts(None)], bookmarks=InMemoryBookmarkStorageAdapter()
    )
    for each in messages[:2]:
        await projection.handle(each)
    await projection.wait_for(messages[1].event)
    with pytest.raises(TimeoutError, match="did not handle event 3 of aggregate 'a'"):
        await projection.wait_for(messages[2].event, timeout=0.05)
