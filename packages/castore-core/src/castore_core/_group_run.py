"""One call of a group command: it loads the aggregates, decides, and pushes one group."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import Any, Final, TypeAlias, cast

from castore_core._aggregate_sources import AggregateSource
from castore_core._concurrency import run_all
from castore_core._drafts import get_version, group_drafts
from castore_core._event import EventDraft
from castore_core._group import GroupedEvent, VersionAssertion
from castore_core._idempotency import KeyedRun
from castore_core._json import JSONValue
from castore_core._results import LoadedAggregate
from castore_core._storage import joins_transaction
from castore_core._store import EventStore

AnySource: TypeAlias = AggregateSource[Any, Any, Any, Any]

_Loaded: TypeAlias = dict[str, LoadedAggregate[Any, Any]]
_Drafts: TypeAlias = dict[str, Sequence[EventDraft[Any]]]

_LOADS_AT_ONCE: Final = 8


@dataclass(frozen=True)
class GroupRun:
    """One call of a group command, with as many attempts as it takes.

    Args:
        command: names the command in errors.
        sources: of the aggregates.
        ids: of the aggregates of each source.
        decide: the handler, which is given the aggregates of each source alone.
    """

    command: str
    sources: Sequence[AnySource]
    ids: Sequence[Sequence[str]]
    decide: Callable[..., Any]

    async def attempt(self, keyed: KeyedRun | None = None) -> tuple[Any, ...]:
        """Load, decide and push, once; return the aggregates of each source after it.

        With an idempotency key, the run is recorded together with the events, or not at all.
        """
        loaded = await self._load()
        answer = self.decide(*self._arrange(map(_get_aggregates, loaded)))
        decisions = self._split(await answer if isawaitable(answer) else answer)
        if keyed is None:
            return await self._push(loaded, decisions)
        output = _encode_output(loaded, decisions)
        return await keyed.push(output, partial(self._push, loaded, decisions))

    async def restore(self, keyed: KeyedRun, output: JSONValue) -> tuple[Any, ...]:
        """Return the aggregates as they were after the run that recorded the output.

        Raises:
            EventDecodeError: the output does not have a version of each aggregate.
        """
        if not _has_versions(output, self.ids):
            raise keyed.refuse_output()
        loaded = await self._load(cast("list[dict[str, int]]", output))
        return self._arrange(map(_get_aggregates, loaded))

    async def _load(self, versions: Sequence[dict[str, int]] | None = None) -> list[_Loaded]:
        """Load the aggregates of all sources, as they are or as they were at some versions."""
        parts = zip(self.sources, self.ids, versions or [{} for _ in self.ids], strict=True)
        jobs = [
            partial(source.load, each, at.get(each)) for source, own, at in parts for each in own
        ]
        loaded = iter(await run_all(jobs, at_once=self._count_loads_at_once()))
        return [{each: next(loaded) for each in own} for own in self.ids]

    def _count_loads_at_once(self) -> int:
        """Return 1 within a transaction of yours: its connection does one thing at a time."""
        adapters = [each.event_store.storage_adapter for each in self.sources]
        return 1 if any(map(joins_transaction, adapters)) else _LOADS_AT_ONCE

    def _arrange(self, aggregates: Iterable[dict[str, Any]]) -> tuple[Any, ...]:
        pairs = zip(self.sources, aggregates, strict=True)
        return tuple(source.arrange(own) for source, own in pairs)

    def _split(self, decision: object) -> list[_Drafts]:
        """Return the drafts of each source."""
        if decision is None:
            return [{} for _ in self.sources]
        decisions = (decision,) if len(self.sources) == 1 else self._check_tuple(decision)
        parts = zip(self.sources, decisions, self.ids, strict=True)
        return [source.split(each, own) for source, each, own in parts]

    def _check_tuple(self, decision: object) -> tuple[object, ...]:
        count = len(self.sources)
        decisions = cast("tuple[object, ...]", decision) if isinstance(decision, tuple) else ()
        if len(decisions) != count:
            raise TypeError(
                f"the handler of {self.command} returns a tuple of {count} decisions, one on each "
                "source"
            )
        return decisions

    async def _push(
        self, loaded: Sequence[_Loaded], decisions: Sequence[_Drafts], *marks: GroupedEvent
    ) -> tuple[Any, ...]:
        """Push drafts, and marks as more events of the group; return the aggregates after them."""
        aggregates = [_get_aggregates(each) for each in loaded]
        numbered = list(self._number_events(loaded, decisions))
        assertions = list(self._assert_unchanged(loaded, decisions)) if numbered else []
        events = [event for _, event in numbered]
        pushed_events = await EventStore.push_event_group(*events, *marks, *assertions)
        for (number, _), pushed in zip(numbered, pushed_events, strict=False):  # without marks
            aggregates[number][pushed.event.aggregate_id] = pushed.next_aggregate
        return self._arrange(aggregates)

    def _number_events(
        self, loaded: Sequence[_Loaded], decisions: Sequence[_Drafts]
    ) -> Iterator[tuple[int, GroupedEvent[Any, Any]]]:
        """Yield the events of the group, each with the number of its source."""
        parts = enumerate(zip(self.sources, loaded, decisions, strict=True))
        for number, (source, own, drafts) in parts:
            for each, before in own.items():
                group = group_drafts(source.event_store, each, before, drafts.get(each, ()))
                yield from ((number, event) for event in group)

    def _assert_unchanged(
        self, loaded: Sequence[_Loaded], decisions: Sequence[_Drafts]
    ) -> Iterator[VersionAssertion]:
        """Yield the assertions on aggregates that were loaded and get no event."""
        for source, own, drafts in zip(self.sources, loaded, decisions, strict=True):
            for each, before in own.items():
                if source.asserted and not drafts.get(each):
                    yield source.event_store.assert_version(each, get_version(before))


def _get_aggregates(loaded: _Loaded) -> dict[str, Any]:
    return {aggregate_id: each.aggregate for aggregate_id, each in loaded.items()}


def _encode_output(loaded: Sequence[_Loaded], decisions: Sequence[_Drafts]) -> JSONValue:
    """Return the version of each aggregate after the drafts, for each source."""
    return [
        {each: get_version(before) + len(drafts.get(each, ())) for each, before in own.items()}
        for own, drafts in zip(loaded, decisions, strict=True)
    ]


def _has_versions(output: JSONValue, ids: Sequence[Sequence[str]]) -> bool:
    """Tell whether a recorded output has a version of each aggregate."""
    if not isinstance(output, list) or len(output) != len(ids):
        return False
    return all(
        isinstance(each, dict)
        and each.keys() == set(own)
        and all(type(version) is int for version in each.values())
        for each, own in zip(output, ids, strict=True)
    )
