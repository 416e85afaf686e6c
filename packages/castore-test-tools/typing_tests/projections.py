"""What type checkers know of `run_projection`, and what they refuse. Never run."""

from typing import Any, assert_type

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from castore_core import Event, EventStore
from castore_projections import Projection
from castore_test_tools import run_projection


class Ordered(Event, type="ORDERED"):
    """Somebody ordered a parcel."""


async def run_without_transaction(projection: Projection[None], parcels: EventStore) -> None:
    """Need no transaction where the bookmarks have none."""
    assert_type(await run_projection(projection, [Ordered("p1", 1)]), list[Event])
    await run_projection(projection, (), event_store=parcels, is_replay=True)
    await run_projection(projection, iter([Ordered("p1", 1)]), transaction=None)

    await run_projection(projection, ["ORDERED"])  # type: ignore[list-item]
    await run_projection(parcels, [Ordered("p1", 1)])  # type: ignore[call-overload]


async def run_with_transaction(
    projection: Projection[AsyncConnection], connection: AsyncConnection, other: Connection
) -> None:
    """Need the transaction that the bookmarks have."""
    events = [Ordered("p1", 1)]
    assert_type(await run_projection(projection, events, transaction=connection), list[Event])

    await run_projection(projection, events)  # type: ignore[arg-type]
    await run_projection(projection, events, transaction=None)  # type: ignore[arg-type]
    await run_projection(projection, events, transaction=other)  # type: ignore[misc]


async def run_any(projection: Projection, transaction: Any) -> None:
    """Take any transaction for a projection of any kind."""
    assert_type(await run_projection(projection, ()), list[Event])
    assert_type(await run_projection(projection, (), transaction=transaction), list[Event])
