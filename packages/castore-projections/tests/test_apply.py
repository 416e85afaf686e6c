"""`Projection.apply`: the handlers of one event, with a transaction of the caller."""

from typing import Any

import pytest

from accounts import Deposited, InMemoryWorld, Opened, make_accounts
from castore_core import Event, EventRecord, EventStore, ForeignEventError
from castore_projections import Projection, ProjectionContext

opened = Opened("a", 1)
deposited = Deposited("a", 2, payload={"amount": 3})


async def test_handlers_get_the_transaction() -> None:
    """Each handler of the class gets the event and the transaction, and no position or attempt."""
    projection: Projection[Any] = InMemoryWorld().project("sums", version=2)
    contexts: list[ProjectionContext[str]] = []

    @projection.on(Opened)
    async def note(event: Opened, context: ProjectionContext[str]) -> None:
        assert opened == event
        contexts.append(context)

    assert await projection.apply(opened, transaction="mine", is_replay=True)
    (context,) = contexts
    assert ("mine", True, None, 1) == (
        context.transaction,
        context.is_replay,
        context.position,
        context.attempt,
    )
    assert ("sums", 2, "ACCOUNTS") == (context.projection, context.version, context.event_store_id)
    assert EventRecord("a", 1, "OPENED", opened.timestamp) == context.record


async def test_without_a_handler() -> None:
    """An event that no handler is for is passed over."""
    assert not await InMemoryWorld().project().apply(opened, transaction=None)


async def test_moves_no_bookmark() -> None:
    """The event comes again where the projection runs."""
    world = InMemoryWorld()
    projection = world.project()
    await world.accounts.push_event(opened)
    await world.accounts.push_event(deposited)
    assert await projection.apply(deposited, transaction=None)
    assert 1 == await projection.run_once()
    assert {"a": 6} == await world.read()


async def test_errors_come_out() -> None:
    """Nothing is tried again or parked, and the handlers that follow are not called."""
    world = InMemoryWorld()
    projection: Projection[Any] = Projection(
        "p", event_stores=[world.accounts], bookmarks=world.bookmarks
    )
    calls: list[str] = []

    @projection.on(Opened)
    async def fail(_: Opened, __: ProjectionContext) -> None:
        calls.append("first")
        raise LookupError("no such account")

    @projection.on(Opened)
    async def follow(_: Opened, __: ProjectionContext) -> None:
        calls.append("second")

    with pytest.raises(LookupError):
        await projection.apply(opened, transaction=None)
    assert ["first"] == calls


async def test_the_store_of_the_event() -> None:
    """It has to be named where several stores have the class, and has to have it."""

    class Unheard(Event, type="UNHEARD"): ...

    world = InMemoryWorld()
    projection: Projection[Any] = Projection(
        "p", event_stores=[world.accounts, world.others], bookmarks=world.bookmarks
    )
    store_ids: list[str] = []

    @projection.on(Opened)
    async def note(_: Opened, context: ProjectionContext) -> None:
        store_ids.append(context.event_store_id)

    with pytest.raises(ValueError, match="2 event stores of the projection have Opened"):
        await projection.apply(opened, transaction=None)
    await projection.apply(opened, transaction=None, event_store=world.others)
    assert ["OTHERS"] == store_ids

    stranger: EventStore = make_accounts(None, "STRANGERS")
    with pytest.raises(ValueError, match="is no event store of the projection"):
        await projection.apply(opened, transaction=None, event_store=stranger)
    with pytest.raises(ValueError, match="0 event stores"):
        await projection.apply(Unheard("a", 1), transaction=None)
    with pytest.raises(ForeignEventError):
        await projection.apply(Unheard("a", 1), transaction=None, event_store=world.others)
