"""The changes between two descriptions of the schemas of events, each with its verdict."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from castore_dam._event_schemas import check_event_schemas
from castore_dam._json_pointers import format_pointer
from castore_dam._schema_comparison import compare_schemas
from castore_dam._schema_differences import ChangeKind, Difference

Compatibility: TypeAlias = Literal["backward", "forward", "full"]
"""A promise that a change keeps, in the terms of schema registries.

- ``backward``: the new code reads the events that the old code wrote;
- ``forward``: the old code reads the events that the new code writes;
- ``full``: both.
"""

Verdict: TypeAlias = Literal["backward", "forward", "full", "breaking"]
"""The compatibility of a change, or ``breaking`` where there is none."""


@dataclass(frozen=True, kw_only=True)
class SchemaChange:
    """One change of the schemas of events."""

    event_store_id: str
    event_type: str | None
    """``None`` where the change is one of the store."""
    path: str
    """Where in the event: a JSON pointer, such as ``/payload/moves/*/name``, in which ``*`` is
    each item, or each field without a name in the schema. Empty where the change is one of the
    whole event."""
    kind: ChangeKind
    reason: str
    """Describes the change for people."""
    verdict: Verdict
    is_upcast: bool = False
    """The verdict counts on an upcaster: without it, stored events could not be read."""

    def allows(self, compatibility: Compatibility) -> bool:
        """Tell whether the change keeps a compatibility."""
        return self.verdict in {compatibility, "full"}

    def __str__(self) -> str:
        place = " ".join(filter(None, (self.event_store_id, self.event_type, self.path)))
        verdict = f"{self.verdict} (upcast)" if self.is_upcast else self.verdict
        return f"{verdict}: {place}: {self.kind}: {self.reason}"


@dataclass(frozen=True)
class SchemaDiff:
    """All changes of the schemas of events, ordered by store, event type and place."""

    changes: tuple[SchemaChange, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict for all changes together; ``full`` if there are none."""
        return _to_verdict(backward=self.allows("backward"), forward=self.allows("forward"))

    def allows(self, compatibility: Compatibility) -> bool:
        """Tell whether all changes keep a compatibility.

        ``backward``: the new code reads the stored events. ``forward``: the code of before reads
        the events of the new one, as it has to while a deployment is under way or taken back.
        """
        return all(each.allows(compatibility) for each in self.changes)

    def find_refused(self, compatibility: Compatibility) -> tuple[SchemaChange, ...]:
        """Return the changes that do not keep a compatibility."""
        return tuple(each for each in self.changes if not each.allows(compatibility))

    def __str__(self) -> str:
        return "\n".join(map(str, self.changes)) or "no changes"


def diff_event_schemas(
    saved: Mapping[str, Any],
    current: Mapping[str, Any],
    *,
    upcast: Mapping[str, Collection[str]] | None = None,
) -> SchemaDiff:
    """Compare two results of `describe_event_schemas` or `load_event_schemas`.

    Args:
        saved: the schemas of before.
        current: the schemas of now.
        upcast: by the id of the store, the types of stored events that an upcaster changes into
            what is read now. Their changes count as ``backward``, and are marked ``is_upcast``:
            nothing but the stored events themselves can prove it.

    Raises:
        InvalidEventSchemasError: ``saved`` or ``current`` is in another form.
        ValueError: ``upcast`` names a type that was not saved.
    """
    before, now = (check_event_schemas(each)["eventStores"] for each in (saved, current))
    upcast = upcast or {}
    _check_upcast(upcast, before)
    changes: list[SchemaChange] = []
    for name in sorted(before.keys() | now.keys()):
        types = upcast.get(name, ())
        changes += _StoreDiff(name, types).compare(before.get(name), now.get(name))
    return SchemaDiff(tuple(changes))


class _StoreDiff:
    """Compares the event types of one store."""

    def __init__(self, event_store_id: str, upcast: Collection[str]) -> None:
        self._event_store_id = event_store_id
        self._upcast = upcast

    def compare(
        self, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None
    ) -> Iterator[SchemaChange]:
        """Return the changes."""
        if old is None:
            yield self._describe(None, _STORE_ADDED)
        elif new is None:
            yield self._describe(None, _STORE_REMOVED)
        else:
            yield from self._compare_types(old["eventTypes"], new["eventTypes"])

    def _compare_types(
        self, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[SchemaChange]:
        for name in sorted(old.keys() | new.keys()):
            if name not in old:
                yield self._describe(name, _TYPE_ADDED)
            elif name not in new:
                yield self._describe(name, _TYPE_REMOVED)
            else:
                for each in compare_schemas(old[name], new[name]):
                    yield self._describe(name, each)

    def _describe(self, event_type: str | None, difference: Difference) -> SchemaChange:
        is_upcast = event_type in self._upcast and not difference.backward
        return SchemaChange(
            event_store_id=self._event_store_id,
            event_type=event_type,
            path=format_pointer(difference.path),
            kind=difference.kind,
            reason=difference.reason,
            verdict=_to_verdict(
                backward=difference.backward or is_upcast, forward=difference.forward
            ),
            is_upcast=is_upcast,
        )


_STORE_ADDED = Difference(
    (), "event store added", "no code of before reads it", backward=True, forward=True
)
_STORE_REMOVED = Difference(
    (), "event store removed", "nothing reads its events any more", backward=False, forward=True
)
_TYPE_ADDED = Difference(
    (), "event type added", "the code of before refuses the type", backward=True, forward=False
)
_TYPE_REMOVED = Difference(
    (), "event type removed", "its stored events are refused now", backward=False, forward=True
)


def _check_upcast(upcast: Mapping[str, Collection[str]], saved: Mapping[str, Any]) -> None:
    for event_store_id, types in upcast.items():
        if isinstance(types, str):
            raise ValueError(f"upcast[{event_store_id!r}] is a text, not a list of event types")
        known = saved.get(event_store_id, {"eventTypes": {}})["eventTypes"]
        for each in types:
            if each not in known:
                raise ValueError(
                    f"upcast names {each!r} of {event_store_id!r}, which was not saved"
                )


def _to_verdict(*, backward: bool, forward: bool) -> Verdict:
    if backward:
        return "full" if forward else "backward"
    return "forward" if forward else "breaking"
