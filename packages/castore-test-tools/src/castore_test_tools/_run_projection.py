"""Runs the handlers of a projection on given events."""

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar, overload

from castore_core import Event, EventStore

T_contra = TypeVar("T_contra", contravariant=True)
T = TypeVar("T")


class AppliesEvents(Protocol[T_contra]):
    """A projection: `castore_projections.Projection` is one."""

    async def apply(
        self,
        event: Event,
        *,
        transaction: T_contra,
        event_store: EventStore[Any, Any] | None = None,
        is_replay: bool = False,
    ) -> bool:
        """Call the handlers of an event, and tell whether it has any."""
        ...


@overload
async def run_projection(
    projection: AppliesEvents[None],
    events: Iterable[Event],
    *,
    transaction: None = None,
    event_store: EventStore | None = None,
    is_replay: bool = False,
) -> list[Event]: ...


@overload
async def run_projection(
    projection: AppliesEvents[T],
    events: Iterable[Event],
    *,
    transaction: T,
    event_store: EventStore | None = None,
    is_replay: bool = False,
) -> list[Event]: ...


async def run_projection(
    projection: AppliesEvents[Any],
    events: Iterable[Event],
    *,
    transaction: object = None,
    event_store: EventStore | None = None,
    is_replay: bool = False,
) -> list[Event]:
    """Run the handlers of a projection on events, one after the other.

    Returns the events that have a handler, in their order. Nothing is read or written but by the
    handlers: the stores, their log and the bookmarks are left alone::

        handled = await run_projection(pokedex, [appeared, caught], transaction=connection)

    Args:
        projection: the projection.
        events: events of one or several of its stores.
        transaction: goes to the handlers. Left out, they are given ``None``, as with bookmarks in
            memory.
        event_store: the store of the events; it may be left out where only one store of the
            projection has their classes.
        is_replay: goes to the handlers, too.

    Raises:
        ValueError: no store of the projection, or several, can be that of an event.
        Exception: what a handler raised; a note tells the event. Those that follow were not
            handled.
    """
    __tracebackhide__ = True
    handled: list[Event] = []
    for event in events:
        try:
            has_handler = await projection.apply(
                event, transaction=transaction, event_store=event_store, is_replay=is_replay
            )
        except Exception as error:
            error.add_note(f"while {projection!r} handled {event!r}")
            raise
        if has_handler:
            handled.append(event)
    return handled
