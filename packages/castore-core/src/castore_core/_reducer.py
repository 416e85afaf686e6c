"""Reducers: how the state of an aggregate follows from its events."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from typing_extensions import TypeVar

from castore_core._aggregate import A
from castore_core._decoding import decode
from castore_core._event import E, Event
from castore_core._record import EventRecord
from castore_core.errors import ReducerError

if TYPE_CHECKING:
    from castore_core._store import EventStore

E_contra = TypeVar("E_contra", bound=Event, default=Any, contravariant=True)


class Reducer(Protocol[E_contra, A]):
    """Computes the state after an event from the state before it (``None`` before the first).

    It is a protocol rather than a ``Callable`` because mypy then infers the events of a store
    from its reducer, and so accepts event types whose constructors look alike.
    """

    def __call__(self, aggregate: A | None, event: E_contra, /) -> A: ...


def reduce_events(
    event_store: "EventStore[E, A]", events: Iterable[E], aggregate: A | None
) -> A | None:
    """Return the state after some events; an error of the reducer gets a note that names one."""
    reduce = event_store.reduce
    for event in events:
        try:
            aggregate = reduce(aggregate, event)
        except Exception as error:
            error.add_note(
                f"in the reducer of event store {event_store.event_store_id!r}, at event "
                f"{event.version} ({event.type}) of aggregate {event.aggregate_id!r}"
            )
            raise
    return aggregate


def reduce_next(
    event_store: "EventStore[E, A]", event: E, record: EventRecord, prev_aggregate: A | None
) -> A | None:
    """Return the state after an event that is to be written, where it is known without reading.

    The reducer is given a copy of the event, as it will be read back: a change that it makes to
    the event is not written.

    Raises:
        EventDecodeError: the event could not be read back from its ``record``.
        ReducerError: the reducer returned no state of the aggregate after the event.
        ValueError: ``prev_aggregate`` is not the state before the event.
    """
    if prev_aggregate is None:
        if record.version > 1:
            return None
    elif (prev_aggregate.aggregate_id, prev_aggregate.version + 1) != record[:2]:
        raise ValueError(
            f"prev_aggregate is {prev_aggregate.aggregate_id!r} after version "
            f"{prev_aggregate.version}, which is not the state before version {record.version} "
            f"of {record.aggregate_id!r}"
        )
    event = decode(event_store, type(event), record.copy())
    return check_state(event_store, event, reduce_events(event_store, [event], prev_aggregate))


def check_state(event_store: "EventStore[E, A]", event: E, aggregate: A | None) -> A:
    """Refuse a state that is not the one of the aggregate after an event.

    Raises:
        ReducerError: it is none, or has another id or version.
    """
    if aggregate is None:
        reason = "returned None"
    elif not hasattr(aggregate, "aggregate_id") or not hasattr(aggregate, "version"):
        reason = f"returned {type(aggregate).__name__}, which is no state of an aggregate,"
    elif aggregate.aggregate_id != event.aggregate_id:
        reason = f"returned aggregate_id={aggregate.aggregate_id!r:.100}"
    elif aggregate.version != event.version:
        reason = f"returned version={aggregate.version!r:.100}"
    else:
        return aggregate
    raise ReducerError(event_store.event_store_id, event.aggregate_id, event.version, reason)


def hold(held: dict[int, E], event: E) -> dict[int, E]:
    """Add an event and leave the earlier ones: the default of simulations."""
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
