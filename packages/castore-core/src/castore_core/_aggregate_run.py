"""One call of an aggregate command: it loads the aggregate, decides, and pushes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from castore_core._aggregate import A
from castore_core._drafts import Decision, get_version, group_drafts, list_decided
from castore_core._event import E, EventDraft
from castore_core._group import GroupedEvent
from castore_core._idempotency import KeyedRun
from castore_core._json import JSONValue
from castore_core._results import LoadedAggregate
from castore_core._store import EventStore


@dataclass(frozen=True)
class AggregateRun(Generic[E, A]):
    """One call of an aggregate command, with as many attempts as it takes.

    Args:
        event_store: of the aggregate.
        aggregate_id: of the aggregate.
        decide: the handler, which is given the aggregate alone.
        must_exist: whether an aggregate without events is refused.
    """

    event_store: EventStore[E, A]
    aggregate_id: str
    decide: Callable[[Any], Decision[E]]
    must_exist: bool

    async def attempt(self, keyed: KeyedRun | None = None) -> A | None:
        """Load, decide and push, once; return the aggregate after it.

        With an idempotency key, the run is recorded together with the events, or not at all.
        """
        loaded = await self._load()
        drafts = await list_decided(self.decide(loaded.aggregate))
        if keyed is None:
            return await self._push(loaded, drafts)
        output = self._encode_output(loaded, drafts)
        return await keyed.push(output, partial(self._push, loaded, drafts))

    async def restore(self, keyed: KeyedRun, output: JSONValue) -> A | None:
        """Return the aggregate as it was after the run that recorded the output.

        Raises:
            EventDecodeError: the output is none of an aggregate command.
        """
        match output:
            case {"version": 0}:
                return None
            case {"aggregateId": str(aggregate_id), "version": int(version)}:
                loaded = await self.event_store.get_aggregate(aggregate_id, max_version=version)
                return loaded.aggregate
            case _:
                raise keyed.refuse_output()

    async def _load(self) -> LoadedAggregate[E, A]:
        if self.must_exist:
            return await self.event_store.get_existing_aggregate(self.aggregate_id)
        return await self.event_store.get_aggregate(self.aggregate_id)

    async def _push(
        self,
        loaded: LoadedAggregate[E, A],
        drafts: Sequence[EventDraft[E]],
        *marks: GroupedEvent,
    ) -> A | None:
        """Push drafts, and marks as more events of the group; return the aggregate after them."""
        group = group_drafts(self.event_store, self.aggregate_id, loaded, drafts)
        pushed_events = await EventStore.push_event_group(*group, *marks)
        return pushed_events[len(group) - 1].next_aggregate if group else loaded.aggregate

    def _encode_output(
        self, loaded: LoadedAggregate[E, A], drafts: Sequence[EventDraft[E]]
    ) -> JSONValue:
        """Return the version of the aggregate after the drafts, by which it is found again."""
        version = get_version(loaded) + len(drafts)
        return {"aggregateId": self.aggregate_id, "version": version}
