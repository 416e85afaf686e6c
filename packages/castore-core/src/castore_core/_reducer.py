"""Reducers: how the state of an aggregate follows from its events."""

from collections.abc import Iterable
from typing import Any, Protocol

from typing_extensions import TypeVar

from castore_core._aggregate import A
from castore_core._event import E, Event

E_contra = TypeVar("E_contra", bound=Event, default=Any, contravariant=True)


class Reducer(Protocol[E_contra, A]):
    """Computes the state after an event from the state before it (``None`` before the first).

    It is a protocol rather than a ``Callable`` because mypy then infers the events of a store
    from its reducer, and so accepts event types whose constructors look alike.
    """

    def __call__(self, aggregate: A | None, event: E_contra, /) -> A: ...


def reduce_next(reduce: Reducer[E, A], event: E, prev_aggregate: A | None) -> A | None:
    """Return the state after an event, where it is known without reading.

    Raises:
        ValueError: ``prev_aggregate`` is not the state before the event.
    """
    if prev_aggregate is None:
        return reduce(None, event) if event.version == 1 else None
    before = (prev_aggregate.aggregate_id, prev_aggregate.version + 1)
    if before != (event.aggregate_id, event.version):
        raise ValueError(
            f"prev_aggregate is {prev_aggregate.aggregate_id!r} after version "
            f"{prev_aggregate.version}, which is not the state before version {event.version} "
            f"of {event.aggregate_id!r}"
        )
    return reduce(prev_aggregate, event)


def hold(held: dict[int, E], event: E) -> dict[int, E]:
    """Let an event change nothing of those before it: what simulations do by default."""
    held[event.version] = event
    return held


def renumber(events: Iterable[E]) -> Iterable[E]:
    """Give events the versions 1, 2 and so on."""
    for version, event in enumerate(events, 1):
        if event.version == version:
            yield event
        else:
            renumbered = object.__new__(type(event))
            vars(renumbered).update(vars(event), version=version)
            yield renumbered
