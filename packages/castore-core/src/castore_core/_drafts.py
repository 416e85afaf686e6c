"""Drafts: the events that a handler decides on, before they have an aggregate and a version."""

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from inspect import isawaitable
from typing import Any, TypeAlias, cast

from castore_core._aggregate import A
from castore_core._event import E, EventDraft
from castore_core._group import GroupedEvent
from castore_core._results import LoadedAggregate
from castore_core._store import EventStore

Drafts: TypeAlias = EventDraft[E] | Sequence[EventDraft[E]] | None
"""The events that happen to an aggregate: one draft, several, or none."""

Decision: TypeAlias = Drafts[E] | Awaitable[Drafts[E]]
"""The drafts that a handler returns, as a plain function or as a coroutine function."""


async def list_decided(decision: Decision[E]) -> Sequence[EventDraft[E]]:
    """Return the drafts of a decision as a sequence, once it is there.

    Raises:
        TypeError: it is anything but drafts.
    """
    return list_drafts(await decision if isawaitable(decision) else decision)


def list_drafts(drafts: Drafts[E]) -> Sequence[EventDraft[E]]:
    """Return drafts as a sequence.

    Raises:
        TypeError: they are anything but drafts.
    """
    if drafts is None:
        return ()
    if isinstance(drafts, EventDraft):
        return (drafts,)
    _check_drafts(drafts)
    return drafts


def group_drafts(
    event_store: EventStore[E, A],
    aggregate_id: str,
    loaded: LoadedAggregate[E, A],
    drafts: Sequence[EventDraft[E]],
) -> list[GroupedEvent[E, A]]:
    """Return the events that drafts become after what was loaded, side by side in a group."""
    first = get_version(loaded) + 1
    events = [draft.to_event(aggregate_id, each) for each, draft in enumerate(drafts, first)]
    group = [event_store.group_event(each, prev_aggregate=loaded.aggregate) for each in events[:1]]
    return group + [replace(event_store.group_event(each), follows=True) for each in events[1:]]


def get_version(loaded: LoadedAggregate[Any, Any]) -> int:
    """Return the version of what was loaded, which is 0 where there are no events."""
    return loaded.last_event.version if loaded.last_event else 0


def _check_drafts(drafts: object) -> None:
    found = type(drafts).__qualname__
    if isinstance(drafts, Sequence) and not isinstance(drafts, str):
        kinds = {type(each) for each in cast("Sequence[object]", drafts)}
        if kinds <= {EventDraft}:
            return
        found += f" of {', '.join(sorted(each.__qualname__ for each in kinds))}"
    raise TypeError(f"a handler returns drafts, made by draft() of an event type, not {found}")
